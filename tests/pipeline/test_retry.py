"""When a call is tried again, how long it waits, and what is said when it is not. Nothing here sleeps."""

from __future__ import annotations

from typing import Any

import pytest
from tests.pipeline.memory import STREAM_HEADERS, MemoryTransport, Reply, event, refused, said
from tests.pipeline.modes import Mode
from tests.pipeline.naps import Naps

from qonduit import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    BadRequestError,
    Call,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    PluginError,
    ProtocolError,
    QuotaExhaustedError,
    RateLimitError,
    ServiceUnavailableError,
    StreamInterruptedError,
    hookimpl,
    middleware,
)
from qonduit.retry import ExponentialRetry, RetryBudget
from qonduit.retry_after import retry_after

LOST = APIConnectionError("lost", outcome="unknown", retryable=True)
NOT_SENT = APIConnectionError("unreachable", outcome="not_sent", retryable=True)
OK = said("Hel", "lo")


async def failed(mode: Mode, transport: MemoryTransport, **options: Any) -> APIError:
    """The error of a call."""
    with pytest.raises(APIError) as caught:
        await mode.ask(mode.client(transport, **options))
    return caught.value


@pytest.mark.parametrize(
    ("retries", "delays"),
    [
        (0, []),
        (1, [1.5]),
        (2, [1.5, 2.5]),
        (3, [1.5, 2.5, 4.5]),
        (4, [1.5, 2.5, 4.5, 8.5]),
        (5, [1.5, 2.5, 4.5, 8.5, 16.5]),
    ],
)
async def test_the_schedule(mode: Mode, naps: Naps, retries: int, delays: list[float]) -> None:
    """Retry n waits 2**(n-1) seconds and the jitter; after the last one the provider's error is raised."""
    transport = MemoryTransport(refused(503))
    error = await failed(mode, transport, max_retries=retries)
    assert naps.delays == delays
    assert isinstance(error, ServiceUnavailableError)
    assert (len(transport.sent), error.attempts) == (retries + 1, retries + 1)


async def test_three_retries_by_default(mode: Mode, naps: Naps) -> None:
    """By default three retries are made, and an answer ends them."""
    transport = MemoryTransport(refused(429), refused(503), refused(429), OK)
    told = await mode.ask(mode.client(transport))
    assert (told.response.text, told.response.warnings) == ("Hello", ())
    assert naps.delays == [1.5, 2.5, 4.5]
    assert told.pieces == (["Hel", "lo"] if mode.streamed else [])


@pytest.mark.parametrize(
    ("status", "kind", "attempts"),
    [
        (400, BadRequestError, 1),
        (401, AuthenticationError, 1),
        (403, PermissionDeniedError, 1),
        (404, NotFoundError, 1),
        (413, BadRequestError, 1),
        (422, BadRequestError, 1),
        (302, APIError, 1),
        (429, RateLimitError, 4),
        (503, ServiceUnavailableError, 4),
        (500, InternalServerError, 2),
        (502, InternalServerError, 2),
        (504, InternalServerError, 2),
    ],
)
async def test_which_statuses_are_tried_again(
    mode: Mode, naps: Naps, status: int, kind: type[APIError], attempts: int
) -> None:
    """429 and 503 are retried, an unknown outcome once more; a refused request is not."""
    transport = MemoryTransport(refused(status))
    error = await failed(mode, transport)
    assert isinstance(error, kind)
    assert (error.status_code, error.attempts, len(transport.sent)) == (status, attempts, attempts)


@pytest.mark.F30
@pytest.mark.parametrize(
    ("code", "kind", "attempts"),
    [
        ("limit_requests", RateLimitError, 4),
        ("insufficient_quota", RateLimitError, 4),
        ("CommodityNotPurchased", QuotaExhaustedError, 1),
    ],
)
async def test_the_providers_table_decides_by_code(
    mode: Mode, naps: Naps, code: str, kind: type[APIError], attempts: int
) -> None:
    """Of one status some codes recover and some do not: the provider's table says which."""
    transport = MemoryTransport(refused(429, code))
    error = await failed(mode, transport)
    assert (type(error), error.code, len(transport.sent)) == (kind, code, attempts)


