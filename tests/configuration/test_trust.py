"""A file that nobody named, in a working folder that may be a stranger's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.configuration.conftest import Write
from tests.plugins.conftest import Stranger

from qonduit import Client, ConfigurationError
from qonduit.configuration import user_file
from qonduit.trust import trust, trusted_file, trusted_paths

BASE = ('base_url = "https://gateway.example/v1"', 'api_key = "env:DASHSCOPE_API_KEY"')
DEMANDS = [
    (BASE, "base_url is not a host of provider 'qwen'"),
    (('base_url = "http://dashscope.aliyuncs.com/v1"', BASE[1]), "base_url is not a host of provider 'qwen'"),
    (('proxy = "http://127.0.0.1:1"',), "it sets a proxy"),
    (('api_key = "file:key.txt"',), "api_key reads a file"),
]


@pytest.mark.F57
@pytest.mark.parametrize(("lines", "reason"), DEMANDS)
def test_a_demanding_file_is_refused(write: Write, key: str, lines: tuple[str, ...], reason: str) -> None:
    """A found file that could send a key or a file to a stranger is refused with the reason and the mend."""
    path = write(*lines)
    with pytest.raises(ConfigurationError) as caught:
        Client("p")
    message = str(caught.value)
    for part in ("profile 'p' is refused", reason, f"qonduit trust {path}"):
        assert part in message


@pytest.mark.F68
@pytest.mark.parametrize("group", ["providers", "plugins"])
def test_a_strangers_code_is_refused(write: Write, key: str, stranger: Stranger, group: str) -> None:
    """A found file that names what qonduit does not bundle is refused before anything of it is imported."""
    stranger("stranger", {f"qonduit.{group}": {"theirs": "stranger_code:Theirs"}}, stranger_code="1 / 0")
    if group == "plugins":
        write('plugins = ["logging", "theirs"]')
    else:
        write(provider="theirs")
    with pytest.raises(ConfigurationError, match=r"is refused.*it loads what qonduit does not bundle \(theirs\)"):
        Client("p")
    assert "stranger_code" not in sys.modules


@pytest.mark.parametrize("lines", [(), ('region = "us-east-1"',), ('plugins = ["logging"]',)])
def test_a_modest_file_is_read(write: Write, key: str, lines: tuple[str, ...]) -> None:
    """A found file that asks for nothing special is read."""
    write(*lines)
    assert Client("p").profile.name == "p"


@pytest.mark.parametrize("lines", [BASE, ('proxy = "http://127.0.0.1:1"',)])
def test_a_named_file_is_trusted(
    write: Write, key: str, lines: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that somebody named, by argument, by variable or in the user's own folder, is not refused."""
    path = write(*lines)
    assert Client("p", config=path).profile.name == "p"
    monkeypatch.setenv("QONDUIT_CONFIG", str(path))
    assert Client("p").profile.name == "p"
    monkeypatch.delenv("QONDUIT_CONFIG")
    user_file().parent.mkdir(parents=True)
    path.rename(user_file())
    assert Client("p").profile.name == "p"


def test_trust_is_remembered(write: Write, key: str) -> None:
    """Once trusted, a file is read; trust is of its path, and another file is still refused."""
    path = write(*BASE)
    trust(Path("qonduit.toml"))
    trust(path)
    assert trusted_paths() == [str(path)]
    assert Client("p").profile.base_url == "https://gateway.example/v1"
    other = path.parent / "other"
    other.mkdir()
    path.rename(other / path.name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(other)
        with pytest.raises(ConfigurationError, match="is refused"):
            Client("p")


def test_other_profiles_of_a_file_do_not_matter(write: Write, key: str) -> None:
    """Only the profile that is used is looked at."""
    write("[profiles.q]", 'provider = "qwen"', 'proxy = "http://127.0.0.1:1"')
    assert Client("p").profile.name == "p"
    with pytest.raises(ConfigurationError, match="it sets a proxy"):
        Client("q")


@pytest.mark.parametrize("content", ["{", "\xff"])
def test_a_broken_list_of_trusted_paths(write: Write, key: str, content: str) -> None:
    """A list of trusted paths that cannot be read is an error that says what to do."""
    write(*BASE)
    trusted_file().parent.mkdir(parents=True)
    trusted_file().write_text(content, encoding="latin-1")
    with pytest.raises(ConfigurationError, match="Delete it and trust again"):
        Client("p")


def test_a_link_is_trusted_as_its_target(write: Write, key: str, folder: Path) -> None:
    """Trust is of the file that a link leads to: a link that is turned elsewhere is not trusted."""
    real = write(*BASE, name="real.toml")
    (folder / "qonduit.toml").symlink_to(real)
    trust(folder / "qonduit.toml")
    assert Client("p").profile.name == "p"
    evil = write(*BASE, name="evil.toml")
    (folder / "qonduit.toml").unlink()
    (folder / "qonduit.toml").symlink_to(evil)
    with pytest.raises(ConfigurationError, match="is refused"):
        Client("p")
