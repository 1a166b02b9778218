"""Statuses: what each provider's refusals come to, and how often they are tried."""

from __future__ import annotations

from tests.faults.expectations import MAX_RETRIES, Answered, Failed
from tests.faults.fault import PROVIDERS, Fault, Scene
from tests.servers import head, response
from tests.wires import REQUEST_ID

from qonduit import (
    APIError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    QuotaExhaustedError,
    RateLimitError,
    ServiceUnavailableError,
    StreamInterruptedError,
)

PAGE = b"<html><body>Error 503 of 203.0.113.9: insufficient_quota, rate limit, try again</body></html>"


def _refused(kind: type[APIError], status: int, code: str | None = None, **more: object) -> Failed:
    return Failed(kind, status=status, code=code, **more)  # type: ignore[arg-type]


def _coded(
    name: str,
    status: int,
    kind: type[APIError],
    codes: str | dict[str, str],
    failures: tuple[int, ...] = (15,),
    *,
    attempts: int = 1,
    unknown: bool = False,
) -> Fault:
    """A status with a code of each provider's own; a provider without one is left out."""
    by_provider = dict.fromkeys(PROVIDERS, codes) if isinstance(codes, str) else codes
    if "compatible" in by_provider:
        by_provider = {"openai": by_provider["compatible"], "qwen": by_provider["compatible"], **by_provider}
    return Fault(
        f"{status}-{name}",
        lambda scene: scene.wire.error(status, by_provider[scene.provider]),
        lambda scene: _refused(
            kind,
            status,
            by_provider[scene.provider],
            attempts=attempts,
            retryable=attempts > 1,
            outcome="unknown" if unknown else "rejected",
            says=r"answered \d+ \(.+\): It went wrong\.",
        ),
        failures,
        providers=tuple(provider for provider in PROVIDERS if provider in by_provider),
    )


REFUSED = 1 + MAX_RETRIES
"""Attempts of what a provider refuses for now."""
UNKNOWN = 2
"""Attempts of what may have been done, and billed, all the same."""


def _bare(status: int, kind: type[APIError], *, attempts: int = 1, unknown: bool = False) -> Fault:
    """A status with a page of a gateway, which says nothing that is looked at."""
    return Fault(
        f"{status}-page",
        response(PAGE, status, content_type="text/html", x_request_id=REQUEST_ID),
        _refused(
            kind, status, attempts=attempts, retryable=attempts > 1, outcome="unknown" if unknown else "rejected",
            says=r"^\w+ answered \d+\. ?(?!.*203[.]0)",
        ),
        (17, 29),
    )  # fmt: skip


def _once(status: int, code: dict[str, str], warns: str | None) -> Fault:
    return Fault(
        f"{status}-once",
        lambda scene: scene.wire.error(status, code[scene.provider]),
        Answered(attempts=2, warns=warns),
    )


OVERLOADED = {"openai": "server_error", "qwen": "internal_error", "dashscope": "InternalError"}
TOKENS = {"qwen": "insufficient_quota", "dashscope": "Throttling.AllocationQuota"}
SLOW = {"openai": "rate_limit_exceeded", "qwen": "limit_requests", "dashscope": "Throttling.RateQuota"}


def _misleading(scene: Scene) -> bytes:
    text = "503 Service Unavailable: rate limit exceeded, Throttling, insufficient_quota, retry later"
    return scene.wire.error(400, "invalid_request_error", text)


