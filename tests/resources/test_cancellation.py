"""A cancellation at every tick of the event loop: whatever it interrupts, nothing is lost by it.

Server and client run in one loop, so that each tick is one of both, and every await of a call is met by some tick.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import stamina
import trustme
from tests.resources.echo import echoing
from tests.resources.state import busy, free_slots, other_tasks
from tests.transport.driving import arguments

from qonduit import AsyncClient
from qonduit.retry import RetryBudget

TICKS = 61
CONNECTIONS = 2

Operation = Callable[[AsyncClient], Awaitable[Any]]


def asking(prompt: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}], **more}


async def plain(client: AsyncClient) -> None:
    await client.chat.completions.create(**asking("hello"))


async def opened(client: AsyncClient) -> None:
    async with await client.chat.completions.create(**asking("begin"), stream=True):
        pass


async def read(client: AsyncClient) -> None:
    async with await client.chat.completions.create(**asking("slowly"), stream=True) as stream:
        async for _ in stream:
            pass


async def retried(client: AsyncClient) -> None:
    await client.chat.completions.create(**asking("busy"))


async def waiting(client: AsyncClient) -> None:
    """More calls at once than there are connections."""
    await asyncio.gather(*(plain(client) for _ in range(2 * CONNECTIONS)))


OPERATIONS: dict[str, Operation] = {
    "a plain call": plain,
    "a stream that is opened": opened,
    "a stream that is read": read,
    "a wait before a retry": retried,
    "a wait for a connection": waiting,
}


async def cancel_at_every_tick(client: AsyncClient, operation: Operation) -> int:
    """Cancel it at tick 0, 1, 2, …, on a new connection and on a used one; how many ended before their tick."""
    ended = 0
    for used in (False, True):
        for tick in range(TICKS):
            if used:
                await plain(client)
            task = asyncio.ensure_future(operation(client))
            for _ in range(tick):
                await asyncio.sleep(0)
            task.cancel()
            (result,) = await asyncio.gather(task, return_exceptions=True)
            ended += result is None
            assert result is None or isinstance(result, asyncio.CancelledError)
    return ended


async def check_whole(client: AsyncClient) -> None:
    """Whether 100 calls of 100 are answered, every slot is free and nothing is under way."""
    create = client.chat.completions.create
    answers = await asyncio.gather(*(create(**asking(f"hello {number}")) for number in range(100)))
    assert [answer.text for answer in answers] == [f"hello {number}" for number in range(100)]
    assert free_slots(client) == [CONNECTIONS]
    assert busy(client) == 0
    assert other_tasks() == set()


@pytest.fixture(autouse=True)
def few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few connections, so that one that is lost is missed."""
    monkeypatch.setenv("QONDUIT_MAX_CONNECTIONS", str(CONNECTIONS))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """However many calls fail, the next one is tried again, and stamina says nothing of it."""
    monkeypatch.setattr(RetryBudget, "take", lambda self: True)
    hooks = stamina.instrumentation.get_on_retry_hooks()
    stamina.instrumentation.set_on_retry_hooks([])
    yield
    stamina.instrumentation.set_on_retry_hooks(hooks)


@pytest.mark.F47
@pytest.mark.usefixtures("patient", "http_library")
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
async def test_a_call_cancelled_at_any_tick_costs_nothing(operation: Operation) -> None:
    """After 122 cancellations all slots are free, no connection is busy, no task is left, and 100 of 100 calls pass."""
    async with echoing() as (url, connections):
        async with AsyncClient(**arguments(url, max_retries=1)) as client:
            ended = await cancel_at_every_tick(client, operation)
            assert ended < 2 * TICKS  # else no cancellation met anything
            assert ended > 0 or operation is retried
            await check_whole(client)
        for _ in range(3):
            await asyncio.sleep(0)
        assert not connections


@pytest.mark.F47
@pytest.mark.usefixtures("http_library")
@pytest.mark.parametrize("operation", [plain, read], ids=["a plain call", "a stream"])
async def test_a_call_with_the_three_plugins(operation: Operation, tmp_path, monkeypatch) -> None:
    """The same with a log, a cost ledger on disk and a cache in between."""
    monkeypatch.chdir(tmp_path)
    plugins = ["logging", ("cost", {"ledger": str(tmp_path / "ledger.sqlite3")}), "cache"]
    async with echoing() as (url, _), AsyncClient(**arguments(url, plugins=plugins)) as client:
        await cancel_at_every_tick(client, operation)
        await check_whole(client)


@pytest.mark.F47
@pytest.mark.usefixtures("http_library")
async def test_a_call_by_tls(tmp_path, monkeypatch) -> None:
    """The same with the ticks of a TLS handshake."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with echoing(context) as (url, _), AsyncClient(**arguments(url)) as client:
        await cancel_at_every_tick(client, read)
        await check_whole(client)


@pytest.mark.F47
@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize("operation", [plain, read, waiting], ids=["a plain call", "a stream", "a wait"])
async def test_a_call_behind_a_proxy(operation: Operation, library: str, monkeypatch) -> None:
    """Behind a proxy httpx's pool carries the calls; the places that it loses are made good."""
    monkeypatch.setattr("qonduit._proxied.POOL_SECONDS", 0.05)
    monkeypatch.setattr("qonduit._http.POOL_SECONDS", 0.05)
    monkeypatch.setenv("QONDUIT_HTTP_LIBRARY", library)
    async with echoing() as (url, _):
        monkeypatch.setenv("HTTP_PROXY", url)
        async with AsyncClient(**arguments("http://far.example")) as client:
            await cancel_at_every_tick(client, operation)
            await check_whole(client)
