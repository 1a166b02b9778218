"""HTTP/1.1 by httptools beside httpcore and h11: the same answers, and nothing taken that h11 refuses."""

from __future__ import annotations

import gc
import itertools
import re
import time
from collections.abc import Coroutine, Sequence
from typing import Any
from unittest.mock import Mock

import h11
import httpcore
import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qonduit import _httptools
from qonduit._failures import MAX_HEADER_BYTES
from qonduit._httptools_answer import Answer

ORIGIN = httpcore.URL("http://api.test").origin
HOST = (b"host", b"api.test")
LENGTH_0 = (b"content-length", b"0")
OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: 5\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

Outcome = tuple[int, list[tuple[bytes, bytes]], bytes] | str


def connection(kind: type[Any], pieces: list[bytes], context: Any = None) -> Any:
    """A connection of qonduit's whose reads bring `pieces`, and then the end."""
    backend = httpcore.MockBackend if kind is _httptools.SyncConnection else httpcore.AsyncMockBackend
    network = backend([*pieces, b""])
    return kind(httptools, httpcore, origin=ORIGIN, ssl_context=context, keepalive_expiry=10.0, network_backend=network)


def request(method: str = "POST", headers: Sequence[tuple[bytes, bytes]] = ()) -> _httptools.Request:
    return _httptools.serialized(httpcore, method, b"/v1", [HOST, *headers]).request(b"", None)


def by_httptools(pieces: list[bytes], method: str = "POST") -> tuple[Outcome, bool]:
    """What an answer is read as, and whether its connection may serve again."""
    core = connection(_httptools.SyncConnection, pieces)
    try:
        response = core.handle_request(request(method))
        body = b"".join(response.stream)
        response.stream.close()
    except httpcore.RemoteProtocolError:
        return "refused", core.is_idle()
    return (response.status, response.headers, body), core.is_idle()


def at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine that never waits returns."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


def by_httptools_async(pieces: list[bytes], method: str = "POST") -> tuple[Outcome, bool]:
    """`by_httptools`, async."""

    async def ask() -> tuple[Outcome, bool]:
        core = connection(_httptools.AsyncConnection, pieces)
        try:
            response = await core.handle_async_request(request(method))
            body = b"".join([part async for part in response.stream])
            await response.stream.aclose()
        except httpcore.RemoteProtocolError:
            return "refused", core.is_idle()
        return (response.status, response.headers, body), core.is_idle()

    outcome: tuple[Outcome, bool] = at_once(ask())
    return outcome