FAULTS = [
    _coded("invalid", 400, BadRequestError, {"compatible": "invalid_request_error", "dashscope": "InvalidParameter"}),
    _coded(
        "misleading-code", 400, BadRequestError,
        {"dashscope": "InternalError.Algo.InvalidParameter", "qwen": "ServiceUnavailableError"}, (28, 29),
    ),
    Fault("400-misleading-text", _misleading, _refused(BadRequestError, 400, "invalid_request_error"), (29,)),
    _coded(
        "inspected", 400, ContentFilterError,
        {"openai": "content_filter", "qwen": "data_inspection_failed", "dashscope": "DataInspectionFailed"}, (28,),
    ),
    _coded("out-of-money", 400, QuotaExhaustedError, {"qwen": "Arrearage", "dashscope": "Arrearage"}, (30,)),
    _coded("unheard-of-code", 400, BadRequestError, "Brand.New.Code"),
    _coded("key", 401, AuthenticationError, {"compatible": "invalid_api_key", "dashscope": "InvalidApiKey"}, (15, 55)),
    _bare(401, AuthenticationError),
    _bare(402, APIStatusError),
    _coded(
        "denied", 403, PermissionDeniedError,
        {
            "openai": "unsupported_country_region_territory",
            "qwen": "access_denied",
            "dashscope": "AccessDenied.Unpurchased",
        },
    ),
    _coded(
        "free-tier-gone", 403, QuotaExhaustedError,
        dict.fromkeys(("qwen", "dashscope"), "AllocationQuota.FreeTierOnly"), (30,),
    ),
    _coded("no-model", 404, NotFoundError, {"compatible": "model_not_found", "dashscope": "ModelNotFound"}, (28,)),
    _bare(404, NotFoundError),
    _bare(405, APIStatusError),
    _bare(408, APIStatusError),
    _bare(409, APIStatusError),
    _bare(413, BadRequestError),
    _bare(418, APIStatusError),
    _bare(422, BadRequestError),
    _coded("requests", 429, RateLimitError, SLOW, attempts=REFUSED),
    _coded(
        "burst", 429, RateLimitError,
        {"openai": "Brand.New.Code", "qwen": "limit_burst_rate", "dashscope": "Throttling.BurstRate"}, attempts=REFUSED,
    ),
    _coded(
        "tokens", 429, RateLimitError,
        TOKENS, (30,), attempts=REFUSED,
    ),
    _coded("out-of-credit", 429, QuotaExhaustedError, {"openai": "insufficient_quota"}, (30,)),
    _coded("own-limit", 429, QuotaExhaustedError, {"openai": "billing_hard_limit_reached"}, (30,)),
    _coded("overdue", 429, QuotaExhaustedError, dict.fromkeys(("qwen", "dashscope"), "PrepaidBillOverdue"), (30,)),
    _coded(
        "not-bought", 429, QuotaExhaustedError, dict.fromkeys(("qwen", "dashscope"), "CommodityNotPurchased"), (30,)
    ),
    Fault(
        "429-free-quota-gone",
        lambda scene: scene.wire.error(429, TOKENS[scene.provider], "Free allocated quota exceeded."),
        _refused(QuotaExhaustedError, 429, says="Free allocated quota exceeded"),
        (30,),
        providers=("qwen", "dashscope"),
    ),
    _bare(429, RateLimitError, attempts=REFUSED),
    _once(429, SLOW, None),
    _coded("failed", 500, InternalServerError, OVERLOADED, attempts=UNKNOWN, unknown=True),
    _coded(
        "late", 500, InternalServerError, dict.fromkeys(("qwen", "dashscope"), "RequestTimeOut"),
        attempts=UNKNOWN, unknown=True,
    ),
    _bare(500, InternalServerError, attempts=UNKNOWN, unknown=True),
    _once(500, OVERLOADED, "outcome is unknown"),
    _bare(501, InternalServerError),
    _bare(502, InternalServerError, attempts=UNKNOWN, unknown=True),
    _coded(
        "busy", 503, ServiceUnavailableError,
        {"openai": "Brand.New.Code", "qwen": "ModelServingError", "dashscope": "ModelUnavailable"}, attempts=REFUSED,
    ),
    _bare(503, ServiceUnavailableError, attempts=REFUSED),
    _bare(504, InternalServerError, attempts=UNKNOWN, unknown=True),
    _bare(520, InternalServerError, attempts=UNKNOWN, unknown=True),
    _bare(522, InternalServerError, attempts=UNKNOWN, unknown=True),
    _bare(524, InternalServerError, attempts=UNKNOWN, unknown=True),
    Fault("500-empty", head(500, {"content-length": "0"}), _refused(
        InternalServerError, 500, attempts=UNKNOWN, retryable=True, outcome="unknown"), (17,)),
    Fault("204-nothing", head(204), lambda scene: Failed(
        StreamInterruptedError if scene.streamed else ProtocolError, "unknown", attempts=UNKNOWN, retryable=True,
        status=None if scene.streamed else 204), (18,)),
]  # fmt: skip
