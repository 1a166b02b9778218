"""How OpenAI speaks its own wire, and what its error codes mean."""

from __future__ import annotations

from typing import Any

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
from qonduit.profile import Profile
from qonduit.request import ChatRequest
from qonduit_openai_compatible import Dialect

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


def _translate(request: ChatRequest) -> dict[str, Any]:
    reasoning = request.reasoning
    if reasoning is None:
        return {}
    if reasoning.effort is not None:
        return {"reasoning_effort": reasoning.effort}
    return {"reasoning_effort": "none"} if reasoning.enabled is False else {}


def _unsaid(request: ChatRequest) -> list[str]:
    """OpenAI's wire bounds reasoning by an effort only: it has no word for tokens, or for "on"."""
    reasoning = request.reasoning
    if reasoning is None or reasoning.effort is not None:
        return []
    if reasoning.budget is not None:
        return ["reasoning budget (name an effort)"]
    return ["reasoning without an effort"] if reasoning.enabled else []


def _message(message: Message) -> Message:
    """Without what OpenAI has no name for: reasoning, and the index of a tool call."""
    calls = message.tool_calls
    if message.reasoning_content is None and not calls:
        return message if calls is None else message.model_copy(update={"tool_calls": None})
    bare = tuple(call.model_copy(update={"index": None}) for call in calls) if calls else None
    return message.model_copy(update={"reasoning_content": None, "tool_calls": bare})


def _headers(profile: Profile) -> dict[str, str]:
    return {"openai-organization": profile.organization} if profile.organization else {}


DIALECT = Dialect(
    translate=_translate,
    unsupported=frozenset({"top_k", "repetition_penalty", "search"}),
    unsaid=_unsaid,
    message=_message,
    headers=_headers,
)
