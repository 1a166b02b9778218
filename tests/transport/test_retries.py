"""Retries as a server sees them: how many requests come, and what is written down of each."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from tests.plugins.cost.ledgers import rows
from tests.servers import CLOSE, RESET, json_response, sse_response
from tests.transport.driving import Driver
from tests.transport.driving import arguments as qwen_arguments
from tests.wires import WIRES, Wire

from qonduit import (
    APIConnectionError,
    APIError,
    Call,
    Middleware,
    QuotaExhaustedError,
    RateLimitError,
    ServiceUnavailableError,
    middleware,
)
from qonduit_cost import CostPlugin
from qonduit_cost.options import CostOptions

pytestmark = pytest.mark.usefixtures("http_library")

WIRE = WIRES["qwen"]
ANSWER = WIRE.plain_reply("hello")
STREAM = sse_response(WIRE.events(["hel", "lo"]))
ERROR = WIRE.error_body("limit_requests")

streams = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


def limited(**headers: str) -> bytes:
    """A refusal; an underscore in a header's name stands for a hyphen."""
    return json_response(ERROR, 429, **headers)


def waits(delays: list[float]) -> Middleware:
    """A layer that writes down how long each retry was waited for."""

    @middleware("waits", scope="attempt")
    def layer(call: Call) -> Any:
        if call.attempt > 1:
            assert call.retry_delay is not None
            delays.append(call.retry_delay)
        return (yield call.request)

    return layer


def ask(driver: Driver, stream: bool) -> str:
    return driver.stream().text() if stream else driver.ask().text


SKEWED = "Tue, 15 Nov 1994 08:12:00 GMT"
"""The clock of a server that is some thirty years behind."""

HEADERS = {
    "seconds": ({"retry_after": "7"}, 7.0),
    "a fraction": ({"retry_after": "2.75"}, 2.75),
    "zero": ({"retry_after": "0"}, None),
    "negative": ({"retry_after": "-30"}, None),
    "garbage": ({"retry_after": "later"}, None),
    "Latin-1 digits": ({"retry_after": "²"}, None),
    "white space": ({"retry_after": "  8\t"}, 8.0),
    "one minute": ({"retry_after": "60"}, 60.0),
    "milliseconds": ({"retry_after_ms": "4500", "retry_after": "1"}, 4.5),
    "twice": ({"retry_after": "3", "Retry_After": "9"}, 9.0),
    "a date": ({"retry_after": "Tue, 15 Nov 1994 08:12:31 GMT", "date": SKEWED}, 31.0),
    "a date that has gone by": ({"retry_after": "Tue, 15 Nov 1994 07:00:00 GMT", "date": SKEWED}, None),
}
TOO_LONG = {
    "above a minute": ({"retry_after": "61"}, 61.0),
    "huge": ({"retry_after": "9999999999"}, 9999999999.0),
    "many digits": ({"retry_after": "9" * 200}, 1e32),
    "milliseconds": ({"retry_after_ms": "60001"}, 60.001),
    "a date": ({"retry_after": "Tue, 15 Nov 1994 09:12:00 GMT", "date": SKEWED}, 3600.0),
}


@pytest.mark.F31
@pytest.mark.F32
@pytest.mark.F33
@streams
@pytest.mark.parametrize(("headers", "seconds"), HEADERS.values(), ids=list(HEADERS))
def test_retry_after(serve, connect, no_waiting, headers: dict[str, str], seconds: float | None, stream: bool) -> None:
    """What a server asks for is waited for and never undercut; what it did not say readably has the usual wait."""
    delays: list[float] = []
    server = serve([limited(**headers), STREAM if stream else ANSWER])
    assert ask(connect(server, max_retries=3, plugins=[waits(delays)]), stream) == "hello"
    (delay,) = delays
    assert delay == seconds or (seconds is None and 1 <= delay < 2)
    assert len(server.requests) == 2


@pytest.mark.F31
@pytest.mark.F33
@streams
@pytest.mark.parametrize(("headers", "seconds"), TOO_LONG.values(), ids=list(TOO_LONG))
def test_a_wait_that_is_too_long(
    serve, connect, no_waiting, headers: dict[str, str], seconds: float, stream: bool
) -> None:
    """More than a minute is not waited for: the error comes at once, with how long the server asked for."""
    server = serve([limited(**headers), ANSWER])
    with pytest.raises(RateLimitError) as caught:
        ask(connect(server, max_retries=3), stream)
    assert (caught.value.retry_after, caught.value.attempts, len(server.requests)) == (seconds, 1, 1)
    assert f"the provider asks to wait {seconds:g} s" in str(caught.value)


USED_UP = [
    ("openai", 429, "insufficient_quota"),
    ("openai", 429, "billing_hard_limit_reached"),
    ("qwen", 400, "Arrearage"),
    ("qwen", 429, "CommodityNotPurchased"),
    ("dashscope", 400, "Arrearage"),
    ("dashscope", 403, "AllocationQuota.FreeTierOnly"),
]


