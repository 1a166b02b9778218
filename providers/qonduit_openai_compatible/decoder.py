"""The stream decoder of OpenAI's chat wire.

A stream is whole when `[DONE]` came, or when every choice had its finish_reason and the bytes ended. Continuation
fragments of tool calls come with `"id": ""` from some servers: they are given as None, and keyed by index.

Events that end a choice or bring the usage are read a second time, strictly: money hangs on them. To read each event so
would cost as much as all the rest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from qonduit.answer_json import REPLACED, NotStrictError, error_fields, finite, parse
from qonduit.chunk import ChatChunk, ChunkChoice
from qonduit.errors import APIError, ProtocolError, StreamInterruptedError
from qonduit.request import ChatRequest
from qonduit.sse import Event, EventDecoder
from qonduit.usage import counted
from qonduit.value import json_parser
from qonduit.wire import WireResponse
from qonduit_openai_compatible.blocks import blocked

DONE = b"[DONE]"


class CompatibleDecoder:
    """See `qonduit.parts.StreamDecoder`.

    `error` makes the error of an error object inside the stream, `filtered` that of a stream that was blocked.
    """

    def __init__(
        self,
        request: ChatRequest,
        response: WireResponse,
        error: Callable[[Mapping[str, Any]], APIError],
        filtered: Callable[[], APIError],
    ) -> None:
        self.finished = False
        self.warnings: list[str] = []
        self.request_id = response.headers.get("x-request-id")
        self._error = error
        self._filtered = filtered
        self._events = EventDecoder()
        self._validate = json_parser(ChatChunk)
        self._expected = request.n or 1
        self._ended: set[int] = set()
        self._calling: set[int] = set()
        self._any = False
        self._blocked = False
        self._extra: dict[str, Any] | None = {}

    def feed(self, data: bytes) -> Iterator[ChatChunk]:
        """See `qonduit.parts.StreamDecoder`."""
        return self._chunks(self._events.feed(data))

    def end(self) -> Iterator[ChatChunk]:
        """See `qonduit.parts.StreamDecoder`."""
        # An event that was cut in two: the bytes ended, they are not wrong.
        with contextlib.suppress(ProtocolError):
            yield from self._chunks(self._events.end())
        if not self.finished and len(self._ended) < self._expected:
            raise self._cut()
        self.finished = True

    def _chunks(self, events: list[Event]) -> Iterator[ChatChunk]:
        for event in events:
            data = event.data
            if data == DONE:
                self._done()
                break
            try:
                chunk = self._validate(data)
            except ValidationError:
                chunk = self._mended(data)
            if (extra := chunk.__pydantic_extra__) != self._extra:
                self._look_at(extra or {}, data)
            for choice in (choices := chunk.choices):
                self._any = True
                if choice.finish_reason is not None or choice.delta.tool_calls:
                    chunk = self._normalized(chunk, data)
                    break
            if not choices:
                self._strictly(data)
            yield chunk

    def _look_at(self, extra: dict[str, Any], data: bytes) -> None:
        """What is unknown in a chunk, where it is not what the chunk before it had. Raises: APIError."""
        if extra.get("error"):
            raise self._error(extra)
        self._blocked = self._blocked or blocked(extra)
        try:
            self._extra = finite(extra)
        except NotStrictError as problem:
            raise _not_strict(data, problem) from None

    @staticmethod
    def _strictly(data: bytes) -> None:
        try:
            parse(data)
        except NotStrictError as problem:
            raise _not_strict(data, problem) from None

    def _done(self) -> None:
        if not self._any:
            raise self._cut()
        self.finished = True
        if len(self._ended) < self._expected:
            self.warnings.append("The stream gave its end mark without a finish_reason; it is taken as whole.")

    def _cut(self) -> APIError:
        if self._blocked and not self._any:
            return self._filtered()
        return StreamInterruptedError(
            "The stream ended without its end mark: the answer is cut."
            if self._any
            else "The stream ended before its first event: there is no answer.",
            outcome="unknown",
            retryable=not self._any,
        )

    def _normalized(self, chunk: ChatChunk, data: bytes) -> ChatChunk:
        """Finish reasons and tool ids in one form; remembers what has ended. Raises: ProtocolError."""
        if any(choice.finish_reason is not None for choice in chunk.choices):
            self._strictly(data)
        choices = tuple(self._choice(choice) for choice in chunk.choices)
        return chunk.model_copy(update={"choices": choices})

    def _choice(self, choice: ChunkChoice) -> ChunkChoice:
        calls = choice.delta.tool_calls
        if calls is not None:
            if calls:
                self._calling.add(choice.index)
            named = tuple(call if call.id else call.model_copy(update={"id": None}) for call in calls) or None
            choice = choice.model_copy(update={"delta": choice.delta.model_copy(update={"tool_calls": named})})
        reason = finish_reason(choice.finish_reason, calling=choice.index in self._calling)
        if reason is not None:
            self._ended.add(choice.index)
        return choice if reason == choice.finish_reason else choice.model_copy(update={"finish_reason": reason})

    def _mended(self, data: bytes) -> ChatChunk:
        """A chunk that is nearly one: null where a list or an object belongs, a wrong usage, half of a surrogate pair.

        Raises: APIError for an error, however it is written, ProtocolError.
        """
        try:
            value, replaced = parse(data)
        except NotStrictError as problem:
            if (fields := error_fields(data)).get("error"):
                raise self._error(fields) from None
            raise _not_strict(data, problem) from None
        if isinstance(value, dict):
            if value.get("error"):
                raise self._error(value)
            choices = value.get("choices") or []
            if isinstance(choices, list):
                for choice in choices:
                    if isinstance(choice, dict) and choice.get("delta") is None:
                        choice["delta"] = {}
            try:
                chunk = ChatChunk.model_validate({**value, "choices": choices, "usage": counted(value.get("usage"))})
            except ValidationError:
                pass
            else:
                if replaced and REPLACED not in self.warnings:
                    self.warnings.append(REPLACED)
                return chunk
        raise ProtocolError(
            f"An event of the stream is JSON, but no chunk ({len(data)} bytes); the stream was given up.",
            outcome="unknown",
        )


def _not_strict(data: bytes, problem: NotStrictError) -> ProtocolError:
    return ProtocolError(
        f"An event of the stream cannot be read ({len(data)} bytes): {problem}. The stream was given up.",
        outcome="unknown",
    )


def finish_reason(reason: str | None, *, calling: bool) -> str | None:
    """One form of a finish reason: unknown is None, and an answer that calls tools ends with "tool_calls"."""
    if reason in {None, "", "null"}:
        return None
    return "tool_calls" if calling and reason in {"stop", "function_call"} else reason
