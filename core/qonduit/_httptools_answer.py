"""Answers of HTTP/1.1, parsed by httptools, the binding of llhttp, without I/O.

Where llhttp takes what h11 refuses it is refused here: an answer that is read otherwise than it was meant could pass
for the answer to the next request.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from qonduit._failures import MAX_HEADER_BYTES

VALUE = bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100)) + b"\t"
"""The bytes that may stand in a header's value."""
_FRAMINGS = (b"content-length", b"transfer-encoding")
_FIRST = ord("H")
"""llhttp passes over empty lines, and knows other protocols than HTTP."""

RawHeaders = list[tuple[bytes, bytes]]


class Answer:
    """The parsing of one answer. `bodiless`: its request was HEAD; `closing`: the request ends the connection.

    `status` is 0 until the headers have come; 1xx answers are passed over. `complete`: the answer has ended, as its
    framing says; with `reusable` the connection may serve again then. `rested`: since when, by `time.monotonic()`.
    """

    __slots__ = (
        "_bodiless",
        "_core",
        "_failure",
        "_open_ended",
        "_overhead",
        "_parser",
        "_parts",
        "_tools",
        "complete",
        "headers",
        "rested",
        "reusable",
        "status",
    )

    def __init__(self, tools: ModuleType, core: ModuleType, *, bodiless: bool, closing: bool) -> None:
        self._tools = tools
        self._core = core
        self._bodiless = bodiless
        self._parser: Any = None
        self._parts: list[bytes] = []
        self._overhead = 0
        self._open_ended = False
        self._failure: tuple[str, int | None] | None = None
        self.status = 0
        self.headers: RawHeaders = []
        self.complete = False
        self.reusable = not closing and not bodiless  # llhttp is not told that no body follows
        self.rested = 0.0

    def feed(self, data: bytes) -> None:
        """Take what a read brought, b"" for the end of the connection.

        Raises httpcore's RemoteProtocolError; for what is wrong after the headers, `taken` does.
        """
        if data:
            self._parse(data)
        elif self._open_ended:
            self.complete = True
        else:
            self._refuse("the connection ended before the answer did")
        if self.complete or self._failure is not None:
            self._parser = None  # it refers to this answer
        if self._failure is not None and not self.status:
            raise self._error(*self._failure)

    def _parse(self, data: bytes) -> None:
        if self._parser is None:
            if data[0] != _FIRST:
                self._refuse("not HTTP")
                return
            self._parser = self._tools.HttpResponseParser(self)
        self._overhead += len(data)
        handled = sys.exception()
        try:
            self._parser.feed_data(data)
        except self._tools.HttpParserCallbackError as error:
            # Nothing below raises: it was an interrupt. httptools makes it the context, where there is no other.
            self.reusable = False
            raise error.__context__ if error.__context__ not in (None, handled) else error from None
        except (self._tools.HttpParserError, self._tools.HttpParserUpgrade) as error:  # no upgrade was asked for
            self._refuse(str(error))
        if self._overhead > MAX_HEADER_BYTES and not self.complete:
            self._refuse("no end of the headers, or of what stands between chunks", 431)

    def _refuse(self, reason: str, hint: int | None = None) -> None:
        """Fail with what came, or let the connection not serve again, when the answer was whole before that."""
        self.reusable = False
        if self._failure is None and not self.complete:
            self._failure = reason, hint

    def _error(self, reason: str, hint: int | None) -> Exception:
        """httpcore's error, with the `hint` that h11's have; made anew each time, since its frames hold this answer."""
        error: Any = self._core.RemoteProtocolError(reason)
        error.error_status_hint = hint
        return error  # type: ignore[no-any-return]

    def taken(self) -> bytes:
        """What of the body has come since the last time, b"" when nothing has. Raises RemoteProtocolError."""
        parts = self._parts
        if not parts:
            if self._failure is not None:
                raise self._error(*self._failure)
            return b""
        self._parts = []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    # What httptools calls

    def on_message_begin(self) -> None:
        """A message begins; after the answer none may."""
        if self.complete:
            self.reusable = False

    def on_status(self, reason: bytes) -> None:
        """A part of the reason, which nobody reads."""
        if reason.translate(None, VALUE):
            self._refuse("characters in the status line that HTTP forbids")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; of a trailer, or of another message, nothing is kept."""
        if not self.status:
            self.headers.append((name, value.rstrip(b" \t")))
        elif name.lower() in _FRAMINGS:
            self._refuse("a framing header in a trailer")

    def on_headers_complete(self) -> None:
        """Decide how the body is framed; llhttp has refused two lengths, and a length beside chunks."""
        if self.status:
            return
        parser = self._parser
        status = parser.get_status_code()
        self._overhead = 0
        if status < 200:
            if status < 100:
                self._refuse(f"status {status}")
            self.headers = []
            return
        framings = [(name, value) for name, value in self.headers if name.lower() in _FRAMINGS]
        for name, value in framings:
            if name.lower() == b"transfer-encoding" and (value.lower() != b"chunked" or len(framings) > 1):
                self._refuse("a transfer encoding other than chunked")
                return
        self.status = status
        if self._bodiless or status in (204, 304):
            self.complete = True
        else:
            self._open_ended = not framings
        if self._open_ended or not parser.should_keep_alive() or parser.get_http_version() != "1.1":
            self.reusable = False

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        if self.complete:
            self.reusable = False
        else:
            self._overhead = 0
            self._parts.append(data)

    def on_message_complete(self) -> None:
        """The end of the answer, or of a 1xx one before it."""
        if self.status:
            self.complete = True
