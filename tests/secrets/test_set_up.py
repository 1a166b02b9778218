"""No secret is seen in what goes wrong before anything is sent, nor taken along by a pickle or a copy."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.pipeline.memory import MemoryTransport, said
from tests.secrets.canaries import KEY, PASSWORD, TENANT, URL, check, seen, spread, taken

from qonduit import AsyncClient, Client, ConfigurationError, PluginError, configuration, hookimpl
from qonduit._key_choice import KeyChoice
from qonduit.configuration import load
from qonduit.credentials import Variables, resolve
from qonduit.errors import MissingCredentialsError


class Folder:
    """The working folder, and what is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def configure(self, *lines: str) -> Path:
        head = ["[profiles.p]", 'provider = "qwen"', 'model = "m"']
        file = self.path / "named.toml"
        file.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")
        return file

    def dotenv(self, **variables: str) -> None:
        lines = [f'{name}="{value}"' for name, value in variables.items()]
        (self.path / ".env").write_text("\n".join(lines), encoding="utf-8")

    def file(self, content: str) -> str:
        (self.path / "key").write_text(content, encoding="utf-8")
        return f"file:{self.path / 'key'}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)


class LeakyAuth:
    """A plugin whose hook fails with the key in its text and its variables."""

    @hookimpl
    def qonduit_auth(self, credentials: Any) -> Any:
        key = credentials.value
        raise LookupError(f"no account for {key}")


def qwen(**options: Any) -> Client:
    return Client(provider="qwen", **{"api_key": KEY, "model": "m", **options})


def with_options(**options: Any) -> Callable[[Folder], Any]:
    """Other options of a client that knows a `.env`."""

    def make(folder: Folder) -> Any:
        folder.dotenv(DASHSCOPE_API_KEY="sk-fine", OTHER=KEY, ANOTHER=PASSWORD)
        return Client("p", config=folder.configure()).with_options(**options)

    return make


def with_dotenv(folder: Folder, *lines: str, **options: Any) -> Any:
    folder.dotenv(OTHER=KEY, ANOTHER=PASSWORD, TENANT=TENANT)
    return Client("p", config=folder.configure(*lines), **options)


MISTAKES: dict[str, tuple[Callable[[Folder], Any], type[Exception], str]] = {
    "another setting": (lambda folder: qwen(timeout=-1), ConfigurationError, "timeout"),
    "a line break": (lambda folder: qwen(api_key=f"{KEY}\n"), ConfigurationError, "api_key holds a space or a line"),
    "a return": (lambda folder: qwen(api_key=f"{KEY}\r\nx: 1"), ConfigurationError, "api_key holds a space or a line"),
    "not ASCII": (lambda folder: qwen(api_key=f"{KEY}é"), ConfigurationError, "api_key holds characters"),
    "a function": (
        lambda folder: qwen(api_key=lambda: f"{KEY}\n"),
        ConfigurationError,
        "the function given as api_",
    ),
    "a secret": (lambda folder: qwen(api_key=SecretStr(f"{KEY}\n")), ConfigurationError, "api_key holds"),
    "an argument that is none": (lambda folder: qwen(api_kee=KEY), TypeError, "api_kee"),
    "a key in the URL": (lambda folder: qwen(base_url=URL), ConfigurationError, "neither user, password, query"),
    "a password in the URL": (
        lambda folder: qwen(base_url=f"https://me:{PASSWORD}@api.test/v1"),
        ConfigurationError,
        "neither user, password, query",
    ),
    "a password in what is no URL": (
        lambda folder: qwen(base_url=f"me:{PASSWORD}@api.test/v1"),
        ConfigurationError,
        "is no URL",
    ),
    "a plugin's option": (
        lambda folder: qwen(plugins=[("logging", {"redct": [PASSWORD]})]),
        ConfigurationError,
        "redct: is not known",
    ),
    "a plugin's hook": (lambda folder: qwen(plugins=[LeakyAuth()]), PluginError, "qonduit_auth of plugin LeakyAuth"),
    "a file's field": (
        lambda folder: Client("p", config=folder.configure(f'api_kee = "{KEY}"')),
        ConfigurationError,
        "api_kee: is not known",
    ),
    "a file's type": (
        lambda folder: Client("p", config=folder.configure(f'api_key = ["{KEY}"]', f'proxy = ["{PASSWORD}"]')),
        ConfigurationError,
        "api_key: expected text",
    ),
    "a file's key": (
        lambda folder: Client("p", config=folder.configure(f'api_key = "{KEY} x"')),
        ConfigurationError,
        "api_key holds a space",
    ),
    "no TOML": (
        lambda folder: Client("p", config=folder.configure(f'api_key = "{KEY}')),
        ConfigurationError,
        "is not TOML",
    ),
    "no key beside others": (with_dotenv, MissingCredentialsError, "No API key was found"),
    "a reference to nothing": (
        lambda folder: with_dotenv(folder, 'api_key = "env:ABSENT"'),
        MissingCredentialsError,
        "ABSENT is not set",
    ),
    "a key of .env": (
        lambda folder: with_dotenv(folder, 'api_key = "env:OTHER"', 'base_url = "https://x.test/ü"'),
        ConfigurationError,
        "outside ASCII",
    ),
    "a key's file": (lambda folder: qwen(api_key=folder.file(f"{KEY}\n{KEY}\n")), ConfigurationError, "holds a space"),
    "other options": (
        with_options(api_key=f"{KEY} x"),
        ConfigurationError,
        "api_key holds a space",
    ),
    "other options without a key": (
        with_options(api_key="env:ABSENT"),
        MissingCredentialsError,
        "ABSENT is not set",
    ),
    "other options that are wrong": (
        with_options(api_key=KEY, timeout=-1),
        ConfigurationError,
        "timeout",
    ),
}


