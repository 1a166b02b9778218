"""The fields of a record, in OpenTelemetry's words where its conventions for generative AI have one.

Source of the names `gen_ai.*`: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/, as published in the
package opentelemetry-semantic-conventions 0.66b2. `qonduit.*` are qonduit's own. A field that is not known is left out.
"""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from qonduit import APIError, Call, ChatRequest, ChatResponse, Profile, Request, Response

Scope: TypeAlias = Literal["call", "attempt"]

FIELDS: Mapping[str, str] = {
    "timestamp": "when the record was made, in UTC",
    "level": "`DEBUG`, `INFO`, `WARNING` or `ERROR`",
    "event.name": "`qonduit.call` or `qonduit.attempt`",
    "qonduit.call.id": "the same in the records of one call",
    "qonduit.outcome": "`answered`, `cached`, `incomplete` (a stream was left), `cancelled` or `failed`",
    "gen_ai.operation.name": "`chat`, `embeddings`, `rerank`, `models` or `count_tokens`",
    "gen_ai.provider.name": "the provider",
    "server.address": "the host that the profile names",
    "gen_ai.request.model": "the model that was asked",
    "gen_ai.request.stream": "whether a stream was asked for",
    "gen_ai.request.temperature": "the parameter, where it was given",
    "gen_ai.request.top_p": "the same",
    "gen_ai.request.top_k": "the same",
    "gen_ai.request.max_tokens": "`max_completion_tokens` too",
    "gen_ai.request.seed": "the same",
    "gen_ai.request.choice.count": "`n`",
    "gen_ai.request.frequency_penalty": "the same",
    "gen_ai.request.presence_penalty": "the same",
    "qonduit.profile": "the profile's name",
    "qonduit.tags": "the caller's labels",
    "qonduit.attempt": "which attempt this is, from 1; of an attempt",
    "qonduit.attempts": "how many were made, 0 when the cache answered; of a call",
    "qonduit.retry.delay": "seconds that were waited before it; of an attempt that is a retry",
    "qonduit.retry.reason": "the error that it is made for; of an attempt that is a retry",
    "qonduit.duration": "seconds, of a stream to its end",
    "gen_ai.response.time_to_first_chunk": "seconds to the first chunk, where the provider streamed",
    "qonduit.time_per_output_token": "seconds a token: after the first chunk where there was one, else of the whole",
    "http.response.status_code": "the provider's; none when a cache answered",
    "gen_ai.response.model": "the model that answered",
    "gen_ai.response.id": "the answer's id",
    "gen_ai.response.finish_reasons": "why each choice ended",
    "qonduit.request_id": "the provider's id of the request, for its support",
    "gen_ai.usage.input_tokens": "tokens of the input, cached ones included",
    "gen_ai.usage.output_tokens": "tokens of the output, reasoning included",
    "gen_ai.usage.cache_read.input_tokens": "of these, read from the provider's caches",
    "gen_ai.usage.cache_creation.input_tokens": "written to a marked cache of the provider's",
    "gen_ai.usage.reasoning.output_tokens": "of the output, the model's thinking",
    "qonduit.cost.amount": "the cost as a number, rounded as floats are; exact it is in `response.cost`",
    "qonduit.cost.currency": "its currency",
    "qonduit.cost.provenance": "`exact`, `estimated`, `lower_bound` or `unknown`",
    "qonduit.cost.saved": "what the cache saved",
    "qonduit.warnings": "what was bent on the way, in sentences",
    "error.type": "the type of the error, of what failed or was cancelled",
    "qonduit.error.code": "the provider's code",
    "qonduit.error.message": "what happened; words of the prompt that it repeats are masked",
    "qonduit.sent": "`not_sent`, `rejected` or `unknown` (it may have been billed)",
    "gen_ai.input.messages": "the prompt, with `content`",
    "gen_ai.output.messages": "the answer, with `content`",
    "gen_ai.tool.definitions": "the tools that were offered, with `content`",
    "qonduit.input.texts": "what embeddings and rerank were asked about, with `content`",
    "trace_id": "the trace, with `traces`",
    "span_id": "the call's or attempt's span, with `traces`",
}
"""Each field with its meaning: what was asked, how it was tried, how long it took, what came, what it cost."""

_PARAMETERS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "seed": "gen_ai.request.seed",
    "n": "gen_ai.request.choice.count",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
}

_OF_ANSWERS = {"model": "gen_ai.response.model", "id": "gen_ai.response.id", "request_id": "qonduit.request_id"}
_COUNTS = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}


Fields: TypeAlias = tuple[dict[str, float | None], dict[str, Any]]
"""Fields of a record: numbers, and texts, lists and mappings of them, which alone can hold what must not be logged."""


def target_fields(profile: Profile, request: Request) -> dict[str, Any]:
    """Who is asked for what: texts that all calls of a profile for the same model have."""
    return {
        "gen_ai.operation.name": request.operation,
        "gen_ai.provider.name": profile.provider,
        "server.address": host(profile.base_url),
        "gen_ai.request.model": request.model,
        "qonduit.profile": profile.name,
    }


def request_numbers(request: Request) -> dict[str, float | None]:
    """How it was asked; known before anything is sent."""
    numbers: dict[str, float | None] = {"gen_ai.request.stream": request.stream}
    if isinstance(request, ChatRequest):
        given = request.__dict__
        # In this order max_completion_tokens comes after max_tokens, and is told where both are given.
        for name in sorted(_PARAMETERS.keys() & request.__pydantic_fields_set__, reverse=True):
            if given[name] is not None:
                numbers[_PARAMETERS[name]] = given[name]
    return numbers


