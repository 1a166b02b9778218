"""Streams that are left in every way there is: each time the connection is closed, its slot is free, and it is said."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import sys
import threading
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.resources.state import busy, descriptors, free_slots
from tests.servers import HANG, ScriptedServer, chunk, sse_head
from tests.transport.driving import ASK, Driver, arguments
from tests.wires import WIRES

from qonduit import APIConnectionError, AsyncClient, Client, ConfigurationError, ProtocolError

pytestmark = pytest.mark.usefixtures("http_library")

WIRE = WIRES["qwen"]
ANSWER = WIRE.plain_reply("hello")
HANGING = [sse_head(), chunk(WIRE.piece("a")), HANG]
"""A stream that stops after its first event; its connection stays open until the client closes it."""
UNCLOSED = "neither read to its end nor closed"


@pytest.fixture(autouse=True)
def one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection, so that the next call fails if the one before has kept it."""
    monkeypatch.setenv("QONDUIT_MAX_CONNECTIONS", "1")


def check_free(driver: Driver, server: ScriptedServer) -> None:
    """The connection of the stream is closed, its slot is free, and the next call is answered."""
    assert server.wait_open(0)
    assert (free_slots(driver.client), busy(driver.client)) == ([1], 0)
    assert driver.ask().text == "hello"


@contextlib.contextmanager
def lost(count: int = 1) -> Iterator[list[str]]:
    """Within, so many streams are lost, each with its one warning; the texts, once it has ended."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield texts
        gc.collect()
    texts += [str(warning.message) for warning in caught]
    assert [UNCLOSED in text for text in texts] == [True] * count


async def ticks() -> None:
    """Let the loop do what waits to be done."""
    for _ in range(5):
        await asyncio.sleep(0)


class ConsumerError(Exception):
    """What the reader of a stream raises."""


def broken_off(driver: Driver) -> None:
    for _ in driver.client.chat.completions.create(messages=ASK, stream=True):
        break


def raised(driver: Driver) -> None:
    def consume() -> None:
        with driver.client.chat.completions.create(messages=ASK, stream=True) as stream:
            for _ in stream:
                raise ConsumerError

    with pytest.raises(ConsumerError):
        consume()


def closed_twice(driver: Driver) -> None:
    stream = driver.client.chat.completions.create(messages=ASK, stream=True)
    next(stream)
    stream.close()
    response = stream.response
    stream.close()
    assert stream.response is response
    assert list(stream) == []
    assert next(stream, None) is None


def iterator_closed(driver: Driver) -> None:
    stream = driver.client.chat.completions.create(messages=ASK, stream=True)
    chunks = iter(stream)
    next(chunks)
    chunks.close()
    stream.close()


def in_a_generator(driver: Driver) -> None:
    def texts() -> Iterator[str]:
        with driver.client.chat.completions.create(messages=ASK, stream=True) as stream:
            for found in stream:
                yield found.choices[0].delta.content

    generator = texts()
    assert next(generator) == "a"
    generator.close()


async def abroken_off(driver: Driver) -> None:
    async for _ in await driver.client.chat.completions.create(messages=ASK, stream=True):
        break


async def araised(driver: Driver) -> None:
    async def consume() -> None:
        async with await driver.client.chat.completions.create(messages=ASK, stream=True) as stream:
            async for _ in stream:
                raise ConsumerError

    with pytest.raises(ConsumerError):
        await consume()


async def aclosed_twice(driver: Driver) -> None:
    stream = await driver.client.chat.completions.create(messages=ASK, stream=True)
    await anext(stream)
    await stream.aclose()
    response = stream.response
    await stream.close()
    assert stream.response is response
    assert [found async for found in stream] == []


async def aiterator_closed(driver: Driver) -> None:
    stream = await driver.client.chat.completions.create(messages=ASK, stream=True)
    chunks = aiter(stream)
    await anext(chunks)
    await chunks.aclose()  # of an AsyncStream the iterator is the stream itself


async def ain_a_generator(driver: Driver) -> None:
    async def texts():
        async with await driver.client.chat.completions.create(messages=ASK, stream=True) as stream:
            async for found in stream:
                yield found.choices[0].delta.content

    generator = texts()
    assert await anext(generator) == "a"
    await generator.aclose()


async def atimed_out(driver: Driver) -> None:
    async def consume() -> None:
        async with await driver.client.chat.completions.create(messages=ASK, stream=True) as stream:
            async for _ in stream:
                pass

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(consume(), 0.05)


WAYS: dict[str, tuple[bool, Callable[[Driver], Any]]] = {
    "break": (False, broken_off),
    "an exception": (False, raised),
    "closed twice": (False, closed_twice),
    "the iterator closed": (False, iterator_closed),
    "a generator closed": (False, in_a_generator),
    "async, break": (True, abroken_off),
    "async, an exception": (True, araised),
    "async, closed twice": (True, aclosed_twice),
    "async, the iterator closed": (True, aiterator_closed),
    "async, a generator closed": (True, ain_a_generator),
    "async, a timeout": (True, atimed_out),
}


@pytest.mark.F48
@pytest.mark.parametrize(("asynchronous", "way"), WAYS.values(), ids=list(WAYS))
def test_however_a_stream_is_left_its_connection_is_closed(serve: Any, asynchronous: bool, way: Any) -> None:
    """After each way of leaving a stream the one connection is closed and the next call is answered."""
    server = serve([HANGING, ANSWER])
    with Driver(asynchronous, arguments(server)) as driver:
        with lost(way in {broken_off, abroken_off}):
            result = way(driver)
            if asynchronous:
                driver.run(result)
        if asynchronous:
            driver.run(ticks())
        check_free(driver, server)


@pytest.mark.F48
def test_a_lost_stream_frees_its_connection_for_a_call_that_waits_already(serve: Any, asynchronous: bool) -> None:
    """A call that waits for the only connection gets it when the stream that has it is lost, not at its time limit."""
    server = serve([HANGING, ANSWER])
    with Driver(asynchronous, arguments(server)) as driver:
        create = driver.client.chat.completions.create
        texts: list[str] = []
        if asynchronous:

            async def main() -> None:
                streams = [await create(messages=ASK, stream=True)]
                task = asyncio.create_task(create(messages=ASK))
                await asyncio.sleep(0.02)
                streams.clear()
                texts.append((await task).text)

            with lost():
                driver.run(main())
        else:
            streams = [create(messages=ASK, stream=True)]
            thread = threading.Thread(target=lambda: texts.append(create(messages=ASK).text))
            thread.start()
            thread.join(0.02)
            assert thread.is_alive()
            with lost():
                streams.clear()
            thread.join(5)
        assert texts == ["hello"]


def lose(create: Callable[..., Any]) -> int:
    """Make a stream through a function of the caller's own, and lose it; the line that made it."""
    create(messages=ASK, stream=True)
    return inspect.currentframe().f_lineno - 1


