"""What comes from a model or a provider forges no line of a log and moves no cursor."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.memory import STREAM_HEADERS, MemoryTransport, Reply, event
from tests.pipeline.modes import Mode

from qonduit import APIError
from qonduit_logging import ConsoleFormatter, JSONFormatter

EVIL = "a\x1b[31m\r\n2026-01-01 INFO all is well\x00\x9b2J\x7f\u2028\u202eb\x07"
"""Colours, a line of its own, an erased screen, a line separator, text turned around."""
CHOICE: dict[str, Any] = {"index": 0, "finish_reason": EVIL, "message": {"role": "assistant", "content": EVIL}}
ANSWER = {"id": EVIL, "model": EVIL, "request_id": EVIL, "choices": [CHOICE], "usage": {"prompt_tokens": EVIL}}
ERROR = {"error": {"code": EVIL, "type": EVIL, "param": EVIL, "message": EVIL}, "request_id": EVIL}
NATIVE_ANSWER = {"output": {"choices": [CHOICE]}, "request_id": EVIL, "usage": {}}
NATIVE_ERROR = {"code": EVIL, "message": EVIL, "request_id": EVIL}
HEADERS = {"x-request-id": EVIL, "retry-after": EVIL, "x-dashscope-request-id": EVIL}


def reply(status: int, body: Any, **headers: str) -> Reply:
    content = json.dumps(body).encode()
    return Reply(status, {"content-type": "application/json", **HEADERS, **headers}).with_parts(content)


REPLIES = {
    "answer": reply(200, ANSWER),
    "native answer": reply(200, NATIVE_ANSWER),
    "error": reply(400, ERROR),
    "native error": reply(400, NATIVE_ERROR),
    "error in an answer": reply(200, ERROR),
    "no JSON": Reply(200, HEADERS).with_parts(EVIL.encode()),
    "another type": Reply(502, {**HEADERS, "content-type": EVIL}).with_parts(EVIL.encode()),
    "stream": Reply(
        200, {**STREAM_HEADERS, **HEADERS}, (b"{",), (event({"content": EVIL}, finish=EVIL, model=EVIL, id=EVIL),)
    ),
    "error in a stream": Reply(
        200, {**STREAM_HEADERS, **HEADERS}, (b"{",), (f"data: {json.dumps(ERROR)}\n\n".encode(),)
    ),
    "nonsense in a stream": Reply(
        200, {**STREAM_HEADERS, **HEADERS}, (b"{",), (f"event: {EVIL[:4]}\ndata: {EVIL[:4]}\n\n".encode(),)
    ),
}


def forged(text: str, *, lines: bool = False) -> str:
    """The characters of `text` that forge; a line break is none where `lines` are."""
    return "".join(sorted({found for found in text if not found.isprintable() and not (lines and found == "\n")}))


@pytest.mark.F66
@pytest.mark.parametrize("provider", ["qwen", "dashscope"])
@pytest.mark.parametrize("name", REPLIES)
async def test_nothing_is_forged(
    mode: Mode, tmp_path: Path, caplog: pytest.LogCaptureFixture, provider: str, name: str
) -> None:
    """Messages of errors, warnings of answers and records are one line each, whatever a provider said."""
    caplog.set_level(logging.DEBUG)
    plugin = ("logging", {"file": str(tmp_path / "log"), "level": "DEBUG"})
    transport = MemoryTransport(REPLIES[name])
    client = mode.client(transport, plugin, provider=provider, model=f"m{EVIL}"[:6], max_retries=0)
    said: list[str] = []
    try:
        told = await mode.ask(client, tags={EVIL: EVIL})
    except APIError as error:
        said += [str(error), repr(error), *getattr(error, "__notes__", ())]
    else:
        said += told.response.warnings
    await mode.leave(client)
    assert [forged(text) for text in said] == [""] * len(said)
    records = [record for record in caplog.records if record.name.startswith("qonduit")]
    assert len(records) == 2
    for record in records:
        assert forged(record.getMessage()) == ""
        assert forged(JSONFormatter().format(record)) == ""
        assert forged(ConsoleFormatter().format(record)) == ""
    written = (tmp_path / "log").read_text(encoding="utf-8")
    assert forged(written, lines=True) == ""
    assert written.count("\n") == 2
