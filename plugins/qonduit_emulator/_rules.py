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
from qonduit_emulator._exchange import ChatRequest, Delta, FinishReason, ToolCall
from qonduit_emulator._refusal_codes import refusal_by_code
from qonduit_emulator._scripted import Script, answer_script
from qonduit_emulator._settings import Reader, SettingError, number, read_settings, table, text


def _any_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text")
    return value


def _pattern(value: Any) -> re.Pattern[str]:
    try:
        return re.compile(text(value))
    except re.error as error:
        raise TypeError(f"a regular expression ({error})") from None


def _header(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(item, str) for item in value.values()):
        raise TypeError("a table of header names and their values")
    return {name.lower(): item for name, item in value.items()}


def _error(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError("a status or a code")
    try:
        refusal_by_code(str(value))
    except ValueError as error:
        raise TypeError(f"a status or a code ({error})") from None
    return str(value)


def _tools(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [table(value)]


_READERS: Mapping[str, Reader] = {
    "model": text,
    "text": text,
    "pattern": _pattern,
    "header": _header,
    "answer": _any_text,
    "reasoning": _any_text,
    "tool": _tools,
    "error": _error,
    "message": text,
    "delay_seconds": number,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what was `given` for it, and what that `settings` means; `backend` is `None` when it leaves
    the answer as it is.
    """

    id: int
    given: Mapping[str, Any]
    settings: Mapping[str, Any]
    backend: Backend | None

    @property
    def delay_seconds(self) -> float:
        """How long the answer's beginning takes."""
        delay: float = self.settings.get("delay_seconds", 0)
        return delay

    def fits(self, request: ChatRequest, headers: Mapping[str, str]) -> bool:
        """Whether all the rule names is so. Header names are lower case."""
        asked = self.settings
        if "model" in asked and not fnmatchcase(request.model, asked["model"]):
            return False
        if any(headers.get(name) != value for name, value in asked.get("header", {}).items()):
            return False
        if "text" not in asked and "pattern" not in asked:
            return True
        prompt = next((m.text for m in reversed(request.messages) if m.role == "user"), "")
        return asked.get("text", "") in prompt and ("pattern" not in asked or bool(asked["pattern"].search(prompt)))


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
        return self.set_record({key: value for key, value in given.items() if value is not None}, "rule")

    def set_record(self, record: Any, place: str) -> int:
        """Set the rule of a configuration's table or of JSON; `place` names it in errors.

        Raises:
            SettingError: an unknown key, a value that cannot be read, or nothing to do.
        """
        with self._lock:
            rule = _parse_rule(next(self._ids), record, place)
            self._rules = (*self._rules, rule)
        return rule.id

    def clear(self, rule_id: int | None = None) -> int:
        """Forget one rule, or all of them; returns how many there were."""
        with self._lock:
            kept = () if rule_id is None else tuple(rule for rule in self._rules if rule.id != rule_id)
            cleared = len(self._rules) - len(kept)
            self._rules = kept
        return cleared

    def list(self) -> tuple[dict[str, Any], ...]:
        """What is set, in order, each with its `id`."""
        return tuple({"id": rule.id, **rule.given} for rule in self._rules)

    def match(self, request: ChatRequest, headers: Mapping[str, str]) -> Rule | None:
        """The first rule that fits."""
        return next((rule for rule in self._rules if rule.fits(request, headers)), None)


def _plain(tool: Any) -> Any:
    if tool is None or isinstance(tool, Mapping):
        return tool
    return [dict(one) for one in tool]


def _parse_rule(rule_id: int, record: Any, place: str) -> Rule:
    settings = read_settings(record, _READERS, place)
    if "error" in settings:
        if clash := [key for key in ("answer", "tool", "reasoning") if key in settings]:
            raise SettingError(f"{place}: error and {clash[0]} exclude each other")
        backend: Backend | None = _Refusing(settings["error"], settings.get("message"))
    elif any(key in settings for key in ("answer", "tool", "reasoning")):
        calls = _parse_calls(settings.get("tool", []), place)
        reason: FinishReason = "tool_calls" if calls else "stop"
        backend = _Saying(Script(settings.get("reasoning", ""), settings.get("answer", ""), calls, reason))
    elif "delay_seconds" in settings:
        backend = None
    else:
        raise SettingError(f"{place}: it needs one of answer, tool, reasoning, error, delay_seconds")
    return Rule(rule_id, dict(record), settings, backend)


def _arguments(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(table(value), ensure_ascii=False, default=str)


def _parse_calls(tools: list[Any], place: str) -> tuple[ToolCall, ...]:
    calls = []
    for index, tool in enumerate(tools):
        call = read_settings(tool, {"name": text, "arguments": _arguments}, f"{place}, tool")
        if "name" not in call:
            raise SettingError(f"{place}, tool: it needs a name")
        arguments = call.get("arguments", "{}")
        digest = hashlib.sha256(f"{index}/{call['name']}/{arguments}".encode()).hexdigest()
        calls.append(ToolCall(id=f"call_{digest[:24]}", name=call["name"], arguments=arguments))
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
