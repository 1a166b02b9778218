"""The plugin `logging`: middleware in both scopes, through the standard `logging` module.

Neither prompts, answers nor keys are logged. A record's fields are on `record.qonduit`, for formatters and filters; its
message says the same in one line.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from qonduit import APIError, Call, ChatResponse, Middleware, Profile, Response, hookimpl, middleware
from qonduit.middlewares import MiddlewareFlow


class LoggingOptions(BaseModel):
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

    Options = LoggingOptions

    def __init__(self, options: LoggingOptions) -> None:
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
        started = call.clock()
        try:
            response: Response = yield call.request
        except BaseException as error:
            self._failed(call, "call", started, error)
            raise
        self._answered(call, "call", started, response, self._level)
        return None

    def attempt(self, call: Call) -> MiddlewareFlow:
        """One record for one attempt."""
        started = call.clock()
        try:
            response: Response = yield call.request
        except BaseException as error:
            self._failed(call, "attempt", started, error)
            raise
        self._answered(call, "attempt", started, response, logging.DEBUG)
        return None

    def _answered(self, call: Call, event: str, started: float, response: Response, level: int) -> None:
        if not self._logger.isEnabledFor(level):
            return
        usage = response.usage
        cost = response.cost
        fields: dict[str, Any] = {
            **_common(call, event, started),
            "outcome": "cached" if response.cached else "answered" if response.complete else "incomplete",
            "status": response.status_code,
            "request_id": response.request_id,
            "finish_reason": _finish_reason(response),
            "input_tokens": usage.input_tokens if usage is not None else None,
            "output_tokens": usage.output_tokens if usage is not None else None,
            "cost": cost.amount if cost is not None else None,
            "currency": cost.currency if cost is not None else None,
            "warnings": response.warnings,
        }
        self._log(level, fields)

    def _failed(self, call: Call, event: str, started: float, error: BaseException) -> None:
        level = max(self._level, logging.WARNING)
        if not self._logger.isEnabledFor(level):
            return
        fields = {**_common(call, event, started), "error": type(error).__name__}
        if isinstance(error, APIError):
            fields |= {
                "outcome": "failed",
                "status": error.status_code,
                "code": error.code,
                "request_id": error.request_id,
                "sent": error.outcome,
            }
        else:
            fields["outcome"] = "failed" if isinstance(error, Exception) else "cancelled"
        self._log(level, fields)

    def _log(self, level: int, fields: dict[str, Any]) -> None:
        # A record of its own making: the line of code that logs is always this one, so nobody need look for it.
        record = self._logger.makeRecord(
            self._logger.name, level, __file__, 0, _Line(fields), (), None, "call", {"qonduit": fields}
        )
        self._logger.handle(record)


def _common(call: Call, event: str, started: float) -> dict[str, Any]:
    profile = call.profile
    return {
        "event": event,
        "profile": profile.name,
        "provider": profile.provider,
        "operation": call.operation,
        "model": call.request.model,
        "streamed": call.streamed,
        "attempt": call.attempt,
        "seconds": round(call.clock() - started, 6),
        "tags": call.tags,
    }


def _finish_reason(response: Response) -> str | None:
    return response.choices[0].finish_reason if isinstance(response, ChatResponse) and response.choices else None


class _Line:
    """The message of a record, made only when a handler asks for it."""

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def __str__(self) -> str:
        """`name=value` of every field that says something; what is not printable is escaped."""
        line = " ".join([f"{name}={value}" for name, value in self._fields.items() if value or value == 0])
        return line if line.isprintable() else ascii(line)[1:-1]
