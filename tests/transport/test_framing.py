"""What has arrived is given at once, however the server frames it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable

import pytest
from tests.servers import CLOSE, HANG, LAST_CHUNK, Step, chunk, sse_head
from tests.wires import WIRES

from qonduit import StreamInterruptedError

pytestmark = pytest.mark.usefixtures("http_library")

WIRE = WIRES["qwen"]
EVENTS = WIRE.events([f"<{number}>" for number in range(6)])
WORDS = "".join(f"<{number}>" for number in range(6))


def padded(data: bytes) -> bytes:
    """A chunk whose size is padded by zeros, as some servers write it."""
    return f"{len(data):016x}\r\n".encode() + data + b"\r\n"


def extended(data: bytes) -> bytes:
    """A chunk with an extension."""
    return f"{len(data):x};signature=0123456789abcdef0123456789abcdef\r\n".encode() + data + b"\r\n"


def upper(data: bytes) -> bytes:
    """A chunk whose size is in capitals."""
    return f"{len(data):X}\r\n".encode() + data + b"\r\n"


def bytewise(data: bytes) -> bytes:
    """Chunks of one byte."""
    return b"".join(chunk(data[place : place + 1]) for place in range(len(data)))


def in_threes(data: bytes) -> bytes:
    """Chunks that end anywhere within an event."""
    return b"".join(chunk(data[place : place + 3]) for place in range(0, len(data), 3))


FRAMINGS = [chunk, padded, extended, upper, bytewise, in_threes]


@pytest.mark.parametrize("together", [1, 2, 3, len(EVENTS)])
@pytest.mark.parametrize("frame", FRAMINGS, ids=lambda frame: frame.__name__)
def test_any_chunking_is_read(serve, connect, frame: Callable[[bytes], bytes], together: int) -> None:
    """A stream reads the same in chunks of any kind, however many come at once."""
    groups = [EVENTS[place : place + together] for place in range(0, len(EVENTS), together)]
    server = serve([[sse_head(), *(b"".join(map(frame, group)) for group in groups), LAST_CHUNK]])
    assert connect(server).stream().text() == WORDS


@pytest.mark.parametrize("framing", [*FRAMINGS, None], ids=lambda frame: frame.__name__ if frame else "until close")
def test_what_has_arrived_does_not_wait(serve, connect, framing: Callable[[bytes], bytes] | None) -> None:
    """Chunks that have arrived together are given without waiting for the server to say more."""
    frame = framing or bytes
    head, events = sse_head(chunked=framing is not None), EVENTS[:4]
    apart = [head, frame(events[0]), b"".join(map(frame, events[1:])), HANG]
    together = [head + b"".join(map(frame, events)), HANG]
    driver = connect(serve([apart, together]), timeout=3)
    for _ in range(2):
        started = time.monotonic()
        stream = driver.stream()
        assert [stream.next().choices[0].delta.content for _ in events] == ["", "<0>", "<1>", "<2>"]
        assert time.monotonic() - started < 2, "a chunk waited for the next one, or for the limit"
        stream.close()


@pytest.mark.parametrize("frame", FRAMINGS, ids=lambda frame: frame.__name__)
def test_a_break_does_not_take_what_came_before_it(serve, connect, frame: Callable[[bytes], bytes]) -> None:
    """Chunks that arrived in the same breath as the end of a connection are given before the error."""
    pieces: Iterable[Step] = [
        sse_head() + frame(EVENTS[0]),
        b"".join(map(frame, EVENTS[1:4])) + frame(b"data: {"),
        CLOSE,
    ]
    stream = connect(serve([pieces])).stream()
    assert [stream.next().choices[0].delta.content for _ in range(4)] == ["", "<0>", "<1>", "<2>"]
    with pytest.raises(StreamInterruptedError) as caught:
        stream.next()
    assert caught.value.response.text == "<0><1><2>"


def test_a_long_stream(serve, connect) -> None:
    """A stream of many chunks, sent as fast as they are taken, is whole."""
    events = [EVENTS[0], *(WIRE.piece(f"{number},") for number in range(3000)), *EVENTS[-3:]]
    server = serve([itertools.chain([sse_head()], map(chunk, events), [LAST_CHUNK])])
    assert connect(server).stream().text() == "".join(f"{number}," for number in range(3000))


def test_a_large_chunk(serve, connect) -> None:
    """One chunk of many events, larger than any single read, is whole."""
    events = [EVENTS[0], *(WIRE.piece("x" * 100) for _ in range(3000)), *EVENTS[-3:]]
    server = serve([[sse_head(), chunk(b"".join(events)), LAST_CHUNK]])
    assert connect(server).stream().text() == "x" * 300_000
