"""Server-sent events from bytes, cut anywhere.

Two rules. A line ends at LF, CR or CRLF and nowhere else: U+2028 inside JSON is text. An event ends at a blank line or
at the end of the stream: DashScope's gateway may close after an error event without one, and a parser that follows the
standard to the letter would drop it. Comments are kept, because DashScope says its status in one (`:HTTP_STATUS/429`).

Bytes stay bytes until an event is whole, so a character cut in two is never seen in halves.
Source: https://html.spec.whatwg.org/multipage/server-sent-events.html (2026-11-21), but for the rule on the end.
"""

from __future__ import annotations

from typing import NamedTuple

from qonduit.errors import ProtocolError

MAX_EVENT_BYTES = 16 * 1024 * 1024
MAX_COMMENTS = 16
"""How many comments of an event are kept, the last ones: those of a server that beats without blank lines are not."""


class Event(NamedTuple):
    """One event. `data` is its data lines joined by LF, `comments` the last comment lines before or within it."""

    data: bytes
    event: bytes = b""
    comments: tuple[bytes, ...] = ()


class EventDecoder:
    """Fed bytes, gives events: the same ones however the bytes are cut.

    Events without data are dropped, as the standard says. Raises `ProtocolError` when one event grows past
    `max_event_bytes`, once the events before it have been given.
    """

    __slots__ = ("_between", "_buffer", "_comments", "_cr", "_data", "_event", "_max", "_over", "_size", "_started")

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._buffer = b""  # an unfinished line
        self._cr = False  # the last line ended at a CR: a LF that follows belongs to it
        self._started = False
        self._between = False  # nothing of a next event has been seen yet
        self._data: list[bytes] = []
        self._comments: list[bytes] = []
        self._event = b""
        self._size = 0
        self._max = max_event_bytes
        self._over = False  # an event has grown past the bound, which is raised next

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes."""
        if self._between and data[-2:] == b"\n\n" and b"\r" not in data and len(data) <= self._max:
            events = _lone_lines(data)
            if events is not None:
                return events
        return self._split(data)

    def _split(self, data: bytes) -> list[Event]:
        if self._over:
            raise self._too_large()
        if self._cr and data:
            self._cr = False
            if data[:1] == b"\n":
                data = data[1:]
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        if not self._started:
            if len(data) < 3 and b"\xef\xbb\xbf".startswith(data):
                self._buffer = data
                return []
            self._started = True
            data = data.removeprefix(b"\xef\xbb\xbf")
        if b"\r" in data:
            if data.endswith(b"\r"):
                self._cr = True
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        self._buffer = lines.pop()
        events: list[Event] = []
        for line in lines:
            if not line:
                if self._size > self._max:
                    return self._given_up(events)
                if self._data:
                    events.append(self._dispatch())
                else:
                    self._reset()
            elif line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
                self._size += len(line)
            else:
                self._field(line)
        if self._size + len(self._buffer) > self._max:
            return self._given_up(events)
        self._between = not (self._buffer or self._data or self._comments or self._event or self._cr)
        return events

    def end(self) -> list[Event]:
        """The event that was not closed by a blank line, if there is one."""
        line, self._buffer = self._buffer, b""
        events = self._split(line + b"\n\n") if line or self._over else []
        if self._data:
            events.append(self._dispatch())
        return events

    def _field(self, line: bytes) -> None:
        self._size += len(line)
        if line.startswith(b":"):
            self._keep(line[1:])
            return
        name, _, value = line.partition(b":")
        if name == b"event":
            self._event = value[1:] if value[:1] == b" " else value
        elif name == b"data":
            self._data.append(b"")
        elif line.startswith(b"HTTP_STATUS/"):
            self._keep(line)  # an older gateway forgets the colon before its comment

    def _keep(self, comment: bytes) -> None:
        self._comments.append(comment)
        if len(self._comments) > MAX_COMMENTS:
            del self._comments[0]

    def _given_up(self, events: list[Event]) -> list[Event]:
        """The events before the one that is too large; with none, that is raised now."""
        if not events:
            raise self._too_large()
        self._between, self._over = False, True
        return events

    def _too_large(self) -> ProtocolError:
        return ProtocolError(
            f"An event of the stream is larger than {self._max} bytes; the stream was given up.",
            outcome="unknown",
        )

    def _dispatch(self) -> Event:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        event = Event(data, self._event, tuple(self._comments))
        self._reset()
        return event

    def _reset(self) -> None:
        self._data = []
        self._size = 0
        if self._event:
            self._event = b""
        if self._comments:
            self._comments = []


def _lone_lines(data: bytes) -> list[Event] | None:
    """The events of whole bytes in which each event is one data line, by far the most common case; else None."""
    events: list[Event] = []
    for line in data[:-2].split(b"\n\n"):
        if line[:6] != b"data: " or b"\n" in line:
            return None
        events.append(_make(Event, (line[6:], b"", ())))
    return events


_make = tuple.__new__


def decode_events(body: bytes) -> list[Event]:
    """All events of a whole body."""
    decoder = EventDecoder(max_event_bytes=len(body) + 1)
    return decoder.feed(body) + decoder.end()
