"""No secret is in anything that is written at DEBUG, in any mode, whatever the server sends back."""

from __future__ import annotations

import base64
import functools
import gc
import json
import pickle
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.pipeline.memory import MemoryTransport, Reply, body, event, refused, said
from tests.pipeline.modes import Mode
from tests.plugins.logging.capture import Handler, plugin

from qonduit import APIError, Client, hookimpl, middleware
from qonduit.credentials import MASK
from qonduit_logging import ConsoleFormatter, JSONFormatter

KEY = "canary/Key+of=no-known_form"
PASSWORD = "canary-proxy-password"
PROMPT = "canary-of-the-prompt"
ANSWER = "canary-of-the-answer"
HEADER = "canary-of-a-header"
STOP = "canary-of-a-stop"
ENCODED = base64.b64encode(f"user:{KEY}".encode()).decode()
CANARIES = {
    "key": KEY,
    "percent-encoded key": quote(KEY, safe=""),
    "base64 of the key": ENCODED[8:-4],
    "proxy password": PASSWORD,
    "prompt": PROMPT,
    "answer": ANSWER,
    "header": HEADER,
    "stop": STOP,
}
ECHO = (
    f"Wrong key {KEY}, or Basic {ENCODED}, at https://api.test/v1?key={quote(KEY, safe='')} through "
    f"http://me:{PASSWORD}@proxy.test; you said: {PROMPT}"
)
ASKED: dict[str, Any] = {
    "messages": [{"role": "user", "content": f"Repeat {PROMPT}."}],
    "extra_headers": {"x-trace": HEADER},
    "extra_body": {"note": HEADER},
    "stop": [STOP],
}
ERROR = json.dumps({"error": {"code": f"code {KEY}", "message": ECHO}}).encode()
REPLIES = {
    "answer": said(ANSWER),
    "error": Reply(400, {"x-request-id": f"id {KEY}"}).with_parts(ERROR),
    "retries": Reply(503, {"x-request-id": f"id {KEY}"}).with_parts(ERROR),
    "a stream that breaks": Reply(
        200, {"content-type": "text/event-stream"}, (ERROR,), (event({"content": ANSWER}), b"data: " + ERROR + b"\n\n")
    ),
}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries do not sleep."""
    monkeypatch.setattr("qonduit.retry.ExponentialRetry.delay", lambda *_: None)


@pytest.mark.F54
@pytest.mark.F58
@pytest.mark.parametrize("reply", REPLIES)
async def test_no_canary_is_written(
    mode: Mode, logged: Handler, tmp_path: Path, capfd: pytest.CaptureFixture[str], reply: str
) -> None:
    """Neither in fields, messages, both formats, the file, nor on stderr."""
    path = tmp_path / "log"
    client = mode.client(
        MemoryTransport(REPLIES[reply]),
        plugin(file=path, level="DEBUG"),
        api_key=KEY,
        tags={"who": f"tenant {KEY}", f"{KEY}": "x"},
    )
    try:
        await mode.ask(client, **ASKED)
    except APIError:
        assert reply != "answer"  # of the others, most modes fail, and all are logged
    assert len(logged.records) == 2
    written = [path.read_text(), *capfd.readouterr()]
    for record in logged.records:
        written += [
            str(record.qonduit),
            record.getMessage(),
            JSONFormatter().format(record),
            ConsoleFormatter().format(record),
        ]
    for name, canary in CANARIES.items():
        assert not [text for text in written if canary in text], name
    assert any(MASK in text for text in written)


async def test_a_key_of_with_options(mode: Mode, logged: Handler) -> None:
    """Each client's own key is taken out of its records; the key of the first is still known when the other is gone."""
    other = "canary-of-another-tenant"
    made = plugin()
    client = mode.client(MemoryTransport(said("Hi")), made, api_key=KEY)
    tenant = client.with_options(api_key=other, tags={"tag": other})
    again = client.with_options(api_key=KEY)
    await mode.ask(tenant)
    assert logged.call["qonduit.tags"] == {"tag": MASK}
    del again, tenant
    gc.collect()
    logged.records.clear()
    await mode.ask(client, tags={"tag": KEY})
    assert logged.call["qonduit.tags"] == {"tag": MASK}


