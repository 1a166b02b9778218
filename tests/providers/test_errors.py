"""What each provider's errors come to: class, whether to retry, code, status and request id."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from tests.parts import JSON_HEADERS, decode_stream, normalizer, wire_response
from tests.wires import REQUEST_ID, WIRES, Wire, dumps

from qonduit import (
    APIConnectionError,
    APIError,
    APIStatusError,
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

Row = tuple[int, str, type[APIError], bool]

OPENAI: list[Row] = [
    (400, "invalid_request_error", BadRequestError, False),
    (400, "context_length_exceeded", BadRequestError, False),
    (400, "content_policy_violation", ContentFilterError, False),
    (400, "content_filter", ContentFilterError, False),
    (401, "invalid_api_key", AuthenticationError, False),
    (403, "unsupported_country_region_territory", PermissionDeniedError, False),
    (404, "model_not_found", NotFoundError, False),
    (429, "rate_limit_exceeded", RateLimitError, True),
    (429, "insufficient_quota", QuotaExhaustedError, False),
    (429, "billing_hard_limit_reached", QuotaExhaustedError, False),
    (500, "server_error", InternalServerError, True),
]
QWEN: list[Row] = [
    (400, "invalid_parameter_error", BadRequestError, False),
    (400, "invalid_request_error", BadRequestError, False),
    (400, "invalid_value", BadRequestError, False),
    (400, "InvalidParameter.NotSupportEnableThinking", BadRequestError, False),
    (400, "Arrearage", QuotaExhaustedError, False),
    (400, "data_inspection_failed", ContentFilterError, False),
    (400, "DataInspectionFailed", ContentFilterError, False),
    (400, "FaqRuleBlocked", ContentFilterError, False),
    (400, "CustomRoleBlocked", ContentFilterError, False),
    (400, "IPInfringementSuspect", ContentFilterError, False),
    (401, "invalid_api_key", AuthenticationError, False),
    (403, "access_denied", PermissionDeniedError, False),
    (403, "Model.AccessDenied", PermissionDeniedError, False),
    (403, "AllocationQuota.FreeTierOnly", QuotaExhaustedError, False),
    (404, "model_not_found", NotFoundError, False),
    (404, "model_not_supported", NotFoundError, False),
    (429, "limit_requests", RateLimitError, True),
    (429, "limit_burst_rate", RateLimitError, True),
    (429, "insufficient_quota", RateLimitError, True),
    (429, "CommodityNotPurchased", QuotaExhaustedError, False),
    (429, "PrepaidBillOverdue", QuotaExhaustedError, False),
    (429, "PostpaidBillOverdue", QuotaExhaustedError, False),
    (500, "internal_error", InternalServerError, True),
    (500, "ModelServingError", InternalServerError, True),
    (503, "ModelServingError", ServiceUnavailableError, True),
    (503, "ModelUnavailable", ServiceUnavailableError, True),
]
DASHSCOPE: list[Row] = [
    (400, "InvalidParameter", BadRequestError, False),
    (400, "InternalError.Algo.InvalidParameter", BadRequestError, False),
    (400, "InvalidParameter.NotSupportEnableThinking", BadRequestError, False),
    (400, "InvalidParameter.DataInspection", ContentFilterError, False),
    (400, "BadRequest.EmptyInput", BadRequestError, False),
    (400, "BadRequest.TooLarge", BadRequestError, False),
    (400, "Arrearage", QuotaExhaustedError, False),
    (400, "DataInspectionFailed", ContentFilterError, False),
    (400, "FaqRuleBlocked", ContentFilterError, False),
    (400, "CustomRoleBlocked", ContentFilterError, False),
    (400, "IPInfringementSuspect", ContentFilterError, False),
    (400, "Throttling.AllocationQuota", QuotaExhaustedError, False),
    (400, "InvalidURL", BadRequestError, False),
    (400, "UnsupportedOperation", BadRequestError, False),
    (400, "ServiceUnavailableError", BadRequestError, False),
    (401, "InvalidApiKey", AuthenticationError, False),
    (401, "NOT AUTHORIZED", AuthenticationError, False),
    (403, "AccessDenied", PermissionDeniedError, False),
    (403, "AccessDenied.Unpurchased", PermissionDeniedError, False),
    (403, "Model.AccessDenied", PermissionDeniedError, False),
    (403, "App.AccessDenied", PermissionDeniedError, False),
    (403, "Workspace.AccessDenied", PermissionDeniedError, False),
    (403, "AllocationQuota.FreeTierOnly", QuotaExhaustedError, False),
    (404, "ModelNotFound", NotFoundError, False),
    (404, "WorkSpaceNotFound", NotFoundError, False),
    (404, "NotFound", NotFoundError, False),
    (429, "Throttling", RateLimitError, True),
    (429, "Throttling.RateQuota", RateLimitError, True),
    (429, "LimitRequests", RateLimitError, True),
    (429, "Throttling.BurstRate", RateLimitError, True),
    (429, "Throttling.AllocationQuota", RateLimitError, True),
    (429, "CommodityNotPurchased", QuotaExhaustedError, False),
    (429, "PrepaidBillOverdue", QuotaExhaustedError, False),
    (429, "PostpaidBillOverdue", QuotaExhaustedError, False),
    (500, "InternalError", InternalServerError, True),
    (500, "InternalError.Algo", InternalServerError, True),
    (500, "InternalError.Timeout", InternalServerError, True),
    (500, "SystemError", InternalServerError, True),
    (500, "ModelServiceFailed", InternalServerError, True),
    (500, "RequestTimeOut", InternalServerError, True),
    (500, "ModelServingError", InternalServerError, True),
    (503, "ModelServingError", ServiceUnavailableError, True),
    (503, "ModelUnavailable", ServiceUnavailableError, True),
    (503, "ServiceUnavailable", ServiceUnavailableError, True),
    (504, "GatewayTimeout", InternalServerError, True),
]
MODEL_STUDIO = list(dict.fromkeys([*QWEN, *DASHSCOPE]))
"""Both wires share one table: a native code may come through compatible mode, and its gateway answers for both."""
TABLE = [
    (provider, *row)
    for provider, rows in (("openai", OPENAI), ("qwen", MODEL_STUDIO), ("dashscope", MODEL_STUDIO))
    for row in rows
]
TABLE_IDS = [f"{provider}-{status}-{code}" for provider, status, code, _, _ in TABLE]


def error_of(provider: str, status: int, body: Any, headers: dict[str, str] | None = None, **settings: Any) -> APIError:
    content = body if isinstance(body, bytes) else dumps(body)
    error: APIError = normalizer(provider, **settings).error(
        wire_response(content, status, JSON_HEADERS if headers is None else headers)
    )
    return error


@pytest.mark.F28
@pytest.mark.parametrize(("provider", "status", "code", "kind", "retryable"), TABLE, ids=TABLE_IDS)
def test_codes(provider: str, status: int, code: str, kind: type[APIError], retryable: bool) -> None:
    """Each code of the provider's own table is the error that it means."""
    error = error_of(provider, status, WIRES[provider].error_body(code, "It went wrong."))
    assert isinstance(error, kind)
    assert (error.status_code, error.code, error.request_id) == (status, code, REQUEST_ID)
    assert (error.provider, error.retryable) == (provider, retryable)
    assert f"{provider} answered {status} ({code}): It went wrong." in str(error)


