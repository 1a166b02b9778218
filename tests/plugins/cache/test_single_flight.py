"""Identical plain calls at the same time share one upstream call, in threads, tasks and both."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from tests.pipeline.memory import MemoryTransport, Reply, body, refused, said
from tests.pipeline.modes import MESSAGES
from tests.plugins.cache.stores import AsyncDictStore, Clock, DictStore, cache

from qonduit import APIError, AsyncClient, Client, middleware
from qonduit_cache import cache_control

PATIENCE = 10.0
"""Seconds after which a test that hangs fails."""


class Gate:
    """A part of an answer that waits until the gate is opened; `reached` says that somebody waits, sync or async."""

    def __init__(self, then: bytes | BaseException) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()
        self._then = then

    def plain(self) -> bytes:
        self.reached.set()
        assert self.open.wait(PATIENCE)
        if isinstance(self._then, BaseException):
            raise self._then
        return self._then

    async def streamed(self) -> bytes:
        self.reached.set()
        assert await asyncio.to_thread(self.open.wait, PATIENCE)
        if isinstance(self._then, BaseException):
            raise self._then
        return self._then

    @property
    def reply(self) -> Reply:
        return Reply(200, {}, (self._part,))

    def _part(self) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self.plain()
        return self.streamed()


def sync_client(transport: MemoryTransport, plugin: Any, *layers: Any, **options: Any) -> Client:
    terms = {"provider": "qwen", "model": "qwen-plus", "api_key": "sk-test", "max_retries": 0, **options}
    return Client(plugins=[plugin, *layers, transport], **terms)


def async_client(transport: MemoryTransport, plugin: Any, *layers: Any, **options: Any) -> AsyncClient:
    terms = {"provider": "qwen", "model": "qwen-plus", "api_key": "sk-test", "max_retries": 0, **options}
    return AsyncClient(plugins=[plugin, *layers, transport], **terms)


@pytest.fixture
def threads() -> Iterator[Callable[..., Future[Any]]]:
    """Start a function in a thread of its own, with a copy of this context."""
    with ThreadPoolExecutor(120) as pool:
        yield lambda function, *args, **kwargs: pool.submit(
            contextvars.copy_context().run, lambda: function(*args, **kwargs)
        )


def waiting(plugin: Any, count: int) -> None:
    """Come back when `count` calls wait for a leader."""
    limit = threading.Event()
    for _ in range(2000):
        flights = list(plugin._flights._flights.values())
        if flights and len(flights[0]._waiting) >= count:
            return
        limit.wait(0.005)  # other threads are on their way: there is nothing to be told by
    raise AssertionError("the calls did not come to wait")


STORES = [None, DictStore, AsyncDictStore]


@pytest.mark.parametrize("store", STORES)
def test_a_hundred_threads_make_one_call(threads: Any, store: Any) -> None:
    """One asks the provider, ninety-nine share its answer."""
    gate = Gate(body("Hello"))
    transport, plugin = MemoryTransport(gate.reply), cache(store and store())
    client = sync_client(transport, plugin)
    calls = [threads(client.chat.completions.create, messages=MESSAGES) for _ in range(100)]
    waiting(plugin, 99)
    gate.open.set()
    answers = [call.result(PATIENCE) for call in calls]
    assert len(transport.sent) == 1
    assert sorted(answer.cached for answer in answers) == [False] + [True] * 99
    assert {answer.text for answer in answers} == {"Hello"}
    assert plugin._flights._flights == {}


@pytest.mark.parametrize("store", STORES)
async def test_a_hundred_tasks_make_one_call(store: Any) -> None:
    """The same for tasks of one loop."""
    gate = Gate(body("Hello"))
    transport, plugin = MemoryTransport(gate.reply), cache(store and store())
    client = async_client(transport, plugin)
    calls = [asyncio.ensure_future(client.chat.completions.create(messages=MESSAGES)) for _ in range(100)]
    await asyncio.to_thread(waiting, plugin, 99)
    gate.open.set()
    answers = await asyncio.gather(*calls)
    assert len(transport.sent) == 1
    assert sum(answer.cached for answer in answers) == 99
    assert plugin._flights._flights == {}


@pytest.mark.parametrize("leader", ["a thread", "a task"])
async def test_threads_and_tasks_share_one_call(threads: Any, leader: str) -> None:
    """Whoever leads, both kinds get its answer."""
    gate = Gate(body("Hello"))
    transport, plugin = MemoryTransport(gate.reply), cache()
    sync, asynchronous = sync_client(transport, plugin), async_client(transport, plugin)

    def thread() -> Any:
        return asyncio.wrap_future(threads(sync.chat.completions.create, messages=MESSAGES))

    def task() -> Any:
        return asyncio.ensure_future(asynchronous.chat.completions.create(messages=MESSAGES))

    first = thread() if leader == "a thread" else task()
    assert await asyncio.to_thread(gate.reached.wait, PATIENCE)
    calls = [first, *(make() for make in (thread, task) for _ in range(10))]
    await asyncio.to_thread(waiting, plugin, 20)
    gate.open.set()
    answers = await asyncio.wait_for(asyncio.gather(*calls), PATIENCE)
    assert len(transport.sent) == 1
    assert [answer.cached for answer in answers] == [False] + [True] * 20


def test_when_the_leader_fails_another_takes_over(threads: Any) -> None:
    """Its error is its own; the next asks again, and the rest share that answer (F64)."""
    gate, second = Gate(refused(500).plain[0]), Gate(body("Hello"))  # type: ignore[arg-type]
    failing = Reply(500, {}, (gate._part,))
    transport, plugin = MemoryTransport(failing, second.reply), cache()
    client = sync_client(transport, plugin)
    calls = [threads(client.chat.completions.create, messages=MESSAGES) for _ in range(10)]
    waiting(plugin, 9)
    gate.open.set()
    assert second.reached.wait(PATIENCE)
    waiting(plugin, 8)
    second.open.set()
    outcomes = [call.exception(PATIENCE) or call.result() for call in calls]
    assert sum(isinstance(outcome, APIError) for outcome in outcomes) == 1
    assert sorted(outcome.cached for outcome in outcomes if not isinstance(outcome, APIError)) == [False] + [True] * 8
    assert len(transport.sent) == 2


async def test_when_the_leader_is_cancelled_another_takes_over() -> None:
    """Nobody else hears of the cancellation."""
    gate = Gate(body("Hello"))
    transport, plugin = MemoryTransport(gate.reply), cache()
    client = async_client(transport, plugin)
    calls = [asyncio.ensure_future(client.chat.completions.create(messages=MESSAGES)) for _ in range(10)]
    await asyncio.to_thread(waiting, plugin, 9)
    calls[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await calls[0]
    gate.open.set()
    answers = await asyncio.wait_for(asyncio.gather(*calls[1:]), PATIENCE)
    assert sum(answer.cached for answer in answers) == 8
    assert len(transport.sent) == 2


async def test_who_waits_may_be_cancelled() -> None:
    """It leaves alone; the leader and the others go on."""
    gate = Gate(body("Hello"))
    transport, plugin = MemoryTransport(gate.reply), cache()
    client = async_client(transport, plugin)
    calls = [asyncio.ensure_future(client.chat.completions.create(messages=MESSAGES)) for _ in range(3)]
    await asyncio.to_thread(waiting, plugin, 2)
    calls[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await calls[1]
    (flight,) = plugin._flights._flights.values()
    assert len(flight._waiting) == 1, "who has left is not called"
    gate.open.set()
    assert [(await call).cached for call in (calls[0], calls[2])] == [False, True]
    assert len(transport.sent) == 1


def test_when_the_leaders_loop_dies_another_takes_over(threads: Any) -> None:
    """A loop that is closed in the midst of a call leaves nobody waiting."""
    gate = Gate(body("Hello"))
    transport, plugin = MemoryTransport(Reply(200, {}, (gate._part,)), said("Hello")), cache()

    async def lead() -> None:
        call = asyncio.ensure_future(async_client(transport, plugin).chat.completions.create(messages=MESSAGES))
        assert await asyncio.to_thread(gate.reached.wait, PATIENCE)
        follower.append(threads(sync_client(transport, plugin).chat.completions.create, messages=MESSAGES))
        await asyncio.to_thread(waiting, plugin, 1)
        gate.open.set()
        call.cancel()  # as asyncio.run does with what is left
        with contextlib.suppress(asyncio.CancelledError):
            await call

    follower: list[Future[Any]] = []
    asyncio.run(lead())
    assert follower[0].result(PATIENCE).text == "Hello"


@pytest.mark.parametrize("limit", [{"timeout": 0.05}, {"deadline": 0.1}])
def test_nobody_waits_past_its_own_limit(threads: Any, limit: dict[str, float]) -> None:
    """Then it asks the provider itself; the leader goes on, and later calls wait for neither."""
    gate = Gate(body("slow"))
    transport, plugin = MemoryTransport(gate.reply, said("own")), cache()
    client = sync_client(transport, plugin)
    leader = threads(client.chat.completions.create, messages=MESSAGES)
    assert gate.reached.wait(PATIENCE)
    response = client.chat.completions.create(messages=MESSAGES, **limit)
    assert (response.text, response.cached) == ("own", False)
    assert client.chat.completions.create(messages=MESSAGES).text == "own"
    gate.open.set()
    assert leader.result(PATIENCE).text == "slow"


async def test_no_task_waits_past_its_own_limit() -> None:
    """The same, async."""
    gate = Gate(body("slow"))
    transport, plugin = MemoryTransport(gate.reply, said("own")), cache()
    client = async_client(transport, plugin)
    leader = asyncio.ensure_future(client.chat.completions.create(messages=MESSAGES))
    assert await asyncio.to_thread(gate.reached.wait, PATIENCE)
    response = await client.chat.completions.create(messages=MESSAGES, timeout=0.05)
    assert (response.text, response.cached) == ("own", False)
    gate.open.set()
    assert (await leader).text == "slow"


async def test_a_sync_call_on_the_leaders_thread_does_not_wait_for_it() -> None:
    """It would stop the loop that the leader needs."""
    gate = Gate(body("slow"))
    transport, plugin = MemoryTransport(gate.reply, said("own")), cache()
    leader = asyncio.ensure_future(async_client(transport, plugin).chat.completions.create(messages=MESSAGES))
    assert await asyncio.to_thread(gate.reached.wait, PATIENCE)
    assert sync_client(transport, plugin).chat.completions.create(messages=MESSAGES).text == "own"
    gate.open.set()
    assert (await leader).text == "slow"


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_call_within_a_call_does_not_wait_for_it(asynchronous: bool) -> None:
    """A layer that asks the same question on its way would wait for itself."""
    transport, plugin = MemoryTransport(said("Hello")), cache()
    inner: Any = (async_client if asynchronous else sync_client)(transport, plugin)

    @middleware("asking")
    def asking(call: Any) -> Any:
        create = inner.chat.completions.create
        ask = (None, lambda: create(messages=MESSAGES)) if asynchronous else (lambda: create(messages=MESSAGES), None)
        yield from call.io(*ask)
        yield call.request

    outer: Any = (async_client if asynchronous else sync_client)(transport, plugin, asking)
    result = outer.chat.completions.create(messages=MESSAGES)
    assert (await result if asynchronous else result).text == "Hello"
    assert len(transport.sent) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_nobody_waits_for_a_stream(threads: Any, stream: bool) -> None:
    """Its reader may take all the time it likes."""
    transport, plugin = MemoryTransport(said("Hel", "lo")), cache()
    client = sync_client(transport, plugin)
    with client.chat.completions.create(messages=MESSAGES, stream=True) as held:
        next(held)
        other = threads(client.chat.completions.create, messages=MESSAGES, stream=stream).result(PATIENCE)
        if stream:
            other.close()
    assert len(transport.sent) == 2


def test_a_stream_does_not_wait_for_a_plain_call(threads: Any) -> None:
    """It asks for itself at once."""
    gate = Gate(body("slow"))
    transport, plugin = MemoryTransport(gate.reply, said("own")), cache()
    client = sync_client(transport, plugin)
    leader = threads(client.chat.completions.create, messages=MESSAGES)
    assert gate.reached.wait(PATIENCE)
    with client.chat.completions.create(messages=MESSAGES, stream=True, timeout=30) as stream:
        assert next(stream).choices[0].delta.content == "own"
    gate.open.set()
    leader.result(PATIENCE)


def test_streams_never_wait() -> None:
    """One thread may hold two streams, and ask plainly in between."""
    transport, plugin = MemoryTransport(said("Hel", "lo")), cache()
    client = sync_client(transport, plugin)
    with (
        client.chat.completions.create(messages=MESSAGES, stream=True) as one,
        client.chat.completions.create(messages=MESSAGES, stream=True) as other,
    ):
        next(one)
        next(other)
        assert not client.chat.completions.create(messages=MESSAGES).cached
    assert len(transport.sent) == 3


def test_an_answer_that_is_not_kept_is_not_shared(threads: Any) -> None:
    """All others ask for themselves, and not one after the other."""
    filtered = body("").replace(b'"stop"', b'"content_filter"')
    gate, second = Gate(filtered), Gate(body("Hello"))
    transport, plugin = MemoryTransport(gate.reply, second.reply), cache()
    client = sync_client(transport, plugin)
    calls = [threads(client.chat.completions.create, messages=MESSAGES) for _ in range(5)]
    waiting(plugin, 4)
    gate.open.set()
    for _ in range(2000):
        if len(transport.sent) == 5:
            break
        threading.Event().wait(0.005)
    second.open.set()
    assert [call.result(PATIENCE).cached for call in calls] == [False] * 5
    assert len(transport.sent) == 5


@pytest.mark.parametrize(("mode", "sent"), [("refresh", 1), ("read_only", 1), ("write_only", 3), ("off", 3)])
def test_what_shares_by_mode(threads: Any, mode: Any, sent: int) -> None:
    """Who only writes, or has the cache off, gets an answer of its own."""
    gate = Gate(body("Hello"))
    transport, plugin = MemoryTransport(gate.reply), cache(mode=mode)
    client = sync_client(transport, plugin)
    calls = [threads(client.chat.completions.create, messages=MESSAGES) for _ in range(3)]
    if sent == 1:
        waiting(plugin, 2)
    gate.open.set()
    assert sorted(call.result(PATIENCE).cached for call in calls) == [False] + [sent == 1] * 2
    assert len(transport.sent) == sent


def test_calls_that_ask_the_cache_for_other_things_do_not_share(threads: Any) -> None:
    """A refresh is not answered by a call that may be answered from the store."""
    gate = Gate(body("old"))
    transport, plugin = MemoryTransport(gate.reply, said("new")), cache()
    client = sync_client(transport, plugin)
    leader = threads(client.chat.completions.create, messages=MESSAGES)
    assert gate.reached.wait(PATIENCE)
    with cache_control(mode="refresh"):
        assert client.chat.completions.create(messages=MESSAGES).text == "new"
    gate.open.set()
    leader.result(PATIENCE)


def test_an_answer_whose_time_is_over_at_once_is_not_shared(threads: Any, caplog: Any) -> None:
    """Who waited for it asks for itself."""
    gate = Gate(body("Hello"))
    clock = Clock()
    transport, plugin = MemoryTransport(gate.reply, said("own")), cache(DictStore(), clock, ttl=5.0)
    client = sync_client(transport, plugin)
    put = plugin.store.put

    def slow(*args: Any) -> None:
        clock.now += 10
        put(*args)

    plugin.store.put = slow
    calls = [threads(client.chat.completions.create, messages=MESSAGES) for _ in range(2)]
    waiting(plugin, 1)
    (flight,) = plugin._flights._flights.values()
    wake, flight._waiting = flight._waiting, []
    gate.open.set()
    for _ in range(2000):
        if flight.left:
            break
        threading.Event().wait(0.005)
    for late in wake:
        late()
    assert [call.result(PATIENCE).cached for call in calls] == [False, False]
    assert caplog.text == ""
