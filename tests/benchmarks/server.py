"""A byte-level HTTP server with canned answers, in a process of its own: `python -m tests.benchmarks.server`.

It prints its port on the first line of standard output and stops when its standard input closes, so that it
never outlives the benchmark. It reads as little of a request as it can: where it ends, which wire it speaks,
and whether it asks for a stream. `GET /status` tells how many calls it has answered and its CPU time.
"""

import asyncio
import json
import re
import sys
import threading
import time

from . import canned

_CONTENT_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_NATIVE_PATH = b"/api/v1/services/"
_STREAM_MARKS_IN_BODY = (b'"stream":true', b'"stream": true')
_STREAM_MARKS_IN_HEAD = (b"x-dashscope-sse: enable", b"accept: text/event-stream")

answered_calls = 0


def _status() -> bytes:
    body = json.dumps({"answered_calls": answered_calls, "cpu_seconds": time.process_time()}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


def _answer(head: bytes, body: bytes) -> bytes:
    global answered_calls  # noqa: PLW0603 - one counter of one process
    if head.startswith(b"GET /status"):
        return _status()
    answered_calls += 1
    if _NATIVE_PATH in head[:128]:
        lowered = head.lower()
        wants_stream = any(mark in lowered for mark in _STREAM_MARKS_IN_HEAD)
        return canned.NATIVE_STREAM if wants_stream else canned.NATIVE_UNARY
    wants_stream = any(mark in body for mark in _STREAM_MARKS_IN_BODY)
    return canned.OPENAI_STREAM if wants_stream else canned.OPENAI_UNARY


class CannedAnswers(asyncio.Protocol):
    """One keep-alive connection. Requests are answered in order, each with one write."""

    def __init__(self) -> None:
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while (end_of_head := self._unread.find(b"\r\n\r\n")) >= 0:
            head = self._unread[:end_of_head]
            length = _CONTENT_LENGTH.search(head)
            start_of_body = end_of_head + 4
            end_of_body = start_of_body + (int(length[1]) if length else 0)
            if len(self._unread) < end_of_body:
                return
            body = self._unread[start_of_body:end_of_body]
            self._unread = self._unread[end_of_body:]
            self._transport.write(_answer(head, body))


async def serve() -> None:
    """Serve on a free loopback port until standard input closes."""
    loop = asyncio.get_running_loop()
    input_closed = asyncio.Event()

    def watch_standard_input() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(input_closed.set)

    server = await loop.create_server(CannedAnswers, "127.0.0.1", 0, backlog=1024)
    threading.Thread(target=watch_standard_input, daemon=True).start()
    print(server.sockets[0].getsockname()[1], flush=True)
    await input_closed.wait()


if __name__ == "__main__":
    asyncio.run(serve())