@pytest.mark.F14
@pytest.mark.F28
@pytest.mark.parametrize(("status", "code", "kind", "retryable"), DASHSCOPE)
def test_native_codes_inside_a_stream(status: int, code: str, kind: type[APIError], retryable: bool) -> None:
    """Inside a stream, whose status was 200, a native error says its status, and is then the same error."""
    with pytest.raises(kind) as caught:
        decode_stream("dashscope", [WIRES["dashscope"].stream_error(status, code)])
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert caught.value.retryable == retryable


@pytest.mark.F14
@pytest.mark.parametrize(("status", "code", "kind", "retryable"), QWEN)
def test_compatible_codes_inside_a_stream(status: int, code: str, kind: type[APIError], retryable: bool) -> None:
    """The compatible wire says no status inside a stream: a code that the table knows brings its own."""
    with pytest.raises(APIStatusError) as caught:
        decode_stream("qwen", [WIRES["qwen"].stream_error(status, code)])
    error = caught.value
    assert error.code == code
    if error.status_code is None:
        assert code in {"invalid_request_error", "Model.AccessDenied"}
        assert not error.retryable
    else:
        assert isinstance(error, kind) or (status, code) == (500, "ModelServingError")
        assert error.retryable == retryable


@pytest.mark.F17
@pytest.mark.parametrize(
    ("status", "kind", "retryable", "outcome"),
    [
        (301, APIStatusError, False, "rejected"),
        (302, APIStatusError, False, "rejected"),
        (400, BadRequestError, False, "rejected"),
        (401, AuthenticationError, False, "rejected"),
        (402, APIStatusError, False, "rejected"),
        (403, PermissionDeniedError, False, "rejected"),
        (404, NotFoundError, False, "rejected"),
        (405, APIStatusError, False, "rejected"),
        (409, APIStatusError, False, "rejected"),
        (413, BadRequestError, False, "rejected"),
        (418, APIStatusError, False, "rejected"),
        (422, BadRequestError, False, "rejected"),
        (429, RateLimitError, True, "rejected"),
        (500, InternalServerError, True, "unknown"),
        (501, InternalServerError, False, "rejected"),
        (502, InternalServerError, True, "unknown"),
        (503, ServiceUnavailableError, True, "rejected"),
        (504, InternalServerError, True, "unknown"),
        (520, InternalServerError, True, "unknown"),
        (522, InternalServerError, True, "unknown"),
        (524, InternalServerError, True, "unknown"),
        (599, InternalServerError, False, "rejected"),
    ],
)
@pytest.mark.parametrize("known", [False, True], ids=["no code", "a code of no table"])
def test_statuses(
    provider: str, wire: Wire, status: int, kind: type[APIError], retryable: bool, outcome: str, known: bool
) -> None:
    """A code that no table knows, and an answer without one, is classified by its status."""
    body = wire.error_body("Brand.New.Code") if known else {}
    error = error_of(provider, status, body)
    assert type(error) is kind
    assert (error.status_code, error.retryable, error.outcome) == (status, retryable, outcome)
    assert error.code == ("Brand.New.Code" if known else None)
    assert error.request_id == REQUEST_ID


