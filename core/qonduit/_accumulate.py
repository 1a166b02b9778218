"""Accumulate: fold chunks into the answer that they are the pieces of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from qonduit.chunk import ChatChunk, ChunkChoice
from qonduit.errors import ProtocolError
from qonduit.messages import FunctionCall, Message, Role, ToolCall, ToolCallDelta
from qonduit.response import ChatResponse, Choice
from qonduit.search import Search
from qonduit.usage import Usage

_ROLES = frozenset(get_args(Role))


class Accumulator:
    """Takes chunks as they pass; `response` gives the answer so far."""

    __slots__ = ("_choices", "created", "id", "model", "search", "usage")

    def __init__(self) -> None:
        self.id: str | None = None
        self.model: str | None = None
        self.created: int | None = None
        self.usage: Usage | None = None
        self.search: Search | None = None
        self._choices: dict[int, _ChoiceParts] = {}

    def add(self, chunks: Iterable[ChatChunk]) -> None:
        """Fold `chunks` in."""
        for chunk in chunks:
            if self.id is None:
                self.id, self.model, self.created = chunk.id, chunk.model, chunk.created
            if chunk.usage is not None:
                self.usage = chunk.usage
            if (extra := chunk.__pydantic_extra__) and "search" in extra:
                self.search = chunk.search or self.search
            for choice in chunk.choices:
                try:
                    parts = self._choices[choice.index]
                except KeyError:
                    parts = self._choices[choice.index] = _ChoiceParts()
                parts.add(choice)

    def response(self, **fields: Any) -> ChatResponse:
        """The answer so far; `fields` are those that chunks do not carry."""
        choices = tuple(parts.choice(index) for index, parts in sorted(self._choices.items()))
        return ChatResponse(
            **{"id": self.id, "model": self.model, "created": self.created, "usage": self.usage, **fields},
            choices=choices,
            search=self.search,
        )


class _ChoiceParts:
    __slots__ = ("content", "extra", "finish_reason", "logprobs", "reasoning", "role", "tool_calls")

    def __init__(self) -> None:
        self.role: str | None = None
        self.content: list[str] = []
        self.reasoning: list[str] = []
        self.tool_calls: _ToolCalls | None = None
        self.finish_reason: str | None = None
        self.logprobs: dict[str, list[Any]] = {}
        self.extra: dict[str, Any] = {}

    def add(self, choice: ChunkChoice) -> None:
        delta = choice.delta
        if delta.content is not None:
            self.content.append(delta.content)
        if delta.reasoning_content is not None:
            self.reasoning.append(delta.reasoning_content)
        if delta.role is not None:
            self.role = delta.role
        if delta.tool_calls:
            if self.tool_calls is None:
                self.tool_calls = _ToolCalls()
            for fragment in delta.tool_calls:
                self.tool_calls.add(fragment)
        if choice.finish_reason is not None and self.finish_reason is None:
            self.finish_reason = choice.finish_reason  # the first end mark wins
        if choice.logprobs:
            for name, values in choice.logprobs.items():
                if isinstance(values, list):
                    self.logprobs.setdefault(name, []).extend(values)
        if delta.__pydantic_extra__:
            self.extra.update(delta.__pydantic_extra__)

    def choice(self, index: int) -> Choice:
        calls = self.tool_calls.whole() if self.tool_calls is not None else None
        content = "".join(self.content) if self.content else None
        return Choice(
            index=index,
            message=Message.model_validate(
                {
                    **{name: value for name, value in self.extra.items() if name not in Message.model_fields},
                    "role": self.role if self.role in _ROLES else "assistant",  # it was delivered: nobody else spoke
                    # An answer that only calls tools has no content, whether a wire says null or "".
                    "content": None if calls and not content else content,
                    "reasoning_content": "".join(self.reasoning) or None,
                    "tool_calls": calls,
                }
            ),
            finish_reason=self.finish_reason,
            logprobs=self.logprobs or None,
        )


class _ToolCalls:
    """The tool calls of one choice, put together from fragments.

    A fragment belongs to the call of its id; without an id, to the latest call at its index; without either, to the
    latest call. A new id at a used index is a new call. What fits nowhere is an error: two calls' arguments are never
    joined.
    """

    __slots__ = ("_by_id", "_by_index", "_calls")

    def __init__(self) -> None:
        self._calls: list[_ToolCallParts] = []
        self._by_id: dict[str, _ToolCallParts] = {}
        self._by_index: dict[int, _ToolCallParts] = {}

    def add(self, fragment: ToolCallDelta) -> None:
        function = fragment.function
        name = function.name if function is not None else None
        call = self._find(fragment, name)
        if call is None:
            if not name:
                raise ProtocolError(
                    "A fragment of a tool call belongs to no call: it has no known id, no known index and no name.",
                    outcome="unknown",
                )
            call = _ToolCallParts(fragment.id or None, fragment.type or "function", name)
            self._calls.append(call)
        if fragment.id:
            call.id = fragment.id
            self._by_id[fragment.id] = call
        if fragment.index is not None:
            self._by_index[fragment.index] = call
        if function is not None and function.arguments:
            call.arguments.append(function.arguments)

    def _find(self, fragment: ToolCallDelta, name: str | None) -> _ToolCallParts | None:
        if fragment.id:
            call = self._by_id.get(fragment.id)
            if call is None and fragment.index is not None:
                held = self._by_index.get(fragment.index)
                call = held if held is not None and held.id is None else None
            return call
        if fragment.index is not None:
            call = self._by_index.get(fragment.index)
        else:
            call = self._calls[-1] if self._calls else None
        if call is not None and name and call.arguments and name != call.name:
            return None
        return call

    def whole(self) -> tuple[ToolCall, ...]:
        return tuple(
            ToolCall(
                id=call.id,
                type=call.type,
                function=FunctionCall(name=call.name, arguments="".join(call.arguments)),
                index=index,
            )
            for index, call in enumerate(self._calls)
        )


class _ToolCallParts:
    __slots__ = ("arguments", "id", "name", "type")

    def __init__(self, identifier: str | None, kind: str, name: str) -> None:
        self.id = identifier
        self.type = kind
        self.name = name
        self.arguments: list[str] = []