def call_id(call: Call) -> str:
    """The id that ties a call's records together, and to its rows in a ledger, whose ids begin with it."""
    found: str | None = call.state.get(_ID)
    if found is None:
        found = call.state[_ID] = f"{random.getrandbits(64):016x}"  # a label, not a secret
    return found[:16]


def answer_of(response: Response | None, error: BaseException | None) -> Response | None:
    """The answer: the whole one, or the part of one that an error carries."""
    return error.response if isinstance(error, APIError) else response


def same_answer(one: Response | None, other: Response | None) -> bool:
    """Whether `answer_fields` of both are the same for certain: plugins put cost and warnings on a copy."""
    if one is other:
        return True
    if one is None or other is None:
        return False
    mine, others = one.__dict__, other.__dict__
    for name in _TOLD:  # noqa: SIM110  # a generator would cost more than the looks
        if mine.get(name) is not others.get(name):
            return False
    return True


def answer_fields(answer: Response) -> Fields:
    """What came: the same in the records of an attempt and of the call that it answers."""
    numbers: dict[str, float | None] = {}
    texts: dict[str, Any] = {}
    given = answer.__dict__  # many attributes of one pydantic model cost more than those of its dict
    if given["status_code"] is not None and not given["cached"]:
        numbers["http.response.status_code"] = given["status_code"]
    if isinstance(answer, ChatResponse):
        reasons = [choice.finish_reason for choice in given["choices"] if choice.finish_reason is not None]
        if reasons:
            texts["gen_ai.response.finish_reasons"] = reasons
    for name, field in _OF_ANSWERS.items():
        if (value := given.get(name)) is not None:
            texts[field] = value
    usage = answer.usage
    if usage is not None:
        counts = usage.__dict__
        for name, field in _COUNTS.items():
            if counts[name] is not None:
                numbers[field] = counts[name]
        if counts["explicit_cached_tokens"] is not None:
            read = (counts["cached_tokens"] or 0) + counts["explicit_cached_tokens"]
            numbers["gen_ai.usage.cache_read.input_tokens"] = read
    return numbers, texts


def outcome_fields(
    call: Call, scope: Scope, begun: float, answer: Response | None, error: BaseException | None
) -> Fields:
    """How it went; `begun` is the `clock()` of its beginning, `answer` what came, in part where there is an error."""
    now = call.clock()
    numbers: dict[str, float | None] = {}
    texts: dict[str, Any] = {}
    if call.tags:
        texts["qonduit.tags"] = call.tags
    if scope == "call":
        numbers["qonduit.attempts"] = call.state.get(_ATTEMPTS, 0)
    else:
        numbers["qonduit.attempt"] = call.attempt
        if call.retry_delay is not None and call.attempt > 1:
            numbers["qonduit.retry.delay"] = call.retry_delay
            texts["qonduit.retry.reason"] = call.retry_reason
    numbers["qonduit.duration"] = round(now - begun, 6)
    first = call.first_chunk
    if first is not None and first >= begun:
        numbers["gen_ai.response.time_to_first_chunk"] = round(first - begun, 6)
    else:
        first = None
    fields = numbers, texts
    if answer is not None:
        _add_annotations(fields, answer, now - begun if first is None else now - first, first is not None)
    if error is not None:
        _add_error(fields, error)
    return fields


def count_attempt(call: Call) -> None:
    """Take note of one attempt, for the call's record."""
    call.state[_ATTEMPTS] = call.state.get(_ATTEMPTS, 0) + 1


def outcome_of(response: Response | None, error: BaseException | None) -> str:
    """How a call or an attempt ended, in one word."""
    if error is not None:
        cancelled = not isinstance(error, Exception) or isinstance(error, asyncio.CancelledError)
        return "cancelled" if cancelled else "failed"
    assert response is not None
    return "cached" if response.cached else "answered" if response.complete else "incomplete"


def _add_annotations(fields: Fields, answer: Response, seconds: float, streamed: bool) -> None:
    """What is told of an answer besides its own facts."""
    numbers, texts = fields
    usage = answer.usage
    if usage is not None and usage.output_tokens:
        tokens = usage.output_tokens - 1 if streamed else usage.output_tokens  # the first one ended the wait
        if tokens and not answer.cached:
            numbers["qonduit.time_per_output_token"] = round(seconds / tokens, 6)
    cost = answer.cost
    if cost is not None:
        if cost.amount is not None:
            numbers["qonduit.cost.amount"] = float(cost.amount)
        if cost.currency is not None:
            texts["qonduit.cost.currency"] = cost.currency
        texts["qonduit.cost.provenance"] = cost.provenance
        if cost.saved is not None:
            numbers["qonduit.cost.saved"] = float(cost.saved)
    if answer.warnings:
        texts["qonduit.warnings"] = answer.warnings


def _add_error(fields: Fields, error: BaseException) -> None:
    numbers, texts = fields
    texts["error.type"] = type(error).__name__
    if not isinstance(error, APIError):
        return  # what a stranger's error says may be anything; its type is enough
    if error.status_code is not None:
        numbers["http.response.status_code"] = error.status_code
    for name, value in (
        ("qonduit.request_id", error.request_id),
        ("qonduit.error.code", error.code),
        ("qonduit.error.message", error.message),
        ("qonduit.sent", error.outcome),
    ):
        if value is not None:
            texts[name] = value


@functools.lru_cache(maxsize=256)
def host(base_url: str) -> str | None:
    """The host of a URL, without its credentials; None when it has none."""
    try:
        return urlsplit(base_url).hostname
    except ValueError:
        return None


_TOLD = ("status_code", "cached", "choices", "usage", "model", "id", "request_id")
"""What `answer_fields` looks at."""
_ID = "call_id"
"""In the state of a call; the plugin `cost` has the same, with more digits."""
_ATTEMPTS = "qonduit_logging.attempts"
