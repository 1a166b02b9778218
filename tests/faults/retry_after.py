"""Retry-After: what a provider asks to wait is waited for, within reason, and never less."""

from __future__ import annotations

from dataclasses import replace

from tests.faults.expectations import MAX_RETRIES, Answered, Failed
from tests.faults.fault import ONE_OF_EACH_WIRE, Fault
from tests.servers import response

from qonduit import BadRequestError, InternalServerError, QuotaExhaustedError, RateLimitError, ServiceUnavailableError

NOW = "Thu, 05 Mar 2026 12:00:00 GMT"
ALL = 1 + MAX_RETRIES


def _asks(
    name: str,
    headers: dict[str, str],
    seconds: float | None,
    *,
    failures: tuple[int, ...] = (32,),
    attempts: int = ALL,
    delays: tuple[float, ...] | None = None,
    says: str = "",
) -> Fault:
    """A 429 with `headers`, which mean `seconds`; each retry waits for at least `delays`."""
    expected = Failed(
        RateLimitError, status=429, attempts=attempts, retryable=True, retry_after=seconds, delays=delays, says=says
    )
    named = {header.replace("-", "_"): value for header, value in headers.items()}
    return Fault(name, response(b"{}", 429, **named), expected, failures)


GIVEN_UP = {"attempts": 1, "failures": (31,), "says": "Not tried again: the provider asks to wait"}

_FAULTS = [
    _asks("none", {}, None, delays=(1.0, 2.0)),
    _asks("zero", {"retry-after": "0"}, 0.0, delays=(1.0, 2.0)),
    _asks("seconds", {"retry-after": "7"}, 7.0, delays=(7.0, 7.0)),
    _asks("less-than-the-own-delay", {"retry-after": "1"}, 1.0, delays=(1.0, 2.0)),
    _asks("decimals", {"retry-after": "5.5"}, 5.5, delays=(5.5, 5.5)),
    _asks("spaces", {"retry-after": "  8  "}, 8.0, delays=(8.0, 8.0)),
    _asks("milliseconds", {"retry-after-ms": "9250"}, 9.25, delays=(9.25, 9.25)),
    _asks("milliseconds-first", {"retry-after-ms": "6000", "retry-after": "9"}, 6.0, delays=(6.0, 6.0)),
    _asks("nonsense-in-milliseconds", {"retry-after-ms": "soon", "retry-after": "9"}, 9.0, delays=(9.0, 9.0)),
    _asks("the-most-that-is-waited", {"retry-after": "60"}, 60.0, delays=(60.0, 60.0)),
    _asks("a-second-more-than-that", {"retry-after": "61"}, 61.0, **GIVEN_UP),
    _asks("300-years", {"retry-after": "9999999999"}, 9999999999.0, **GIVEN_UP),
    _asks("400-digits", {"retry-after": "1" * 400}, float("1" * 32), **GIVEN_UP),
    _asks("milliseconds-of-an-hour", {"retry-after-ms": "3600000"}, 3600.0, **GIVEN_UP),
    _asks("negative", {"retry-after": "-30"}, None, delays=(1.0, 2.0)),
    _asks("infinity", {"retry-after": "inf"}, None, delays=(1.0, 2.0)),
    _asks("no-number", {"retry-after": "nan"}, None, delays=(1.0, 2.0)),
    _asks("exponent", {"retry-after": "1e9"}, None, delays=(1.0, 2.0)),
    _asks("words", {"retry-after": "in a moment"}, None, delays=(1.0, 2.0)),
    _asks("empty", {"retry-after": ""}, None, delays=(1.0, 2.0)),
    _asks(
        "date", {"retry-after": "Thu, 05 Mar 2026 12:00:11 GMT", "date": NOW}, 11.0, delays=(11.0, 11.0),
        failures=(32, 33),
    ),
    _asks(
        "past-date", {"retry-after": "Thu, 05 Mar 2026 11:00:00 GMT", "date": NOW}, 0.0, delays=(1.0, 2.0),
        failures=(32, 33),
    ),
    _asks("date-of-next-year", {"retry-after": "Fri, 05 Mar 2027 12:00:00 GMT", "date": NOW}, 31536000.0, **GIVEN_UP),
    _asks("no-such-date", {"retry-after": "Thu, 99 Mar 2026 12:00:00 GMT", "date": NOW}, None, delays=(1.0, 2.0)),
    Fault(
        "503-once",
        response(b"{}", 503, retry_after="12"),
        Answered(attempts=2, delays=(12.0,)),
        (32,),
    ),
    Fault(
        "503",
        response(b"{}", 503, retry_after="12"),
        Failed(
            ServiceUnavailableError, status=503, attempts=ALL, retryable=True, retry_after=12.0, delays=(12.0, 12.0)
        ),
        (32,),
    ),
    Fault(
        "500-once",
        response(b"{}", 500, retry_after="12"),
        Answered(attempts=2, delays=(12.0,), warns="outcome is unknown"),
        (32, 35),
    ),
    Fault(
        "500",
        response(b"{}", 500, retry_after="12"),
        Failed(
            InternalServerError, "unknown", status=500, attempts=2, retryable=True, retry_after=12.0, delays=(12.0,)
        ),
        (32, 35),
    ),
    Fault(
        "400-is-not-tried-again",
        response(b"{}", 400, retry_after="1"),
        Failed(BadRequestError, status=400, retry_after=1.0),
        (29, 32),
    ),
    Fault(
        "a-used-up-quota-is-not-tried-again",
        lambda scene: response(
            scene.wire.error(429, "PostpaidBillOverdue").split(b"\r\n\r\n", 1)[1], 429, retry_after="1"
        ),
        Failed(QuotaExhaustedError, status=429, retry_after=1.0),
        (30,),
        providers=("qwen", "dashscope"),
    ),
    Fault(
        "past-the-deadline",
        response(b"{}", 429, retry_after="30"),
        Failed(
            RateLimitError, status=429, retryable=True, retry_after=30.0,
            says="Not tried again: waiting 30.. s would pass the call's deadline",
        ),
        (38,),
        parameters={"deadline": 9.0},
    ),
]  # fmt: skip

FAULTS = [replace(fault, providers=ONE_OF_EACH_WIRE) for fault in _FAULTS]
