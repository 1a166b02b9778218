"""What networks and servers do wrong: each is an error of qonduit's that says what is known."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
import traceback

import httpcore
import pytest
from tests.servers import (
    CLOSE,
    HANG,
    LAST_CHUNK,
    RESET,
    Pause,
    chunk,
    head,
    json_response,
    response,
    sse_head,
    sse_response,
)
from tests.wires import REQUEST_ID, WIRES, dumps

from qonduit import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ContentFilterError,
    ProtocolError,
    RateLimitError,
    StreamInterruptedError,
)
from qonduit._async_network import AsyncStream
from qonduit._link import Link

pytestmark = pytest.mark.usefixtures("http_library")

WIRE = WIRES["qwen"]
ANSWER = WIRE.plain_reply("hello")
BODY = dumps(WIRE.answer())
JSON = {"content-type": "application/json"}
LENGTH = head(200, {**JSON, "content-length": str(len(BODY))})
CHUNKED = head(200, {**JSON, "transfer-encoding": "chunked"})
ROLE, HEL, LO, STOP, USAGE, DONE = WIRE.events(["hel", "lo"])
TIMEOUT = 0.25


# Broken connections

BROKEN = {
    "closed before the answer": [CLOSE],
    "reset before the answer": [RESET],
    "closed within the head": [b"HTTP/1.1 200 OK\r\ncontent-le", CLOSE],
    "reset within the head": [b"HTTP/1.1 200 OK\r\ncontent-le", RESET],
    "closed within the body": [LENGTH + BODY[:20], CLOSE],
    "reset within the body": [LENGTH + BODY[:20], RESET],
    "closed within a chunk": [CHUNKED + chunk(BODY)[:20], CLOSE],
    "closed before the last chunk": [CHUNKED + chunk(BODY), CLOSE],
}


@pytest.mark.F19
@pytest.mark.parametrize("steps", BROKEN.values(), ids=list(BROKEN))
def test_a_broken_answer(serve, connect, steps) -> None:
    """An answer that breaks off is a connection error whose outcome is unknown; the client goes on."""
    server = serve([steps, ANSWER])
    driver = connect(server)
    with pytest.raises(APIConnectionError) as caught:
        driver.ask()
    error = caught.value
    assert not isinstance(error, (APITimeoutError, StreamInterruptedError))
    assert (error.outcome, error.retryable, error.attempts) == ("unknown", True, 1)
    assert (error.provider, error.model, error.status_code) == ("qwen", "qwen-plus", None)
    assert driver.ask().text == "hello"
    assert server.connections == 2


@pytest.mark.F19
@pytest.mark.parametrize("steps", [[CLOSE], [RESET], [sse_head()[:30], CLOSE]], ids=["closed", "reset", "head"])
def test_a_stream_that_breaks_before_its_head(serve, connect, steps) -> None:
    """A stream that breaks before its head is raised by `create`."""
    with pytest.raises(APIConnectionError) as caught:
        connect(serve([steps])).stream()
    assert (caught.value.outcome, caught.value.response) == ("unknown", None)


@pytest.mark.F18
@pytest.mark.F19
@pytest.mark.parametrize("steps", [[CLOSE], [RESET], [LAST_CHUNK]], ids=["closed", "reset", "ended"])
def test_a_stream_that_breaks_before_its_first_event(serve, connect, steps) -> None:
    """A stream that breaks before its first event is raised by `create`, and may be tried again."""
    with pytest.raises(APIConnectionError) as caught:
        connect(serve([[sse_head(), *steps]])).stream()
    assert (caught.value.outcome, caught.value.retryable) == ("unknown", True)


ENDS = {
    "closed": [CLOSE],
    "reset": [RESET],
    "ended in order, without an end mark": [LAST_CHUNK],
    "closed within a chunk": [chunk(LO)[:-9], CLOSE],
    "closed within an event": [chunk(LO[:-9]), CLOSE],
    "ended within an event": [chunk(LO[:-9]), LAST_CHUNK],
}


@pytest.mark.F11
@pytest.mark.F19
@pytest.mark.parametrize("end", ENDS.values(), ids=list(ENDS))
def test_a_stream_that_breaks_off(serve, connect, end) -> None:
    """A stream that breaks after its first chunk is interrupted, carries what arrived, and is not tried again."""
    go_on = threading.Event()
    server = serve([[sse_head(x_request_id=REQUEST_ID), chunk(ROLE), chunk(HEL), go_on, *end], ANSWER])
    driver = connect(server, max_retries=3)
    stream = driver.stream()
    assert [stream.next().choices[0].delta.content, stream.next().choices[0].delta.content] == ["", "hel"]
    go_on.set()
    with pytest.raises(StreamInterruptedError) as caught:
        stream.text()
    error = caught.value
    assert (error.outcome, error.retryable, error.attempts) == ("unknown", False, 1)
    assert (error.provider, error.model) == ("qwen", "qwen-plus")
    assert error.response.text == "hel"
    assert error.response.complete is False
    assert error.response.request_id == REQUEST_ID
    assert error.response.choices[0].finish_reason is None
    assert stream.next() is None, "a failed stream is over"
    assert driver.ask().text == "hello"
    assert len(server.requests) == 2


@pytest.mark.F11
def test_a_stream_until_close_is_whole_by_its_end_mark(serve, connect) -> None:
    """A stream that is framed by the end of its connection is whole when its end mark came, and only then."""
    events = WIRE.events(["hel", "lo"])
    server = serve([sse_response(events, chunked=False), sse_response(events[:3], chunked=False)])
    driver = connect(server)
    assert driver.stream().text() == "hello"
    stream = driver.stream()
    with pytest.raises(StreamInterruptedError):
        stream.text()


# Time


def test_an_answer_that_does_not_come(serve, connect) -> None:
    """An answer that does not come within `timeout` is a timeout that names the setting."""
    server = serve([[HANG]])
    with pytest.raises(APITimeoutError, match="timeout") as caught:
        connect(server, timeout=TIMEOUT).ask()
    assert (caught.value.outcome, caught.value.retryable) == ("unknown", True)
    assert server.wait_open(0)


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\nx-drip:", LENGTH], ids=["of the head", "of the body"])
def test_an_answer_that_drips(serve, connect, first) -> None:
    """Bytes that drip in do not put off the limit of a plain attempt."""
    drip = itertools.chain.from_iterable((b" ", Pause(0.02)) for _ in range(300))
    server = serve([itertools.chain([first], drip)])
    started = time.monotonic()
    with pytest.raises(APITimeoutError):
        connect(server, timeout=TIMEOUT).ask()
    assert time.monotonic() - started < 3
    assert server.wait_open(0)


def test_the_limit_of_one_call(serve, connect) -> None:
    """`timeout` of one call overrides the client's, for that call."""
    server = serve([[HANG], ANSWER])
    driver = connect(server, timeout=10)
    with pytest.raises(APITimeoutError):
        driver.ask(timeout=0.1)
    assert driver.ask().text == "hello"


