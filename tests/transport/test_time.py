"""Every limit on time, on real sockets: which one passed, how much it was, and what is known of the request."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpcore
import httpx
import pytest
from tests.servers import HANG, Pause, ScriptedServer, Step, chunk, head, sse_head, sse_response
from tests.transport.driving import Driver, arguments
from tests.wires import WIRES, dumps

from qonduit import (
    APIConnectionError,
    APITimeoutError,
    Call,
    StreamInterruptedError,
    middleware,
)
from qonduit._async_network import AsyncBackend
from qonduit._link import Link
from qonduit._network import SyncBackend

pytestmark = pytest.mark.usefixtures("http_library")

WIRE = WIRES["qwen"]
BODY = dumps(WIRE.answer())
LENGTH = head(200, {"content-type": "application/json", "content-length": str(len(BODY))})
ROLE, HEL, *_ = WIRE.events(["hel", "lo"])
SHORT = 0.15
GAP = 0.4
"""For streams of which something must have come before."""
PATIENCE = 3.0
"""Far more than any of these calls may take, and far less than they would take without their limits."""

streams = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


def late(driver: Driver, stream: bool, **parameters: Any) -> APIConnectionError:
    """The error of a call that is given up; it comes in time."""
    started = time.monotonic()
    with pytest.raises(APIConnectionError) as caught:
        driver.stream(**parameters).text() if stream else driver.ask(**parameters)
    assert time.monotonic() - started < PATIENCE
    return caught.value


def dripping(start: bytes, drip: bytes) -> Iterable[Step]:
    """`start`, and then `drip` over and over, with pauses shorter than any limit."""
    return itertools.chain([start], itertools.chain.from_iterable((drip, Pause(0.02)) for _ in range(300)))


@pytest.fixture
def deaf() -> Iterator[str]:
    """The URL of a server whose connections are made by its kernel, and that reads nothing."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def full() -> Iterator[str]:
    """The URL of a server whose queue of connections is full: connecting to it takes for ever."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


# Before the answer


@pytest.mark.skipif(sys.platform != "linux", reason="a full queue of connections is refused elsewhere")
@streams
@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("connect_timeout", SHORT, "in time; connect_timeout is 0.15 s. Is it the right host"),
        ("timeout", SHORT, "The limit that passed is timeout: 0.15 s"),
        ("deadline", SHORT, "The limit that passed is deadline: 0.15 s for the whole call."),
    ],
)
def test_connecting(connect, full: str, monkeypatch, stream: bool, setting: str, value: float, told: str) -> None:
    """A host that takes no connection: nothing was sent, and the setting that ended it is named with its value."""
    monkeypatch.setenv(f"QONDUIT_{setting.upper()}", str(value))
    given = {} if setting == "timeout" else {"timeout": 10}
    driver = connect(full, **{**given, **({setting: value} if setting != "connect_timeout" else {})})
    error = late(driver, stream)
    assert type(error) is APITimeoutError
    assert (error.outcome, error.retryable) == ("not_sent", True)
    assert "did not accept a connection" in str(error)
    assert told in str(error)
    assert ("The limit that passed" in str(error)) == (setting != "connect_timeout")


@streams
@pytest.mark.parametrize(
    ("limits", "told"),
    [({"timeout": SHORT}, "timeout: 0.15 s"), ({"deadline": SHORT}, "deadline: 0.15 s for the whole")],
)
def test_waiting_for_a_connection(
    serve, connect, monkeypatch, stream: bool, limits: dict[str, float], told: str
) -> None:
    """A call that gets no connection was not sent; the error names max_connections and the limit that passed."""
    monkeypatch.setenv("QONDUIT_MAX_CONNECTIONS", "1")
    server = serve(lambda _: [sse_head(), chunk(ROLE), HANG])
    driver = connect(server)
    held = driver.stream()
    error = late(driver, stream, **limits)
    assert type(error) is APITimeoutError
    assert (error.outcome, error.retryable, len(server.requests)) == ("not_sent", True, 1)
    assert "All 1 connections" in str(error)
    assert "raise max_connections" in str(error)
    assert f"The limit that passed is {told}" in str(error)
    held.close()


@streams
@pytest.mark.parametrize(
    ("limits", "told"),
    [({"timeout": SHORT}, "timeout: 0.15 s"), ({"deadline": SHORT}, "deadline: 0.15 s for the whole")],
)
def test_a_server_that_does_not_read(connect, deaf: str, stream: bool, limits: dict[str, float], told: str) -> None:
    """A request that the server does not take is a timeout of its own, with the size of what was to be sent."""
    prompt = "x" * 8_000_000
    error = late(connect(deaf), stream, messages=[{"role": "user", "content": prompt}], **limits)
    assert type(error) is APITimeoutError
    assert (error.outcome, error.retryable) == ("unknown", True)
    assert "did not take the 8000" in str(error)
    assert f"The limit that passed is {told}" in str(error)


def test_a_call_whose_time_is_up_is_not_sent(serve, connect) -> None:
    """What a layer took of the deadline is gone: the request is not sent, and cannot be billed."""
    server = serve([])

    @middleware("slow", scope="attempt")
    def slow(call: Call) -> Any:
        call.deadline = call.started
        return (yield call.request)

    for stream in (False, True):
        error = late(connect(server, plugins=[slow], deadline=5, max_retries=3), stream)
        assert type(error) is APITimeoutError
        assert (error.outcome, server.requests) == ("not_sent", [])
        assert "The request was not sent. The limit that passed is deadline" in str(error)


# The answer, by qonduit's own connections and by clients that were handed in


@pytest.fixture(params=["own", "httpx"])
def by(request: pytest.FixtureRequest, asynchronous: bool) -> Iterator[Callable[..., Driver]]:
    """Make a driver whose client sends by connections of its own, or by a client that was handed in."""
    with contextlib.ExitStack() as stack, ScriptedServer([WIRE.plain_reply("hello")]) as warm:

        def make(server: Any, **more: Any) -> Driver:
            if request.param == "own":
                return stack.enter_context(Driver(asynchronous, arguments(server, **more)))
            client: Any = (httpx.AsyncClient if asynchronous else httpx.Client)(trust_env=False)
            driver = stack.enter_context(Driver(asynchronous, arguments(server, http_client=client, **more)))
            stack.callback(lambda: driver.run(client.aclose() if asynchronous else client.close()))
            return driver

        make(warm).ask()  # the first call imports what it needs, which is not what is measured
        yield make


@streams
@pytest.mark.parametrize("limit", ["timeout", "deadline"])
def test_an_answer_that_does_not_come(serve, by, stream: bool, limit: str) -> None:
    """Nothing comes: the error says how long it was waited for, and which setting that is."""
    server = serve([[HANG]])
    error = late(by(server), stream, **{limit: SHORT})
    assert type(error) is APITimeoutError
    assert (error.outcome, error.retryable, error.attempts) == ("unknown", True, 1)
    assert "did not answer in time." in str(error)
    of = "the whole call" if limit == "deadline" else "a stream's first event" if stream else "one attempt"
    assert str(error).endswith(f"The limit that passed is {limit}: 0.15 s for {of}.")
    assert server.wait_open(0)


def test_a_stream_that_only_opens(serve, by) -> None:
    """Headers are no event: the limit on the first event goes on."""
    error = late(by(serve([[sse_head(), HANG]]), timeout=SHORT), stream=True)
    assert type(error) is APITimeoutError
    assert "The limit that passed is timeout: 0.15 s for a stream's first event." in str(error)


@pytest.mark.F20
def test_a_stream_that_stalls(serve, by) -> None:
    """A gap longer than `timeout` interrupts a stream: the gap, its limit and what had arrived are in the error."""
    server = serve([[sse_head(), chunk(ROLE), chunk(HEL), chunk(HEL), HANG]])
    error = late(by(server, timeout=GAP), stream=True)
    assert type(error) is StreamInterruptedError
    assert (error.outcome, error.retryable, error.response.text) == ("unknown", False, "helhel")
    assert "The stream stalled after it had begun" in str(error)
    assert "timeout: 0.4 s for one gap between events" in str(error)
    assert server.wait_open(0)


@pytest.mark.F21
@pytest.mark.parametrize(
    ("begun", "beat"),
    [(False, b": ping\n\n"), (True, b": ping\n\n"), (True, b":"), (False, b"id:1\n\n")],
    ids=["comments before the first event", "comments", "bytes", "empty events before the first"],
)
def test_a_stream_that_only_beats(serve, by, begun: bool, beat: bytes) -> None:
    """Comments and events without data keep no stream alive, by whatever client it comes."""
    server = serve([itertools.chain([sse_head()], [chunk(ROLE), chunk(HEL)] * begun, dripping(b"", chunk(beat)))])
    error = late(by(server, timeout=GAP), stream=True)
    assert type(error) is (StreamInterruptedError if begun else APITimeoutError)
    of = "one gap between events" if begun else "a stream's first event"
    assert f"timeout: 0.4 s for {of}" in str(error)
    assert server.wait_open(0)


@pytest.mark.F21
def test_a_flood_of_beats(serve, by) -> None:
    """Comments without any pause between them keep no stream alive either."""
    stop = threading.Event()
    beats = itertools.takewhile(lambda _: not stop.is_set(), itertools.repeat(chunk(b": ping\n\n" * 50)))
    error = late(by(serve([itertools.chain([sse_head(), chunk(ROLE)], beats)]), timeout=GAP), stream=True)
    stop.set()
    assert type(error) is StreamInterruptedError
    assert "one gap between events" in str(error)


@pytest.mark.F22
@streams
@pytest.mark.parametrize("limit", ["timeout", "deadline"])
def test_an_answer_that_drips(serve, by, stream: bool, limit: str) -> None:
    """A body that drips in does not put off the limit, whatever the reads of a handed-in client may take each."""
    server = serve([dripping(LENGTH, b" ")])
    error = late(by(server), stream, **{limit: SHORT})
    assert type(error) is APITimeoutError
    of = "the whole call" if limit == "deadline" else "a stream's first event" if stream else "one attempt"
    assert f"The limit that passed is {limit}: 0.15 s for {of}." in str(error)
    assert server.wait_open(0)


def test_a_stream_that_is_kept_open(serve, by) -> None:
    """After its end mark a stream is over, though its server goes on for ever; the client serves the next call."""
    server = serve(lambda _: [sse_head(), *map(chunk, WIRE.events(["hel", "lo"])), HANG])
    driver = by(server)
    for _ in range(2):
        started = time.monotonic()
        stream = driver.stream()
        assert stream.text() == "hello"
        assert stream.response.complete
        assert time.monotonic() - started < PATIENCE
        assert server.wait_open(0)


def test_streams_that_end_share_a_connection(serve, by) -> None:
    """What the server ends after its end mark leaves a connection that serves again."""
    server = serve(lambda _: sse_response(WIRE.events(["hel", "lo"])))
    driver = by(server)
    for _ in range(3):
        assert driver.stream().text() == "hello"
    assert server.connections == 1


def test_the_whole_call(serve, by) -> None:
    """`deadline` ends a stream though events come all the time, and says so."""
    server = serve([itertools.chain([sse_head(), chunk(ROLE)], dripping(b"", chunk(HEL)))])
    error = late(by(server, timeout=5), stream=True, deadline=GAP)
    assert type(error) is StreamInterruptedError
    assert error.response.text.startswith("hel")
    assert "The stream ran out of time after it had begun" in str(error)
    assert "deadline: 0.4 s for the whole call" in str(error)
    assert server.wait_open(0)


def test_a_stream_that_stalls_under_a_deadline(serve, by) -> None:
    """The shorter of the two limits is the one that is named."""
    server = serve([[sse_head(), chunk(ROLE), HANG]])
    assert "deadline: 0.4 s" in str(late(by(server, deadline=GAP), stream=True, timeout=5))


def test_no_time_is_left_to_connect(asynchronous: bool) -> None:
    """A wait for a connection that used up the limit is a timeout, not a host that cannot be reached."""
    link = Link(httpcore)
    link.deadline = time.monotonic() - 1
    backend = (AsyncBackend if asynchronous else SyncBackend)(link)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(httpcore.ConnectTimeout):
            asyncio.run(backend.connect_tcp("127.0.0.1", port))  # type: ignore[arg-type]  # the sync one raises before
