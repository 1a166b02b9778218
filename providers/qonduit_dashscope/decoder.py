"""The stream decoder of the native wire.

What is its own: the status is said in an SSE comment (`:HTTP_STATUS/200`), an error is an event in a 200 stream, the
finish_reason of a running choice is the text "null", every chunk repeats the usage so far, there is no `[DONE]`, and
the last event may come without its blank line. Chunks repeat all text so far where `incremental_output` is false.

The event that ends the answer is read a second time, strictly: money hangs on its usage.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from qonduit.answer_json import REPLACED, NotStrictError, error_fields, parse
from qonduit.chunk import ChatChunk
from qonduit.errors import APIError, ProtocolError, StreamInterruptedError
from qonduit.request import ChatRequest
from qonduit.retry_after import http_time
from qonduit.search import Search
from qonduit.sse import Event, EventDecoder
from qonduit.usage import counted
from qonduit.wire import WireResponse
from qonduit_dashscope.envelope import said
from qonduit_dashscope.search import search_of

_STATUS = re.compile(rb"HTTP_STATUS/(\d{3})")


class NativeDecoder:
    """See `qonduit.parts.StreamDecoder`.

    `error` makes the error of a status, a body, and whether the answer had begun; `answered` is called when it begins.
    """

    def __init__(
        self,
        request: ChatRequest,
        response: WireResponse,
        *,
        error: Callable[[int | None, Mapping[str, Any], bool], APIError],
        answered: Callable[[], None],
    ) -> None:
        self.finished = False
        self.warnings: list[str] = []
        self.request_id = response.headers.get("x-request-id")
        self._error = error
        self._answered = answered
        self._events = EventDecoder()
        self._model = request.model
        self._created = http_time(response.headers)
        self._expected = said(request, "n") or request.n or 1
        # Otherwise chunks were asked to be increments, also where only the wire is streamed.
        self._cumulative = said(request, "incremental_output") is False
        self._choices: dict[int, _ChoiceState] = {}
        self._usage: dict[str, Any] | None = None
        self._search: Search | None = None
        self._found: dict[str, Any] | None = None
        self._any = False

    def feed(self, data: bytes) -> Iterator[ChatChunk]:
        """See `qonduit.parts.StreamDecoder`."""
        return self._chunks(self._events.feed(data))

    def end(self) -> Iterator[ChatChunk]:
        """See `qonduit.parts.StreamDecoder`."""
        # An event that was cut in two: the bytes ended, they are not wrong.
        with contextlib.suppress(ProtocolError):
            yield from self._chunks(self._events.end())
        if not self.finished:
            raise self._cut()

    def _chunks(self, events: list[Event]) -> Iterator[ChatChunk]:
        for event in events:
            if self.finished:
                break
            if event.data == b"[DONE]":
                if not self._any:
                    raise self._cut()
                self.finished = True
                self.warnings.append("The stream gave an end mark without a finish_reason; it is taken as whole.")
                yield self._usage_chunk()
                break
            body = self._body(event)
            chunk = self._chunk(body)
            if self.finished:
                _strictly(event.data)
            if chunk is not None:
                if not self._any:
                    self._any = True
                    self._answered()
                yield chunk
            if self.finished:
                yield self._usage_chunk()

    def _cut(self) -> StreamInterruptedError:
        return StreamInterruptedError(
            "The stream ended without a finish_reason: the answer is cut."
            if self._any
            else "The stream ended before its first event: there is no answer.",
            outcome="unknown",
            retryable=not self._any,
        )

    def _body(self, event: Event) -> dict[str, Any]:
        problem: NotStrictError | None = None
        body: Any
        try:
            body = from_json(event.data, allow_inf_nan=False)
        except ValueError:
            body, problem = self._mended(event.data)
        if event.event == b"error" or (isinstance(body, dict) and (body.get("code") or body.get("error"))):
            status = None
            for comment in event.comments:
                if (found := _STATUS.search(comment)) is not None and found[1] != b"200":
                    status = int(found[1])
            raise self._error(status, body if isinstance(body, dict) else {}, self._any)
        if problem is not None:
            raise _not_strict(event.data, problem)
        if not isinstance(body, dict):
            raise ProtocolError(
                f"An event of the stream is no JSON object ({len(event.data)} bytes); the stream was given up.",
                outcome="unknown",
            )
        return body

    def _mended(self, data: bytes) -> tuple[Any, NotStrictError | None]:
        """The JSON of an event with halves of surrogate pairs replaced; else what of it says an error, and why."""
        try:
            value, replaced = parse(data)
        except NotStrictError as problem:
            return error_fields(data), problem
        if replaced and REPLACED not in self.warnings:
            self.warnings.append(REPLACED)
        return value, None

    def _chunk(self, body: dict[str, Any]) -> ChatChunk | None:
        self.request_id = body.get("request_id") or self.request_id
        usage = body.get("usage")
        if isinstance(usage, dict) and usage:
            self._usage = usage
        output = body.get("output")
        self._look_for_search(output)
        choices = output.get("choices") if isinstance(output, dict) else None
        if choices is None and isinstance(output, dict) and isinstance(output.get("text"), str):
            choices = [{"message": {"content": output["text"]}, "finish_reason": output.get("finish_reason")}]
        if not choices:
            return None  # what was found waits for the next chunk that has some
        try:
            deltas = [self._delta(position, choice) for position, choice in enumerate(choices)]
            self.finished = sum(state.ended for state in self._choices.values()) >= self._expected
            search, self._search = self._search, None
            return ChatChunk.model_validate(
                {
                    "id": self.request_id,
                    "model": self._model,
                    "created": self._created,
                    "choices": deltas,
                    "search": search,
                }
            )
        except (ValidationError, TypeError, AttributeError, KeyError):
            raise ProtocolError(
                "An event of the stream is JSON, but no chunk; the stream was given up.", outcome="unknown"
            ) from None

    def _look_for_search(self, output: Any) -> None:
        """Keep what was found until a chunk can carry it; the wire may repeat it."""
        search = search_of(output)
        if search is not None and (found := search.model_dump()) != self._found:
            self._search, self._found = search, found

    def _delta(self, position: int, choice: dict[str, Any]) -> dict[str, Any]:
        index = choice.get("index", position)
        state = self._choices.get(index)
        if state is None:
            state = self._choices[index] = _ChoiceState()
        message = choice.get("message") or {}
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content)
        reasoning = message.get("reasoning_content")
        calls = message.get("tool_calls")
        if self._cumulative:
            content, reasoning, calls = state.fresh(content, reasoning, calls)
        delta: dict[str, Any] = {}
        if not state.begun:
            state.begun = True
            delta["role"] = message.get("role", "assistant")
        # This wire says "" for "nothing of this kind in this chunk".
        if reasoning:
            delta["reasoning_content"] = reasoning
        if content is not None and (content or not (reasoning or calls)):
            delta["content"] = content
        if calls:
            state.calling = True
            delta["tool_calls"] = [{**call, "id": call.get("id") or None} for call in calls]
        reason = choice.get("finish_reason")
        if reason in {None, "", "null"}:
            reason = None
        else:
            state.ended = True
            if state.calling and reason == "stop":
                reason = "tool_calls"  # a forced call ends with "stop" on this wire
        extra = {name: value for name, value in choice.items() if name not in {"message", "index", "finish_reason"}}
        return {**extra, "index": index, "delta": delta, "finish_reason": reason}

    def _usage_chunk(self) -> ChatChunk:
        try:
            usage = counted(self._usage)
        except NotStrictError:
            raise ProtocolError(
                "The usage of the stream holds what is no number; the stream was given up.", outcome="unknown"
            ) from None
        return ChatChunk(id=self.request_id, model=self._model, created=self._created, usage=usage)


def _strictly(data: bytes) -> None:
    try:
        parse(data)
    except NotStrictError as problem:
        raise _not_strict(data, problem) from None


def _not_strict(data: bytes, problem: NotStrictError) -> ProtocolError:
    return ProtocolError(
        f"An event of the stream cannot be read ({len(data)} bytes): {problem}. The stream was given up.",
        outcome="unknown",
    )


class _ChoiceState:
    """What is known of one choice; for cumulative chunks, how much of it has been given."""

    __slots__ = ("arguments", "begun", "calling", "content", "ended", "reasoning")

    def __init__(self) -> None:
        self.begun = False
        self.calling = False
        self.ended = False
        self.content = ""
        self.reasoning = ""
        self.arguments: dict[int, str] = {}

    def fresh(self, content: str | None, reasoning: str | None, calls: Any) -> tuple[Any, Any, Any]:
        """What a cumulative chunk adds to what was given."""
        content, self.content = _tail(content, self.content)
        reasoning, self.reasoning = _tail(reasoning, self.reasoning)
        fragments = []
        for position, call in enumerate(calls or ()):
            index = call.get("index", position)
            function = dict(call.get("function") or {})
            known = self.arguments.get(index)
            function["arguments"], self.arguments[index] = _tail(function.get("arguments") or "", known or "")
            if known is None or function["arguments"]:
                fragments.append({**call, "index": index, "function": function})
        return content, reasoning, fragments


def _tail(text: str | None, given: str) -> tuple[str | None, str]:
    if not text:
        return text, given
    return (text[len(given) :], text) if text.startswith(given) else (text, given + text)
