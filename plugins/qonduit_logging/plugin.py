"""The plugin `logging`: a record for every call and every attempt, however it ends; spans if they are wanted.

Written once for sync and async calls, plain and streamed: what stands after the `yield` runs when the call is over,
also when a stream was left or a task cancelled. It does no I/O that waits: appending to a file takes microseconds.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from qonduit import Call, ConfigurationError, Middleware, Profile, Request, Response, hookimpl, middleware
from qonduit.credentials import SHORTEST_VALUE, Credentials
from qonduit.middlewares import MiddlewareFlow, MiddlewareFunction
from qonduit.parts import Auth
from qonduit_logging.cleaning import asked, cleaned, common_fields
from qonduit_logging.contents import input_fields, output_fields, without_prompt
from qonduit_logging.failures import Failures
from qonduit_logging.fields import (
    Scope,
    answer_of,
    call_id,
    count_attempt,
    outcome_fields,
    outcome_of,
)
from qonduit_logging.file import RotatingFile
from qonduit_logging.formatters import timestamp
from qonduit_logging.keys import Keys, Screen
from qonduit_logging.options import LoggingOptions
from qonduit_logging.record import Record, level_name
from qonduit_logging.redaction import Redactor
from qonduit_logging.sinks import LoggerSink, Sink, StructlogSink
from qonduit_logging.spans import Spans

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_SPAN = "qonduit_logging.span"


class LoggingPlugin:
    """Logs calls and attempts: who, which model, how it ended, how long it took, what it used.

    Raises, when made: ConfigurationError for a file that cannot be written, a secret that cannot be read, or a missing
    package.
    """

    Options = LoggingOptions

    def __init__(self, options: LoggingOptions | None = None) -> None:
        options = options or LoggingOptions()
        self._options = options
        self._level = logging.getLevelNamesMapping()[options.level]
        self._failed_level = max(self._level, logging.WARNING)
        self._redactor = _redactor(options.redact)
        self._failures = Failures(self._redactor)
        self._keys = Keys(self._redactor)
        self._file = RotatingFile(options.file, options.max_bytes, options.backups) if options.file else None
        self._sinks: list[Sink] = [
            StructlogSink(options.logger)
            if options.library == "structlog"
            else LoggerSink(options.logger, self._failures)
        ]
        self._held = f"qonduit_logging.held.{id(self)}"
        self._spans = Spans() if options.traces else None
        self._limit = options.max_characters if options.content == "truncated" else None

    @staticmethod
    def demands(options: Mapping[str, Any]) -> list[str]:
        """What these options ask for that only a trusted file may: see `qonduit.trust`."""
        return ["plugin.logging.file names a file to write to"] if "file" in options else []

    @property
    def failures(self) -> int:
        """How many records or spans were lost, in whole or at one of several places; the first was said on stderr."""
        return self._failures.count

    @hookimpl(wrapper=True)
    def qonduit_auth(self, profile: Profile, credentials: Credentials) -> Generator[None, Auth, Auth]:
        """Pass the auth on as it is; learn which key must not be logged."""
        auth = yield
        self._keys.learn(profile.key_id, credentials, auth)
        return auth

    @hookimpl
    def qonduit_middleware(self, profile: Profile) -> Iterable[Middleware]:
        """Outside of cost and cache, so that a record says what a call cost and whether a cache answered it."""
        yield middleware("logging", wraps=("cost", "cache"), on_error="ignore")(self._observing("call"))
        inner = self._observing("attempt")
        yield middleware("logging.attempt", scope="attempt", wraps=("cost.attempt",), on_error="ignore")(inner)

    def close(self) -> None:
        """Close the file. Idempotent; a later record opens it again."""
        if self._file is not None:
            self._file.close()

    def _observing(self, scope: Scope) -> MiddlewareFunction:
        """The generator function that makes one record for each call, or for each attempt."""

        def observe(call: Call) -> MiddlewareFlow:
            if scope == "attempt":
                count_attempt(call)
            elif self._file is not None:
                call.state[self._held] = []
            begun = call.clock()
            span = self._begin(call, scope)
            try:
                response: Response = yield call.request
            except BaseException as error:
                self._settle(call, scope, begun, span, None, error)
                raise
            self._settle(call, scope, begun, span, response, None)
            return None

        return observe

    def _begin(self, call: Call, scope: Scope) -> Span | None:
        if self._spans is None:
            return None
        try:
            screen = self._keys.screen(call.profile.key_id)
            screen.forms()  # a key that was rotated is known from now on
            fields = asked(screen, call.profile, call.request)
            span = self._spans.begin(scope, fields, call.state.get(_SPAN) if scope == "attempt" else None)
        except Exception as error:  # noqa: BLE001  # counted
            self._failures.add("tracing", error)
            return None
        if scope == "call":
            call.state[_SPAN] = span
        return span

    def _settle(
        self,
        call: Call,
        scope: Scope,
        begun: float,
        span: Span | None,
        response: Response | None,
        error: BaseException | None,
    ) -> None:
        """Write the record to every sink that wants it, and end the span. Raises nothing: what fails is counted."""
        level = self._failed_level if error is not None else self._level if scope == "call" else logging.DEBUG
        wanted = scope == "call" or self._options.attempts
        file = self._file if wanted else None
        try:
            sinks = [sink for sink in self._sinks if sink.wants(level)] if wanted else []
            if not sinks and span is None and file is None:
                return
            fields = self._fields(call, scope, level, begun, response, error)
            if span is not None:
                fields.update(Spans.ids(span))
        except BaseException as failure:
            if span is not None:
                span.end()
            if file is not None:
                self._append(file, call)
            if not isinstance(failure, Exception):
                raise
            self._failures.add("logging", failure)
            return
        record = Record(level, fields, self._options.format)
        for sink in sinks:
            self._guarded("a log handler", sink.write, record)
        if file is not None:
            self._append(file, call, record, hold=scope == "attempt" and error is None)
        if span is not None and self._spans is not None:
            self._guarded("tracing", self._spans.end, scope, span, fields)

    def _append(self, file: RotatingFile, call: Call, record: Record | None = None, *, hold: bool = False) -> None:
        """Append to the file: inline, in async calls too, since a thread would take longer than the write.

        The record of an answered attempt waits for the next one of its call, which follows in microseconds: one write
        is half of two. Where no layer of this plugin's stands around the call there is nothing to wait for.
        """
        held = call.state.get(self._held)
        records: list[Record] = [] if held is None else held
        if record is not None:
            records.append(record)
        if records and (not hold or held is None):
            try:
                file.write(b"\n".join([record.json for record in records]))
            except Exception as error:  # noqa: BLE001  # counted
                for _ in records:
                    self._failures.add("a log file", error)
            records.clear()

    def _guarded(self, what: str, function: Callable[..., None], *args: Any) -> None:
        try:
            function(*args)
        except Exception as error:  # noqa: BLE001  # counted, and the others get theirs
            self._failures.add(what, error)

    def _fields(
        self,
        call: Call,
        scope: Scope,
        level: int,
        begun: float,
        response: Response | None,
        error: BaseException | None,
    ) -> dict[str, Any]:
        screen = self._keys.screen(call.profile.key_id)
        answer = answer_of(response, error)
        own = outcome_fields(call, scope, begun, answer, error)
        if error is not None and (message := own[1].get("qonduit.error.message")) is not None:
            own[1]["qonduit.error.message"] = without_prompt(message, call.request)
        fields: dict[str, Any] = {
            "timestamp": timestamp(time.time()),
            "level": level_name(level),
            "event.name": f"qonduit.{scope}",
            "qonduit.call.id": call_id(call),
            "qonduit.outcome": outcome_of(response, error),
            **common_fields(screen, call, answer),
            **cleaned(screen, own),
        }
        if self._options.content != "metadata" and scope == "call":
            self._add_contents(screen, fields, call.request, answer)
        return fields

    def _add_contents(self, screen: Screen, fields: dict[str, Any], request: Request, answer: Response | None) -> None:
        def clean(text: str) -> str:
            return screen.clean(text, limit=self._limit)

        fields.update(input_fields(request, clean, cut=self._limit is not None))
        if answer is not None:
            fields.update(output_fields(answer, clean))


def _redactor(given: Iterable[SecretStr]) -> Redactor:
    """A redactor of what the option `redact` names. Raises: ConfigurationError."""
    values: list[str] = []
    patterns: list[re.Pattern[str]] = []
    for number, secret in enumerate(given, start=1):
        kind, separator, rest = secret.get_secret_value().partition(":")
        where = f"Plugin 'logging': redact, entry {number}"
        if separator and kind == "regex":
            patterns.append(_pattern(rest, where))
            continue
        value = secret.get_secret_value()
        if separator and kind == "env":
            value = os.environ.get(rest, "")
            if not value:
                raise ConfigurationError(f"{where}: the variable {rest} is not set. Set it, or take the entry out.")
        if len(value) < SHORTEST_VALUE:
            raise ConfigurationError(
                f"{where}: the value is shorter than {SHORTEST_VALUE} characters, which ordinary text may hold. "
                'Say where it stands with a "regex:…" in its place.'
            )
        values.append(value)
    return Redactor(values, patterns)


def _pattern(source: str, where: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(source)
    except re.error as error:
        raise ConfigurationError(f"{where}: no regular expression: {error.msg}.") from None
    if pattern.match(""):
        raise ConfigurationError(f"{where}: the expression fits an empty text, so that it would stand everywhere.")
    return pattern