@pytest.mark.F54
@pytest.mark.F55
@pytest.mark.F59
@pytest.mark.F60
@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.filterwarnings("ignore:.*holds a key in plain text")
def test_a_mistake_shows_no_secret(folder: Folder, capfd: Any, name: str) -> None:
    """The setting is named, and no value: not in the error, its chain, nor the variables of any frame."""
    make, kind, text = MISTAKES[name]
    with pytest.raises(kind, match=text) as caught:
        make(folder)
    check({**seen(caught.value), "outputs": "".join(capfd.readouterr())})


@pytest.mark.F55
@pytest.mark.parametrize("ending", ["\n", "\r\n", " ", "\t", "\x00", "é", "\u2028"])
def test_a_key_that_no_header_can_carry_is_never_sent(monkeypatch: Any, ending: str) -> None:
    """It is refused when the client is built: there is no attempt to try again."""
    if ending != "\x00":
        monkeypatch.setenv("DASHSCOPE_API_KEY", f"{KEY}{ending}")
        with pytest.raises(ConfigurationError, match="the variable DASHSCOPE_API_KEY holds"):
            Client(provider="qwen", model="m")
    transport = MemoryTransport(said("Hi"))
    with pytest.raises(ConfigurationError, match="api_key holds"):
        qwen(api_key=f"{KEY}{ending}", plugins=[transport])
    assert transport.sent == []


@pytest.mark.F55
def test_the_last_line_break_of_a_file_is_no_part_of_its_key(folder: Folder) -> None:
    """Files end with one; it is taken off where the key is read."""
    transport = MemoryTransport(said("Hi"))
    client = qwen(api_key=folder.file(f"{KEY}\r\n"), plugins=[transport])
    client.chat.completions.create(messages=[{"role": "user", "content": "x"}])
    assert transport.sent[0].headers["authorization"] == f"Bearer {KEY}"


def test_other_options_know_the_same_variables(folder: Folder) -> None:
    """A reference in `with_options` is looked up where the client's own was: in `.env`, too."""
    folder.dotenv(DASHSCOPE_API_KEY="sk-one", OTHER="sk-two")
    transport = MemoryTransport(said("Hi"))
    client = Client("p", config=folder.configure(), plugins=[transport])
    client.with_options(api_key="env:OTHER").chat.completions.create(messages=[{"role": "user", "content": "x"}])
    assert transport.sent[0].headers["authorization"] == "Bearer sk-two"


def held(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """All that holds a key or a password, or leads to it."""
    folder.dotenv(DASHSCOPE_API_KEY=KEY)
    proxy = f'proxy = "http://me:{PASSWORD}@proxy.test"'
    client = Client("p", config=folder.configure(proxy), plugins=["logging", "cache", "cost"])
    route = client._routes[0]
    found = load(folder.path / "named.toml")
    credentials = resolve(KEY, "api_key", Variables())
    return {
        "client": client,
        "async client": AsyncClient("p", config=folder.path / "named.toml"),
        "other options": client.with_options(timeout=3),
        "profile": client.profile,
        "route": route,
        "auth": route.auth,
        "transport": route.transport,
        "credentials": credentials,
        "configuration": found,
        "the file": found.file,
        "the profile's table": found.file.profiles["p"],
        "choice of a key": KeyChoice(KEY, found, None),
        "plugins": client._plugins[0],
        "middleware": client.middleware,
        "a request with its key": next(route.auth.flow(_wire())),
    }


def _wire() -> Any:
    from qonduit import WireRequest

    return WireRequest("POST", "https://api.test/v1", {}, b"{}")


@pytest.mark.F59
@pytest.mark.F61
def test_nothing_that_holds_a_secret_shows_it_or_takes_it_along(folder: Folder, monkeypatch: Any) -> None:
    """Neither its repr, nor its variables, nor its pickle or copy has it: a pickle that would is refused."""
    for name, thing in held(folder, monkeypatch).items():
        places = {
            f"repr of {name}": "\n".join(spread(thing)),
            f"variables of {name}": "\n".join(spread(getattr(thing, "__dict__", {}))),
            f"copy of {name}": taken(copy.copy, thing) + taken(copy.deepcopy, thing),
        }
        if name != "a request with its key":
            places[f"pickle of {name}"] = taken(pickle.dumps, thing)
        check(places)


@pytest.mark.F61
def test_a_profile_without_a_secret_is_pickled(folder: Folder) -> None:
    """Plugins may hand it to another process."""
    profile = qwen().profile
    assert pickle.loads(pickle.dumps(profile)) == profile
    assert configuration.ProfileTable.model_validate({"provider": "qwen"}) == pickle.loads(
        pickle.dumps(configuration.ProfileTable.model_validate({"provider": "qwen"}))
    )