def test_a_stream_whose_first_event_does_not_come(serve, connect) -> None:
    """A stream that says nothing within `timeout` is a timeout, raised by `create`."""
    for steps in ([HANG], [sse_head(), HANG]):
        with pytest.raises(APITimeoutError) as caught:
            connect(serve([steps]), timeout=TIMEOUT).stream()
        assert caught.value.retryable


def test_a_stream_that_stalls(serve, connect) -> None:
    """A gap longer than `timeout` interrupts a stream, which carries what had arrived."""
    server = serve([[sse_head(), chunk(ROLE), chunk(HEL), HANG]])
    stream = connect(server, timeout=TIMEOUT).stream()
    with pytest.raises(StreamInterruptedError, match="stalled") as caught:
        stream.text()
    assert caught.value.response.text == "hel"
    assert server.wait_open(0)


@pytest.mark.parametrize("begun", [False, True], ids=["before the first event", "after it"])
@pytest.mark.parametrize("beat", [b": \n\n", b":", b"id:1\n\n"], ids=["comments", "bytes", "empty events"])
def test_keep_alives_do_not_put_off_the_gap(serve, connect, begun, beat) -> None:
    """Comments, and events without data, keep no stream alive: the gap is measured between data events."""
    beats = itertools.chain.from_iterable((chunk(beat), Pause(0.02)) for _ in range(300))
    server = serve([itertools.chain([sse_head()], [chunk(ROLE), chunk(HEL)] * begun, beats)])
    driver = connect(server, timeout=TIMEOUT)
    started = time.monotonic()
    with pytest.raises(StreamInterruptedError if begun else APITimeoutError) as caught:
        driver.stream().text()
    assert time.monotonic() - started < 3
    if begun:
        assert caught.value.response.text == "hel"