@pytest.mark.F48
def test_the_warning_names_the_callers_line(serve: Any) -> None:
    """The place is where the caller called `create`, and it keeps neither a frame nor its locals alive."""
    server = serve([HANGING, HANGING])
    with Client(**arguments(server)) as client:
        with lost() as texts:
            line = lose(client.chat.completions.create)
        assert f"it was made at {__file__}:{line}." in texts[0]

        class Local:
            pass

        def make() -> tuple[Any, weakref.ref[Local]]:
            local = Local()
            return client.chat.completions.create(messages=ASK, stream=True), weakref.ref(local)

        stream, reference = make()
        assert reference() is None
        stream.close()


@pytest.mark.F48
async def test_the_warning_of_an_async_stream(serve: Any) -> None:
    """An await names the caller's line, through asyncio's own; a stream that a task of its own made names that task."""
    server = serve([HANGING] * 3)
    async with AsyncClient(**arguments(server)) as client:
        with lost() as texts:
            await client.chat.completions.create(messages=ASK, stream=True)
            line = inspect.currentframe().f_lineno - 1
        assert f"it was made at {__file__}:{line}." in texts[0]
        with lost() as texts:
            await asyncio.create_task(client.chat.completions.create(messages=ASK, stream=True), name="mine")
            await ticks()  # the loop lets go of the task
        assert "it was made at the start of mine." in texts[0]
        with lost() as texts:
            await asyncio.wait_for(client.chat.completions.create(messages=ASK, stream=True), None)
            line = inspect.currentframe().f_lineno - 1
        assert f"it was made at {__file__}:{line}." in texts[0]