@pytest.mark.F30
@streams
@pytest.mark.parametrize(("provider", "status", "code"), USED_UP)
def test_a_quota_that_is_used_up(
    serve, arguments, asynchronous: bool, no_waiting, wire: Wire, status: int, code: str, stream: bool
) -> None:
    """Waiting brings no money: a used-up quota is one request, though its status is that of a limit."""
    server = serve(lambda _: json_response(wire.error_body(code), status))
    with Driver(asynchronous, arguments(server, max_retries=3)) as driver, pytest.raises(QuotaExhaustedError) as caught:
        ask(driver, stream)
    assert (len(server.requests), caught.value.attempts, caught.value.retryable) == (1, 1, False)


@pytest.fixture(params=["own", "httpx", "httpx2"])
def by(request: pytest.FixtureRequest, asynchronous: bool) -> Callable[[Any, Any], Driver]:
    """Make a driver whose client sends by connections of its own, or by a client that was handed in."""
    library = {"httpx": httpx, "httpx2": httpx2}.get(request.param)

    def make(server: Any, retries: int) -> Driver:
        more: dict[str, Any] = {"max_retries": retries}
        if library is not None:
            more["http_client"] = (library.AsyncClient if asynchronous else library.Client)(trust_env=False)
        driver = Driver(asynchronous, qwen_arguments(server, **more))
        request.addfinalizer(driver.__exit__)
        if library is not None:
            client = more["http_client"]
            request.addfinalizer(lambda: driver.run(client.aclose() if asynchronous else client.close()))
        return driver

    return make


FAILURES = {
    "429": [limited()],
    "500": [json_response(ERROR, 500)],
    "503": [json_response(ERROR, 503)],
    "closed": [CLOSE],
    "reset": [RESET],
}


@pytest.mark.F34
@streams
@pytest.mark.parametrize("failure", FAILURES.values(), ids=list(FAILURES))
def test_one_request_where_no_retries_are_wanted(serve, by, no_waiting, failure: Any, stream: bool) -> None:
    """With `max_retries=0` a call is one request: nothing below the retries tries again by itself."""
    server = serve(lambda _: failure)
    with pytest.raises(APIError) as caught:
        ask(by(server, 0), stream)
    assert (len(server.requests), caught.value.attempts) == (1, 1)


@pytest.mark.F34
@streams
@pytest.mark.parametrize("retries", [1, 3])
def test_as_many_requests_as_attempts(serve, by, no_waiting, stream: bool, retries: int) -> None:
    """The server sees as many requests as the error says attempts: one, and the retries."""
    server = serve(lambda _: FAILURES["503"])
    with pytest.raises(ServiceUnavailableError) as caught:
        ask(by(server, retries), stream)
    assert len(server.requests) == caught.value.attempts == retries + 1


@pytest.mark.F34
@streams
def test_the_number_of_an_attempt_is_in_the_log(serve, connect, no_waiting, caplog, stream: bool) -> None:
    """Each attempt's record has its number, and the call's how many there were."""
    caplog.set_level(logging.DEBUG, "qonduit")
    driver = connect(serve(lambda _: FAILURES["503"]), max_retries=2, plugins=["logging"])
    with pytest.raises(ServiceUnavailableError):
        ask(driver, stream)
    said = [record.getMessage() for record in caplog.records]
    assert [text.partition(" chat")[0] for text in said] == ["attempt 1", "attempt 2", "attempt 3", "call"]
    assert "attempts 3," in said[-1]


@pytest.mark.F36
@streams
@pytest.mark.parametrize("end", [CLOSE, RESET], ids=["closed", "reset"])
def test_a_connection_that_died_idle_is_one_attempt(serve, connect, tmp_path: Path, end: Any, stream: bool) -> None:
    """A used connection that dies before a byte: the request is sent again at once, without retries.

    It is one attempt with one row in the ledger, whose cost is no bound, and the answer has no warning.
    """
    cost = CostPlugin(CostOptions(ledger=str(tmp_path / "ledger.sqlite3")))
    reply = STREAM if stream else ANSWER
    server = serve([reply, [end], reply])
    driver = connect(server, max_retries=0, plugins=[cost])
    assert [ask(driver, stream) for _ in range(2)] == ["hello", "hello"]
    assert (len(server.requests), server.connections) == (3, 2)
    driver.close()
    cost.close()
    written = rows(tmp_path / "ledger.sqlite3")
    assert [(row["attempt"], row["state"], row["outcome"]) for row in written] == [(1, "settled", "answered")] * 2
    assert written[0]["amount"] == written[1]["amount"]
    assert written[0]["provenance"] == written[1]["provenance"]


@pytest.mark.F36
@streams
def test_a_connection_that_dies_again_is_an_error(serve, connect, no_waiting, stream: bool) -> None:
    """The second death is on a new connection: its outcome is unknown, and it is tried again as such."""
    reply = STREAM if stream else ANSWER
    server = serve([reply, [CLOSE], [CLOSE], [CLOSE]])
    driver = connect(server, max_retries=3)
    ask(driver, stream)
    with pytest.raises(APIConnectionError) as caught:
        ask(driver, stream)
    assert (caught.value.outcome, caught.value.attempts, len(server.requests)) == ("unknown", 2, 4)
