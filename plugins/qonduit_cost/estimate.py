"""Estimates: what a request can cost at most, before it is sent; what a broken one has cost at least, after.

An estimate counts the input by a local rule (`tokens`) and takes the longest answer that can come. Both are bounds, so
that a budget that lets a call through is not passed by it.
"""

from __future__ import annotations

from typing import Any

from qonduit import ChatRequest, ChatResponse, Cost, Profile, Response
from qonduit.models import Model
from qonduit.request import Request
from qonduit.value import trusted
from qonduit_cost.arithmetic import FREE, INPUT_ONLY, ZERO, Counts, price_counts, unknown
from qonduit_cost.catalogue import Catalogue
from qonduit_cost.tokens import input_at_least, input_at_most, message_at_least


def estimate(catalogue: Catalogue, request: Request, profile: Profile) -> Cost:
    """What one attempt of `request` can cost at most, with the provenance "estimated".

    Input is counted by a local rule that is an upper bound, and never above what the model takes. Output is bounded by
    `max_completion_tokens`; else by `max_tokens` and the room for thinking, which `max_tokens` does not bound; else by
    the model's longest answer, as its table says. It is multiplied by `n`, and has the thinking price where the request
    may think. Input is priced as written to a cache where the request marks one. The amount is None, with the reason,
    where no price or no bound is known.
    """
    if request.operation in FREE:
        return Cost(amount=ZERO, provenance="estimated", reason=f"{request.operation} is free")
    name = request.model or profile.model
    model = profile.models.get(name or "")
    counted = input_at_most(request)
    if model.max_input is not None and request.operation == "chat":
        counted = min(counted, model.max_input)
    output = longest_answer(request, model)
    if output is None:
        return unknown(f"the longest answer of model '{name}' is not known: give the call max_tokens")
    thinking = isinstance(request, ChatRequest) and may_think(request, model)
    written = counted if isinstance(request, ChatRequest) and _marks_cache(request) else 0
    cost = price_counts(catalogue, profile, name, Counts(counted, output, cache_write=written, thinking=thinking))
    if cost.amount is None:
        return cost
    reason = f"at most {counted} tokens of input and {output} of output"
    return trusted(Cost, {**cost.__dict__, "provenance": "estimated", "reason": reason})


def lower_bound(catalogue: Catalogue, request: Request, partial: Response | None, profile: Profile) -> Cost:
    """What a broken or abandoned answer has cost at least, with the provenance "lower_bound".

    Usage that was reported so far counts; where it is missing, the input counts by a local rule that is a lower bound,
    and the output by what arrived. Unknown where nothing arrived: it may have been billed or not.
    """
    if partial is None:
        return unknown("nothing of an answer arrived: it may have been billed or not")
    usage = partial.usage
    counts = None if usage is None else Counts.of(usage, request.operation)
    messages = [choice.message for choice in partial.choices] if isinstance(partial, ChatResponse) else []
    arrived = sum(message_at_least(message) for message in messages)
    thinking = any(message.reasoning_content for message in messages)
    if counts is None:
        counts = Counts(input_at_least(request), arrived, thinking=thinking)
    else:
        counts = Counts(
            counts.input if counts.input is not None else input_at_least(request),
            max(counts.output or 0, arrived),
            counts.cached,
            counts.explicit_cached,
            counts.cache_write,
            counts.images,
            counts.audio,
            counts.audio_output,
            counts.thinking or thinking,
        )
    return price_counts(catalogue, profile, partial.model or request.model or profile.model, counts, complete=False)


def longest_answer(request: Request, model: Model) -> int | None:
    """The most output tokens that all answers to a request can have together; None when no bound is known."""
    if request.operation in INPUT_ONLY:
        return 0
    if not isinstance(request, ChatRequest):
        return None
    answers = _count(request, "n") or 1
    whole = _count(request, "max_completion_tokens")
    if whole is not None:
        return whole * answers
    answer = _count(request, "max_tokens")
    if answer is None:
        answer = model.max_output
    thought = _longest_thought(request, model)
    if answer is None or thought is None:
        return None
    return (answer + thought) * answers


def may_think(request: ChatRequest, model: Model) -> bool:
    """Whether the model may reason before it answers this request. One of which nothing is known may."""
    if model.thinking == "only":
        return True
    switch = (request.extra_body or {}).get("enable_thinking")
    if isinstance(switch, bool):
        return switch
    if request.reasoning is not None and request.reasoning.enabled is not None:
        return request.reasoning.enabled
    if model.thinking is None:
        return True
    return model.thinking_default or request.reasoning is not None


def _longest_thought(request: ChatRequest, model: Model) -> int | None:
    """The most tokens of reasoning beside the answer; None when no bound is known."""
    if not may_think(request, model):
        return 0
    budget = _count(request, "thinking_budget")
    if budget is None and request.reasoning is not None:
        budget = request.reasoning.budget
    if budget is not None:
        return budget
    if model.max_thinking is not None:
        return model.max_thinking
    asked = request.reasoning is not None and bool(request.reasoning.enabled)
    if not asked and model.thinking is None:
        return 0  # an unknown server: there the limit of the answer usually bounds all of it
    return model.max_output


def _count(request: ChatRequest, name: str) -> int | None:
    """A number of the request; what is given to the provider untouched goes before it."""
    value: Any = (request.extra_body or {}).get(name, getattr(request, name, None))
    return value if value.__class__ is int and value >= 0 else None


def _marks_cache(request: ChatRequest) -> bool:
    return any(
        "cache_control" in part
        for message in request.messages
        if isinstance(message.content, tuple)
        for part in message.content
    )
