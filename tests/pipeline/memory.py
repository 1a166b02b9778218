"""A transport in memory, and answers of OpenAI's wire for it: for tests in which no network is at stake."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from qonduit import WireRequest, WireResponse, hookimpl

Part = bytes | BaseException | Callable[[], Any]
"""Bytes to read, an error to raise, or a function to call first; in async use its result is awaited."""


@dataclass(frozen=True)
class Reply:
    """One scripted answer: `plain` for whole reads, `streamed` for streams."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    plain: tuple[Part, ...] = ()
    streamed: tuple[Part, ...] = ()

    def with_parts(self, *parts: Part) -> Reply:
        """The same answer with other parts, for both kinds of reading."""
        return replace(self, plain=parts, streamed=parts)


USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
STREAM_HEADERS = {"content-type": "text/event-stream", "x-request-id": "request-1"}


def event(delta: Mapping[str, Any] | None, *, finish: str | None = None, **fields: Any) -> bytes:
    """One event of a stream; without a delta it carries no choice."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    chunk = {"id": "chatcmpl-1", "model": "qwen-plus", "created": 1, "choices": choices, **fields}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


END = (event({}, finish="stop"), event(None, usage=USAGE), b"data: [DONE]\n\n")


def body(text: str) -> bytes:
    """A whole answer."""
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    answer = {"id": "chatcmpl-1", "model": "qwen-plus", "created": 1, "choices": choices, "usage": USAGE}
    return json.dumps(answer).encode()


def said(*texts: str) -> Reply:
    """The model says `texts`: joined in a plain call, one chunk each in a streamed one."""
    events = [event({"content": text}) for text in texts]
    return Reply(200, STREAM_HEADERS, (body("".join(texts)),), (*events, *END))


def refused(status: int, code: str | None = None, **headers: str) -> Reply:
    """An error answer; `headers` are written with underscores."""
    content = json.dumps({"error": {"code": code, "message": "no"}}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, named).with_parts(content)


class Waiting:
    """A part that never comes: `reached` is set when somebody waits for it."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        await asyncio.Event().wait()


class MemoryTransport:
    """Answers from a script; the last answer repeats. `sent` holds the requests, `streams` what was opened."""

    def __init__(self, *script: Reply | BaseException) -> None:
        self.script = list(script)
        self.sent: list[WireRequest] = []
        self.streams: list[MemoryStream] = []
        self.closed = 0

    @hookimpl
    def qonduit_transport(self) -> MemoryTransport:
        return self

    def _next(self, wire: WireRequest) -> Reply:
        self.sent.append(wire)
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def send(self, wire: WireRequest, deadline: float | None) -> WireResponse:
        answer = self._next(wire)
        content = b"".join(_part(part) for part in answer.plain)
        return WireResponse(answer.status, answer.headers, content, wire)

    async def asend(self, wire: WireRequest, deadline: float | None) -> WireResponse:
        answer = self._next(wire)
        content = b"".join([await _apart(part) for part in answer.plain])
        return WireResponse(answer.status, answer.headers, content, wire)

    def stream(self, wire: WireRequest, deadline: float | None) -> MemoryStream:
        stream = MemoryStream(self._next(wire))
        self.streams.append(stream)
        return stream

    async def astream(self, wire: WireRequest, deadline: float | None) -> MemoryStream:
        return self.stream(wire, deadline)

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


class MemoryStream:
    """An opened stream. `ended` tells how: "finished" after its end mark, "closed" before."""

    def __init__(self, answer: Reply) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.ended: str | None = None
        self._parts = list(answer.streamed)

    def read(self, deadline: float | None) -> bytes:
        return _part(self._parts.pop(0)) if self._parts else b""

    async def aread(self, deadline: float | None) -> bytes:
        return await _apart(self._parts.pop(0)) if self._parts else b""

    def finish(self, deadline: float) -> None:
        self.ended = self.ended or "finished"

    async def afinish(self, deadline: float) -> None:
        self.finish(deadline)

    def close(self) -> None:
        self.ended = self.ended or "closed"

    async def aclose(self) -> None:
        self.close()


def _part(part: Part) -> bytes:
    if isinstance(part, BaseException):
        raise part
    return part if isinstance(part, bytes) else part() or b""


async def _apart(part: Part) -> bytes:
    if isinstance(part, bytes | BaseException):
        return _part(part)
    return await part() or b""
