"""Server-sent events: the same ones however the bytes are cut and whatever their line ends are."""

from __future__ import annotations

import itertools
import json
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from qonduit import ProtocolError
from qonduit.sse import MAX_COMMENTS, Event, EventDecoder, decode_events

SEPARATORS = "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg"
"""What `str.splitlines` takes for line ends, and server-sent events do not."""

STREAMS: dict[str, tuple[str, list[Event]]] = {
    "one event": ("data: a\n\n", [Event(b"a")]),
    "no space after the colon": ("data:a\n\n", [Event(b"a")]),
    "only one space is taken off": ("data:  a \n\n", [Event(b" a ")]),
    "several lines of data": ("data: a\ndata:\ndata: b\n\n", [Event(b"a\n\nb")]),
    "a data field without a colon": ("data: a\ndata\n\n", [Event(b"a\n")]),
    "only a data field without a colon": ("data\n\n", [Event(b"")]),
    "a name": ("event: error\ndata: a\n\n", [Event(b"a", b"error")]),
    "a name without space": ("event:error\ndata:a\n\n", [Event(b"a", b"error")]),
    "a name lasts for one event": ("event:x\ndata:a\n\ndata:b\n\n", [Event(b"a", b"x"), Event(b"b")]),
    "a comment": (": hi\n\ndata: a\n\n", [Event(b"a")]),
    "a status in a comment": (
        "id:1\nevent:result\n:HTTP_STATUS/200\ndata:{}\n\n",
        [Event(b"{}", b"result", (b"HTTP_STATUS/200",))],
    ),
    "id and retry say nothing": ("id: 1\n\nretry: 10\n\ndata: a\n\n", [Event(b"a")]),
    "an event without data is dropped with its name": ("event: x\n\ndata: a\n\n", [Event(b"a")]),
    "an unknown field": ("colour: red\ndata: a\n\n", [Event(b"a")]),
    "a longer field name": ("database: x\ndata: a\n\n", [Event(b"a")]),
    "blank lines only": ("\n\n\n", []),
    "nothing": ("", []),
    "the last event has no blank line": ("data: a\n\ndata: b\n", [Event(b"a"), Event(b"b")]),
    "the last line has no end": ("data: a\n\ndata: b", [Event(b"a"), Event(b"b")]),
    "an error event that is not closed": (
        "event:error\n:HTTP_STATUS/429\ndata:{}",
        [Event(b"{}", b"error", (b"HTTP_STATUS/429",))],
    ),
    "a byte order mark": ("\ufeffdata: a\n\n", [Event(b"a")]),
    "a second byte order mark is text": ("\ufeff\ufeffdata: a\n\ndata: b\n\n", [Event(b"b")]),
    "characters of several bytes": ("data: 你好, 🌍\n\n", [Event("你好, 🌍".encode())]),
    "separators that are text": (f"data: {SEPARATORS}\n\n", [Event(SEPARATORS.encode())]),
    "a colon in the data": ("data: a: b\n\n", [Event(b"a: b")]),
}


def decode(parts: list[bytes], **options: int) -> list[Event]:
    decoder = EventDecoder(**options)
    events = [event for part in parts for event in decoder.feed(part)]
    return events + decoder.end()


def transcription(body: bytes) -> list[tuple[str, str]]:
    """(event, data) as the standard's section 9.2.6 reads, character by character; an unclosed event is dispatched."""
    text = body.decode("utf-8").removeprefix("\ufeff")
    lines: list[str] = [""]
    position = 0
    while position < len(text):
        if text[position : position + 2] == "\r\n":
            lines.append("")
            position += 2
        elif text[position] in "\r\n":
            lines.append("")
            position += 1
        else:
            lines[-1] += text[position]
            position += 1
    events: list[tuple[str, str]] = []
    data, kind, seen = "", "", False
    for line in [*lines, ""]:
        if line == "":
            if seen:
                events.append((kind, data.removesuffix("\n")))
            data, kind, seen = "", "", False
            continue
        if line.startswith(":"):
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            kind = value
        elif field == "data":
            seen = True
            data += value + "\n"
    return events


