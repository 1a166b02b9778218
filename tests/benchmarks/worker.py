"""One timed block of one contender in a fresh process.

`python -m tests.benchmarks.worker BLOCK CONTENDER URL COUNT` prints one JSON object. Every block opens its
contender, checks that it reads the right text, warms it up, collects garbage, and only then starts the
clocks; the collector stays on, as in an application. CPU time is this process's own (`time.process_time`),
all threads, so the server's is not in it.

The server counts calls: a block that sent another number than it made (a cache hit, a retry) fails instead of
flattering its contender.
"""

import asyncio
import gc
import http.client
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .canned import ANSWER, EVENTS_PER_STREAM, STREAM_CHARACTERS
from .contenders import CONTENDERS, HITS, QONDUIT_CACHE, AsyncCaller, Streamed

CONCURRENCY = 200
WARM_UP_CALLS = 100
WARM_UP_STREAMS = 3
MEMORY_WARM_UP_CALLS = 12_000  # more than the cache plugin keeps
MEMORY_SAMPLES = 20

_numbers = count()


def _prompt() -> str:
    """A prompt no other call of this process has, so that no cache can answer it."""
    return f"What is the cost of call {next(_numbers)}?"


def _check_answer(text: str) -> None:
    if text != ANSWER:
        raise SystemExit(f"the answer read is not the one sent: {text[:80]!r}")


def _check_stream(streamed: Streamed) -> None:
    if streamed != (EVENTS_PER_STREAM, STREAM_CHARACTERS):
        raise SystemExit(f"expected {EVENTS_PER_STREAM} chunks with {STREAM_CHARACTERS} characters, read {streamed}")


class Clocks:
    """Wall and CPU time of a `with` block, the server's load, and a check of the number of calls sent."""

    def __init__(self, server_url: str, calls: int) -> None:
        self._address = urlsplit(server_url).netloc
        self._calls = calls

    def _server_status(self) -> dict[str, float]:
        connection = http.client.HTTPConnection(self._address)
        connection.request("GET", "/status")
        status: dict[str, float] = json.loads(connection.getresponse().read())
        connection.close()
        return status

    def __enter__(self) -> "Clocks":
        self._status_before = self._server_status()
        gc.collect()
        self._wall_before = time.perf_counter()
        self._cpu_before = time.process_time()
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        self.cpu_seconds = time.process_time() - self._cpu_before
        self.wall_seconds = time.perf_counter() - self._wall_before
        status = self._server_status()
        self.server_busy_percent = (
            100 * (status["cpu_seconds"] - self._status_before["cpu_seconds"]) / self.wall_seconds
        )
        answered = status["answered_calls"] - self._status_before["answered_calls"]
        if error_type is None and answered != self._calls:
            raise SystemExit(f"made {self._calls} calls, but the server answered {answered:.0f}")

    def per(self, number: int) -> dict[str, float]:
        """Microseconds for each of `number` calls or chunks."""
        return {
            "cpu_us": 1e6 * self.cpu_seconds / number,
            "wall_us": 1e6 * self.wall_seconds / number,
            "server_busy_percent": self.server_busy_percent,
        }


def unary_sync(contender: str, server_url: str, calls: int) -> dict[str, Any]:
    caller = CONTENDERS[contender].open_sync(server_url)
    for _ in range(WARM_UP_CALLS):
        _check_answer(caller.answer(_prompt()))
    with Clocks(server_url, calls) as clocks:
        for _ in range(calls):
            caller.answer(_prompt())
    return clocks.per(calls)


def chunk_sync(contender: str, server_url: str, streams: int) -> dict[str, Any]:
    caller = CONTENDERS[contender].open_sync(server_url)
    for _ in range(WARM_UP_STREAMS):
        _check_stream(caller.stream(_prompt()))
    with Clocks(server_url, streams) as clocks:
        for _ in range(streams):
            caller.stream(_prompt())
    return clocks.per(streams * EVENTS_PER_STREAM)


