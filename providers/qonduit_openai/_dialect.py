"""How OpenAI speaks its own wire, and what its error codes mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from qonduit.classification import Kind, Table
from qonduit.errors import (
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitError,
)
from qonduit.messages import Message
from qonduit.models import Model
from qonduit.profile import Profile
from qonduit.request import ChatRequest, Reasoning
from qonduit_openai_compatible import Dialect, Embeddings, Models

ERRORS: Table = {
    # Source: https://platform.openai.com/docs/guides/error-codes (2026-11-21)
    "invalid_api_key": Kind(AuthenticationError, status=401),
    "insufficient_quota": Kind(
        QuotaExhaustedError, False, "The account is out of credit: see its plan and billing.", 429
    ),
    "billing_hard_limit_reached": Kind(QuotaExhaustedError, False, "The account's own limit is reached.", 429),
    "rate_limit_exceeded": Kind(RateLimitError, True, status=429),
    "model_not_found": Kind(NotFoundError, status=404),
    "context_length_exceeded": Kind(BadRequestError, mend="Shorten the messages.", status=400),
    "content_policy_violation": Kind(ContentFilterError, False, status=400),
    "content_filter": Kind(ContentFilterError, False, status=400),
    "unsupported_country_region_territory": Kind(PermissionDeniedError, status=403),
    "server_error": Kind(InternalServerError, True, status=500),
}

_NOWHERE = ("top_k", "repetition_penalty", "search")
"""Fields that the wire does not have."""
_INVOLVED = frozenset({*_NOWHERE, "reasoning", "max_tokens", "max_completion_tokens"})
_RANGES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    # Source: https://platform.openai.com/docs/api-reference/chat/create (2026-11-21)
    "temperature": (lambda value: 0 <= value <= 2, "from 0 to 2"),
    "top_p": (lambda value: 0 <= value <= 1, "from 0 to 1"),
    "presence_penalty": (lambda value: -2 <= value <= 2, "from -2 to 2"),
    "frequency_penalty": (lambda value: -2 <= value <= 2, "from -2 to 2"),
    "n": (lambda value: value <= 128, "from 1 to 128"),
    "top_logprobs": (lambda value: 0 <= value <= 20, "from 0 to 20"),
}
_PARTS = frozenset({"text", "image_url", "input_audio", "file", "refusal"})
"""Types of content parts. Source: as above."""


class Plan(NamedTuple):
    """See `qonduit_openai_compatible.ChatPlan`."""

    fields: dict[str, Any]
    left_out: frozenset[str]
    messages: tuple[Message, ...]
    stream: bool
    unsupported: tuple[str, ...]
    warnings: tuple[str, ...]


class OpenAIDialect(Dialect):
    """OpenAI, or any server that speaks its wire.

    Of OpenAI's own host more is known: its ranges and the types of parts are checked, and marks that it does not know
    are taken off. Other servers may know more, or less: they say so themselves.
    """

    operations = {"embeddings": Embeddings(), "models": Models()}  # noqa: RUF012  # never changed

    def __init__(self, *, own_host: bool) -> None:
        self._own_host = own_host

    def plan(self, request: ChatRequest, model: Model) -> Plan:
        """See `qonduit_openai_compatible.Dialect`."""
        if self._own_host:
            _check(request)
        unsupported: list[str] = []
        messages = _messages(request.messages, unsupported, marks=not self._own_host)
        warnings = () if model.retirement is None else (model.retirement,)
        if request.__pydantic_fields_set__.isdisjoint(_INVOLVED) and not model.refuses:
            return Plan({}, frozenset(), messages, request.stream, tuple(unsupported), warnings)
        fields: dict[str, Any] = {}
        left_out = {name for name in (*model.refuses, *_NOWHERE) if getattr(request, name, None) is not None}
        if request.search is False:
            left_out.discard("search")  # there is nothing to leave out
        unsupported += [f"{name} of this model" if name in model.refuses else name for name in sorted(left_out)]
        _limit(request, model, fields, left_out)
        if "reasoning" not in left_out:
            _reason(request.reasoning, model, fields, unsupported)
        return Plan(fields, frozenset(left_out), messages, request.stream, tuple(unsupported), warnings)

    def headers(self, profile: Profile) -> dict[str, str]:
        """See `qonduit_openai_compatible.Dialect`."""
        headers = super().headers(profile)
        return {**headers, "openai-organization": profile.organization} if profile.organization else headers


def _limit(request: ChatRequest, model: Model, fields: dict[str, Any], left_out: set[str]) -> None:
    """The output limit under the one name that the model takes."""
    if model.limit_name is None:
        return
    other = "max_completion_tokens" if model.limit_name == "max_tokens" else "max_tokens"
    value = getattr(request, other)
    if value is not None:
        left_out.add(other)
        if getattr(request, model.limit_name) is None:
            fields[model.limit_name] = value


def _reason(reasoning: Reasoning | None, model: Model, fields: dict[str, Any], unsupported: list[str]) -> None:
    """The wire bounds reasoning by an effort only: it has no word for tokens, or for "on"."""
    if reasoning is None:
        return
    if reasoning.enabled is False:  # nothing is left to bound
        if model.thinking != "off":  # else there is nothing to switch off, and the server refuses the word
            fields["reasoning_effort"] = "none"
        return
    if reasoning.effort is not None:
        fields["reasoning_effort"] = reasoning.effort
    elif reasoning.enabled and reasoning.budget is None:
        unsupported.append("reasoning without an effort")
    if reasoning.budget is not None:
        unsupported.append(
            f"reasoning budget ({'name an effort' if reasoning.effort is None else 'the effort is sent'})"
        )


def _messages(messages: tuple[Message, ...], unsupported: list[str], *, marks: bool) -> tuple[Message, ...]:
    """Messages without what the wire has no name for; the same object where nothing of the kind is there."""
    if any(message.partial for message in messages):
        unsupported.append("partial continuation")
    marked = not marks and any(map(_is_marked, messages))
    if marked:
        unsupported.append("cache_control")
    for message in messages:
        if marked or message.partial is not None or message.role == "assistant":
            return tuple(_message(message, marks=not marked) for message in messages)
    return messages


def _message(message: Message, *, marks: bool) -> Message:
    """Without reasoning, the index of a tool call, the mark of a beginning, and cache marks unless `marks`."""
    changes: dict[str, Any] = {}
    if message.reasoning_content is not None:
        changes["reasoning_content"] = None
    if message.partial is not None:
        changes["partial"] = None
    if message.tool_calls is not None:
        bare = tuple(call.model_copy(update={"index": None}) for call in message.tool_calls)
        changes["tool_calls"] = bare or None
    if not marks and isinstance(message.content, tuple):
        changes["content"] = tuple(
            {name: value for name, value in part.items() if name != "cache_control"} for part in message.content
        )
    return message.model_copy(update=changes) if changes else message


def _is_marked(message: Message) -> bool:
    return isinstance(message.content, tuple) and any("cache_control" in part for part in message.content)


def _check(request: ChatRequest) -> None:
    """Refuse what OpenAI would refuse for certain. Raises: BadRequestError that names every one."""
    problems = []
    for name in sorted(request.__pydantic_fields_set__ & _RANGES.keys()):
        value = getattr(request, name)
        fits, expected = _RANGES[name]
        if value is not None and not fits(value):
            problems.append(f"{name}: expected {expected}, got {value}")
    for position, message in enumerate(request.messages):
        if message.content.__class__ is tuple:
            strange = {str(part.get("type")) for part in message.content or () if isinstance(part, dict)} - _PARTS
            problems += [f"messages[{position}]: OpenAI knows no part of type '{kind}'" for kind in sorted(strange)]
    if problems:
        raise BadRequestError(f"The request was not sent: {'; '.join(problems)}.", outcome="not_sent")
