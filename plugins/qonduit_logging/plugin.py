"""The plugin `logging`: middleware in both scopes, through the standard `logging` module.

Neither prompts, answers nor keys are logged. A record's fields are on `record.qonduit`, for formatters and filters; its
message says the same in one line.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from qonduit import APIError, Call, ChatResponse, Middleware, Profile, hookimpl, middleware
from qonduit.middlewares import MiddlewareFlow


class Options(BaseModel):
    """`[profiles.NAME.plugin.logging]`."""

    model_config = ConfigDict(extra="forbid")

    logger: str = "qonduit"
    """The logger that records go to."""
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The level of records of calls that were answered; of failed ones it is WARNING at least."""
    attempts: bool = True
    """Whether each attempt has a record of its own, at DEBUG when it was answered."""


class LoggingPlugin:
    """Logs calls and attempts: who, which model, how it ended, how long it took, what it used."""

    Options = Options

    def __init__(self, options: Options) -> None:
        self._logger = logging.getLogger(options.logger)
        self._level = logging.getLevelNamesMapping()[options.level]
        self._attempts = options.attempts

    @hookimpl
    def qonduit_middleware(self, profile: Profile) -> Iterable[Middleware]:
        yield middleware("logging", wraps=("cost", "cache"), on_error="ignore")(self.call)
        if self._attempts:
            yield middleware("logging.attempt", scope="attempt", on_error="ignore")(self.attempt)

    def call(self, call: Call) -> MiddlewareFlow:
        """One record for the call."""
        return (yield from self._recorded(call, "call", self._level))

    def attempt(self, call: Call) -> MiddlewareFlow:
        """One record for one attempt."""
        return (yield from self._recorded(call, "attempt", logging.DEBUG))

    def _recorded(self, call: Call, kind: str, level: int) -> MiddlewareFlow:
        started = call.clock()
        request = call.request
        try:
            response: ChatResponse = yield request
        except BaseException as error:
            severity = max(level, logging.WARNING)
            if self._logger.isEnabledFor(severity):
                self._log(severity, call, kind, started, _failure(error))
            raise
        if self._logger.isEnabledFor(level):
            self._log(level, call, kind, started, _answer(response))
        return None

    def _log(self, level: int, call: Call, kind: str, started: float, ending: dict[str, Any]) -> None:
        fields: dict[str, Any] = {
            "event": kind,
            "profile": call.profile.name,
            "provider": call.profile.provider,
            "operation": call.operation,
            "model": call.request.model,
            "streamed": call.streamed,
            "attempt": call.attempt,
            "seconds": round(call.clock() - started, 6),
            **ending,
        }
        if call.tags:
            fields["tags"] = dict(call.tags)
        line = " ".join(f"{name}={_shown(value)}" for name, value in fields.items() if value is not None)
        self._logger.log(level, "%s", line, extra={"qonduit": fields})


def _answer(response: ChatResponse) -> dict[str, Any]:
    usage = response.usage
    cost = response.cost
    return {
        "outcome": "cached" if response.cached else "answered" if response.complete else "incomplete",
        "status": response.status_code,
        "request_id": response.request_id,
        "finish_reason": response.choices[0].finish_reason if response.choices else None,
        "input_tokens": usage.input_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
        "cost": str(cost.amount) if cost and cost.amount is not None else None,
        "currency": cost.currency if cost and cost.amount is not None else None,
        "warnings": len(response.warnings) or None,
    }


def _failure(error: BaseException) -> dict[str, Any]:
    if not isinstance(error, APIError):
        kind = "failed" if isinstance(error, Exception) else "cancelled"
        return {"outcome": kind, "error": type(error).__name__}
    return {
        "outcome": "failed",
        "error": type(error).__name__,
        "status": error.status_code,
        "code": error.code,
        "request_id": error.request_id,
        "sent": error.outcome,
    }


def _shown(value: Any) -> str:
    """A value in a line: control characters of what providers and callers say are escaped."""
    text = str(value)
    return text if text.isprintable() and " " not in text else ascii(text) if not text.isprintable() else repr(text)
