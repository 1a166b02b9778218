"""Differences of errors."""

from __future__ import annotations

from tests.equivalence.difference import (
    DASHSCOPE,
    OPENAI,
    QWEN,
    Difference,
)

ERRORS = (
    Difference(
        ("unknown-model", "embedding-model", "snapshot-of-a-retired-model"),
        DASHSCOPE,
        {"error": "BadRequestError", "status": 400},
        "The native wire says 400 `InvalidParameter` of a model that it does not know, compatible mode 404.",
    ),
    Difference(
        ("refused-tokens",),
        OPENAI,
        {"error": "QuotaExhaustedError", "retryable": False},
        "`insufficient_quota` is OpenAI's word for an account out of credit, and Qwen's for a limit a minute.",
    ),
    Difference(
        ("refused-arrears", "refused-inspection", "refused-rule"),
        OPENAI,
        {"error": "BadRequestError"},
        "OpenAI does not have the vendor's code: the status decides.",
    ),
    Difference(
        ("content-filter", "inspected-late"),
        OPENAI,
        {"error": "BadRequestError"},
        "OpenAI does not have the vendor's code: the status decides.",
        streamed=False,
    ),
    Difference(
        ("refused-free-tier",),
        OPENAI,
        {"error": "PermissionDeniedError"},
        "OpenAI does not have the vendor's code: the status decides.",
    ),
    Difference(
        ("refused-prepaid",),
        OPENAI,
        {"error": "RateLimitError", "retryable": True},
        "OpenAI does not have the vendor's code: the status decides.",
    ),
    Difference(
        ("refused-late", "failed-late", "content-filter", "inspected-late"),
        OPENAI,
        {"error": "APIStatusError", "status": None, "status family": None},
        "In a stream the compatible wire says no status, and OpenAI does not have the vendor's code.",
        streamed=True,
    ),
    Difference(
        ("refused-late", "failed-late"),
        OPENAI,
        {"retryable": False},
        "In a stream the compatible wire says no status, and OpenAI does not have the vendor's code.",
        streamed=True,
    ),
    Difference(
        ("failed-late",),
        OPENAI,
        {"outcome": "rejected"},
        "In a stream the compatible wire says no status, and OpenAI does not have the vendor's code.",
        streamed=True,
    ),
    Difference(
        ("half-an-answer",),
        QWEN,
        {
            "error": "StreamInterruptedError",
            "status": None,
            "status family": None,
            "partial answer": (False, "Hell"),
        },
        "Half a stream is a beginning that can be read, half an object is nothing.",
        streamed=True,
    ),
    Difference(
        ("broken-json",),
        QWEN,
        {"status": None, "status family": None, "partial answer": (False, "")},
        "The answer breaks after its beginning was read.",
        streamed=True,
    ),
    Difference(
        ("half-an-answer",),
        DASHSCOPE,
        {"partial answer": (False, "Hello")},
        "Compatible mode begins with an event without text, so as many events say less.",
        streamed=True,
    ),
    Difference(
        ("broken-json",),
        DASHSCOPE,
        {"partial answer": (False, "Hell")},
        "Compatible mode begins with an event without text, so as many events say less.",
        streamed=True,
    ),
    Difference(
        ("content-filter",),
        QWEN,
        {"partial answer": (False, "Hello!"), "outcome": "unknown"},
        "What was said before the filter ended the answer has been read, and may be billed.",
        streamed=True,
    ),
)