def by_httpcore(pieces: list[bytes], method: str = "POST") -> tuple[Outcome, bool]:
    """The same by httpcore, and whether a stack would use its connection again.

    Empty lines after an answer are no reason not to: llhttp passes over them.
    """
    core = httpcore.HTTPConnection(ORIGIN, keepalive_expiry=10.0, network_backend=httpcore.MockBackend([*pieces, b""]))
    sent = httpcore.Request(method, "http://api.test/v1", headers=[HOST, LENGTH_0], content=b"")
    try:
        response = core.handle_request(sent)
        body = b"".join(response.iter_stream())
        response.close()
    except httpcore.RemoteProtocolError:
        return "refused", False
    more, ended = core._connection._h11_state.trailing_data  # type: ignore[union-attr]
    return (response.status, response.headers, body), core.is_idle() and not ended and not more.strip(b"\r\n")


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` cut at `places`."""
    bounds = [0, *sorted({place % len(data) for place in places} - {0}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


ANSWERS = {
    "a length": OK + b"Server: x\r\n" + LENGTH + b"\r\nhello",
    "no body": OK + b"Content-Length: 0\r\n\r\n",
    "a body like a head": OK + b"Content-Length: 23\r\n\r\n" + b"HTTP/1.1 200 OK\r\n\r\n\r\n\r\n",
    "chunks": OK + CHUNKED + b"\r\n5\r\nhello\r\n00A\r\n, my world\r\n0\r\n\r\n",
    "a chunk's extension": OK + CHUNKED + b"\r\n5;a=b;c\r\nhello\r\n0;d\r\n\r\n",
    "trailers": OK + CHUNKED + b"\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nServer: z\r\n\r\n",
    "no chunk": OK + CHUNKED + b"\r\n0\r\n\r\n",
    "odd letters": OK + b"transfer-ENCODING:chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "until the end": OK + b"Server: x\r\n\r\nhello",
    "until the end, empty": OK + b"\r\n",
    "to be closed": OK + b"Connection: foo, Close\r\n" + LENGTH + b"\r\nhello",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n" + LENGTH + b"\r\nhello",
    "HTTP/1.0, kept": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + LENGTH + b"\r\nhello",
    "204": b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\n" + LENGTH + b"\r\n",
    "no reason": b"HTTP/1.1 429\r\n" + LENGTH + b"\r\nhello",
    "header values": OK + b"A:\r\nB:  \t\r\nC: d e\tf \t\r\nC: \xe4\xff\r\nX~|: 1\r\n" + LENGTH + b"\r\nhello",
    "another answer behind": (OK + LENGTH + b"\r\nhello") * 2,
    "something behind": OK + LENGTH + b"\r\nhello, world",
    "something behind chunks": OK + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\nmore",
    "something behind what is to be closed": OK + b"Connection: close\r\n" + LENGTH + b"\r\nhello, world",
    "too short": OK + LENGTH + b"\r\nhell",
    "no last chunk": OK + CHUNKED + b"\r\n5\r\nhello\r\n",
    "half a head": OK + LENGTH,
    "nothing but a start": b"H",
}
INFORMED = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "102, with headers": b"HTTP/1.1 102 Processing\r\nContent-Length: 3\r\nX: y\r\n\r\n",
    "two": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
}
UNASKED = {
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "another protocol, barely": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
}
ALL = {
    **ANSWERS,
    **{f"{name} before": said + ANSWERS["a length"] for name, said in {**INFORMED, **UNASKED}.items()},
    "another protocol within": INFORMED["100"] + UNASKED["another protocol"] + ANSWERS["a length"],
}


@pytest.mark.parametrize("method", ["POST", "HEAD"])
@pytest.mark.parametrize("answer", ALL.values(), ids=list(ALL))
def test_an_answer_is_read_as_by_httpcore(answer: bytes, method: str) -> None:
    """In one read, in single bytes and cut in two anywhere: the same status, headers and body.

    The connection serves again where httpcore's would, but for HEAD, which nothing here asks: then it never does.
    """
    cuts = [[], range(len(answer)), *([place] for place in range(1, len(answer)))]
    for places in cuts:
        pieces = cut(answer, list(places))
        outcome, again = by_httpcore(pieces, method)
        expected = (outcome, again and method != "HEAD")
        assert by_httptools(pieces, method) == by_httptools_async(pieces, method) == expected


REFUSED = {
    "lines without CR": OK.replace(b"\r", b"") + LENGTH + b"\r\nhello",
    "a header without CR": OK + b"A: b\n" + LENGTH + b"\r\nhello",
    "a status line that ends with CR CR": OK[:-1] + b"\r" + LENGTH + b"\r\nhello",
    "a folded header": OK + b"A: b\r\n c\r\n" + LENGTH + b"\r\nhello",
    "a space before a colon": OK + b"A : b\r\n" + LENGTH + b"\r\nhello",
    "a CR in a value": OK + b"A: b\rc\r\n" + LENGTH + b"\r\nhello",
    "a NUL in a value": OK + b"A: b\0c\r\n" + LENGTH + b"\r\nhello",
    "a NUL in the reason": b"HTTP/1.1 200 O\0K\r\n" + LENGTH + b"\r\nhello",
    "control characters": OK + b"A: \x01\x7f\r\n" + LENGTH + b"\r\nhello",
    "an empty line first": b"\r\n" + OK + LENGTH + b"\r\nhello",
    "another protocol's answer": b"RTSP/1.0 200 OK\r\n" + LENGTH + b"\r\nhello",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x16",
    "a version of its own": b"HTTP/1.3 200 OK\r\n" + LENGTH + b"\r\nhello",
    "a status below 100": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n" + OK + LENGTH + b"\r\nhello",
    "two lengths": OK + b"Content-Length: 4\r\n" + LENGTH + b"\r\nhello",
    "one length twice": OK + LENGTH * 2 + b"\r\nhello",
    "a list of lengths": OK + b"Content-Length: 5, 5\r\n\r\nhello",
    "a length with a sign": OK + b"Content-Length: +5\r\n\r\nhello",
    "no length": OK + b"Content-Length:\r\n\r\nhello",
    "a length beside chunks": OK + LENGTH + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunks beside a length": OK + CHUNKED + LENGTH + b"\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunks, twice": OK + CHUNKED * 2 + b"\r\n5\r\nhello\r\n0\r\n\r\n",
    "another encoding": OK + b"Transfer-Encoding: gzip\r\n\r\nhello",
    "another encoding and chunks": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "an encoding like chunked": OK + b"Transfer-Encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "a chunk's size with a space": OK + CHUNKED + b"\r\n5 \r\nhello\r\n0\r\n\r\n",
    "a chunk's size with a sign": OK + CHUNKED + b"\r\n+5\r\nhello\r\n0\r\n\r\n",
    "a chunk's size beyond 64 bits": OK + CHUNKED + b"\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a chunk longer than its size": OK + CHUNKED + b"\r\n4\r\nhello\r\n0\r\n\r\n",
    "a length in a trailer": OK + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n" + LENGTH + b"\r\n",
    "chunks in a trailer": OK + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n" + CHUNKED + b"\r\n",
    "chunks without CR": OK + CHUNKED + b"\r\n5\nhello\n0\n\n",
}


@pytest.mark.parametrize("answer", REFUSED.values(), ids=list(REFUSED))
def test_what_is_refused(answer: bytes) -> None:
    """An answer that can be read in two ways is an error, however it is cut; h11 would take some of these."""
    for places in ([], range(len(answer))):
        assert by_httptools(cut(answer, list(places))) == ("refused", False)


PIECES = [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"0", b"5", b"\x01", b"\xff", OK,
          LENGTH, CHUNKED, b"Connection: close\r\n", b"X: y\r\n", b"Transfer-Encoding: x\r\n", b"5\r\nhello\r\n",
          b"0\r\n\r\n"]  # fmt: skip
EDITS = st.tuples(st.integers(0, 400), st.integers(0, 3), st.sampled_from([b"", *PIECES]) | st.binary(max_size=2))
BLANKS_AFTER_1XX = re.compile(rb"HTTP/1\.[01] 1[^\n]*\n([^\n]+\n)*?\r?\n\r*\n")


@settings(max_examples=500, deadline=None)
@given(
    answer=st.sampled_from([*ANSWERS.values()]),
    edits=st.lists(EDITS, min_size=1, max_size=3),
    places=st.lists(st.integers(0, 400), max_size=4),
    method=st.sampled_from(["POST", "POST", "HEAD"]),
)
@example(answer=OK + LENGTH + b"\r\nhello", edits=[(0, 0, b"\r\n")], places=[], method="POST")
def test_what_h11_refuses_is_refused(
    answer: bytes, edits: list[tuple[int, int, bytes]], places: list[int], method: str
) -> None:
    """Broken answers, cut anywhere: refused, or read as httpcore reads them; sync and async alike.

    A connection serves again only where httpcore's would. Empty lines after a 1xx answer are passed over by llhttp.
    """
    for place, length, new in edits:
        start = place % (len(answer) + 1)
        answer = answer[:start] + new + answer[start + length :]
    if not answer or BLANKS_AFTER_1XX.search(answer):
        return
    pieces = cut(answer, places)
    outcome, again = by_httptools(pieces, method)
    assert by_httptools_async(pieces, method) == (outcome, again)
    expected, again_expected = by_httpcore(pieces, method)
    if outcome != "refused":
        assert outcome == expected
        assert again_expected or not again
    else:
        assert not again


ENDLESS = {
    "a header": [OK + b"X: ", b"y" * 50_000],
    "headers": [OK, b"X: y\r\n" * 10_000],
    "a reason": [b"HTTP/1.1 200 ", b"O" * 50_000],
    "a chunk's size": [OK + CHUNKED + b"\r\n", b"0" * 50_000],
    "a chunk's extension": [OK + CHUNKED + b"\r\n5;", b"x" * 50_000],
    "a trailer": [OK + CHUNKED + b"\r\n0\r\nX: ", b"y" * 50_000],
    "trailers": [OK + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n", b"X: y\r\n" * 10_000],
    "an informational answer": [INFORMED["100"] + b"HTTP/1.1 100 Continue\r\nX: ", b"y" * 50_000],
}


@pytest.mark.parametrize("beginning", ENDLESS.values(), ids=list(ENDLESS))
def test_what_does_not_end_is_given_up(beginning: list[bytes]) -> None:
    """Headers, trailers and a chunk's line are bounded, with h11's bound and its hint to the one who explains."""
    core = connection(_httptools.SyncConnection, [beginning[0], *beginning[1:] * 10])
    with pytest.raises(httpcore.RemoteProtocolError) as caught:
        b"".join(core.handle_request(request()).stream)
    assert caught.value.error_status_hint == 431  # type: ignore[attr-defined]


def test_large_headers_within_the_bound_are_taken() -> None:
    """What ends before the bound is an answer, and a long body after it is not counted."""
    long = b"X: " + b"y" * (MAX_HEADER_BYTES - 1000) + b"\r\n"
    body = b"z" * 3 * MAX_HEADER_BYTES
    answer = OK + long + b"Content-Length: %d\r\n\r\n" % len(body) + body
    outcome, again = by_httptools(cut(answer, list(range(0, len(answer), 5000))))
    assert outcome[2] == body
    assert again


def test_what_came_before_a_break_is_given() -> None:
    """Of chunks that came in one read with a broken one, the good ones are given before the error."""
    data = OK + CHUNKED + b"\r\n5\r\nhello\r\n5\r\nworld\r\nX"
    stream = connection(_httptools.SyncConnection, [data]).handle_request(request()).stream
    assert next(stream) == b"helloworld"
    with pytest.raises(httpcore.RemoteProtocolError):
        next(stream)


def test_one_read_is_one_part() -> None:
    """All that a read brought of the body is given together, and nothing waits for more."""
    pieces = [OK + CHUNKED + b"\r\n1\r\na\r\n", b"1\r\nb\r\n1\r\nc\r\n", b"1\r\nd\r\n0\r\n\r\n"]
    stream = connection(_httptools.SyncConnection, pieces).handle_request(request()).stream
    assert list(stream) == [b"a", b"bc", b"d"]


@pytest.mark.parametrize("headers", [[], [(b"connection", b"Close")], [(b"Connection", b"x, close")]])
def test_a_request_that_closes(headers: list[tuple[bytes, bytes]]) -> None:
    """After a request with `connection: close` the connection does not serve again, whatever the answer says."""
    core = connection(_httptools.SyncConnection, [ANSWERS["a length"]])
    assert b"".join(core.handle_request(request(headers=headers)).stream) == b"hello"
    assert core.is_idle() == (not headers)


def test_how_long_a_connection_idles(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may serve again until its time is up, and while nothing came that nobody asked for."""
    core = connection(_httptools.SyncConnection, [ANSWERS["a length"]])
    stream = core.handle_request(request()).stream
    assert b"".join(stream) == b"hello"
    stream.close()
    assert not core.has_expired()
    clock = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: clock + 11)
    assert core.has_expired()
    monkeypatch.undo()
    monkeypatch.setattr(httpcore.MockStream, "get_extra_info", lambda self, info: info == "is_readable")
    assert core.has_expired()


def test_an_answer_is_let_go_at_its_end() -> None:
    """What parsed an answer and the answer do not keep each other for the garbage collector."""
    gc.collect()
    gc.disable()
    before = {id(found) for found in gc.get_objects() if isinstance(found, Answer)}  # of connections that idle
    try:
        for answer in (ANSWERS["a length"], ANSWERS["chunks"], ANSWERS["until the end"], REFUSED["two lengths"]):
            by_httptools([answer])
        left = [found for found in gc.get_objects() if isinstance(found, Answer) and id(found) not in before]
        assert left == []
    finally:
        gc.enable()


def test_tls_is_asked_for_http_1_1() -> None:
    """Of the protocols that TLS may choose from HTTP/1.1 is the only one."""

    context = Mock()
    connection(_httptools.SyncConnection, [ANSWERS["a length"]], context).handle_request(request())
    context.set_alpn_protocols.assert_called_once_with(["http/1.1"])


def test_an_interrupt_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt while httptools calls is not taken for a broken answer."""

    def interrupt(self: object, data: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Answer, "on_body", interrupt)
    with pytest.raises(KeyboardInterrupt):
        by_httptools([ANSWERS["a length"]])
    try:
        raise ValueError
    except ValueError:
        with pytest.raises(httptools.HttpParserCallbackError):
            by_httptools([ANSWERS["a length"]])


def test_an_error_within_another_ones_handling() -> None:
    """A broken answer is told as such to who is handling another error just then."""
    try:
        raise ValueError
    except ValueError:
        assert by_httptools([REFUSED["two lengths"]]) == ("refused", False)


# Requests

NAMES = st.sampled_from([b"X-Y", b"accept", b"a b", b"a:b", b"a\r\nb", b"", b"\xe4", b'a"b', b"a\0", b"Host",
                         b"content-length"]) | st.binary(max_size=3)  # fmt: skip
VALUES = st.sampled_from([b"", b"a", b"a b", b"a\tb", b" a", b"a ", b"a\r\nb: c", b"a\nb", b"a\rb", b"a\0b", b"\xe4",
                          b"0", b"a\x0bb"]) | st.binary(max_size=3)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(headers=st.lists(st.tuples(NAMES, VALUES), max_size=3))
def test_a_request_is_sent_as_by_h11_or_not_at_all(headers: list[tuple[bytes, bytes]]) -> None:
    """The bytes are h11's; what h11 does not send is refused, and what could be taken for more than a header."""
    given_headers = [HOST, *headers, LENGTH_0]
    wire = h11.Connection(h11.CLIENT)
    try:
        expected = wire.send(h11.Request(method="POST", target="/v1", headers=given_headers))
    except h11.LocalProtocolError:
        expected = None
    try:
        data = request(headers=headers).data
    except httpcore.LocalProtocolError:
        data = None
    if data is None:
        framing = {b"content-length", b"transfer-encoding"} & {name.lower() for name, _ in headers}
        assert expected is None or framing or re.search(rb"[\0-\x08\x0e-\x1f\x7f]", b"".join(map(b"".join, headers)))
    else:
        assert data == expected


@pytest.mark.parametrize(("method", "target"), [("GET", b"/a b"), ("GET", b"/a\r\nX: y"), ("G T", b"/"), ("", b"/")])
def test_a_request_line_says_no_more_than_meant(method: str, target: bytes) -> None:
    """Method and target hold no spaces, no line ends and no control characters."""
    with pytest.raises(httpcore.LocalProtocolError):
        _httptools.serialized(httpcore, method, target, [HOST])
