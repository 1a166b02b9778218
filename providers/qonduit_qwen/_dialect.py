"""How Model Studio's compatible mode differs from OpenAI's wire, and what its error codes mean."""

from __future__ import annotations

from collections.abc import Mapping
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
    ServiceUnavailableError,
)
from qonduit.messages import Message
from qonduit.profile import Profile
from qonduit.request import ChatRequest
from qonduit_openai_compatible import Dialect
from qonduit_openai_compatible.builder import FIELDS

_PAY = "Look at the account's balance in the Model Studio console."

ERRORS: Table = {
    # Source: https://help.aliyun.com/zh/model-studio/error-code (2026-05-25)
    "invalid_parameter_error": Kind(BadRequestError, False, status=400),
    "invalid_value": Kind(BadRequestError, False, status=400),
    "InvalidParameter.NotSupportEnableThinking": Kind(
        BadRequestError, False, "Leave reasoning out for this model.", 400
    ),
    "Arrearage": Kind(QuotaExhaustedError, False, _PAY, 400),
    "data_inspection_failed": Kind(ContentFilterError, False, status=400),
    "DataInspectionFailed": Kind(ContentFilterError, False, status=400),
    "FaqRuleBlocked": Kind(ContentFilterError, False, status=400),
    "CustomRoleBlocked": Kind(ContentFilterError, False, status=400),
    "IPInfringementSuspect": Kind(ContentFilterError, False, status=400),
    "invalid_api_key": Kind(AuthenticationError, False, status=401),
    "access_denied": Kind(PermissionDeniedError, False, status=403),
    "AllocationQuota.FreeTierOnly": Kind(
        QuotaExhaustedError, False, 'Switch off "use free tier only" in the console to go on, paid.', 403
    ),
    "model_not_found": Kind(NotFoundError, False, status=404),
    "model_not_supported": Kind(
        NotFoundError, False, 'This model has no compatible mode: use provider = "dashscope".', 404
    ),
    "limit_requests": Kind(RateLimitError, True, status=429),
    "limit_burst_rate": Kind(RateLimitError, True, "Raise the load more slowly.", 429),
    "insufficient_quota": Kind(RateLimitError, True, "This is the limit of tokens a minute; it recovers.", 429),
    "CommodityNotPurchased": Kind(QuotaExhaustedError, False, _PAY, 429),
    "PrepaidBillOverdue": Kind(QuotaExhaustedError, False, _PAY, 429),
    "PostpaidBillOverdue": Kind(QuotaExhaustedError, False, _PAY, 429),
    "internal_error": Kind(InternalServerError, True, status=500),
    "ModelServingError": Kind(ServiceUnavailableError, True, status=503),
    "ModelUnavailable": Kind(ServiceUnavailableError, True, status=503),
}

_FREE_QUOTA_GONE = Kind(QuotaExhaustedError, False, "The free quota is used up and the model is not payable yet.", 429)


def special(status: int | None, code: str | None, message: str) -> Kind | None:
    """The one case that only the text tells apart: `insufficient_quota` of a free quota does not recover.

    Source: https://help.aliyun.com/zh/model-studio/error-code (2026-05-25), two messages of one code.
    """
    if code == "insufficient_quota" and message.startswith("Free allocated quota exceeded"):
        return _FREE_QUOTA_GONE
    return None


def _translate(request: ChatRequest) -> dict[str, Any]:
    body: dict[str, Any] = {}
    reasoning = request.reasoning
    if reasoning is not None:
        if reasoning.enabled is not None:
            body["enable_thinking"] = reasoning.enabled
        if reasoning.budget is not None:
            body["thinking_budget"] = reasoning.budget
        if reasoning.effort is not None:
            body["reasoning_effort"] = reasoning.effort
    if isinstance(request.search, dict):
        body["enable_search"] = True
        body["search_options"] = request.search
    elif request.search is not None:
        body["enable_search"] = request.search
    return body


def _message(message: Message) -> Message:
    """An assistant's turn has text, even when it only called tools, and no empty list of calls."""
    if message.content is not None and message.tool_calls != ():
        return message
    return message.model_copy(update={"content": message.content or "", "tool_calls": message.tool_calls or None})


def _headers(profile: Profile) -> dict[str, str]:
    return {"x-dashscope-workspace": profile.workspace} if profile.workspace else {}


def _cut(headers: Mapping[str, str]) -> str | None:
    """A plain answer that ran into the server's time limit is a 200 with the text so far; only this header says so.

    Source: https://help.aliyun.com/zh/model-studio/error-code (2026-05-25), RequestTimeOut, and the vendor's VL pages.
    """
    if headers.get("x-dashscope-partialresponse", "").lower() != "true":
        return None
    return "The provider's own time limit cut the answer short. Stream long answers."


DIALECT = Dialect(
    fields=FIELDS | {"top_k", "repetition_penalty"},
    translate=_translate,
    # Source: https://help.aliyun.com/zh/model-studio/compatibility-of-openai-with-dashscope (2026-05-26)
    unsupported=frozenset({"frequency_penalty", "user"}),
    message=_message,
    headers=_headers,
    cut=_cut,
)