def hit_sync(contender: str, server_url: str, calls: int) -> dict[str, Any]:
    """The same prompt again and again: a cache answers all but the first, and raw httpx asks every time."""
    caller = HITS[contender].open_sync(server_url)
    for _ in range(WARM_UP_CALLS):
        _check_answer(caller.answer("always the same"))
    with Clocks(server_url, 0 if contender == QONDUIT_CACHE else calls) as clocks:
        for _ in range(calls):
            caller.answer("always the same")
    return clocks.per(calls)


async def _unary_async(caller: AsyncCaller, server_url: str, calls: int) -> dict[str, Any]:
    for _ in range(WARM_UP_CALLS):
        _check_answer(await caller.answer(_prompt()))
    with Clocks(server_url, calls) as clocks:
        for _ in range(calls):
            await caller.answer(_prompt())
    return clocks.per(calls)


async def _chunk_async(caller: AsyncCaller, server_url: str, streams: int) -> dict[str, Any]:
    for _ in range(WARM_UP_STREAMS):
        _check_stream(await caller.stream(_prompt()))
    with Clocks(server_url, streams) as clocks:
        for _ in range(streams):
            await caller.stream(_prompt())
    return clocks.per(streams * EVENTS_PER_STREAM)


async def _concurrent(caller: AsyncCaller, server_url: str, calls: int) -> dict[str, Any]:
    calls_each = max(1, calls // CONCURRENCY)
    calls = calls_each * CONCURRENCY

    async def caller_in_a_loop(times: int) -> None:
        for _ in range(times):
            _check_answer(await caller.answer(_prompt()))

    async def all_at_once(times: int) -> None:
        await asyncio.gather(*(caller_in_a_loop(times) for _ in range(CONCURRENCY)))

    await all_at_once(1)
    with Clocks(server_url, calls) as clocks:
        await all_at_once(calls_each)
    return {
        "calls_per_second": calls / clocks.wall_seconds,
        "calls_per_cpu_second": calls / clocks.cpu_seconds,
        "server_busy_percent": clocks.server_busy_percent,
    }


def _resident_mib() -> float:
    """Resident memory now; where /proc is missing, the most there ever was."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS, the only such system


def memory(contender: str, server_url: str, calls: int) -> dict[str, Any]:
    caller = CONTENDERS[contender].open_sync(server_url)
    for _ in range(MEMORY_WARM_UP_CALLS):
        _check_answer(caller.answer(_prompt()))
    gc.collect()
    samples = [_resident_mib()]
    with Clocks(server_url, calls):
        for _ in range(MEMORY_SAMPLES):
            for _ in range(calls // MEMORY_SAMPLES):
                caller.answer(_prompt())
            samples.append(_resident_mib())
    gc.collect()
    end = _resident_mib()
    return {
        "start_mib": samples[0],
        "end_mib": end,
        "growth_kib": 1024 * (end - samples[0]),
        "samples_mib": samples,
    }


def _in_a_loop(
    block: Callable[[AsyncCaller, str, int], Awaitable[dict[str, Any]]],
) -> Callable[[str, str, int], dict[str, Any]]:
    async def opened(contender: str, server_url: str, number: int) -> dict[str, Any]:
        return await block(await CONTENDERS[contender].open_async(server_url), server_url, number)

    return lambda contender, server_url, number: asyncio.run(opened(contender, server_url, number))


BLOCKS: dict[str, Callable[[str, str, int], dict[str, Any]]] = {
    "unary-sync": unary_sync,
    "unary-async": _in_a_loop(_unary_async),
    "concurrent": _in_a_loop(_concurrent),
    "chunk-sync": chunk_sync,
    "chunk-async": _in_a_loop(_chunk_async),
    "hit-sync": hit_sync,
    "memory": memory,
}

if __name__ == "__main__":
    block_name, contender_name, url, number = sys.argv[1:]
    print(json.dumps(BLOCKS[block_name](contender_name, url, int(number))))