BODIES = {
    "nothing": b"",
    "HTML": b"<html><body>503 of 203.0.113.9: Too many requests, insufficient_quota</body></html>",
    "text": b"429 Too many requests",
    "a list": b"[1]",
    "null": b"null",
    "a number": b"7",
    "half an object": b'{"error": {"code": "invalid_api_key"',
    "error null": b'{"error": null, "code": null}',
    "error a number": b'{"error": 7, "code": 7}',
    "error a list": b'{"error": [1]}',
    "code a list": b'{"error": {"code": [1], "message": [2]}, "code": [1], "message": [2]}',
    "code an object": b'{"error": {"code": {"a": 1}}, "code": {"a": 1}}',
    "request id a number": b'{"error": {"message": "x"}, "request_id": 7, "message": "x"}',
    "deep nesting": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.F17
@pytest.mark.F26
@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthenticationError), (429, RateLimitError), (502, InternalServerError)]
)
def test_bodies_of_any_shape(provider: str, body: bytes, status: int, kind: type[APIError]) -> None:
    """An error whose body is anything at all is classified by its status, and never by its text."""
    error = error_of(provider, status, body)
    assert type(error) is kind
    assert error.status_code == status
    assert isinstance(error.request_id, str)
    assert error.code is None or isinstance(error.code, str)
    assert "203.0.113.9" not in str(error)


@pytest.mark.F29
def test_the_text_does_not_decide(provider: str, wire: Wire) -> None:
    """A 400 whose text speaks of 503, quotas and rate limits is a 400."""
    text = "503 Service Unavailable: rate limit exceeded, Throttling, insufficient_quota, retry later"
    error = error_of(provider, 400, wire.error_body("invalid_request_error", text))
    assert type(error) is BadRequestError
    assert not error.retryable


@pytest.mark.parametrize(
    ("provider", "code"), [("qwen", "insufficient_quota"), ("dashscope", "Throttling.AllocationQuota")]
)
@pytest.mark.parametrize(
    ("message", "kind", "retryable"),
    [
        ("Allocated quota exceeded, please increase your quota limit.", RateLimitError, True),
        ("You exceeded your current quota, please check your plan and billing.", RateLimitError, True),
        ("Too many requests. Batch requests are being throttled.", RateLimitError, True),
        ("Free allocated quota exceeded.", QuotaExhaustedError, False),
        ("A prompt may say: Free allocated quota exceeded.", RateLimitError, True),
    ],
)
def test_the_one_case_that_the_text_decides(
    provider: str, code: str, message: str, kind: type[APIError], retryable: bool
) -> None:
    """A used-up free quota has the code of a limit that recovers; its text begins with its own words."""
    error = error_of(provider, 429, WIRES[provider].error_body(code, message))
    assert type(error) is kind
    assert error.retryable is retryable


