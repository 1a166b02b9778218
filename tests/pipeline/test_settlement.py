"""Every layer that was entered is left exactly once, in reverse order, however a call ends."""

from __future__ import annotations

import asyncio
import gc
import inspect
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.layers import recorder
from tests.pipeline.memory import END, STREAM_HEADERS, MemoryTransport, Reply, Waiting, event, refused, said
from tests.pipeline.modes import MESSAGES, Mode
from tests.servers import HANG, chunk, sse_head
from tests.wires import WIRES

from qonduit import (
    APIConnectionError,
    APITimeoutError,
    BudgetExceededError,
    Client,
    ProtocolError,
    QuotaExhaustedError,
    StreamInterruptedError,
    effects,
    middleware,
)

HEL, LO = event({"content": "Hel"}), event({"content": "lo"})


def layers(log: list[str]) -> tuple[object, ...]:
    return (
        recorder("a", log),
        recorder("b", log, stream="transform", on_chunk=lambda call, chunk: chunk),
        recorder("c", log, scope="attempt"),
    )


def left(how: str) -> list[str]:
    """The log of three layers that all ended in one way."""
    return ["a in", "b in", "c in", f"c {how}", f"b {how}", f"a {how}"]


async def test_an_answer_settles_every_layer(mode: Mode) -> None:
    """After an answer each layer has resumed once, innermost first."""
    log: list[str] = []
    await mode.ask(mode.client(MemoryTransport(said("Hel", "lo")), *layers(log)))
    assert log == left("out")


async def test_an_error_settles_every_layer(mode: Mode) -> None:
    """After an error each layer has resumed once, innermost first."""
    log: list[str] = []
    with pytest.raises(QuotaExhaustedError):
        await mode.ask(mode.client(MemoryTransport(refused(400, "Arrearage")), *layers(log)))
    assert log == left("QuotaExhaustedError")


async def _close(mode: Mode, stream: Any) -> None:
    await mode.next(stream)
    await mode.leave(stream)


async def _with(mode: Mode, stream: Any) -> None:
    if mode.asynchronous:
        async with stream:
            await anext(stream)
    else:
        with stream:
            next(stream)


async def _break(mode: Mode, stream: Any) -> None:
    if mode.asynchronous:
        async for _ in stream:
            break
    else:
        for _ in stream:
            break
    await mode.leave(stream)


async def _fail_inside(mode: Mode, stream: Any) -> None:
    if mode.asynchronous:
        async with stream:
            raise LookupError
    else:
        with stream:
            raise LookupError


async def _error_inside(mode: Mode, stream: Any) -> None:
    with pytest.raises(LookupError):
        await _fail_inside(mode, stream)


async def _unread(mode: Mode, stream: Any) -> None:
    await mode.leave(stream)


@pytest.mark.parametrize("leave", [_close, _with, _break, _error_inside, _unread])
async def test_a_stream_left_early_settles_every_layer(streaming: Mode, leave: Any) -> None:
    """A stream left after one chunk resumes each layer once with complete=False, and closes its connection."""
    log: list[str] = []
    transport = MemoryTransport(said("Hel", "lo"))
    stream = await streaming.start(streaming.client(transport, *layers(log)))
    assert log == ["a in", "b in", "c in"]
    assert stream.response is None
    await leave(streaming, stream)
    assert log == left("incomplete")
    assert (stream.response.text, stream.response.complete) == ("Hel", False)
    assert transport.streams[0].ended == "closed"
    await streaming.leave(stream)
    assert log == left("incomplete")
    with pytest.raises(StopAsyncIteration):
        await streaming.next(stream)


async def test_a_stream_left_after_its_last_chunk_is_complete(streaming: Mode) -> None:
    """A stream whose end mark came with the last chunk that was read is whole, though nobody asked for more."""
    log: list[str] = []
    whole = Reply(200, STREAM_HEADERS).with_parts(b"".join((HEL, *END)))
    transport = MemoryTransport(whole)
    stream = await streaming.start(streaming.client(transport, *layers(log)))
    for _ in range(2):
        await streaming.next(stream)
    await streaming.leave(stream)
    assert log == left("out")
    assert (stream.response.text, stream.response.complete) == ("Hel", True)
    assert transport.streams[0].ended == "finished"


