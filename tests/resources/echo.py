"""A fast server on loopback that gives each caller his own prompt back, and fails when the prompt says so.

In the loop of a test, where every tick is one of both sides (`async with echoing() as url`), or as a process of its own
(`with EchoProcess() as url`), so that the descriptors and the memory of a test are the client's alone.

A prompt's first word chooses: "reset", "refuse" (a 500), "cut", "malformed", "hang", "busy" (a 503), "slowly" (a stream
with some ticks between its events), "begin" (a stream that stops after its first event); anything else is echoed, whole
or streamed in two pieces as the request asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

from tests.servers import LAST_CHUNK, chunk, json_response, response, sse_head
from tests.wires import WIRES

WIRE = WIRES["qwen"]
ROOT = Path(__file__).parents[2]
TICKS = 4
"""Ticks of the loop between two events of a slow stream."""
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class Echo(asyncio.Protocol):
    """One connection."""

    def __init__(self, open_connections: set[Echo]) -> None:
        self._open = open_connections
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while (end := self._unread.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._unread, 0, end)
            last = end + 4 + (int(length[1]) if length else 0)
            if len(self._unread) < last:
                return
            body, self._unread = self._unread[end + 4 : last], self._unread[last:]
            request = json.loads(body)
            self._answer(request["messages"][-1]["content"], bool(request.get("stream")))

    def _answer(self, prompt: str, streamed: bool) -> None:
        fault = prompt.partition(" ")[0]
        if fault == "hang":
            return
        if fault == "reset":
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        elif fault in {"refuse", "busy"}:
            self._transport.write(WIRE.error(500 if fault == "refuse" else 503, "internal_error"))
        elif streamed:
            events = WIRE.events([prompt[:3], prompt[3:]])
            if fault == "malformed":
                events[2] = b"data: nonsense\n\n"
            if fault in {"slowly", "begin"}:
                self._write_slowly([sse_head() + chunk(events[0] + events[1])], 0)
                if fault == "slowly":
                    self._write_slowly([*map(chunk, events[2:]), LAST_CHUNK], TICKS)
                return
            whole = sse_head() + b"".join(map(chunk, events)) + LAST_CHUNK
            self._write(whole, fault == "cut")
        elif fault == "malformed":
            self._transport.write(response(b'{"choices": nonsense}'))
        else:
            self._write(json_response(WIRE.answer(prompt)), fault == "cut")

    def _write_slowly(self, pieces: list[bytes], ticks: int) -> None:
        if ticks:
            asyncio.get_running_loop().call_soon(self._write_slowly, pieces, ticks - 1)
        elif pieces:
            self._transport.write(pieces[0])
            self._write_slowly(pieces[1:], TICKS)

    def _write(self, whole: bytes, cut: bool) -> None:
        self._transport.write(whole[: len(whole) * 2 // 3] if cut else whole)
        if cut:
            self._transport.close()


@contextlib.asynccontextmanager
async def echoing(context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, set[Echo]]]:
    """The server in this loop: its URL and the connections that are open."""
    connections: set[Echo] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Echo(connections), "127.0.0.1", 0, backlog=512, ssl=context)
    try:
        yield f"http{'s' if context else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}", connections
    finally:
        server.close()
        for connection in list(connections):
            connection._transport.abort()
        await server.wait_closed()


class EchoProcess:
    """The server in a process of its own."""

    def __enter__(self) -> str:
        command = [sys.executable, "-m", "tests.resources.echo"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        return f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def __exit__(self, *_: object) -> None:
        self._process.communicate("")


async def _serve() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def watch() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(stop.set)

    async with echoing() as (url, _):
        print(url.rpartition(":")[2], flush=True)
        threading.Thread(target=watch, daemon=True).start()
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(_serve())