def test_events_put_off_the_gap(serve, connect) -> None:
    """A stream may take longer than `timeout` as long as no gap does."""
    gaps = itertools.chain.from_iterable((chunk(HEL), Pause(0.05)) for _ in range(12))
    server = serve([itertools.chain([sse_head(), chunk(ROLE)], gaps, map(chunk, (STOP, USAGE, DONE)))])
    assert connect(server, timeout=0.5).stream().text() == "hel" * 12


def test_a_deadline_spans_the_stream(serve, connect) -> None:
    """`deadline` ends a stream though every gap of it is short."""
    gaps = itertools.chain.from_iterable((chunk(HEL), Pause(0.02)) for _ in range(300))
    server = serve([itertools.chain([sse_head(), chunk(ROLE)], gaps)])
    started = time.monotonic()
    with pytest.raises(StreamInterruptedError) as caught:
        connect(server, timeout=5).stream(deadline=TIMEOUT).text()
    assert time.monotonic() - started < 3
    assert caught.value.response.text.startswith("hel")


def test_an_error_body_that_does_not_come(serve, connect) -> None:
    """The body of an error that answered a streamed request has the limit of an attempt."""
    drip = itertools.chain.from_iterable((b" ", Pause(0.02)) for _ in range(300))
    server = serve([itertools.chain([head(500, {**JSON, "content-length": "999"})], drip)])
    started = time.monotonic()
    with pytest.raises(APITimeoutError):
        connect(server, timeout=TIMEOUT).stream()
    assert time.monotonic() - started < 3


# Answers that are none


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(serve, connect, status, stream) -> None:
    """A redirect is an error with its status; neither key nor prompt goes to where it points."""
    other = serve([ANSWER])
    server = serve([response(b"", status, location=f"{other.url}/elsewhere")])
    driver = connect(server, max_retries=3)
    with pytest.raises(APIStatusError) as caught:
        driver.stream() if stream else driver.ask()
    assert (caught.value.status_code, caught.value.retryable) == (status, False)
    assert (len(server.requests), len(other.requests)) == (1, 0)


@pytest.mark.F23
@pytest.mark.F24
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "GZIP", "identity, gzip"])
def test_an_encoding_that_was_not_asked_for(serve, connect, encoding, stream) -> None:
    """A compressed answer, which nobody asked for, is refused unread."""
    server = serve([response(b"\x1f\x8b\x08\x00", content_encoding=encoding), ANSWER])
    driver = connect(server)
    with pytest.raises(ProtocolError, match="compressed") as caught:
        driver.stream() if stream else driver.ask()
    assert caught.value.status_code == 200
    assert driver.ask().text == "hello"


def test_identity_is_no_encoding(serve, connect) -> None:
    """`content-encoding: identity` says nothing."""
    server = serve([json_response(WIRE.answer(), content_encoding="identity")])
    assert connect(server).ask().text == "hello"


BODIES = {
    "HTML": response(b"<html>203.0.113.9</html>", content_type="text/html"),
    "nothing": response(b""),
    "no content": head(204),
    "JSON, but no answer": response(b'{"ok": true}'),
}


@pytest.mark.F16
@pytest.mark.F17
@pytest.mark.F18
@pytest.mark.parametrize("reply", BODIES.values(), ids=list(BODIES))
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_a_200_that_is_no_answer(serve, connect, reply, stream) -> None:
    """A 200 that holds no answer is an error, plain or streamed, and what it holds is not shown."""
    driver = connect(serve([reply]))
    with pytest.raises((ProtocolError, StreamInterruptedError)) as caught:
        driver.stream() if stream else driver.ask()
    assert "203.0.113.9" not in str(caught.value)


def test_a_plain_answer_in_place_of_a_stream(serve, connect) -> None:
    """A server that cannot stream and answers whole is read: its answer is given as chunks."""
    stream = connect(serve([ANSWER])).stream()
    assert stream.text() == "hello"
    assert stream.response.text == "hello"
    assert stream.response.usage.input_tokens == 5


@pytest.mark.F16
def test_an_error_in_place_of_a_stream(serve, connect) -> None:
    """A 200 in JSON that is an error, in answer to a streamed request, is that error."""
    server = serve([json_response(WIRE.error_body("data_inspection_failed"))])
    with pytest.raises(ContentFilterError) as caught:
        connect(server).stream()
    assert caught.value.code == "data_inspection_failed"


GARBAGE = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "HTML": b"<html></html>\r\n\r\n",
    "a bad status": b"HTTP/1.1 banana OK\r\n\r\n",
    "a bad header": b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    "a bad length": b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
    "a bad chunk": CHUNKED + b"zz\r\n",
}