def test_keys_go_with_their_clients() -> None:
    """A plugin that thousands of tenants share keeps none of their keys."""
    made = plugin()
    client = Mode(False, False).client(MemoryTransport(said("Hi")), made, api_key=KEY)
    tenants = [client.with_options(api_key=f"tenant-key-{number}") for number in range(5)]
    assert len(made._keys._of_id) == 6
    del tenants
    gc.collect()
    assert len(made._keys._of_id) == 1


def test_a_rotated_key(logged: Handler) -> None:
    """After a rotation the new key is known, and the old one still."""
    keys = iter(["first-canary-key", "second-canary-key"])
    current = [next(keys)]
    answer = Reply(200, {}, (body("Hi"),))
    transport = MemoryTransport(answer, refused(401), answer)
    client = Client(provider="qwen", model="m", api_key=lambda: current[0], plugins=[plugin(), transport])
    create = functools.partial(client.chat.completions.create, messages=[{"role": "user", "content": "x"}])
    create(model="second-canary-key", tags={"b": "second-canary-key"})
    assert logged.call["qonduit.tags"] == {"b": "second-canary-key"}  # nobody's key yet
    assert logged.call["gen_ai.request.model"] == "second-canary-key"
    logged.records.clear()
    current[0] = next(keys)
    for tags in ({"b": "second-canary-key"}, {"a": "first-canary-key"}):
        create(model="second-canary-key", tags=tags)
    assert [fields["qonduit.tags"] for fields in logged.fields("call")] == [{"b": MASK}, {"a": MASK}]
    assert {fields["gen_ai.request.model"] for fields in logged.fields("call")} == {MASK}


def test_a_key_that_is_rotated_before_the_calls_record(logged: Handler) -> None:
    """What was clean in the attempt's record is looked at again."""
    current = ["first-canary-key"]
    made = plugin()

    @middleware("cache")
    def rotating(call):
        response = yield call.request
        current[0] = "chatcmpl-1"  # what the answer's id is
        made._keys.screen(call.profile.key_id)._credentials.refresh()
        return response

    layers = [made, rotating, MemoryTransport(said("Hi"))]
    client = Client(provider="qwen", model="m", api_key=lambda: current[0], plugins=layers)
    client.chat.completions.create(messages=[{"role": "user", "content": "x"}])
    assert logged.fields("attempt")[0]["gen_ai.response.id"] == "chatcmpl-1"
    assert logged.call["gen_ai.response.id"] == MASK


def test_an_auth_that_cannot_be_referred_to_weakly(logged: Handler) -> None:
    """Its key is known all the same."""

    class Slotted:
        __slots__ = ()

        def flow(self, wire: Any) -> Any:
            yield wire

    class Auth:
        @hookimpl
        def qonduit_auth(self) -> Slotted:
            return Slotted()

    client = Mode(False, False).client(MemoryTransport(said("Hi")), plugin(), Auth(), api_key=KEY)
    client.chat.completions.create(messages=[{"role": "user", "content": "x"}], tags={"a": KEY})
    assert logged.call["qonduit.tags"] == {"a": MASK}


def test_a_plugin_shows_and_pickles_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its options, its redactor nor a pickle of it hold what it takes out."""
    monkeypatch.setenv("CANARY_PASSWORD", PASSWORD)
    made = plugin(redact=("env:CANARY_PASSWORD", "canary-literal"))
    assert "canary-literal" not in repr(made._options)
    assert "canary" not in repr(made._redactor)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(made._keys)
    assert made._redactor.clean(f"{PASSWORD} canary-literal") == f"{MASK} {MASK}"