async def test_a_batch_left_in_the_middle_is_incomplete(streaming: Mode) -> None:
    """A stream that had ended on the wire, but not for the caller, is incomplete."""
    log: list[str] = []
    whole = Reply(200, STREAM_HEADERS).with_parts(b"".join((HEL, LO, *END)))
    stream = await streaming.start(streaming.client(MemoryTransport(whole), *layers(log)))
    await streaming.next(stream)
    await streaming.leave(stream)
    assert log == left("incomplete")


async def test_a_replay_left_early_is_incomplete(streaming: Mode) -> None:
    """The replay of a cache hit that is left early is incomplete for the layers around it."""
    log: list[str] = []
    client = streaming.client(MemoryTransport(said("a text of some length, longer than a piece")))
    kept = (await Mode(streaming.asynchronous, False).ask(client)).response

    @middleware("hit")
    def hit(call):
        return kept
        yield

    stream = await streaming.start(streaming.client(MemoryTransport(said("no")), recorder("a", log), hit))
    await _close(streaming, stream)
    assert log == ["a in", "a incomplete"]
    assert kept.complete


async def to_the_end(mode: Mode, stream: Any) -> None:
    while True:
        await mode.next(stream)


@pytest.mark.parametrize(
    ("parts", "error", "text"),
    [
        ((HEL, APIConnectionError("gone", outcome="unknown")), StreamInterruptedError, "Hel"),
        ((HEL, APITimeoutError("slow", outcome="unknown")), StreamInterruptedError, "Hel"),
        ((HEL, LO), StreamInterruptedError, "Hello"),
        ((HEL, b"data: {]\n\n"), ProtocolError, "Hel"),
        ((HEL, b'data: {"error":{"code":"Arrearage","message":"no"}}\n\n'), QuotaExhaustedError, "Hel"),
    ],
    ids=["connection", "stall", "no end mark", "nonsense", "error event"],
)
async def test_a_broken_stream_carries_what_had_arrived(
    streaming: Mode, parts: tuple[Any, ...], error: type[Exception], text: str
) -> None:
    """A stream that breaks raises its error at each yield, then to the caller, with the partial response on it."""
    log: list[str] = []
    transport = MemoryTransport(Reply(200, STREAM_HEADERS).with_parts(*parts))
    stream = await streaming.start(streaming.client(transport, *layers(log)))
    with pytest.raises(error) as caught:
        await to_the_end(streaming, stream)
    assert log == left(error.__name__)
    partial = caught.value.response
    assert (partial.text, partial.complete, partial.provider) == (text, False, "qwen")
    assert caught.value.retryable is False
    assert transport.streams[0].ended == "closed"
    assert len(transport.sent) == 1
    with pytest.raises(StopAsyncIteration):
        await streaming.next(stream)


async def test_ctrl_c_settles_a_sync_call() -> None:
    """KeyboardInterrupt in a plain sync call is raised at each yield, and goes on though a layer swallows it."""
    log: list[str] = []

    @middleware("swallow")
    def swallow(call):
        try:
            yield call.request
        except KeyboardInterrupt:
            log.append("swallowed")

    transport = MemoryTransport(said("Hi").with_parts(KeyboardInterrupt()))
    client = Mode(False, False).client(transport, recorder("a", log), swallow, recorder("c", log))
    with pytest.raises(KeyboardInterrupt):
        client.chat.completions.create(messages=MESSAGES)
    assert log == ["a in", "c in", "c KeyboardInterrupt", "swallowed", "a KeyboardInterrupt"]


def test_ctrl_c_settles_a_sync_stream() -> None:
    """KeyboardInterrupt after the first chunk resumes each layer with complete=False, and goes on."""
    log: list[str] = []
    transport = MemoryTransport(Reply(200, STREAM_HEADERS).with_parts(HEL, KeyboardInterrupt()))
    client = Mode(False, True).client(transport, *layers(log))
    stream = client.chat.completions.create(messages=MESSAGES, stream=True)
    next(stream)
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    assert log == left("incomplete")
    assert transport.streams[0].ended == "closed"