@pytest.mark.F1
@pytest.mark.F2
@pytest.mark.F3
@pytest.mark.F4
@pytest.mark.F5
@pytest.mark.F8
@pytest.mark.F27
@pytest.mark.parametrize("ending", ["\n", "\r", "\r\n"], ids=["LF", "CR", "CRLF"])
@pytest.mark.parametrize(("text", "expected"), STREAMS.values(), ids=STREAMS)
def test_events_do_not_depend_on_line_ends_or_cuts(text: str, expected: list[Event], ending: str) -> None:
    """Every kind of event is the same for each line end, whole, byte by byte, and cut at each place."""
    body = text.replace("\n", ending).encode()
    assert decode_events(body) == expected
    assert decode([body[i : i + 1] for i in range(len(body))]) == expected
    for cut in range(len(body) + 1):
        assert decode([body[:cut], body[cut:]]) == expected


@pytest.mark.parametrize(("text", "expected"), STREAMS.values(), ids=STREAMS)
def test_the_table_agrees_with_the_standard(text: str, expected: list[Event]) -> None:
    """The events that this table expects are those of the standard."""
    assert transcription(text.encode()) == [(event.event.decode(), event.data.decode()) for event in expected]


LINES = st.one_of(
    st.sampled_from(["", "", "data", "data:", ":", ": x", ":HTTP_STATUS/200", "event:error", "event: x", "id:1", "x"]),
    st.text(alphabet='ab:{}" \u2028\u2029\x85é你🌍\ufeff', max_size=6).map("data: {}".format),
    st.text(alphabet="dat:ev \u2028é", max_size=6),
)


@pytest.mark.F1
@pytest.mark.F2
@pytest.mark.F3
@pytest.mark.F5
@pytest.mark.F8
@given(
    lines=st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r", "\r\n"])), max_size=12),
    tail=st.sampled_from(["", "data:x", "event:y", ":c"]),
    mark=st.booleans(),
    data=st.data(),
)
def test_random_streams_agree_with_the_standard_however_cut(
    lines: list[tuple[str, str]], tail: str, mark: bool, data: st.DataObject
) -> None:
    """Random lines with mixed line ends, cut at random, give the events of a slow reading of the standard."""
    body = ("\ufeff" * mark + "".join(map("".join, lines)) + tail).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    parts = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    events = decode(parts)
    assert [(event.event.decode(), event.data.decode()) for event in events] == transcription(body)
    assert events == decode_events(body)


@pytest.mark.F1
@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_random_bytes_do_not_depend_on_cuts(body: bytes, cuts: list[int]) -> None:
    """Bytes that are no text at all give the same events however they are cut."""
    places = sorted(min(cut, len(body)) for cut in cuts)
    parts = [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]
    assert decode(parts) == decode_events(body)


@pytest.mark.F5
@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085"])
def test_unicode_separators_inside_json_are_text(separator: str) -> None:
    """JSON that holds U+2028, U+2029 or U+0085 unescaped stays one event."""
    value = {"text": f"a{separator}b"}
    body = b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"
    (event,) = decode_events(body)
    assert json.loads(event.data) == value


@pytest.mark.F2
def test_a_crlf_cut_in_two_is_one_line_end() -> None:
    """An LF that follows a CR in a later piece belongs to it, also after empty pieces."""
    assert decode([b"data: a\r", b"", b"\ndata: b\r", b"\n", b"\r", b"\n"]) == [Event(b"a\nb")]


def test_an_event_is_given_at_its_blank_line() -> None:
    """An event does not wait for the bytes that follow it, even where its lines end at CR."""
    assert EventDecoder().feed(b"data: a\r\r") == [Event(b"a")]
    assert EventDecoder().feed(b"data: a\n\n") == [Event(b"a")]
    assert EventDecoder().feed(b"data: a\r\n\r") == [Event(b"a")]


@pytest.mark.F24
@pytest.mark.parametrize(
    "body",
    [
        b"data: " + b"x" * 200,
        b"data: " + b"x" * 200 + b"\n\n",
        b"data: xxxxxxxxxx\n" * 20,
        b": xxxxxxxxxx\n" * 20,
        b"event: " + b"x" * 200 + b"\n",
    ],
    ids=["an endless line", "a long line", "endless data lines", "endless comments", "a long name"],
)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_an_event_over_the_bound_is_refused(body: bytes, size: int) -> None:
    """An event larger than the bound is a ProtocolError in whatever pieces it comes."""
    with pytest.raises(ProtocolError, match="larger than 100 bytes"):
        decode([body[i : i + size] for i in range(0, len(body), size)], max_event_bytes=100)