RETRY_AFTER = [
    ({"retry_after": "7"}, [7.0]),
    ({"retry_after": " 7\t"}, [7.0]),
    ({"retry_after": "7, 9"}, [9.0]),
    ({"retry_after": "9999999999"}, []),
    ({"retry_after": "9" * 400}, []),
    ({"retry_after_ms": "-1", "retry_after": "-1"}, [1.5]),
    ({"retry_after": "1"}, [1.5]),
    ({"retry_after": "0"}, [1.5]),
    ({"retry_after": "2.5"}, [2.5]),
    ({"retry_after": "60"}, [60.0]),
    ({"retry_after": "61"}, []),
    ({"retry_after": "86400"}, []),
    ({"retry_after_ms": "3500"}, [3.5]),
    ({"retry_after_ms": "9000", "retry_after": "2"}, [9.0]),
    ({"retry_after_ms": "61000"}, []),
    ({"retry_after": "Thu, 05 Mar 2026 12:00:09 GMT", "date": "Thu, 05 Mar 2026 12:00:00 GMT"}, [9.0]),
    ({"retry_after": "Thu, 05 Mar 2026 11:00:00 GMT", "date": "Thu, 05 Mar 2026 12:00:00 GMT"}, [1.5]),
    ({"retry_after": "Thu, 05 Mar 2026 13:00:00 GMT", "date": "Thu, 05 Mar 2026 12:00:00 GMT"}, []),
    ({"retry_after": "soon"}, [1.5]),
    ({"retry_after": "-5"}, [1.5]),
    ({"retry_after": ""}, [1.5]),
    ({"retry_after": "1e9"}, [1.5]),
    ({"retry_after": "٣"}, [1.5]),
    ({"retry_after": "inf"}, [1.5]),
    ({"retry_after": "nan"}, [1.5]),
    ({"retry_after_ms": "x", "retry_after": "3"}, [3.0]),
]


@pytest.mark.F31
@pytest.mark.F32
@pytest.mark.parametrize(("headers", "delays"), RETRY_AFTER)
async def test_retry_after_is_honoured(mode: Mode, naps: Naps, headers: dict[str, str], delays: list[float]) -> None:
    """Retry-After in seconds, milliseconds or as a date is never undercut; above 60 s the call gives up."""
    transport = MemoryTransport(refused(429, **headers), OK)
    if delays:
        assert (await mode.ask(mode.client(transport))).response.text == "Hello"
    else:
        assert (await failed(mode, transport)).retry_after > 60
    assert naps.delays == delays


@pytest.mark.F31
@pytest.mark.parametrize(("asked", "seconds"), [("3600", 3600.0), ("9999999999", 9999999999.0)])
async def test_giving_up_on_a_long_wait_says_so(mode: Mode, naps: Naps, asked: str, seconds: float) -> None:
    """A Retry-After above 60 s is not waited for, and the error says how long the provider wants."""
    error = await failed(mode, MemoryTransport(refused(429, retry_after=asked)))
    assert (error.retry_after, error.attempts, naps.delays) == (seconds, 1, [])
    assert f"Not tried again: the provider asks to wait {seconds:g} s." in str(error)


def test_a_date_is_measured_by_a_clock_when_the_answer_has_none() -> None:
    """A date without the answer's own date is measured against this side's clock."""
    assert retry_after({"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"}) > 1e9
    assert retry_after({"retry-after": "Sat, 01 Jan 2000 00:00:00 GMT"}) == 0


@pytest.mark.F35
@pytest.mark.parametrize("failure", [LOST, refused(500), refused(504)])
async def test_an_unknown_outcome_is_tried_once_more(mode: Mode, naps: Naps, failure: Any) -> None:
    """What may have been billed is tried once more, not twice, and the answer says so."""
    transport = MemoryTransport(failure, OK)
    told = await mode.ask(mode.client(transport))
    (warning,) = told.response.warnings
    assert "outcome is unknown" in warning
    error = await failed(mode, MemoryTransport(failure), max_retries=5)
    assert (error.outcome, error.attempts) == ("unknown", 2)
    assert "Not tried again: its outcome is unknown for the second time" in str(error)