async def cancelled(task: asyncio.Task[Any], waiting: Waiting) -> None:
    """Cancel `task` once it waits for `waiting`."""
    await waiting.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_call_cancelled_before_its_answer(streamed: bool) -> None:
    """A call cancelled before its answer, or its first chunk, has CancelledError raised at every yield."""
    log: list[str] = []
    waiting = Waiting()
    transport = MemoryTransport(said("Hi").with_parts(waiting))
    mode = Mode(True, streamed)
    task = asyncio.create_task(mode.start(mode.client(transport, *layers(log))))
    await cancelled(task, waiting)
    assert log == left("CancelledError")
    assert [stream.ended for stream in transport.streams] == ["closed"] * streamed


async def read(stream: Any) -> None:
    async for _ in stream:
        pass


async def test_a_stream_cancelled_after_its_first_chunk() -> None:
    """A stream whose reader is cancelled resumes each layer once with complete=False, and closes its connection."""
    log: list[str] = []
    waiting = Waiting()
    transport = MemoryTransport(Reply(200, STREAM_HEADERS).with_parts(HEL, waiting))
    mode = Mode(True, True)
    stream = await mode.start(mode.client(transport, *layers(log)))
    await cancelled(asyncio.create_task(read(stream)), waiting)
    assert log == left("incomplete")
    assert transport.streams[0].ended == "closed"
    await stream.aclose()
    assert log == left("incomplete")
    assert (stream.response.complete, stream.response.text) == (False, "Hel"), "the caller has what had arrived"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_cancellation_goes_on_whatever_a_layer_does(streamed: bool) -> None:
    """A layer that swallows a cancellation, answers it or fails on it does not stop it."""
    seen: list[str] = []
    waiting = Waiting()

    @middleware("swallow")
    def swallow(call):
        try:
            response = yield call.request
        except asyncio.CancelledError:
            seen.append("swallowed")
            return None
        seen.append(f"complete={response.complete}")
        return response.replace(warnings=("kept",))

    parts = (HEL, waiting) if streamed else (waiting,)
    mode = Mode(True, streamed)
    client = mode.client(MemoryTransport(Reply(200, STREAM_HEADERS).with_parts(*parts)), swallow)
    await cancelled(asyncio.create_task(mode.ask(client)), waiting)
    assert seen == ["complete=False" if streamed else "swallowed"]


async def test_a_layer_that_fails_on_a_cancellation(caplog: pytest.LogCaptureFixture) -> None:
    """A policy that fails while a cancellation passes is logged; the cancellation goes on."""
    log: list[str] = []
    waiting = Waiting()

    @middleware("clumsy")
    def clumsy(call):
        try:
            yield call.request
        finally:
            raise LookupError("while leaving")

    transport = MemoryTransport(said("Hi").with_parts(waiting))
    mode = Mode(True, False)
    client = mode.client(transport, recorder("a", log), clumsy)
    await cancelled(asyncio.create_task(mode.start(client)), waiting)
    assert len(log) == 2
    assert "while a call that was left was settled" in caplog.text


@pytest.mark.parametrize("streamed", [False, True])
async def test_settlement_does_io_shielded(streamed: bool) -> None:
    """A layer's I/O after a cancellation is done, though the task is cancelled again meanwhile."""
    waiting, writing, written = Waiting(), asyncio.Event(), asyncio.Event()
    done: list[str] = []

    async def write() -> None:
        writing.set()
        await written.wait()
        done.append("written")

    @middleware("ledger")
    def ledger(call):
        try:
            yield call.request
        finally:
            yield from call.io(done.clear, write)

    parts = (HEL, waiting) if streamed else (waiting,)
    mode = Mode(True, streamed)
    client = mode.client(MemoryTransport(Reply(200, STREAM_HEADERS).with_parts(*parts)), ledger)
    task = asyncio.create_task(mode.ask(client))
    await waiting.reached.wait()
    task.cancel()
    await writing.wait()
    task.cancel()
    written.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["written"]