BOUND = 50


@pytest.mark.F24
@given(
    st.lists(
        st.sampled_from([b"data: ab", b"data", b":c", b"event: x", b"zz", b"x" * 30, b"", b"\xff", b"\r"]), max_size=20
    ),
    st.lists(st.integers(0, 400), max_size=6),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
@example([b"data: ab", b"", b"x" * 30, b"x" * 30], [], b"\n")
@example([b"data: ab", b"", b"data: " + b"x" * 60, b"", b"data: c", b""], [], b"\n")
def test_a_bound_does_not_depend_on_cuts(lines: list[bytes], cuts: list[int], ending: bytes) -> None:
    """However the bytes are cut: the same events are given, and then the same refusal is raised, or none."""
    body = ending.join(lines)
    places = sorted(min(cut, len(body)) for cut in cuts)
    parts = [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]
    bytewise = [body[place : place + 1] for place in range(len(body))]
    assert bounded(parts) == bounded([body]) == bounded(bytewise)


def bounded(parts: list[bytes]) -> tuple[list[Event], bool]:
    """The events of `parts` under a small bound, and whether one was over it."""
    decoder = EventDecoder(max_event_bytes=BOUND)
    events: list[Event] = []
    try:
        for part in parts:
            events += decoder.feed(part)
        events += decoder.end()
    except ProtocolError:
        return events, True
    return events, False


@pytest.mark.F24
@pytest.mark.parametrize("size", [1000, 65536])
@pytest.mark.parametrize(
    "unit",
    [b"data: abc\n", b"data: ab\n", b"data\n", b":\n", b":abc\n", b"event: x\n", b"x: y\n", b"x"],
    ids=["short lines", "shorter lines", "empty lines", "beats", "comments", "names", "unknown fields", "one line"],
)
def test_the_memory_of_an_endless_event(unit: bytes, size: int) -> None:
    """An event without an end takes a few times the bound at most, whatever its lines are, before it is given up."""
    bound = 256 * 1024
    part = (unit * size)[:size] if unit == b"x" else unit * (size // len(unit))
    decoder = EventDecoder(max_event_bytes=bound)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match=f"larger than {bound} bytes"):
            any(map(decoder.feed, itertools.repeat(part, 10 * bound // len(part))))
        assert tracemalloc.get_traced_memory()[1] < 10 * bound
    finally:
        tracemalloc.stop()


def test_only_the_last_comments_of_an_event_are_kept() -> None:
    """A server that beats without blank lines does not fill the memory, and what it says last is kept."""
    beats = b": beat\n" * 1000
    (event,) = decode_events(beats + b":HTTP_STATUS/429\nevent:error\ndata:{}\n\n")
    assert len(event.comments) == MAX_COMMENTS
    assert event.comments[-1] == b"HTTP_STATUS/429"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["data: a", "data:b", "data:  c ", ": hi", "event: x", "event:y", "", "", "data: \u2028é🌍", "z: 1"]
            ),
            st.sampled_from(["\n", "\r", "\r\n"]),
        ),
        max_size=12,
    ),
    st.data(),
)
def test_events_agree_with_openais_own_decoder(lines: list[tuple[str, str]], data: st.DataObject) -> None:
    """Where both mean to do the same, on events with data that a blank line closes, the SDK's decoder agrees."""
    body = ("".join(map("".join, lines)) + "\n\n").encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    parts = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    theirs = [(event.event or "", event.data) for event in SSEDecoder().iter_bytes(iter(parts)) if event.data]
    assert [(event.event.decode(), event.data.decode()) for event in decode(parts)] == theirs


def test_many_events_under_the_bound_pass() -> None:
    """The bound is for one event, not for the stream, and keep-alive comments are no event."""
    body = b"data: " + b"x" * 80 + b"\n\n: keep-alive\n\n"
    assert len(decode([body * 50], max_event_bytes=100)) == 50
