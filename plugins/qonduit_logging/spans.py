"""Spans: calls and attempts in OpenTelemetry's traces.

A call is one span, named and filled by the conventions for generative AI; each attempt is a span below it that has what
is its own, and no tokens, so that nobody adds them up twice. Spans are never attached to the caller's context: a stream
outlives the function that began it, and may be read in another task or thread.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from qonduit import ConfigurationError
from qonduit_logging.fields import Scope

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_NOT_ON_SPANS = frozenset(
    {"timestamp", "level", "event.name", "qonduit.duration", "qonduit.tags", "trace_id", "span_id"}
)
"""Fields that a span has in a form of its own, or needs not."""
_CALLS_ONLY = ("gen_ai.usage.", "qonduit.cost.", "gen_ai.input.", "gen_ai.output.", "gen_ai.tool.", "qonduit.input.")
"""What is on the call's span only: it would be counted twice."""


class Spans:
    """Opens and ends spans. Raises, when made: ConfigurationError when the package is missing."""

    def __init__(self) -> None:
        try:
            self._trace: ModuleType = importlib.import_module("opentelemetry.trace")
        except ImportError:
            raise ConfigurationError(
                "Plugin 'logging': traces = true needs the package opentelemetry-api, which is not installed: "
                'pip install "qonduit[otel]".'
            ) from None
        self._tracer = self._trace.get_tracer("qonduit")

    def begin(self, scope: Scope, fields: Mapping[str, Any], parent: Span | None) -> Span:
        """A span for a call below the caller's current one, or for an attempt below `parent`, its call's."""
        trace = self._trace
        name = f"{fields['gen_ai.operation.name']} {fields.get('gen_ai.request.model') or ''}".rstrip()
        span: Span = self._tracer.start_span(
            name if scope == "call" else f"attempt {name}",
            context=None if parent is None else trace.set_span_in_context(parent),
            kind=trace.SpanKind.CLIENT,
            attributes=_attributes(scope, fields),
        )
        return span

    def end(self, scope: Scope, span: Span, fields: Mapping[str, Any]) -> None:
        """End `span` with what is known now; an error is its status."""
        try:
            if span.is_recording():
                span.set_attributes(_attributes(scope, fields))
                if "error.type" in fields:
                    message = fields.get("qonduit.error.message") or fields["error.type"]
                    span.set_status(self._trace.StatusCode.ERROR, message)
        finally:
            span.end()

    @staticmethod
    def ids(span: Span) -> dict[str, str]:
        """The ids of a span, for the record of the same thing; none where tracing is off."""
        context = span.get_span_context()
        if not context.is_valid:
            return {}
        return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


def _attributes(scope: Scope, fields: Mapping[str, Any]) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for name, value in fields.items():
        if value is None or name in _NOT_ON_SPANS or (scope == "attempt" and name.startswith(_CALLS_ONLY)):
            continue
        if isinstance(value, list | tuple) and not all(isinstance(item, str) for item in value):
            value = json.dumps(value, ensure_ascii=False)  # noqa: PLW2901  # structured attributes are JSON text
        attributes[name] = value
    for name, value in (fields.get("qonduit.tags") or {}).items():
        attributes[f"qonduit.tag.{name}"] = value
    return attributes
