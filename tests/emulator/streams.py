"""Many streams at once against an emulator in a process of its own, and what it sustains.

    python -m tests.emulator.streams [--streams 500] [--tokens 200] [--requests 5000]

prints requests a second, chunks a second and the server's memory. The client is as simple as it can be, one
asyncio protocol per connection, so that the server is what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DEFAULT_KEY = "sk-qonduit-emulator"
_SERVER = "from qonduit_emulator import serve; serve(port=0, ready=lambda a: print(a.port, flush=True))"


@dataclass(frozen=True)
class Server:
    """An emulator in another process."""

    port: int
    pid: int

    def memory_mib(self) -> float:
        """Its resident memory now; 0 where the system does not say."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
        return 0.0


@contextlib.contextmanager
def running_server() -> Iterator[Server]:
    """Start one, and end it."""
    with subprocess.Popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Server(int(process.stdout.readline()), process.pid)
        finally:
            process.terminate()


@dataclass(frozen=True)
class Stream:
    """What came of one request: the whole answer, headers included, and when its first byte came."""

    content: bytes
    first_byte_seconds: float

    @property
    def complete(self) -> bool:
        """Whether it is a 200 that ended as it should."""
        return self.content.startswith(b"HTTP/1.1 200") and self.content.endswith(b"\r\n0\r\n\r\n")

    @property
    def chunks(self) -> int:
        """The events in it."""
        return self.content.count(b"data: ")


async def read_stream(port: int, body: bytes, headers: str = "") -> Stream:
    """One request on a connection of its own."""
    begin = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            b"POST /compatible-mode/v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nAuthorization: Bearer %s\r\n%sContent-Length: %d\r\n\r\n%s"
            % (DEFAULT_KEY.encode(), headers.encode(), len(body), body)
        )
        first = await reader.read(1)
        first_byte = time.perf_counter() - begin
        return Stream(first + await reader.read(-1), first_byte)
    finally:
        writer.close()


def build_body(words: int, *, stream: bool = True) -> bytes:
    """A request whose answer repeats so many words."""
    message = {"role": "user", "content": "word " * words}
    return json.dumps({"model": "qwen-plus", "messages": [message], "stream": stream}).encode()


async def read_streams(port: int, count: int, body: bytes, headers: str = "") -> list[Stream]:
    """So many at once."""
    return list(await asyncio.gather(*[read_stream(port, body, headers) for _ in range(count)]))


async def send_requests(port: int, count: int, body: bytes, connections: int = 32) -> None:
    """Plain requests one after another on some connections that stay open."""
    request = (
        b"POST /compatible-mode/v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s" % (DEFAULT_KEY.encode(), len(body), body)
    )

    async def use_one(requests: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(requests):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
        writer.close()

    await asyncio.gather(*[use_one(count // connections) for _ in range(connections)])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--requests", type=int, default=5000)
    options = parser.parse_args()
    with running_server() as server:
        asyncio.run(send_requests(server.port, 320, build_body(5, stream=False)))
        before = server.memory_mib()
        begin = time.perf_counter()
        asyncio.run(send_requests(server.port, options.requests, build_body(5, stream=False)))
        seconds = time.perf_counter() - begin
        print(f"plain: {options.requests // 32 * 32 / seconds:,.0f} requests/s on 32 connections")
        begin = time.perf_counter()
        streams = asyncio.run(read_streams(server.port, options.streams, build_body(options.tokens)))
        seconds = time.perf_counter() - begin
        failed = sum(not stream.complete for stream in streams)
        chunks = sum(stream.chunks for stream in streams)
        print(
            f"{options.streams} streams at once: {chunks / seconds:,.0f} chunks/s, {chunks:,} in all, {failed} failed"
        )
        paced = "x-emulator-pace: first=0.2,rate=50,jitter=0.2\r\n"
        begin = time.perf_counter()
        streams = asyncio.run(read_streams(server.port, options.streams, build_body(40), paced))
        seconds = time.perf_counter() - begin
        failed = sum(not stream.complete for stream in streams)
        latest = max(stream.first_byte_seconds for stream in streams)
        print(f"{options.streams} paced streams: {seconds:.1f} s, first byte by {latest:.2f} s, {failed} failed")
        print(f"memory: {before:.0f} MiB after the first requests, {server.memory_mib():.0f} MiB at the end")


if __name__ == "__main__":
    main()