@pytest.mark.F35
@pytest.mark.parametrize("failure", [LOST, refused(500), refused(504)])
async def test_an_unknown_outcome_is_not_tried_again_where_money_goes_first(
    mode: Mode, naps: Naps, monkeypatch: pytest.MonkeyPatch, failure: Any
) -> None:
    """With `retry_unknown = false` nothing that may have been billed is sent twice; what is known is still retried."""
    monkeypatch.setenv("QONDUIT_RETRY_UNKNOWN", "false")
    transport = MemoryTransport(failure)
    error = await failed(mode, transport, max_retries=5)
    assert (error.outcome, error.attempts, len(transport.sent), naps.delays) == ("unknown", 1, 1, [])
    assert "Not tried again: its outcome is unknown, so it may have been billed, and retry_unknown is" in str(error)
    transport = MemoryTransport(refused(503), NOT_SENT, failure, OK)
    error = await failed(mode, transport, max_retries=5)
    assert (error.outcome, error.attempts, len(transport.sent)) == ("unknown", 3, 3)


@pytest.mark.F35
async def test_what_would_not_be_tried_again_anyway_does_not_name_the_setting(
    mode: Mode, naps: Naps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`retry_unknown` is named where it is the reason, and not where there are no retries."""
    monkeypatch.setenv("QONDUIT_RETRY_UNKNOWN", "false")
    assert "retry_unknown" not in str(await failed(mode, MemoryTransport(refused(500)), max_retries=0))


@pytest.mark.F35
async def test_unknown_outcomes_are_counted_apart(mode: Mode, naps: Naps) -> None:
    """Refusals between do not reset the count of unknown outcomes."""
    transport = MemoryTransport(LOST, refused(503), LOST, OK)
    error = await failed(mode, transport, max_retries=5)
    assert (error.attempts, len(transport.sent)) == (3, 3)


async def test_what_was_not_sent_is_tried_on_the_schedule(mode: Mode, naps: Naps) -> None:
    """A connection that could not be made is retried like a refusal, and the answer has no warning."""
    told = await mode.ask(mode.client(MemoryTransport(NOT_SENT, NOT_SENT, NOT_SENT, OK)))
    assert (told.response.warnings, naps.delays) == ((), [1.5, 2.5, 4.5])


@pytest.mark.parametrize("content", [b"", b"<html>", b"{}", b'"text"', b"nonsense"])
async def test_what_is_no_answer(plain: Mode, naps: Naps, content: bytes) -> None:
    """Of answers that are none only an empty one is tried again."""
    transport = MemoryTransport(Reply().with_parts(content))
    error = await failed(plain, transport)
    assert isinstance(error, ProtocolError)
    assert error.attempts == (1 if content else 2)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages[0].content holds a lone surrogate"),
        ({"temperature": 2.5}, "temperature: expected"),  # refused by the provider's own builder
    ],
    ids=["core", "provider"],
)
async def test_a_request_refused_on_this_side_has_no_attempt(
    mode: Mode, naps: Naps, given: dict[str, Any], problem: str
) -> None:
    """What the builder refuses is never sent, never tried again, and counts no attempt."""
    transport = MemoryTransport(OK)
    with pytest.raises(BadRequestError) as caught:
        await mode.ask(mode.client(transport), **given)
    assert (caught.value.attempts, caught.value.status_code, transport.sent) == (0, None, [])
    assert caught.value.outcome == "not_sent"
    assert problem in str(caught.value)


@pytest.mark.F38
async def test_the_deadline_refuses_a_wait(mode: Mode, naps: Naps) -> None:
    """A wait that would pass the deadline of the call is not begun, and the error says so."""
    client = mode.client(MemoryTransport(refused(503)), deadline=1.4)
    for deadline, delays in ((None, []), (2.0, [1.5])):
        naps.delays.clear()
        with pytest.raises(ServiceUnavailableError) as caught:
            await mode.ask(client, deadline=deadline)
        assert (caught.value.attempts, naps.delays) == (len(delays) + 1, delays)
        assert f"would pass the call's deadline ({deadline or 1.4:g} s)" in str(caught.value)


async def test_the_retry_budget(mode: Mode, naps: Naps) -> None:
    """When everything fails, a client's retries end with its budget, which each success refills by a tenth."""
    transport = MemoryTransport(refused(503))
    client = mode.client(transport)
    for _ in range(10):
        with pytest.raises(ServiceUnavailableError) as caught:
            await mode.ask(client)
    assert len(transport.sent) == 10 + 20
    assert caught.value.attempts == 1
    assert "retry budget" in str(caught.value)
    transport.script = [OK]
    for _ in range(11):
        await mode.ask(client)
    transport.script = [refused(503)]
    with pytest.raises(ServiceUnavailableError) as caught:
        await mode.ask(client.with_options(timeout=5))
    assert caught.value.attempts == 2


async def test_each_key_has_a_budget_of_its_own(mode: Mode, naps: Naps) -> None:
    """A provider that fails for one key leaves the retries of another key alone; clients of one key share theirs."""
    transport = MemoryTransport(refused(503))
    client = mode.client(transport)
    for _ in range(7):
        with pytest.raises(ServiceUnavailableError):
            await mode.ask(client)
    for options, attempts in (({"timeout": 3}, 1), ({"api_key": "sk-other"}, 4)):
        with pytest.raises(ServiceUnavailableError) as caught:
            await mode.ask(client.with_options(**options))
        assert caught.value.attempts == attempts


def test_the_budget_is_never_fuller_than_full() -> None:
    """Successes refill a budget to its capacity and no further."""
    budget = RetryBudget(capacity=2, refund=1)
    for _ in range(5):
        budget.succeeded()
    assert [budget.take() for _ in range(3)] == [True, True, False]


@pytest.mark.F37
async def test_a_stream_that_fails_before_its_first_chunk_is_tried_again(streaming: Mode, naps: Naps) -> None:
    """Before the first chunk a stream is tried again; what had failed leaves no chunk behind."""
    empty = Reply(200, STREAM_HEADERS).with_parts()
    ping = Reply(200, STREAM_HEADERS).with_parts(b": ping\n\n", LOST)
    for first in (empty, ping):
        transport = MemoryTransport(first, OK)
        told = await streaming.ask(streaming.client(transport))
        assert told.pieces == ["Hel", "lo"]
        assert [stream.ended for stream in transport.streams] == ["closed", "finished"]
        assert "outcome is unknown" in told.response.warnings[0]


async def test_an_error_event_before_the_first_chunk(streaming: Mode, naps: Naps) -> None:
    """An error event that opens a stream is that error: retried when it is retryable."""
    limited = Reply(200, STREAM_HEADERS).with_parts(b'data: {"error":{"code":"limit_requests","message":"m"}}\n\n')
    told = await streaming.ask(streaming.client(MemoryTransport(limited, limited, OK)))
    assert told.pieces == ["Hel", "lo"]
    assert naps.delays == [1.5, 2.5]


@pytest.mark.F37
async def test_a_stream_is_not_tried_again_after_its_first_chunk(streaming: Mode, naps: Naps) -> None:
    """After the first chunk nothing is tried again, whatever breaks."""
    limited = b'data: {"error":{"code":"limit_requests","message":"m"}}\n\n'
    for last, kind in ((LOST, StreamInterruptedError), (limited, RateLimitError)):
        transport = MemoryTransport(Reply(200, STREAM_HEADERS).with_parts(event({"content": "x"}), last), OK)
        error = await failed(streaming, transport)
        assert (type(error), error.attempts, len(transport.sent)) == (kind, 1, 1)
        assert error.retryable is False
    assert naps.delays == []


async def test_a_stream_that_broke_after_retries_counts_them(streaming: Mode, naps: Naps) -> None:
    """The error of a stream that broke says how many attempts were made."""
    broken = Reply(200, STREAM_HEADERS).with_parts(event({"content": "x"}), LOST)
    error = await failed(streaming, MemoryTransport(refused(503), refused(503), broken))
    assert error.attempts == 3


async def test_a_retried_stream_ends_with_its_own_answer(streaming: Mode, naps: Naps) -> None:
    """The answer of a stream that came at the second attempt has all of its fields."""
    told = await streaming.ask(streaming.client(MemoryTransport(refused(503), OK)))
    assert (told.response.text, told.response.usage.total_tokens) == ("Hello", 10)
    assert (told.response.request_id, told.response.complete) == ("request-1", True)


class Policy:
    """A plugin that gives a retry policy."""

    def __init__(self, *delays: Any) -> None:
        self._delays = delays
        self.asked: list[tuple[type, int]] = []

    @hookimpl
    def qonduit_retry_policy(self, profile: Any) -> Policy:
        return self

    def delay(self, error: APIError, attempt: int) -> Any:
        self.asked.append((type(error), attempt))
        delay = self._delays[attempt - 1]
        if isinstance(delay, Exception):
            raise delay
        return delay


async def test_a_plugins_policy(mode: Mode, naps: Naps) -> None:
    """A plugin's policy decides in place of the default, on errors that the default would not retry as well."""
    policy = Policy(0.0, 12.0, None)
    transport = MemoryTransport(refused(400), refused(404), refused(429))
    with pytest.raises(RateLimitError) as caught:
        await mode.ask(mode.client(transport, policy))
    assert policy.asked == [(BadRequestError, 1), (NotFoundError, 2), (RateLimitError, 3)]
    assert (naps.delays, caught.value.attempts) == ([0.0, 12.0], 3)


@pytest.mark.parametrize("delay", [RuntimeError("defect"), float("nan"), float("inf"), -1.0, "soon", ...])
@pytest.mark.parametrize("at", [1, 2])
async def test_a_broken_policy_leaves_the_error_intact(mode: Mode, naps: Naps, delay: Any, at: int) -> None:
    """A policy that raises, or gives no delay, ends the retries; the provider's error reaches the caller."""
    transport = MemoryTransport(refused(503))
    error = await failed_with(mode, transport, Policy(*([1.0] * (at - 1)), delay))
    assert isinstance(error, ServiceUnavailableError)
    assert error.attempts == at
    if isinstance(delay, Exception):
        assert "The retry policy failed (RuntimeError)" in str(error)


async def failed_with(mode: Mode, transport: MemoryTransport, plugin: object) -> APIError:
    with pytest.raises(APIError) as caught:
        await mode.ask(mode.client(transport, plugin))
    return caught.value


async def test_a_policy_cannot_add_a_second_unknown(mode: Mode, naps: Naps) -> None:
    """A plugin's policy, too, gets one more attempt after an unknown outcome."""
    transport = MemoryTransport(LOST)
    error = await failed_with(mode, transport, Policy(1.0, 1.0, 1.0))
    assert (error.attempts, len(transport.sent)) == (2, 2)


async def test_what_is_no_api_error_is_not_tried_again(mode: Mode, naps: Naps) -> None:
    """A defect, of a transport or a layer, goes to the caller at once, before and after a first failure."""

    @middleware("broken", scope="attempt")
    def broken(call: Call) -> Any:
        response = yield call.request
        raise LookupError("defect")
        return response

    for script in ([], [refused(503)]):
        transport = MemoryTransport(*script, LookupError("defect"))
        with pytest.raises(PluginError, match="transport"):
            await mode.ask(mode.client(transport))
        assert len(transport.sent) == len(script) + 1
        transport = MemoryTransport(*script, OK)
        with pytest.raises(LookupError):
            await mode.ask(mode.client(transport, broken))
        assert len(transport.sent) == len(script) + 1


def test_the_policys_table() -> None:
    """The default policy is a pure function of the error and the number of the attempt."""
    policy = ExponentialRetry(99, jitter=lambda: 0.25)
    error = APIError("x", retryable=True)
    assert [policy.delay(error, attempt) for attempt in range(1, 7)] == [1.25, 2.25, 4.25, 8.25, 16.25, None]
    assert policy.delay(APIError("x", retryable=False), 1) is None
    assert policy.delay(APIError("x", retryable=True, retry_after=60.0), 1) == 60.0
    assert policy.delay(APIError("x", retryable=True, retry_after=60.1), 1) is None
    assert policy.delay(APIError("x", retryable=True, retry_after=0.0), 1) == 1.25


def test_the_jitter_is_random() -> None:
    """Without a jitter of its own the policy adds 0 to 1 second."""
    error = APIError("x", retryable=True)
    delays = {ExponentialRetry(3).delay(error, 1) for _ in range(50)}
    assert len(delays) > 1
    assert all(1 <= delay < 2 for delay in delays)
