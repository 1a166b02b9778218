"""Accumulate: fold chunks into the answer that they are the pieces of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from qonduit._tool_fragments import ToolFragments, marked
from qonduit.chunk import ChatChunk, ChunkChoice
from qonduit.messages import Message, Role
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
        response = ChatResponse(
            **{"id": self.id, "model": self.model, "created": self.created, "usage": self.usage, **fields},
            choices=choices,
            search=self.search,
        )
        return marked(response)


class _ChoiceParts:
    __slots__ = ("content", "extra", "finish_reason", "logprobs", "reasoning", "role", "tool_calls")

    def __init__(self) -> None:
        self.role: str | None = None
        self.content: list[str] = []
        self.reasoning: list[str] = []
        self.tool_calls: ToolFragments | None = None
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
                self.tool_calls = ToolFragments()
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
        calls = self.tool_calls.all() if self.tool_calls is not None else None
        reason = "tool_calls" if calls and self.finish_reason == "stop" else self.finish_reason  # calls came after it
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
            finish_reason=reason,
            logprobs=self.logprobs or None,
        )
