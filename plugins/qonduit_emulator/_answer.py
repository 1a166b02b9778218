"""Fold deltas into the answer so far: for plain answers, and for native streams that repeat everything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

from qonduit_emulator._exchange import (
    Delta,
    FinishDelta,
    FinishReason,
    ReasoningDelta,
    SearchDelta,
    SearchResult,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)


@dataclass
class Choice:
    """One choice as far as it has come; `finish_reason` is `None` until its end."""

    text: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    tokens: list[str] | None = None
    finish_reason: FinishReason | None = None


@dataclass
class Answer:
    """All choices by number, and the usage of the last delta (nothing before the first)."""

    choices: dict[int, Choice] = field(default_factory=dict)
    usage: Usage = field(default_factory=lambda: Usage(0))
    search_results: tuple[SearchResult, ...] | None = None

    def add(self, delta: Delta) -> Choice:
        """Take one more delta in; returns the choice it belongs to."""
        choice = self.choices.setdefault(delta.choice, Choice())
        self.usage = delta.usage
        match delta:
            case TextDelta():
                choice.text += delta.text
                if delta.tokens is not None:
                    choice.tokens = choice.tokens or []
                    choice.tokens.extend(delta.tokens)
            case ReasoningDelta():
                choice.reasoning += delta.text
            case ToolCallDelta():
                _add_fragment(choice.tool_calls, delta)
            case FinishDelta():
                choice.finish_reason = delta.reason
            case SearchDelta():
                self.search_results = delta.results
            case _:
                assert_never(delta)
        return choice


def fold(deltas: Iterable[Delta]) -> Answer:
    """The whole answer."""
    answer = Answer()
    for delta in deltas:
        answer.add(delta)
    return answer


def _add_fragment(calls: list[ToolCall], delta: ToolCallDelta) -> None:
    if delta.index == len(calls):
        calls.append(ToolCall(id=delta.id or "", name=delta.name or "", arguments=delta.arguments))
        return
    call = calls[delta.index]
    calls[delta.index] = ToolCall(id=call.id, name=call.name, arguments=call.arguments + delta.arguments)