@pytest.mark.parametrize(
    ("provider", "status", "code", "words"),
    [
        ("qwen", 401, "invalid_api_key", "A key belongs to one region"),
        ("dashscope", 401, "InvalidApiKey", "A key belongs to one region"),
        ("qwen", 404, "model_not_supported", '[models."NAME"] providers = ["dashscope"]'),
        ("dashscope", 500, "RequestTimeOut", "Stream long answers."),
        ("qwen", 429, "limit_burst_rate", "Raise the load more slowly."),
        ("openai", 400, "context_length_exceeded", "Shorten the messages."),
    ],
)
def test_mends(provider: str, status: int, code: str, words: str) -> None:
    """An error whose cause is known says what to do."""
    assert words in error_of(provider, status, WIRES[provider].error_body(code)).message


@pytest.mark.F15
def test_a_native_error_in_the_shape_of_openai() -> None:
    """Some gateways answer on native paths in OpenAI's shape: the code is found all the same."""
    body = {"error": {"code": "InvalidApiKey", "message": "No."}, "request_id": "r-1"}
    error = error_of("dashscope", 401, body)
    assert isinstance(error, AuthenticationError)
    assert (error.code, error.request_id) == ("InvalidApiKey", "r-1")


@pytest.mark.F15
@pytest.mark.parametrize("name", ["openai", "qwen"])
def test_a_flat_error_on_the_compatible_wire(name: str) -> None:
    """A flat error, as DashScope's gateway gives it, is read on the compatible wire too."""
    body = {"code": "invalid_api_key", "message": "No API-key provided.", "request_id": "r-1"}
    error = error_of(name, 401, body, headers={})
    assert isinstance(error, AuthenticationError)
    assert (error.code, error.request_id) == ("invalid_api_key", "r-1")
    assert "No API-key provided." in str(error)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": " 3 "}, 3.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "9999999999"}, 9999999999.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "٣"}, None),
        (
            {"retry-after": "Thu, 05 Mar 2026 12:00:07 GMT", "date": "Thu, 05 Mar 2026 12:00:00 GMT"},
            7.0,
        ),
        (
            {"retry-after": "Thu, 05 Mar 2026 11:00:00 GMT", "date": "Thu, 05 Mar 2026 12:00:00 GMT"},
            0.0,
        ),
        ({"retry-after": "Thu, 99 Mar 2026 12:00:07 GMT"}, None),
        ({"retry-after": "1" * 400}, float("1" * 32)),
    ],
)
def test_retry_after(provider: str, headers: dict[str, str], expected: float | None) -> None:
    """Retry-After is read in milliseconds, seconds, or as a date against the answer's own; nonsense is None."""
    assert error_of(provider, 429, {}, headers=headers).retry_after == expected


def test_a_message_is_short_and_harmless(provider: str, wire: Wire) -> None:
    """A provider's text is cut, and its control characters and escape sequences are made visible."""
    text = "\x1b[31mred\r\nINFO forged\u202e" + "x" * 5000
    error = error_of(provider, 400, wire.error_body("Evil\x1bCode" * 30, text))
    shown = str(error)
    assert len(shown) < 800
    assert shown.isprintable()
    assert "\\x1b[31mred" in shown


def test_errors_can_be_pickled(provider: str, wire: Wire) -> None:
    """An error that went through a pickle is the same, for processes that pass it on."""
    error = error_of(provider, 429, wire.error_body("x"), {"retry-after": "3", "x-request-id": "r"})
    other = pickle.loads(pickle.dumps(error))
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert other.__dict__ == error.__dict__


def test_an_error_is_no_connection_error(provider: str) -> None:
    """An answer with an error status is an APIStatusError, never a connection's error."""
    error = error_of(provider, 500, b"")
    assert isinstance(error, APIStatusError)
    assert not isinstance(error, APIConnectionError)