@pytest.mark.F48
def test_a_client_that_is_collected_with_its_stream(serve: Any, asynchronous: bool) -> None:
    """A client and a stream that are both lost close the connection; only the stream warns."""
    server = serve([HANGING])

    def lose_both() -> None:
        if asynchronous:

            async def main() -> None:
                client = AsyncClient(**arguments(server))
                await client.chat.completions.create(messages=ASK, stream=True)

            asyncio.run(main())
        else:
            Client(**arguments(server)).chat.completions.create(messages=ASK, stream=True)

    with lost():
        lose_both()
    assert server.wait_open(0)


@pytest.mark.F48
@pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc")
def test_a_client_that_is_closed_with_a_stream_open(serve: Any, asynchronous: bool) -> None:
    """Closing the client ends the stream with a typed error; closing that and everything twice leaves nothing open."""
    server = serve([HANGING])
    before = descriptors()
    with Driver(asynchronous, arguments(server)) as driver:
        stream = driver.stream()
        stream.next()
        driver.close()
        assert server.wait_open(0)
        with pytest.raises(APIConnectionError):
            stream.next()
        stream.close()
        stream.close()
        driver.close()
        assert stream.next() is None
        for ask in (driver.ask, driver.stream):
            with pytest.raises(ConfigurationError, match="This client is closed"):
                ask()
        assert busy(driver.client) == 0
    del driver, stream, ask
    assert descriptors() <= before


@pytest.mark.F48
def test_an_error_of_a_stream_keeps_no_connection(serve: Any, asynchronous: bool) -> None:
    """A caller who keeps the error of a broken stream, traceback and all, keeps no connection by it."""
    server = serve([[sse_head(), chunk(WIRE.piece("a") + b"data: nonsense\n\n"), HANG], ANSWER])
    with Driver(asynchronous, arguments(server)) as driver:
        with pytest.raises(ProtocolError) as caught:
            driver.stream().text()
        assert traceback.format_exception(caught.value)
        check_free(driver, server)


@pytest.mark.F51
def test_both_names_of_closing(serve: Any) -> None:
    """Async clients and streams close by `aclose`, by `close`, and by `contextlib.aclosing`; sync ones by `closing`."""
    server = serve([HANGING, HANGING, HANGING])

    async def main() -> None:
        for name in ("close", "aclose"):
            client = AsyncClient(**arguments(server))
            stream = await client.chat.completions.create(messages=ASK, stream=True)
            await getattr(stream, name)()
            await getattr(client, name)()
            assert await asyncio.to_thread(server.wait_open, 0)
        async with contextlib.aclosing(AsyncClient(**arguments(server))) as client:
            create = client.chat.completions.create
            async with contextlib.aclosing(await create(messages=ASK, stream=True)) as stream:
                await anext(stream)

    asyncio.run(main())
    assert server.wait_open(0)
    plain = serve([HANGING])
    with (
        contextlib.closing(Client(**arguments(plain))) as client,
        contextlib.closing(client.chat.completions.create(messages=ASK, stream=True)) as stream,
    ):
        next(stream)
    assert plain.wait_open(0)


@pytest.mark.F51
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_stream_in_a_wrapper(serve: Any, kind: str) -> None:
    """A wrapper that knows iteration only, as tracers put around streams, and is dropped, closes the connection."""

    class Wrapper:
        """Iterates, and has no `close`."""

        def __init__(self, wrapped: Any) -> None:
            self._wrapped = wrapped

        def __iter__(self) -> Any:
            yield from self._wrapped

        async def __aiter__(self) -> Any:
            async for found in self._wrapped:
                yield found

    server = serve([HANGING, ANSWER])
    with Driver(kind == "async", arguments(server)) as driver:
        create = driver.client.chat.completions.create

        async def read() -> None:
            async for _ in Wrapper(await create(messages=ASK, stream=True)):
                break

        with lost():
            if kind == "async":
                driver.run(read())
                driver.run(ticks())  # the loop closes the wrapper's generator
            else:
                for _ in Wrapper(create(messages=ASK, stream=True)):
                    break
        if kind == "async":
            driver.run(ticks())
        check_free(driver, server)
