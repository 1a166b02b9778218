"""Faults on the way: refusals at the door, and answers that break, stall or never come.

Closing a connection needs the emulator's own server, which puts a function for it into the scope's state;
under any other server such a fault raises instead, and that server does what it does with a broken application.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response

from qonduit_emulator._body import until_gone
from qonduit_emulator._faults import CLOSE_KEY, HEADER, Fault, FaultName, Faults, parse_fault_header, put_fault
from qonduit_emulator._gate import Call
from qonduit_emulator._refusal import Refusal, invalid_parameter
from qonduit_emulator._responses import refuse, wire_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from qonduit_emulator._sleep import Sleep

_HEADER_BYTES = HEADER.encode()
_PAGE = """<!DOCTYPE html>
<html><head><title>{status}</title></head>
<body><center><h1>{status}</h1></center><hr><center>gateway</center></body></html>
"""
_ON_THE_WAY = frozenset(
    {
        FaultName.STALL,
        FaultName.CUT_AFTER_FIRST_BYTE,
        FaultName.CUT_MID_EVENT,
        FaultName.TRUNCATE,
        FaultName.MALFORMED_JSON,
    }
)


class FaultLayer:
    """Chooses each request's fault and carries it out, but for those that the endpoint has a part in."""

    def __init__(self, app: ASGIApp, faults: Faults, sleep: Sleep) -> None:
        self._app = app
        self._faults = faults
        self._sleep = sleep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer, with the fault if there is one."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            fault = self._choose(scope)
        except ValueError as error:
            fault = Fault(FaultName.ERROR, refusal=invalid_parameter(f"{HEADER}: {error}"))
        if fault is None:
            await self._app(scope, receive, send)
            return
        put_fault(scope, fault)
        await self._commit(fault, scope, receive, send)

    def _choose(self, scope: Scope) -> Fault | None:
        for name, value in scope["headers"]:
            if name == _HEADER_BYTES:
                return parse_fault_header(value.decode("latin-1"))
        if not self._faults.any_set:
            return None
        call = Call(wire="native", headers=Headers(scope=scope))
        return self._faults.choose(call.api_key or "", scope["path"])

    async def _commit(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.name is FaultName.ERROR and fault.refusal is not None:
            await _drain(receive)
            await _refusal_response(scope, fault.refusal)(scope, receive, send)
        elif fault.name is FaultName.HTML:
            await _drain(receive)
            page = HTMLResponse(_PAGE.format(status=fault.count), fault.count)
            await page(scope, receive, send)
        elif fault.name is FaultName.CUT_BEFORE_HEADERS:
            await _drain(receive)
            _close_connection(scope)
            await until_gone(receive)
        elif fault.name is FaultName.SLOW_FIRST_BYTE:
            await self._app(scope, receive, _Delayed(send, fault.number, self._sleep))
        elif fault.name in _ON_THE_WAY:
            damaged = _Damaged(fault, send, self._sleep, partial(_close_connection, scope))
            await self._app(scope, receive, damaged)
            if damaged.cut:
                await until_gone(receive)
        else:
            await self._app(scope, receive, send)


def _refusal_response(scope: Scope, refusal: Refusal) -> Response:
    return refuse(wire_of(scope["path"]), refusal, str(uuid.uuid4()), Headers(scope=scope))


async def _drain(receive: Receive) -> None:
    """Read the request to its end, so that the client hears the answer."""
    while (message := await receive()).get("more_body"):
        if message["type"] == "http.disconnect":
            return


def _close_connection(scope: Scope) -> None:
    close: Callable[[], None] | None = scope.get("state", {}).get(CLOSE_KEY)
    if close is None:
        raise ConnectionResetError("a fault cut the connection, which only the emulator's own server can do")
    close()


class _Delayed:
    """Sends nothing for a while."""

    def __init__(self, send: Send, seconds: float, sleep: Sleep) -> None:
        self._send = send
        self._seconds = seconds
        self._sleep = sleep

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._sleep(self._seconds)
        await self._send(message)


class _Damaged:
    """Sends an answer up to where the fault is."""

    def __init__(self, fault: Fault, send: Send, sleep: Sleep, close: Callable[[], None]) -> None:
        self._fault = fault
        self._send = send
        self._sleep = sleep
        self._close = close
        self._streamed = False
        self._events = 0
        self._over = False
        self.cut = False

    async def __call__(self, message: Message) -> None:
        if self._over:
            return
        if message["type"] != "http.response.body":
            await self._send(self._without_length(message))
            return
        for piece in self._pieces(message.get("body", b"")):
            await self._pass(piece)
            if self._over:
                return
        if not message.get("more_body"):
            await self._send_body(b"", more=False)

    def _without_length(self, message: Message) -> Message:
        headers = [(name, value) for name, value in message["headers"] if name != b"content-length"]
        self._streamed = any(name == b"content-type" and b"event-stream" in value for name, value in headers)
        return {**message, "headers": headers}

    def _pieces(self, body: bytes) -> Iterator[bytes]:
        """The events of a stream, or a plain body whole."""
        if not self._streamed:
            if body:
                yield body
            return
        yield from (event + b"\n\n" for event in body.split(b"\n\n") if event)

    async def _pass(self, piece: bytes) -> None:
        """Send one piece, or do what is to be done at it. Comments on their own do not count."""
        if self._streamed and piece.startswith(b":"):
            await self._send_body(piece)
            return
        count = self._fault.count if self._streamed else 0
        match self._fault.name:
            case FaultName.STALL:
                await self._stall(piece)
            case FaultName.CUT_AFTER_FIRST_BYTE:
                await self._cut(piece[:1])
            case FaultName.CUT_MID_EVENT if self._events == count:
                await self._cut(piece[: len(piece) // 2])
            case FaultName.TRUNCATE if self._events == count:
                self._over = True
                await self._send_body(b"" if self._streamed else piece[: len(piece) // 2], more=False)
            case FaultName.MALFORMED_JSON if self._events == max(count - 1, 0):
                await self._send_body(_without_end(piece))
            case _:
                await self._send_body(piece)
        self._events += 1

    async def _stall(self, piece: bytes) -> None:
        if self._events:
            await self._send_body(piece)
            return
        begin = len(piece) if self._streamed else len(piece) // 2
        await self._send_body(piece[:begin])
        await self._sleep(self._fault.number)
        if rest := piece[begin:]:
            await self._send_body(rest)

    async def _cut(self, part: bytes) -> None:
        self._over = True
        await self._send_body(part)
        self._close()
        self.cut = True

    async def _send_body(self, body: bytes, *, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


def _without_end(piece: bytes) -> bytes:
    body = piece.rstrip(b"\n")
    return body[:-2] + piece[len(body) :]
