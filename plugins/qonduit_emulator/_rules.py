"""Rules: what the scripted model says to whom. The first rule that fits wins.

A rule fits when all it names does: the model, the text of the last user turn, headers. It gives a text, tool
calls, reasoning, an error, a delay; a rule with a delay only slows the usual answer down.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from qonduit_emulator._backend import Backend
from qonduit_emulator._exchange import ChatRequest, Delta, ToolCall
from qonduit_emulator._refusal_codes import refusal_by_code
from qonduit_emulator._scripted import Script, answer_script
from qonduit_emulator._tables import NUMBER, read_table, read_tables

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "model": str,
    "text": str,
    "pattern": str,
    "header": dict,
    "answer": str,
    "reasoning": str,
    "tool": (dict, list),
    "error": (str, int),
    "message": str,
    "delay_seconds": NUMBER,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `backend` is `None` when it leaves the answer as it is."""

    id: int
    given: Mapping[str, Any]
    backend: Backend | None
    delay_seconds: float
    pattern: re.Pattern[str] | None

    def fits(self, request: ChatRequest, headers: Mapping[str, str]) -> bool:
        """Whether all the rule names is so. Header names are lower case."""
        given = self.given
        if "model" in given and not fnmatchcase(request.model, given["model"]):
            return False
        if any(headers.get(name.lower()) != value for name, value in given.get("header", {}).items()):
            return False
        if "text" not in given and self.pattern is None:
            return True
        prompt = next((m.text for m in reversed(request.messages) if m.role == "user"), "")
        return given.get("text", "") in prompt and (self.pattern is None or bool(self.pattern.search(prompt)))


class Rules:
    """The rules that are set. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: tuple[Rule, ...] = ()
        self._ids = itertools.count(1)

    def set(
        self,
        *,
        model: str | None = None,
        text: str | None = None,
        pattern: str | None = None,
        header: Mapping[str, str] | None = None,
        answer: str | None = None,
        reasoning: str | None = None,
        tool: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        error: str | int | None = None,
        message: str | None = None,
        delay_seconds: float | None = None,
    ) -> int:
        """Set one more rule, after those there are; returns its id, for `clear`.

        Args:
            model: the model's name; `*` and `?` stand for any letters and any letter.
            text: the last user turn contains this.
            pattern: the last user turn matches this regular expression somewhere.
            header: the request has these headers with these values.
            answer: the answer's text.
            reasoning: what comes before it, where the call thinks.
            tool: the tool call, or the calls, each `{"name": …, "arguments": {…}}`.
            error: the answer is this refusal, by status or code.
            message: replaces the refusal's message.
            delay_seconds: how long the answer's beginning takes.

        Raises:
            ValueError: it gives nothing, or a value cannot be read.
        """
        given = {
            "model": model,
            "text": text,
            "pattern": pattern,
            "header": dict(header) if header is not None else None,
            "answer": answer,
            "reasoning": reasoning,
            "tool": _plain(tool),
            "error": error,
            "message": message,
            "delay_seconds": delay_seconds,
        }
        return self.set_table({key: value for key, value in given.items() if value is not None}, "rule")

    def set_table(self, table: Any, where: str) -> int:
        """Set the rule of a configuration's table. Raises `ValueError` that says what is wrong where."""
        with self._lock:
            rule = _parse_rule(next(self._ids), table, where)
            self._rules = (*self._rules, rule)
        return rule.id

    def set_tables(self, tables: Any, where: str) -> None:
        """Set the rules of an array of tables, in order. Raises `ValueError` as `set_table` does."""
        for number, table in enumerate(read_tables(tables, where), 1):
            self.set_table(table, f"{where} {number}")

    def clear(self, rule_id: int | None = None) -> int:
        """Forget one rule, or all of them; returns how many there were."""
        with self._lock:
            kept = () if rule_id is None else tuple(rule for rule in self._rules if rule.id != rule_id)
            cleared = len(self._rules) - len(kept)
            self._rules = kept
        return cleared

    def list(self) -> list[dict[str, Any]]:
        """What is set, in order, each with its `id`."""
        return [{"id": rule.id, **rule.given} for rule in self._rules]

    def match(self, request: ChatRequest, headers: Mapping[str, str]) -> Rule | None:
        """The first rule that fits."""
        return next((rule for rule in self._rules if rule.fits(request, headers)), None)


def _plain(tool: Any) -> Any:
    if tool is None:
        return None
    return dict(tool) if isinstance(tool, Mapping) else [dict(one) for one in tool]


def _parse_rule(rule_id: int, table: Any, where: str) -> Rule:
    given = read_table(table, where, _TYPES)
    read_table(given.get("header", {}), f"{where}: header", dict.fromkeys(given.get("header", {}), str))
    delay = given.get("delay_seconds", 0)
    if not 0 <= delay < 1e9:
        raise ValueError(f"{where}: delay_seconds is {delay!r}, expected a number from 0")
    try:
        pattern = re.compile(given["pattern"]) if "pattern" in given else None
    except re.error as error:
        raise ValueError(f"{where}: pattern is no regular expression: {error}") from None
    backend = _parse_backend(given, where)
    if backend is None and "delay_seconds" not in given:
        raise ValueError(f"{where}: it needs one of answer, tool, error, reasoning, delay_seconds")
    return Rule(rule_id, given, backend, delay, pattern)


def _parse_backend(given: Mapping[str, Any], where: str) -> Backend | None:
    if "error" in given:
        if clash := [key for key in ("answer", "tool", "reasoning") if key in given]:
            raise ValueError(f"{where}: error and {clash[0]} exclude each other")
        try:
            refusal_by_code(str(given["error"]))
        except ValueError as error:
            raise ValueError(f"{where}: error: {error}") from None
        return _Refusing(str(given["error"]), given.get("message"))
    if not any(key in given for key in ("answer", "tool", "reasoning")):
        return None
    calls = _parse_calls(given.get("tool", []), where)
    return _Saying(
        Script(given.get("reasoning", ""), given.get("answer", ""), calls, "tool_calls" if calls else "stop")
    )


def _parse_calls(tools: Any, where: str) -> tuple[ToolCall, ...]:
    calls = []
    for index, tool in enumerate(tools if isinstance(tools, list) else [tools]):
        call = read_table(tool, f"{where}: tool", {"name": str, "arguments": (dict, str)})
        if not call.get("name"):
            raise ValueError(f"{where}: tool: it needs a name")
        arguments = call.get("arguments", {})
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, default=str)
        digest = hashlib.sha256(f"{index}/{call['name']}/{text}".encode()).hexdigest()
        calls.append(ToolCall(id=f"call_{digest[:24]}", name=call["name"], arguments=text))
    return tuple(calls)


class _Saying:
    """Gives one script to everybody."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def answer(self, request: ChatRequest) -> AsyncIterator[Delta]:
        for delta in answer_script(request, lambda _: self._script):
            yield delta


class _Refusing:
    """Refuses everybody."""

    def __init__(self, code: str, message: str | None) -> None:
        self._code = code
        self._message = message

    async def answer(self, request: ChatRequest) -> AsyncIterator[Delta]:
        raise refusal_by_code(self._code, self._message)
        yield  # makes it a generator
