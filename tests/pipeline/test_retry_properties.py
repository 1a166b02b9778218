"""What holds of retries whatever fails, however often, however slowly: by a clock of the tests' own."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
import stamina
import stamina._core
import tenacity
import tenacity.nap
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pipeline.memory import MemoryTransport, Reply, refused, said

from qonduit import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AsyncClient,
    ChatResponse,
    Client,
    WireRequest,
    WireResponse,
)
from qonduit.retry import MAX_RETRY_AFTER, RetryBudget

ASK = [{"role": "user", "content": "Hello"}]
TIMEOUT = 60.0
GOOD = said("ok")
UNKNOWN = {500, 502, 504}


class Failure(NamedTuple):
    """One attempt: how long it takes, and how it ends. `status` None is a failure of the network."""

    seconds: float
    status: int | None = None
    retry_after: str | None = None
    sent: bool = True


class World(MemoryTransport):
    """A clock that only attempts and waits move, a server that fails by a list, and what happened when."""

    def __init__(self, failures: list[Failure]) -> None:
        super().__init__(GOOD)
        self.now = 1000.0
        self.failures = failures
        self.began: list[float] = []
        self.ended: list[float] = []
        self.waits: list[float] = []
        self.late: list[bool] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)

    def send(self, wire: WireRequest, deadline: float | None) -> WireResponse:
        """One attempt. It keeps its deadline, as transports do."""
        failure = self.failures[len(self.began)] if len(self.began) < len(self.failures) else None
        self.began.append(self.now)
        assert deadline is not None
        seconds = failure.seconds if failure is not None else 0.25
        late = self.now + seconds >= deadline
        self.late.append(late)
        self.now = deadline if late else self.now + seconds
        self.ended.append(self.now)
        if late:
            raise APITimeoutError("late", outcome="unknown", retryable=True)
        if failure is not None and failure.status is None:
            raise APIConnectionError("lost", outcome="unknown" if failure.sent else "not_sent", retryable=True)
        reply: Reply = GOOD
        if failure is not None:
            assert failure.status is not None
            headers = {} if failure.retry_after is None else {"retry_after": failure.retry_after}
            reply = refused(failure.status, **headers)
        content = b"".join(part for part in reply.plain if isinstance(part, bytes))
        return WireResponse(reply.status, reply.headers, content, wire)

    async def asend(self, wire: WireRequest, deadline: float | None) -> WireResponse:
        return self.send(wire, deadline)

    def ask(self, asynchronous: bool, **options: Any) -> ChatResponse | APIError:
        """One call in this world, run to its end without an event loop: nothing in it waits for anything else."""
        made: dict[str, Any] = {"provider": "qwen", "model": "m", "api_key": "sk-test", "timeout": TIMEOUT, **options}
        with pytest.MonkeyPatch.context() as patch:
            for module in ("_retry", "_attempt", "_answering", "_reading", "call"):
                patch.setattr(f"qonduit.{module}.time", self)
            patch.setattr(tenacity, "time", self)
            patch.setattr(tenacity.nap, "time", self)
            patch.setattr(stamina._core, "_smart_sleep", self.asleep)
            patch.setattr(stamina._core.CONFIG, "_get_on_retry", lambda: ())
            try:
                if not asynchronous:
                    return Client(plugins=[self], **made).chat.completions.create(messages=ASK)
                asking = AsyncClient(plugins=[self], **made).chat.completions.create(messages=ASK)
                try:
                    asking.send(None)
                except StopIteration as stop:
                    answer: ChatResponse = stop.value
                    return answer
                raise AssertionError("an async call waited for something that the tests do not know")
            except APIError as error:
                return error


FAILURES = st.lists(
    st.builds(
        Failure,
        seconds=st.sampled_from([0.0, 0.1, 1.0, 7.0, 45.0, 59.9, 61.0]) | st.floats(0, 70),
        status=st.sampled_from([None, 400, 403, 429, 500, 502, 503, 504]),
        retry_after=st.sampled_from([None, None, "0", "3", "59.9", "60", "61", "9999999999", "-1", "soon"]),
        sent=st.booleans(),
    ),
    max_size=8,
)


@pytest.mark.F31
@pytest.mark.F34
@pytest.mark.F35
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@settings(max_examples=120, deadline=None)
@given(
    failures=FAILURES,
    retries=st.integers(0, 5),
    limit=st.none() | st.floats(0.1, 400),
    retry_unknown=st.booleans(),
)
def test_whatever_fails(
    asynchronous: bool, failures: list[Failure], retries: int, limit: float | None, retry_unknown: bool
) -> None:
    """Attempts are bounded, waits are finite and not too short, and the call ends by its deadline."""
    world = World(failures)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QONDUIT_RETRY_UNKNOWN", str(retry_unknown).lower())
        told = world.ask(asynchronous, max_retries=retries, deadline=limit)
    attempts = len(world.began)
    assert 1 <= attempts <= retries + 1
    assert len(world.waits) == attempts - 1
    assert all(math.isfinite(wait) and 0 <= wait <= MAX_RETRY_AFTER for wait in world.waits)
    if limit is not None:
        assert all(began < 1000.0 + limit for began in world.began)
        assert world.now <= 1000.0 + limit
    assert world.now - 1000.0 <= attempts * TIMEOUT + sum(world.waits) + 1e-6
    unknown = 0
    for number, (failure, late) in enumerate(zip(failures, world.late, strict=False), start=1):
        again = number < attempts
        if late or failure.status in UNKNOWN or (failure.status is None and failure.sent):
            unknown += 1
            assert not again or (retry_unknown and unknown == 1)
        if again:
            pause = world.began[number] - world.ended[number - 1]
            assert pause >= min(30.0, 2.0 ** (number - 1)) - 1e-6
            if not late and failure.status is not None:
                assert failure.status not in {400, 403}
                assert failure.retry_after not in {"61", "9999999999"}
                assert pause >= (float(failure.retry_after) if failure.retry_after in {"3", "59.9", "60"} else 0) - 1e-6
    if isinstance(told, APIError):
        assert told.attempts == attempts
    else:
        assert attempts == len(failures[: attempts - 1]) + 1
        assert bool(told.warnings) == bool(unknown)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_the_world_of_these_tests(asynchronous: bool) -> None:
    """Two refusals and a wait that is asked for: so that the properties above are known to be of something."""
    world = World([Failure(2.0, 503), Failure(1.0, 429, "20")])
    assert isinstance(world.ask(asynchronous), ChatResponse)
    assert world.began[0] == 1000.0
    assert 1003.0 <= world.began[1] < 1004.0
    assert world.began[2] == world.ended[1] + 20.0
    late = World([Failure(61.0)])
    assert isinstance(late.ask(asynchronous, max_retries=0), APITimeoutError)
    assert late.now == 1060.0


# Storms


class Outage(MemoryTransport):
    """A server that refuses all calls until it is `over`; counts what it was sent, from any thread."""

    over = False

    def _next(self, wire: WireRequest) -> Reply:
        self.sent.append(wire)
        return GOOD if self.over else refused(503)


@pytest.fixture
def quickly() -> Iterator[None]:
    """Retries follow at once."""
    hooks = stamina.instrumentation.get_on_retry_hooks()
    stamina.instrumentation.set_on_retry_hooks([])
    with stamina.set_testing(True, attempts=10):
        yield
    stamina.instrumentation.set_on_retry_hooks(hooks)


def fail(client: Client) -> int:
    """The attempts of a call that fails."""
    with pytest.raises(APIError) as caught:
        client.chat.completions.create(messages=ASK)
    return caught.value.attempts


CALLS = 1000
CAPACITY = 20
"""What the retry budget of a client holds when it is full."""
TO_FILL = 210
"""More than the answered calls that fill it: each gives a tenth of a retry back."""


@pytest.mark.F34
def test_an_outage_is_not_multiplied_by_threads(quickly: None) -> None:
    """A thousand calls of many threads at a server that refuses all meet it with at most twenty requests more.

    Once it answers, every call succeeds at its first attempt, and the budget fills again.
    """
    outage = Outage()
    with Client(provider="qwen", model="m", api_key="sk-test", plugins=[outage]) as client:
        with ThreadPoolExecutor(16) as pool:
            attempts = list(pool.map(lambda _: fail(client), range(CALLS)))
        assert len(outage.sent) == sum(attempts) == CALLS + CAPACITY
        assert max(attempts) <= 4
        outage.over = True
        for _ in range(TO_FILL):
            assert client.chat.completions.create(messages=ASK).text == "ok"
        assert len(outage.sent) == CALLS + CAPACITY + TO_FILL
        outage.over = False
        assert sum(fail(client) for _ in range(30)) == 30 + CAPACITY


@pytest.mark.F34
async def test_an_outage_is_not_multiplied_by_tasks(quickly: None) -> None:
    """The same of a thousand tasks at once."""
    outage = Outage()
    async with AsyncClient(provider="qwen", model="m", api_key="sk-test", plugins=[outage]) as client:

        async def ask() -> int:
            try:
                await client.chat.completions.create(messages=ASK)
            except APIError as error:
                return error.attempts
            return 0

        attempts = await asyncio.gather(*(ask() for _ in range(CALLS)))
        assert len(outage.sent) == sum(attempts) == CALLS + CAPACITY
        outage.over = True
        assert await asyncio.gather(*(ask() for _ in range(TO_FILL))) == [0] * TO_FILL
        outage.over = False
        assert sum(await asyncio.gather(*(ask() for _ in range(30)))) == 30 + CAPACITY


@settings(max_examples=100, deadline=None)
@given(st.lists(st.booleans(), max_size=300))
def test_a_budget_never_gives_more_than_it_has(events: list[bool]) -> None:
    """Whatever calls are answered and tried again: the retries are at most twenty and a tenth of the answers."""
    budget = RetryBudget()
    given_, answered = 0, 0
    for again in events:
        if again:
            given_ += budget.take()
        else:
            answered += 1
            budget.succeeded()
        assert given_ <= CAPACITY + 0.1 * answered + 1e-6
