"""Cases that fail: refusals of the server, and answers that are broken."""

from __future__ import annotations

from typing import Any

from tests.equivalence.case import SCHEMA, TOOLS, Case, asking, failing, refused

RETIRED = "Model '{}' was announced to be taken offline on 2026-07-13; use '{}'."

REFUSED = (
    failing(
        "wrong-key", "AuthenticationError", status=401, client={"api_key": "sk-wrong"}, expect={"names its host": True}
    ),
    asking("unknown-model", model="gpt-nonsense", expect={"error": "NotFoundError", "status": 404, "retryable": False}),
    failing("embedding-model", "NotFoundError", status=404, model="text-embedding-v4"),
    asking("retired-model", model="qwen-max", expect={"warnings": (RETIRED.format("qwen-max", "qwen3.7-max"),)}),
    asking(
        "retired-model-and-more-to-say",
        "Hello",
        model="qwen-max",
        user="ann",
        response_format=SCHEMA,
        rules=[{"answer": "{}"}],
        expect={
            "warnings": (
                "Provider '…' takes no user; it was left out.",
                RETIRED.format("qwen-max", "qwen3.7-max"),
                "Model 'qwen-max' takes no JSON schema: it was asked for a JSON object, and the schema stands in the "
                "system message.",
            )
        },
    ),
    asking("snapshot-of-a-retired-model", model="qwen3-max-2026-01-23", expect={"error": "NotFoundError"}),
    asking("served-by-dashscope-alone", model="qwen-deep-research", expect={"outcome": "not_sent", "sent.count": 0}),
    failing("tools-not-of-the-model", "BadRequestError", tools=TOOLS, model="qwen-long"),
    refused("refused-400", "400", "BadRequestError", status=400, retryable=False),
    refused("refused-401", "401", "AuthenticationError", status=401, retryable=False),
    refused("refused-403", "403", "PermissionDeniedError", status=403, retryable=False),
    refused("refused-404", "404", "NotFoundError", status=404, retryable=False),
    refused("refused-409", "409", "APIStatusError", status=409, retryable=False),
    refused("refused-429", "429", "RateLimitError", status=429, retryable=True),
    refused("refused-500", "500", "InternalServerError", status=500, retryable=True),
    refused("refused-503", "503", "ServiceUnavailableError", status=503, retryable=True),
    refused("refused-504", "504", "InternalServerError", status=504, retryable=True),
    refused("refused-burst", "Throttling.BurstRate", "RateLimitError", status=429, retryable=True),
    refused("refused-tokens", "Throttling.AllocationQuota", "RateLimitError", status=429, retryable=True),
    refused("refused-arrears", "Arrearage", "QuotaExhaustedError", status=400, retryable=False),
    refused("refused-free-tier", "AllocationQuota.FreeTierOnly", "QuotaExhaustedError", status=403, retryable=False),
    refused("refused-prepaid", "PrepaidBillOverdue", "QuotaExhaustedError", status=429, retryable=False),
    refused("refused-unpurchased", "AccessDenied.Unpurchased", "PermissionDeniedError", status=403, retryable=False),
    refused("refused-inspection", "DataInspectionFailed", "ContentFilterError", status=400, retryable=False),
    refused("refused-rule", "FaqRuleBlocked", "ContentFilterError", status=400, retryable=False),
    refused("refused-serving", "ModelServingError", "ServiceUnavailableError", status=503, retryable=True),
    refused("refused-workspace", "NOT AUTHORIZED", "AuthenticationError", status=401, retryable=False),
)


def broken(name: str, fault: str, error: str, **more: Any) -> Case:
    """A fault of the emulator by its header, on a connection of its own: a used one that breaks is another matter."""
    expect = {"error": error, **more}
    return asking(name, extra_headers={"x-emulator-fault": fault}, client={"timeout": 29}, expect=expect)


BROKEN = (
    broken("gateway-page", "html=502", "InternalServerError", status=502, retryable=True),
    broken("page-with-200", "html=200", "ProtocolError", retryable=False),
    broken("cut-before-headers", "cut-before-headers", "APIConnectionError"),
    broken("half-an-answer", "truncate=2", "ProtocolError"),
    broken("broken-json", "malformed-json=2", "ProtocolError"),
    broken("content-filter", "content-filter=3", "ContentFilterError", retryable=False),
    asking("refused-late", rules=[{"error": "Throttling.RateQuota"}], expect={"error": "RateLimitError"}),
    asking("failed-late", rules=[{"error": "InternalError"}], expect={"error": "InternalServerError"}),
    asking("inspected-late", rules=[{"error": "DataInspectionFailed"}], expect={"error": "ContentFilterError"}),
)
