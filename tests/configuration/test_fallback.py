"""`fallback`: which profiles a client falls back on, with what settings, and what is wrong with a list of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from qonduit import Client, ConfigurationError, MissingCredentialsError
from qonduit.resolution import Resolved, resolve_profile

FILE = """
default = "qwen"

[profiles.qwen]
provider = "qwen"
model = "qwen-plus"
timeout = 20
fallback = ["gpt", "both"]

[profiles.gpt]
provider = "openai"
model = "gpt-5"
fallback = ["qwen"]

[profiles.both]
provider = "auto"
model = "qwen-max"
region = "us-east-1"
"""


@pytest.fixture
def file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with three profiles, and the keys of their providers."""
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-qwen")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-gpt")
    path = folder / "qonduit.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


def fallbacks(resolved: Resolved) -> list[tuple[str, str, str | None]]:
    """Name, provider and model of each."""
    return [(other.profile.name, other.profile.provider, other.profile.model) for other in resolved.fallbacks]


def test_each_profile_brings_what_is_its_own(file: Path) -> None:
    """Provider, key, model and place of each; the list of a fallback itself is not followed."""
    resolved = resolve_profile(None, {})
    assert resolved.profile.fallback == ("gpt", "both")
    assert fallbacks(resolved) == [("gpt", "openai", "gpt-5"), ("both", "auto", "qwen-max")]
    gpt, both = resolved.fallbacks
    assert gpt.credentials.value == "sk-gpt"
    assert gpt.profile.base_url == "https://api.openai.com/v1"
    assert [route.profile.base_url for route in both.routes] == [
        "https://dashscope-us.aliyuncs.com/compatible-mode/v1",
        "https://dashscope-us.aliyuncs.com/api/v1",
    ]
    assert not gpt.fallbacks


def test_what_says_where_and_whose_stays_with_the_named_profile(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of arguments and variables are for all; a model, a key, a region or a provider is not."""
    monkeypatch.setenv("QONDUIT_MAX_RETRIES", "1")
    monkeypatch.setenv("QONDUIT_MODEL", "qwen-turbo")
    monkeypatch.setenv("QONDUIT_REGION", "ap-southeast-1")
    resolved = resolve_profile("qwen", {"timeout": 7.0, "api_key": "sk-argument"})
    gpt, both = resolved.fallbacks
    assert (resolved.profile.model, resolved.profile.region) == ("qwen-turbo", "ap-southeast-1")
    assert fallbacks(resolved) == [("gpt", "openai", "gpt-5"), ("both", "auto", "qwen-max")]
    assert both.profile.region == "us-east-1"
    assert gpt.credentials.value == "sk-gpt"
    assert {(one.profile.timeout, one.profile.max_retries) for one in (resolved, gpt, both)} == {(7.0, 1)}


def test_the_argument_takes_the_place_of_the_list(file: Path) -> None:
    """`fallback=` names others, or none."""
    assert fallbacks(resolve_profile("gpt", {}, fallback=["qwen"])) == [("qwen", "qwen", "qwen-plus")]
    assert fallbacks(resolve_profile("qwen", {}, fallback=[])) == []
    with Client("qwen", fallback=["gpt"]) as client:
        assert client.profile.fallback == ("gpt",)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["gtp"], r"fallback: there is no profile 'gtp' \(did you mean 'gpt'\?\)"),
        (["qwen"], "fallback: 'qwen' is the profile itself"),
        (["gpt", "gpt"], "fallback: 'gpt' is there twice"),
        ("gpt", r"fallback: expected a list, e\.g\. fallback=\['gpt'\]"),
    ],
)
def test_a_wrong_list_is_refused(file: Path, names: list[str], message: str) -> None:
    """By the name that is wrong, and with the nearest one."""
    with pytest.raises(ConfigurationError, match=message):
        Client("qwen", fallback=names)


def test_a_wrong_list_of_the_file_names_the_place(file: Path) -> None:
    """File, table and key."""
    file.write_text(FILE.replace('"both"]', '"bot"]'), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"qonduit\.toml: profiles\.qwen\.fallback: there is no profile 'bot'"):
        Client("qwen")


def test_a_list_without_a_profile_is_refused(file: Path) -> None:
    """With provider= no file is read, so the names would mean nothing."""
    with pytest.raises(ConfigurationError, match="fallback= names profiles of a configuration"):
        Client(provider="qwen", model="qwen-plus", api_key="sk-test", fallback=["gpt"])


def test_a_fallback_without_a_key_is_found_when_the_client_is_built(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not on the day when it is needed."""
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(MissingCredentialsError, match=r"profile 'gpt' .* 'gpt' is a fallback of profile 'qwen'"):
        Client("qwen")


def test_a_fallback_needs_the_trust_that_its_profile_does(file: Path) -> None:
    """A file that was only found cannot send the key of a fallback to a stranger."""
    file.write_text(FILE.replace('model = "gpt-5"', 'base_url = "https://stranger.example/v1"'), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="profile 'gpt' is refused"):
        Client("qwen")


def test_a_token_of_model_studio_is_for_its_own_providers(file: Path) -> None:
    """The plugin `temporary-token` of the named profile leaves another provider's key alone."""
    file.write_text(FILE.replace("timeout = 20", 'plugins = ["temporary-token"]'), encoding="utf-8")
    with Client("qwen", fallback=["gpt"]) as client:
        qwen, gpt = (type(route.auth).__name__ for route in client._routes)
    assert (qwen, gpt) == ("TokenAuth", "BearerAuth")