@pytest.mark.parametrize("reply", GARBAGE.values(), ids=list(GARBAGE))
def test_what_is_no_http(serve, connect, reply) -> None:
    """Bytes that are no HTTP are a connection error of ours."""
    driver = connect(serve([[reply, CLOSE]]))
    with pytest.raises(APIConnectionError):
        driver.ask()


LONG = b"x" * 300_000
ENDLESS_FRAMING = {
    "a header": [b"HTTP/1.1 200 OK\r\nx: " + LONG],
    "many headers": [b"HTTP/1.1 200 OK\r\n" + b"x: yyyyyyyy\r\n" * 30_000],
    "a status line": [b"HTTP/1.1 200 " + LONG],
    "the headers of an informational answer": [b"HTTP/1.1 103 X\r\nx: " + LONG],
    "the size of a chunk": [CHUNKED + b"1;" + LONG],
    "a trailer": [CHUNKED + chunk(BODY) + b"0\r\nx: " + LONG],
}


@pytest.mark.F24
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("steps", ENDLESS_FRAMING.values(), ids=list(ENDLESS_FRAMING))
def test_endless_headers(serve, connect, steps, stream) -> None:
    """Headers, and lines between chunks, have a bound: a ProtocolError that says it, and no second attempt."""
    server = serve([[*steps, HANG], ANSWER])
    driver = connect(server, max_retries=3)
    with pytest.raises(ProtocolError, match="larger than 102400 bytes") as caught:
        driver.stream() if stream else driver.ask()
    assert (caught.value.outcome, caught.value.retryable, caught.value.attempts) == ("unknown", False, 1)
    assert "xxxx" not in str(caught.value)
    assert server.wait_open(0)
    assert driver.ask().text == "hello"


@pytest.mark.F13
@pytest.mark.F24
def test_what_follows_the_end_mark_costs_nothing(serve, connect) -> None:
    """An endless line, or a flood, after the end mark takes the answer nothing: it is left with its connection."""
    events = b"".join(WIRE.events(["hel", "lo"]))
    flood = itertools.chain([sse_head(), chunk(events)], itertools.repeat(chunk(b": more\n\n")))
    server = serve([[sse_head() + chunk(events) + b"1;" + LONG, HANG], flood])
    driver = connect(server, max_retries=0)
    for _ in range(2):
        stream = driver.stream()
        assert stream.text() == "hello"
        assert stream.response.complete
        assert server.wait_open(0)


def test_a_storm_of_informational_answers(serve, connect) -> None:
    """Informational answers without an end do not put off the limit of an attempt."""
    server = serve([itertools.repeat(b"HTTP/1.1 103 X\r\nlink: x\r\n\r\n")])
    started = time.monotonic()
    with pytest.raises(APITimeoutError):
        connect(server, timeout=TIMEOUT).ask()
    assert time.monotonic() - started < 3
    assert server.wait_open(0)


async def test_a_limit_that_has_passed_is_not_outrun() -> None:
    """Once its limit has passed, an async read takes nothing more, though bytes come at every turn of the loop."""
    link = Link(httpcore)
    stream = AsyncStream(link)
    link.deadline = time.monotonic() - 1
    asyncio.get_running_loop().call_soon(stream.data_received, b"HTTP/1.1 103 X\r\n\r\n")
    with pytest.raises(httpcore.ReadTimeout):
        await stream.read(65536)


# What a content type says


KINDS = {
    "application/x-ndjson": False,
    "application/jsonl": False,
    "application/json-seq": False,
    "application/json": True,
    "Application/JSON; charset=latin-1": True,
    "application/vnd.example+json": True,
}


@pytest.mark.F18
@pytest.mark.parametrize(("kind", "whole"), KINDS.items())
def test_what_answers_in_place_of_a_stream(serve, connect, kind, whole) -> None:
    """JSON in place of a stream is read whole; a stream of another kind is refused by its name."""
    driver = connect(serve([response(BODY, content_type=kind)]))
    if whole:
        assert driver.stream().text() == "hello"
        return
    with pytest.raises(ProtocolError, match=f"with '{kind}' in place of an event stream") as caught:
        driver.stream()
    assert not caught.value.retryable


