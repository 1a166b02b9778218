"""One client, many event loops and many threads: each caller gets his own answers, and nothing piles up."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.resources.echo import EchoProcess
from tests.resources.state import busy, descriptors, free_slots
from tests.servers import HANG
from tests.transport.driving import arguments

from qonduit import AsyncClient, Client

pytestmark = pytest.mark.usefixtures("http_library")

linux = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server that echoes, in a process of its own."""
    with EchoProcess() as running:
        yield running


def asking(prompt: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}], **more}


async def ask(client: AsyncClient, prompt: str) -> str:
    return (await client.chat.completions.create(**asking(prompt))).text


async def read(client: AsyncClient, prompt: str) -> str:
    async with await client.chat.completions.create(**asking(prompt), stream=True) as stream:
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run `work` in so many threads at once; what one of them raises is raised."""
    failures: list[BaseException] = []
    start = threading.Barrier(count)

    def run(number: int) -> None:
        try:
            start.wait()
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@linux
@pytest.mark.F49
@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "behind a proxy"])
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # httpx's connections of a loop that is closed
def test_a_hundred_loops_one_after_another(url: str, proxied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """`asyncio.run` a hundred times on one client: all answers right, and the connections of dead loops are closed."""
    if proxied:
        monkeypatch.setenv("HTTP_PROXY", url)
    client = AsyncClient(**arguments("http://far.example" if proxied else url))
    before = descriptors()
    seen: list[int] = []
    for number in range(100):
        assert asyncio.run(ask(client, f"plain {number}")) == f"plain {number}"
        if not number % 10:
            assert asyncio.run(read(client, f"read {number}")) == f"read {number}"
            seen.append(descriptors())
    assert max(seen) <= before + 2
    asyncio.run(client.aclose())
    gc.collect()
    assert descriptors() <= before + proxied


@pytest.mark.F49
def test_eight_loops_at_once(url: str) -> None:
    """Eight loops in eight threads on one client, plain and streamed."""
    client = AsyncClient(**arguments(url))

    async def both(name: int) -> None:
        prompts = [f"{name} {number}" for number in range(20)]
        assert await asyncio.gather(*(ask(client, prompt) for prompt in prompts)) == prompts
        assert [await read(client, prompt) for prompt in prompts] == prompts

    in_threads(8, lambda name: asyncio.run(both(name)))
    asyncio.run(client.aclose())


@linux
@pytest.mark.F49
def test_closing_from_another_loop_ends_the_calls_of_a_running_one(serve: Any) -> None:
    """`aclose` in one loop, while a loop of another thread waits for an answer: that call fails at once."""
    server = serve([[HANG]])
    client = AsyncClient(**arguments(server))
    outcome: list[str] = []

    async def wait() -> None:
        try:
            await ask(client, "x")
        except Exception as error:
            outcome.append(type(error).__name__)

    thread = threading.Thread(target=lambda: asyncio.run(wait()))
    thread.start()
    assert server.wait_requests(1)
    asyncio.run(client.aclose())
    thread.join(5)
    assert outcome == ["APIConnectionError"]


@pytest.mark.F52
def test_more_threads_than_connections(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """32 threads, 50 calls each, over at most 8 connections: every answer is right, and all 8 slots are free after."""
    monkeypatch.setenv("QONDUIT_MAX_CONNECTIONS", "8")
    with Client(**arguments(url)) as client:
        create = client.chat.completions.create

        def work(name: int) -> None:
            for number in range(50):
                prompt = f"{name} {number}"
                if number % 5:
                    assert create(**asking(prompt)).text == prompt
                else:
                    with create(**asking(prompt), stream=True) as stream:
                        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == prompt

        in_threads(32, work)
        assert (free_slots(client), busy(client)) == ([8], 0)
        idle = client._routes[0].transport._sync._idle
        assert sum(map(len, idle.values())) <= 8
