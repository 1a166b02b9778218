"""Record: the fields of one call or attempt, and its two written forms, each made once and only when asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from qonduit_logging.options import Form


class Record:
    """One record, safe to show: its fields have been cleaned. As a message of `logging` it writes itself.

    Attributes:
        level: a level of `logging`.
        fields: by the names of `qonduit_logging.FIELDS`.
    """

    __slots__ = ("_form", "_json", "_line", "fields", "level")

    def __init__(self, level: int, fields: dict[str, Any], form: Form = "console") -> None:
        self.level = level
        self.fields = fields
        self._form = form
        self._json: bytes | None = None
        self._line: str | None = None

    @property
    def json(self) -> bytes:
        """One JSON object in UTF-8, without a line break."""
        if self._json is None:
            self._json = to_json(self.fields, inf_nan_mode="null", fallback=str)
        return self._json

    @property
    def line(self) -> str:
        """The fields that a reader looks for first, in one line."""
        if self._line is None:
            self._line = written(self.fields)
        return self._line

    def __str__(self) -> str:
        """The record in its form: the message of a record of `logging`."""
        return self.json.decode() if self._form == "json" else self.line

    def __repr__(self) -> str:
        """As `str`: it may be shown."""
        return str(self)


def written(fields: Mapping[str, Any]) -> str:
    """One line for readers: `call chat qwen/qwen-plus: answered, 200, 0.523 s, 12 + 34 tokens, 0.0001 CNY`."""
    get = fields.get
    what = str(get("event.name", "")).removeprefix("qonduit.")
    if get("qonduit.attempt") is not None:
        what += f" {fields['qonduit.attempt']}"
    target = "/".join(str(name) for name in (get("gen_ai.provider.name"), get("gen_ai.request.model")) if name)
    told = [get("qonduit.outcome"), get("http.response.status_code"), get("error.type"), get("qonduit.error.code")]
    said = [str(item) for item in told if item is not None]
    said.append(f"{get('qonduit.duration', 0):.3f} s")
    first = get("gen_ai.response.time_to_first_chunk")
    if first is not None:
        said.append(f"first chunk {first:.3f} s")
    if get("gen_ai.usage.input_tokens") is not None or get("gen_ai.usage.output_tokens") is not None:
        said.append(f"{get('gen_ai.usage.input_tokens', '?')} + {get('gen_ai.usage.output_tokens', '?')} tokens")
    if get("qonduit.cost.amount") is not None:
        said.append(f"{get('qonduit.cost.amount')} {get('qonduit.cost.currency', '')}".rstrip())
    for label, name in _LABELLED:
        value = get(name)
        if value not in (None, (), [], {}):
            said.append(f"{label} {_plain(value)}" + (" s" if name == "qonduit.retry.delay" else ""))
    return f"{what} {get('gen_ai.operation.name', '')} {target}: {', '.join(said)}"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={item}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value)


_LABELLED = (
    ("finished by", "gen_ai.response.finish_reasons"),
    ("attempts", "qonduit.attempts"),
    ("waited", "qonduit.retry.delay"),
    ("after", "qonduit.retry.reason"),
    ("tags", "qonduit.tags"),
    ("request", "qonduit.request_id"),
    ("sent", "qonduit.sent"),
    ("message", "qonduit.error.message"),
    ("warnings", "qonduit.warnings"),
    ("input", "gen_ai.input.messages"),
    ("texts", "qonduit.input.texts"),
    ("output", "gen_ai.output.messages"),
)
"""What stands at the end of the line, with its label."""


def level_name(level: int) -> str:
    """The name of a level, as records have it."""
    return logging.getLevelName(level)