@pytest.mark.F6
@pytest.mark.parametrize("charset", ["latin-1", "ISO-8859-1", "gbk", "utf-16", "nonsense"])
def test_a_charset_is_not_looked_at(serve, connect, charset) -> None:
    """JSON and event streams are UTF-8, whatever charset a header names."""
    kind = f"; charset={charset}"
    body = response(dumps(WIRE.answer("é你😀")), content_type=f"application/json{kind}")
    events = [sse_head().replace(b";charset=UTF-8", kind.encode()), *map(chunk, WIRE.events(["é你", "😀"])), LAST_CHUNK]
    driver = connect(serve([body, events]))
    assert driver.ask().text == "é你😀"
    assert driver.stream().text() == "é你😀"


@pytest.mark.F17
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize(("status", "retryable"), [(403, False), (502, True), (520, True), (522, True), (524, True)])
def test_the_page_of_a_proxy(serve, connect, status, retryable, stream) -> None:
    """A page in place of an error is classified by its status; nothing of it is shown, in error or chain."""
    page = b"<html><title>429 Too many requests</title>Your address is 203.0.113.9</html>"
    driver = connect(serve([response(page, status, content_type="text/html")]))
    with pytest.raises(APIStatusError) as caught:
        driver.stream() if stream else driver.ask()
    error = caught.value
    assert (error.status_code, error.retryable, error.code, error.response) == (status, retryable, None, None)
    assert "203.0.113.9" not in "".join(traceback.format_exception(error))


def test_an_informational_answer_comes_before_the_answer(serve, connect) -> None:
    """A 1xx is not the answer."""
    server = serve([b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + ANSWER])
    assert connect(server).ask().text == "hello"


@pytest.fixture
def small_bounds(monkeypatch) -> None:
    """Bodies and streams of at most 10 000 bytes."""
    monkeypatch.setattr("qonduit._http.MAX_BODY_BYTES", 10_000)
    monkeypatch.setattr("qonduit._reading.MAX_STREAM_BYTES", 10_000)


@pytest.mark.F24
@pytest.mark.parametrize("start", [CHUNKED, head(500, {**JSON, "transfer-encoding": "chunked"})])
def test_an_endless_body(serve, connect, small_bounds, start) -> None:
    """A body over the bound is given up, and its connection closed."""
    server = serve([itertools.chain([start], itertools.repeat(chunk(b" " * 1000)))])
    with pytest.raises(ProtocolError, match="larger than 10000 bytes"):
        connect(server).ask()
    assert server.wait_open(0)


@pytest.mark.F24
@pytest.mark.parametrize("piece", [HEL, b": comment\n\n", b"data: " + b"x" * 100], ids=["events", "comments", "a line"])
def test_an_endless_stream(serve, connect, small_bounds, piece) -> None:
    """A stream over the bound is given up with what had arrived, and its connection closed."""
    server = serve([itertools.chain([sse_head(), chunk(ROLE), chunk(HEL)], itertools.repeat(chunk(piece)))])
    with pytest.raises(ProtocolError, match="larger than 10000 bytes"):
        connect(server).stream().text()
    assert server.wait_open(0)


@pytest.mark.F24
def test_an_endless_error_of_a_stream(serve, connect, small_bounds) -> None:
    """An error body over the bound, in answer to a streamed request, is given up."""
    start = head(500, {**JSON, "transfer-encoding": "chunked"})
    server = serve([itertools.chain([start], itertools.repeat(chunk(b" " * 1000)))])
    with pytest.raises(ProtocolError, match="larger than 10000 bytes"):
        connect(server).stream()
    assert server.wait_open(0)


@pytest.mark.F24
def test_a_body_within_the_bound(serve, connect, small_bounds) -> None:
    """A body of just the bound is read."""
    body = dumps(WIRE.answer("hello"))
    server = serve([response(body + b" " * (10_000 - len(body)))])
    assert connect(server).ask().text == "hello"


@pytest.mark.F14
def test_what_came_with_an_error_in_one_read_is_not_lost(serve, connect) -> None:
    """Chunks that one read brought together with an error event are delivered before the error, which carries them."""
    events = b"".join([*WIRE.events(["hel"])[:2], WIRE.stream_error(429, "limit_requests")])
    stream = connect(serve([[sse_head(), chunk(events)]]), max_retries=3).stream()
    assert [stream.next().choices[0].delta.content, stream.next().choices[0].delta.content] == ["", "hel"]
    with pytest.raises(RateLimitError) as caught:
        stream.next()
    assert (caught.value.response.text, caught.value.retryable, caught.value.attempts) == ("hel", False, 1)
