"""Keys: where they come from, where they may go, and that nothing shows them."""

from __future__ import annotations

import logging
import pickle
import sys
import traceback
import types
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.configuration.conftest import Write
from tests.pipeline.memory import MemoryTransport, refused, said
from tests.pipeline.modes import MESSAGES

from qonduit import AsyncClient, AuthenticationError, Client, ConfigurationError, MissingCredentialsError
from qonduit.credentials import Credentials
from qonduit.errors import QonduitError

CANARY = "sk-canary-0123456789"


def sent_key(*arguments: Any, **options: Any) -> str:
    """The key that a client sends."""
    transport = MemoryTransport(said("Hi"))
    client = Client(*arguments, plugins=[transport], **options)
    client.chat.completions.create(model="m", messages=MESSAGES)
    return transport.sent[0].headers["authorization"].removeprefix("Bearer ")


def message_of(kind: type[Exception], *arguments: Any, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        Client(*arguments, **options)
    return str(caught.value)


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """A keyring's entries."""
    entries: dict[tuple[str, str], str] = {}
    module = types.ModuleType("keyring")
    module.get_password = lambda service, user: entries.get((service, user))
    monkeypatch.setitem(sys.modules, "keyring", module)
    return entries


def test_references(
    write: Write, folder: Path, keyring: dict[tuple[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key is read from a variable, a file or the keyring, in a profile and as an argument alike."""
    monkeypatch.setenv("MY_KEY", "sk-variable")
    (folder / "key.txt").write_text("sk-file\n")
    keyring["qonduit/team", "me"] = "sk-keyring"
    for reference, key in (
        ("env:MY_KEY", "sk-variable"),
        (f"file:{folder}/key.txt", "sk-file"),
        ("keyring:qonduit/team/me", "sk-keyring"),
    ):
        assert sent_key(provider="qwen", api_key=reference) == key
        path = write(f'api_key = "{reference}"')
        assert sent_key("p", config=path) == key


def test_other_ways_to_give_a_key() -> None:
    """A key is also given as it is, as a SecretStr, or by a function."""
    assert sent_key(provider="qwen", api_key="sk-plain") == "sk-plain"
    assert sent_key(provider="qwen", api_key=SecretStr("sk-secret")) == "sk-secret"
    assert sent_key(provider="qwen", api_key=lambda: "sk-function") == "sk-function"


@pytest.mark.parametrize("provider", ["qwen", "dashscope", "openai"])
def test_the_providers_own_variable(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key the provider's own variable is looked up."""
    variable = "OPENAI_API_KEY" if provider == "openai" else "DASHSCOPE_API_KEY"
    monkeypatch.setenv(variable, "sk-own")
    assert Client(provider=provider).profile.key_id == Client(provider=provider, api_key="sk-own").profile.key_id


@pytest.mark.parametrize(
    ("reference", "kind", "parts"),
    [
        (
            "env:NOT_SET",
            MissingCredentialsError,
            ["'env:NOT_SET'", "the variable NOT_SET is not set", "export NOT_SET="],
        ),
        ("env:", MissingCredentialsError, ["'env:'"]),
        ("file:missing.txt", MissingCredentialsError, ["'file:missing.txt'", "No such file"]),
        ("file:.", MissingCredentialsError, ["cannot be read"]),
        ("keyring:qonduit/nobody", MissingCredentialsError, ["no such entry", "keyring set qonduit nobody"]),
        ("keyring:alone", ConfigurationError, ["expected keyring:SERVICE/NAME"]),
        ("", MissingCredentialsError, ["is empty"]),
        ("   ", MissingCredentialsError, ["is empty"]),
    ],
)
def test_a_reference_to_nothing(
    reference: str, kind: type[Exception], parts: list[str], keyring: dict[tuple[str, str], str]
) -> None:
    """A reference to nothing names the reference and how to set it."""
    message = message_of(kind, provider="qwen", api_key=reference)
    for part in ["api_key", *parts]:
        assert part in message


def test_without_the_package_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """A keyring reference without the package names the extra to install."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    message = message_of(ConfigurationError, provider="qwen", api_key="keyring:a/b")
    assert 'pip install "qonduit[keyring]"' in message


def test_a_missing_key(write: Write) -> None:
    """A missing key names the profile, the provider, the variable, the setting and where keys are made."""
    write()
    for message, setting in (
        (message_of(MissingCredentialsError, "p"), "api_key in"),
        (message_of(MissingCredentialsError, provider="qwen"), "pass api_key"),
    ):
        for part in ("provider 'qwen'", "DASHSCOPE_API_KEY", "https://bailian.console.aliyun.com", setting):
            assert part in message


@pytest.mark.F55
@pytest.mark.parametrize(
    ("key", "part"),
    [
        (f"{CANARY}\n", "a space or a line break"),
        (f"{CANARY}\r\nx-evil: 1", "a space or a line break"),
        (f" {CANARY}", "a space or a line break"),
        (f"{CANARY} {CANARY}", "a space or a line break"),
        (f"{CANARY}\t", "a space or a line break"),
        (f"{CANARY}密", "outside printable ASCII"),
        (f"{CANARY}\u00a0", "a space or a line break"),
        (f"{CANARY}\u200b", "outside printable ASCII"),
        (f"{CANARY}\x7f", "outside printable ASCII"),
        (f"{CANARY}\0", "a space or a line break"),
    ],
)
@pytest.mark.parametrize("by", ["argument", "variable", "function"])
def test_a_key_that_no_header_can_hold(key: str, part: str, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key with a line break, a space or other characters is refused before anything is sent, and not shown."""
    if by == "variable":
        if "\0" in key:
            return
        monkeypatch.setenv("DASHSCOPE_API_KEY", key)
    given = {"argument": key, "variable": None, "function": lambda: key}[by]
    message = message_of(ConfigurationError, provider="qwen", api_key=given)
    assert part in message
    assert {"argument": "api_key", "variable": "DASHSCOPE_API_KEY", "function": "the function"}[by] in message
    assert CANARY not in message


def test_a_literal_key_in_a_file_warns(write: Write) -> None:
    """A key in plain text in a file is used with a warning that shows the reference to write."""
    path = write(f'api_key = "{CANARY}"')
    with pytest.warns(UserWarning, match=r'holds a key in plain text.*api_key = "env:DASHSCOPE_API_KEY"') as caught:
        assert sent_key("p", config=path) == CANARY
    assert CANARY not in str(caught[0].message)


@pytest.mark.F57
@pytest.mark.parametrize(
    "base_url",
    [
        "https://gateway.example/compatible-mode/v1",
        "http://dashscope.aliyuncs.com/compatible-mode/v1",
        "https://aliyuncs.com.evil.example/compatible-mode/v1",
        "https://evilaliyuncs.com/compatible-mode/v1",
        "http://127.0.0.1:8765/compatible-mode/v1",
        "https://dashscope.aliyun.com/compatible-mode/v1",
    ],
)
@pytest.mark.parametrize("by", ["argument", "variable", "file"])
@pytest.mark.filterwarnings("ignore:base_url")
def test_a_found_key_goes_to_its_providers_hosts_only(
    base_url: str, by: str, key: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that was found in the environment is not sent to another host, or unencrypted; the mend is said."""
    if by == "argument":
        message = message_of(MissingCredentialsError, provider="qwen", base_url=base_url)
    elif by == "variable":
        monkeypatch.setenv("QONDUIT_BASE_URL", base_url)
        message = message_of(MissingCredentialsError, provider="qwen")
    else:
        path = write(f'base_url = "{base_url}"')
        message = message_of(MissingCredentialsError, "p", config=path)
    host = base_url.split("/")[2]
    assert f"is not sent to {host}" in message
    assert "Name the key where the base URL is named" in message
    assert key not in message


@pytest.mark.F57
def test_a_key_named_with_its_base_url_goes_there(write: Write, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key named beside the base URL, as arguments or in one profile, goes to that host."""
    url = "http://127.0.0.1:8765/compatible-mode/v1"
    assert sent_key(provider="qwen", api_key="sk-x", base_url=url) == "sk-x"
    path = write(f'base_url = "{url}"', 'api_key = "env:DASHSCOPE_API_KEY"')
    assert sent_key("p", config=path) == key
    assert sent_key("p", config=path, api_key="sk-x", base_url=url) == "sk-x"
    with pytest.raises(MissingCredentialsError):
        sent_key("p", config=path, base_url="https://elsewhere.example/v1")
    monkeypatch.setenv("QONDUIT_BASE_URL", "https://elsewhere.example/v1")
    with pytest.raises(MissingCredentialsError):
        sent_key("p", config=path)


@pytest.mark.F57
def test_a_key_goes_to_every_host_of_its_provider(key: str) -> None:
    """A found key goes to the provider's own hosts, by https, whatever names the address."""
    for url in (
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "https://ws-1.cn-beijing.maas.aliyuncs.com/compatible-mode/v1",
    ):
        assert sent_key(provider="qwen", base_url=url) == key


def test_a_rotated_key_is_read_again_after_401() -> None:
    """After a 401 the key is read again from its origin and, when it has changed, sent once more."""
    keys = iter(["sk-old", "sk-new", "sk-new"])
    transport = MemoryTransport(refused(401), said("Hi"))
    client = Client(provider="qwen", api_key=lambda: next(keys), plugins=[transport])
    assert client.chat.completions.create(model="m", messages=MESSAGES).text == "Hi"
    sent = [wire.headers["authorization"] for wire in transport.sent]
    assert sent == ["Bearer sk-old", "Bearer sk-new"]
    transport.script = [refused(401)]
    with pytest.raises(AuthenticationError) as caught:
        client.chat.completions.create(model="m", messages=MESSAGES)
    assert (len(transport.sent), caught.value.attempts) == (3, 1)


async def test_a_rotated_key_async_and_streamed() -> None:
    """The same when the answer is streamed to an async client; the refused stream is closed."""
    keys = iter(["sk-old", "sk-new"])
    transport = MemoryTransport(refused(401), said("Hi"))
    client = AsyncClient(provider="qwen", api_key=lambda: next(keys), plugins=[transport])
    stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
    async for _ in stream:
        pass
    assert stream.response.text == "Hi"
    assert [opened.ended for opened in transport.streams] == ["closed", "finished"]


@pytest.mark.F54
@pytest.mark.F59
def test_nothing_shows_a_key(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither repr nor str nor a traceback with its notes nor a log record holds the key."""
    caplog.set_level(logging.DEBUG)
    transport = MemoryTransport(refused(401))
    client = Client(provider="qwen", api_key=CANARY, plugins=["logging", transport])
    shown: list[str] = [repr(transport.sent)]
    try:
        client.chat.completions.create(model="m", messages=MESSAGES)
    except QonduitError as error:
        shown += [repr(error), str(error), repr(error.__dict__), *traceback.format_exception(error)]
        shown.append(repr(pickle.loads(pickle.dumps(error)).__dict__))
        trace = error.__traceback__
        while trace is not None:
            shown.append(repr({name: repr(value) for name, value in trace.tb_frame.f_locals.items()}))
            trace = trace.tb_next
    route = client._routes[0]
    shown += [repr(client), str(client), repr(client.profile), client.profile.model_dump_json(), repr(route)]
    shown += [repr(client.with_options(timeout=3)), repr(client.chat), repr(transport.sent), caplog.text]
    shown += capsys.readouterr()
    # The test's own frame names the key; nothing of qonduit's does.
    assert not [text for text in shown if CANARY in text.replace(f"'client': {client!r}", "")]


@pytest.mark.F61
def test_credentials_show_their_origin() -> None:
    """Credentials show where they come from, and cannot be pickled."""
    credentials = Credentials(lambda: CANARY, "the variable X")
    assert repr(credentials) == "<Credentials from the variable X>"
    assert CANARY not in credentials.key_id
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(credentials)


@pytest.mark.F61
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_clients_are_not_pickled(kind: type[Client]) -> None:
    """A client is not pickled, and the refusal says why."""
    with pytest.raises(TypeError, match="the key would be in the pickle"):
        pickle.dumps(kind(provider="qwen", api_key="sk-x"))


def test_keys_are_told_apart() -> None:
    """A profile's key_id differs between keys and is the same for one key."""
    one, two, again = (Client(provider="qwen", api_key=key).profile.key_id for key in ("sk-1", "sk-2", "sk-1"))
    assert one == again != two