async def test_settlement_has_a_deadline(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Settlement that takes longer than its own deadline is cancelled and said."""
    monkeypatch.setattr(effects, "SETTLE_SECONDS", 0.001)
    waiting, given_up = Waiting(), asyncio.Event()

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    @middleware("slow")
    def slow(call):
        try:
            yield call.request
        finally:
            yield from call.io(dict, never)

    mode = Mode(True, False)
    client = mode.client(MemoryTransport(said("Hi").with_parts(waiting)), slow)
    await cancelled(asyncio.create_task(mode.start(client)), waiting)
    assert "gave up settling" in caplog.text
    await asyncio.wait_for(given_up.wait(), 5)


async def test_leaving_a_stream_that_is_cancelled_meanwhile() -> None:
    """`aclose` settles to the end though its task is cancelled, and then lets the cancellation go on."""
    writing, written = asyncio.Event(), asyncio.Event()
    done: list[str] = []

    async def write() -> None:
        writing.set()
        await written.wait()
        done.append("written")

    @middleware("ledger")
    def ledger(call):
        yield call.request
        yield from call.io(dict, write)

    mode = Mode(True, True)
    stream = await mode.start(mode.client(MemoryTransport(said("Hel", "lo")), ledger))
    task = asyncio.create_task(stream.aclose())
    await writing.wait()
    task.cancel()
    written.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["written"]


def lost_stream(client: Client) -> tuple[warnings.WarningMessage, int]:
    """Make a stream and lose it; the warning, and the line where it was made."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        stream = client.chat.completions.create(messages=MESSAGES, stream=True)
        line = inspect.currentframe().f_lineno - 1
        next(stream)
        del stream
        gc.collect()
    return caught, line


def check_place(caught: list[warnings.WarningMessage], line: int) -> None:
    (warning,) = caught
    assert issubclass(warning.category, ResourceWarning)
    assert f"it was made at {__file__}:{line}" in str(warning.message)


@pytest.mark.F48
@pytest.mark.parametrize("by", ["call", "close"])
def test_a_lost_sync_stream_is_settled_by_its_client(by: str) -> None:
    """A stream that is only collected warns with the place it was made; its client settles it at the next occasion."""
    log: list[str] = []
    transport = MemoryTransport(said("Hel", "lo"))
    client = Mode(False, True).client(transport, *layers(log))
    check_place(*lost_stream(client))
    assert log == ["a in", "b in", "c in"]
    assert transport.streams[0].ended is None
    if by == "call":
        client.chat.completions.create(messages=MESSAGES)
    else:
        client.close()
    assert log[:6] == left("incomplete")
    assert len(log) == (12 if by == "call" else 6)
    assert transport.streams[0].ended == "closed"


@pytest.mark.F48
@pytest.mark.parametrize("by", ["call", "close"])
async def test_a_lost_async_stream_is_settled_by_its_client(by: str) -> None:
    """The same, async: settled with the async forms in the loop of the next call, or by `aclose`."""
    log: list[str] = []
    done: list[str] = []

    async def write() -> None:
        done.append("async")

    @middleware("ledger")
    def ledger(call):
        yield call.request
        yield from call.io(lambda: done.append("sync"), write)

    transport = MemoryTransport(said("Hel", "lo"))
    client = Mode(True, True).client(transport, ledger, *layers(log))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        stream = await client.chat.completions.create(messages=MESSAGES, stream=True)
        line = inspect.currentframe().f_lineno - 1
        await anext(stream)
        del stream
        gc.collect()
    check_place(caught, line)
    assert (log, done) == (["a in", "b in", "c in"], [])
    if by == "call":
        await client.chat.completions.create(messages=MESSAGES)
    else:
        await client.aclose()
    assert log[:6] == left("incomplete")
    assert done == ["async"] * (2 if by == "call" else 1)
    assert transport.streams[0].ended == "closed"


@middleware("policy")
def policy(call):
    response = yield call.request
    if not response.complete:
        raise BudgetExceededError("It was left.")


async def test_a_lost_stream_that_settles_with_an_error_fails_no_other_call(
    streaming: Mode, caplog: pytest.LogCaptureFixture
) -> None:
    """What a layer raises while a lost stream is settled is logged; the next call and `close` do their own work."""
    transport = MemoryTransport(said("Hel", "lo"))
    client = streaming.client(transport, policy)
    for finish in (streaming.ask, streaming.leave):
        streams = [await streaming.start(client)]
        with pytest.warns(ResourceWarning, match="neither read to its end nor closed"):
            streams.clear()
        await finish(client)
    assert caplog.text.count("A layer failed while a call that was left was settled") == 2
    assert transport.closed == 1


async def test_a_stream_has_one_reader_at_a_time() -> None:
    """A second task that reads a stream is refused, and takes nothing from the first."""
    waiting = Waiting()
    transport = MemoryTransport(Reply(200, STREAM_HEADERS, (), (HEL, waiting)))
    client = Mode(True, True).client(transport)
    async with await client.chat.completions.create(messages=MESSAGES, stream=True) as stream:
        await anext(stream)
        first = asyncio.create_task(anext(stream))
        await waiting.reached.wait()
        with pytest.raises(RuntimeError, match="one task or thread may read it at a time"):
            await anext(stream)
        assert not first.done()
        first.cancel()
        await asyncio.wait({first})
    assert first.cancelled()


async def test_closing_a_stream_ends_its_iteration_in_another_task(serve: Any) -> None:
    """A task that waits for a chunk of a stream that another task closes is at the end; each layer settles once."""
    log: list[str] = []
    wire = WIRES["qwen"]
    server = serve([[sse_head(), chunk(wire.piece("Hel")), HANG]])
    client = Mode(True, True).client(None, *layers(log), base_url=server.url + wire.prefix)
    stream = await client.chat.completions.create(messages=MESSAGES, stream=True)
    await anext(stream)
    reader = asyncio.create_task(anext(stream, None))
    await asyncio.sleep(0)  # it waits now
    await stream.aclose()
    assert await reader is None
    assert (stream.response.text, stream.response.complete) == ("Hel", False)
    assert log == left("incomplete")
    await client.aclose()


def test_closing_a_sync_stream_ends_its_iteration_in_another_thread() -> None:
    """The same between threads."""
    log: list[str] = []
    stream: Any = None

    def close_meanwhile() -> bytes:
        stream.close()
        raise APIConnectionError("The connection broke.")

    transport = MemoryTransport(Reply(200, STREAM_HEADERS, (), (HEL, close_meanwhile)))
    stream = Mode(False, True).client(transport, *layers(log)).chat.completions.create(messages=MESSAGES, stream=True)
    assert [found.choices[0].delta.content for found in stream] == ["Hel"]
    assert (stream.response.text, stream.response.complete) == ("Hel", False)
    assert log == left("incomplete")


@pytest.mark.F48
@pytest.mark.F49
def test_a_lost_async_stream_of_a_closed_loop() -> None:
    """A stream whose loop is gone is settled by the client's next call, in a loop of its own."""
    log: list[str] = []
    transport = MemoryTransport(said("Hel", "lo"))
    client = Mode(True, True).client(transport, *layers(log))

    async def start() -> None:
        stream = await client.chat.completions.create(messages=MESSAGES, stream=True)
        await anext(stream)

    with pytest.warns(ResourceWarning, match="neither read to its end nor closed"):
        asyncio.run(start())  # the stream is lost when its coroutine returns
    asyncio.run(client.aclose())
    assert log == left("incomplete")


@pytest.mark.F48
def test_a_lost_stream_is_settled_at_exit() -> None:
    """What no client has settled is settled when the process ends, with the sync forms."""
    program = textwrap.dedent(
        """
        import asyncio, warnings
        from qonduit import AsyncClient, middleware
        from tests.pipeline.memory import MemoryTransport, said

        warnings.simplefilter("ignore")

        @middleware("ledger")
        def ledger(call):
            response = yield call.request
            yield from call.io(lambda: print("sync", response.complete, flush=True), None)

        plugins = [ledger, MemoryTransport(said("a", "b"))]
        client = AsyncClient(provider="qwen", model="m", api_key="sk-test", plugins=plugins)

        async def lose():
            stream = await client.chat.completions.create(messages=[{"role": "user", "content": "x"}], stream=True)
            await anext(stream)

        asyncio.run(lose())
        print("end", flush=True)
        """
    )
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=30, check=False
    )
    assert (ran.stdout.split("\n"), ran.stderr) == (["end", "sync False", ""], "")


def test_a_lost_stream_that_had_ended_is_no_orphan() -> None:
    """A stream that was read to its end, or failed, may be lost without a warning."""
    client = Mode(False, True).client(MemoryTransport(said("Hi")))
    for _ in client.chat.completions.create(messages=MESSAGES, stream=True):
        pass
    gc.collect()
    assert not client._orphans
