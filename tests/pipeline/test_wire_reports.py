"""What a builder reports on the wire request: what it left out, what it bent, and that it wants a stream."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.pipeline.memory import MemoryTransport, refused, said
from tests.pipeline.modes import MODES, Mode

from qonduit import APIStatusError, BadRequestError, hookimpl

modes = pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)


class Reporting:
    """Decorates the provider's builder: `changes` are put on every wire request."""

    def __init__(self, **changes: Any) -> None:
        self.changes = changes

    @hookimpl(wrapper=True)
    def qonduit_request_builder(self) -> Any:
        self.inner = yield
        return self

    def build(self, request: Any) -> Any:
        return replace(self.inner.build(request), **self.changes)


@modes
@pytest.mark.parametrize("policy", ["warn", "drop", "error"])
async def test_what_is_left_out_is_told_as_the_profile_says(mode: Mode, policy: str, tmp_path: Any) -> None:
    """`unsupported`: a warning on the answer, an error before anything is sent, or silence."""
    file = tmp_path / "qonduit.toml"
    file.write_text(
        f'[profiles.p]\nprovider = "qwen"\nmodel = "qwen-plus"\napi_key = "env:NOWHERE"\nunsupported = "{policy}"\n'
    )
    transport = MemoryTransport(said("Hello"))
    report = Reporting(unsupported=("colour", "taste"), warnings=("The request was bent.",))
    client = mode.client(transport, report, profile="p", provider=None, config=file)
    if policy == "error":
        with pytest.raises(BadRequestError, match="provider 'qwen' takes no colour, taste") as caught:
            await mode.ask(client)
        error = caught.value
        assert (error.attempts, error.status_code, error.outcome) == (0, None, "not_sent")
        assert not transport.sent
        return
    told = await mode.ask(client)
    names = ("colour", "taste") if policy == "warn" else ()
    expected = [f"Provider 'qwen' takes no {name}; it was left out." for name in names]
    assert list(told.response.warnings) == [*expected, "The request was bent."]


@pytest.mark.parametrize("mode", [mode for mode in MODES if not mode.streamed], ids=lambda mode: mode.name)
async def test_a_plain_call_may_be_streamed_inside(mode: Mode) -> None:
    """A builder that asks for a stream gets its plain call answered whole, put together by the core."""
    transport = MemoryTransport(said("Hel", "lo"))
    told = await mode.ask(mode.client(transport, Reporting(stream=True)))
    assert told.response.text == "Hello"
    assert told.response.usage is not None
    assert told.response.usage.total_tokens == 10
    assert [stream.ended for stream in transport.streams] == ["finished"]


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode.streamed], ids=lambda mode: mode.name)
async def test_a_streamed_call_may_be_plain_inside(mode: Mode) -> None:
    """A builder that asks for no stream gets its streamed call cut into chunks, with its warnings at the end."""
    transport = MemoryTransport(said("Hello"))
    told = await mode.ask(mode.client(transport, Reporting(stream=False, warnings=("Bent.",))))
    assert "".join(told.pieces) == "Hello"
    assert told.response.warnings == ("Bent.",)
    assert not transport.streams


@modes
@pytest.mark.parametrize(("status", "code"), [(404, "model_not_found"), (403, "access_denied"), (400, None)])
async def test_the_error_of_a_retired_model_names_its_successor(mode: Mode, status: int, code: str | None) -> None:
    """Where the model is gone there is no answer to warn on: the error says it. Other models' errors do not."""
    rows = {"old": {"retired": "2026-01-31", "successor": "new"}}
    client = mode.client(MemoryTransport(refused(status, code), refused(status, code)), models=rows, max_retries=0)
    with pytest.raises(APIStatusError, match="'old' was announced to be taken offline on 2026-01-31; use 'new'"):
        await mode.ask(client, model="old")
    with pytest.raises(APIStatusError) as caught:
        await mode.ask(client)
    assert "offline" not in str(caught.value)
