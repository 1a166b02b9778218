"""Streams: the same chunks however the bytes are cut, and never a silent whole answer where a part is missing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, cast

from qonduit.chunk import ChatChunk
from qonduit.errors import APIError, StreamInterruptedError
from qonduit.messages import FunctionCall, Message, ToolCall
from qonduit.parts import Resend
from qonduit.response import ChatResponse, Choice
from qonduit.search import Search
from qonduit.testing._damage import HTML, corrupted, odd
from qonduit.testing._subject import Subject
from qonduit.testing.case import Case, hold
from qonduit.testing.exchange import READERS, SAID, Answer, Expected, StreamedAnswer, hold_expected
from qonduit.usage import Usage

KIND = "text/event-stream"


def cases(subject: Subject, streams: Sequence[StreamedAnswer], answers: Sequence[Answer]) -> Iterator[Case]:
    """The cases of streamed answers."""
    plain = {answer.name: answer for answer in answers}
    for stream in streams:
        name = f"stream '{stream.name}'"
        yield Case(f"{name}: it is read", partial(_read, subject, stream))
        yield Case(f"{name}: however it is cut, the chunks are the same", partial(_cut, subject, stream))
        yield Case(f"{name}: ended early, it is not taken as whole", partial(_ended, subject, stream))
        yield Case(f"{name}: what follows its end mark is not read", partial(_followed, subject, stream))
        yield Case(f"{name}: damaged, it raises nothing but an APIError", partial(_damaged, subject, stream))
        if _is_sse(stream):
            yield Case(f"{name}: comments and line ends change nothing", partial(_commented, subject, stream))
        if stream.name in plain:
            yield Case(
                f"{name}: it means the same as the whole answer", partial(_same, subject, stream, plain[stream.name])
            )


@dataclass
class Decoded:
    """What was read of a stream."""

    chunks: list[ChatChunk] = field(default_factory=list)
    error: APIError | Resend | None = None
    marked: bool = False
    """Whether the end mark was seen."""
    request_id: str | None = None

    @property
    def response(self) -> ChatResponse:
        """The chunks put together."""
        return joined(self.chunks, request_id=self.request_id)


def decode(subject: Subject, exchange: Any, pieces: Iterable[bytes], kind: str = KIND) -> Decoded:
    """Feed `pieces` to a new decoder as the core does. Raises: AssertionError for what is no APIError."""
    request = subject.asked(exchange.request, stream=True)
    head = subject.response(request, b"", exchange.headers, kind=kind)
    decoded = Decoded()
    try:
        decoder = subject.guarded(lambda: subject.normalizer().decoder(request, head), "decoder")
        for piece in (*pieces, b""):
            work = partial(decoder.feed, piece) if piece else decoder.end
            subject.guarded(lambda: decoded.chunks.extend(work()), "the stream decoder")  # noqa: B023  # called at once
            decoded.request_id = decoder.request_id
            if decoder.finished:
                decoded.marked = bool(piece)
                break
    except (APIError, Resend) as error:
        decoded.error = error
    for chunk in decoded.chunks:
        hold(isinstance(chunk, ChatChunk), f"the stream decoder gave {type(chunk).__name__}; expected ChatChunk.")
    return decoded


def joined(chunks: Iterable[ChatChunk], *, request_id: str | None = None) -> ChatResponse:
    """The answer that chunks are the pieces of, by the letter: fragments of one tool call share their `index`."""
    usage: Usage | None = None
    search: Search | None = None
    model: str | None = None
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        usage, search, model = chunk.usage or usage, chunk.search or search, chunk.model or model
        for choice in chunk.choices:
            parts = choices.setdefault(choice.index, {"text": [], "reasoning": [], "calls": {}, "reason": None})
            delta = choice.delta
            parts["text"] += [delta.content] if delta.content else []
            parts["reasoning"] += [delta.reasoning_content] if delta.reasoning_content else []
            for fragment in delta.tool_calls or ():
                index = fragment.index if fragment.index is not None else max(len(parts["calls"]) - 1, 0)
                call = parts["calls"].setdefault(index, {"name": "", "arguments": ""})
                if fragment.function is not None:
                    call["name"] = call["name"] or fragment.function.name or ""
                    call["arguments"] += fragment.function.arguments or ""
            parts["reason"] = parts["reason"] or choice.finish_reason
    return ChatResponse(
        model=model,
        usage=usage,
        search=search,
        request_id=request_id,
        choices=tuple(
            Choice(
                index=index,
                finish_reason=parts["reason"],
                message=Message(
                    role="assistant",
                    content="".join(parts["text"]),
                    reasoning_content="".join(parts["reasoning"]) or None,
                    tool_calls=tuple(ToolCall(function=FunctionCall(**call)) for call in parts["calls"].values()),
                ),
            )
            for index, parts in sorted(choices.items())
        ),
    )


def _whole(subject: Subject, stream: StreamedAnswer) -> Decoded:
    decoded = decode(subject, stream, [stream.content])
    hold(decoded.error is None, f"the decoder raised {type(decoded.error).__name__}: {decoded.error} Expected chunks.")
    return decoded


def _said(decoded: Decoded) -> Expected:
    """What the model said, all of it."""
    return _read_as(decoded.response, SAID)


def _read_as(response: ChatResponse, words: Iterable[str]) -> Expected:
    read: Any = {word: READERS[word](response) for word in words}
    return cast("Expected", read)


def _is_sse(stream: StreamedAnswer) -> bool:
    return {name.lower(): value for name, value in stream.headers.items()}.get("content-type", KIND).startswith(KIND)


def _borders(content: bytes) -> list[int]:
    """Where an event ends: after each blank line; where there are none, after each line."""
    blank = [found.end() for found in re.finditer(rb"\r?\n\r?\n|\r\r", content)]
    return blank or [found.end() for found in re.finditer(rb"\n", content)]


def _read(subject: Subject, stream: StreamedAnswer) -> None:
    decoded = _whole(subject, stream)
    hold(decoded.chunks, "the stream gave no chunk.")
    hold_expected(decoded.response, stream.expect, "the stream was read wrongly")


def _cut(subject: Subject, stream: StreamedAnswer) -> None:
    content, whole = stream.content, _whole(subject, stream)
    _hold_same(subject, stream, whole, [content[at : at + 1] for at in range(len(content))], "cut at every byte")
    for size in range(2, 18):
        pieces = [content[at : at + size] for at in range(0, len(content), size)]
        _hold_same(subject, stream, whole, pieces, f"cut into pieces of {size} bytes")
    ends = [0, *_borders(content)]
    pieces = [content[start:end] for start, end in zip(ends, [*ends[1:], len(content)], strict=True) if end > start]
    _hold_same(subject, stream, whole, pieces, "cut into its events")


def _commented(subject: Subject, stream: StreamedAnswer) -> None:
    content, whole = stream.content, _whole(subject, stream)
    borders = [0, *_borders(content)]
    if borders[-1] != len(content):
        borders.append(len(content))
    pieces = [b": keep-alive\n\n" + content[start:end] for start, end in pairwise(borders)]
    _hold_same(subject, stream, whole, pieces, "with comments between the events")
    if b"\r" not in content:
        lines = content.replace(b"\n", b"\r\n")
        _hold_same(subject, stream, whole, [lines], "with CRLF at the ends of lines")
        _hold_same(subject, stream, whole, re.split(rb"(?<=\r)(?=\n)", lines), "cut between CR and LF")


def _hold_same(subject: Subject, stream: StreamedAnswer, whole: Decoded, pieces: Iterable[bytes], what: str) -> None:
    decoded = decode(subject, stream, pieces)
    hold(decoded.error is None, f"{what}, the decoder raised {type(decoded.error).__name__}: {decoded.error}")
    got, wanted = ([chunk.model_dump() for chunk in some.chunks] for some in (decoded, whole))
    hold(got == wanted, f"{what}, the stream gave {len(got)} chunks that differ from the {len(wanted)} of it whole.")
    hold(decoded.request_id == whole.request_id, f"{what}, request_id is {decoded.request_id!r}.")


def _ended(subject: Subject, stream: StreamedAnswer) -> None:
    content, wanted = stream.content, _said(_whole(subject, stream))
    for length in sorted({0, *_borders(content), *range(1, len(content), 3)} - {len(content)}):
        decoded = decode(subject, stream, [content[:length]] if length else [])
        place = f"ended after {length} of {len(content)} bytes"
        if decoded.error is None:
            mend = "Expected a StreamInterruptedError of end(), which nobody can take for the whole answer"
            hold_expected(decoded.response, wanted, f"{place}, the stream was taken as whole. {mend}")
        else:
            hold(isinstance(decoded.error, APIError), f"{place}, the decoder raised {decoded.error!r}.")
    empty = decode(subject, stream, [])
    hold(
        isinstance(empty.error, StreamInterruptedError),
        f"without a byte, end() raised {empty.error!r}; expected a StreamInterruptedError.",
    )


def _followed(subject: Subject, stream: StreamedAnswer) -> None:
    whole = _whole(subject, stream)
    if whole.marked:
        trailing = b'data: {"trailing": tru\n\n' + stream.content
        _hold_same(subject, stream, whole, [stream.content + trailing], "with bytes after its end mark")


def _damaged(subject: Subject, stream: StreamedAnswer) -> None:
    bodies = [*corrupted(stream.content), *_odd_events(stream.content)]
    for what, content in bodies:
        try:
            decode(subject, stream, [content])
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}") from error
    page = decode(subject, stream, [HTML], kind="text/html")
    hold(isinstance(page.error, APIError), "an HTML page in the stream's place was taken for an answer.")


def _odd_events(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The stream with one of the values in one of its events odd."""
    for found in re.finditer(rb"^(?:data: ?)?(\{.*\})\r?$", content, re.MULTILINE):
        for what, body in odd(json.loads(found[1])):
            place, changed = f"the event at byte {found.start()}", json.dumps(body).encode()
            yield f"{place}, {what}", content[: found.start(1)] + changed + content[found.end(1) :]


def _same(subject: Subject, stream: StreamedAnswer, answer: Answer) -> None:
    request = subject.asked(answer.request)
    given = subject.response(request, answer.content, answer.headers)
    response: Any = subject.normalizer().normalize(request, given)
    words = [*SAID, *(word for word in ("usage", "search") if word in answer.expect)]
    wanted = _read_as(response, words)
    hold_expected(_whole(subject, stream).response, wanted, "the stream means something else than the whole answer")
