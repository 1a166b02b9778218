"""Calls of all kinds, in any order, on one ledger: its equations hold after every step, whatever was done before.

What the wire gave is the model: one row for each request that it got, with the tokens that it says it has made; and
one for each answer that the cache gave. Prices are the test's own, and so is the clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import json
import sqlite3
import tempfile
import time
import types
import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.pipeline.memory import STREAM_HEADERS, MemoryTransport, Reply, event, refused
from tests.pipeline.modes import Mode
from tests.plugins.cache.stores import AsyncDictStore, cache

from qonduit import APIConnectionError, APIError, BudgetExceededError, QonduitError, Response, middleware
from qonduit_cost import CostPlugin
from qonduit_cost.options import CostOptions

MILLION = 1_000_000
PRICES = {"plus": (Decimal(2), Decimal(10)), "turbo": (Decimal(1), Decimal(3))}
"""Input and output, for a million tokens."""
MAX_TOKENS = 40
LIMIT = Decimal("0.02")
"""Of a day: some forty calls."""
TTL = 5000.0
JUMPS = (3600, -3600, 86_400, -86_400, -4 * 86_400, 400 * 86_400)
START = 1_780_000_000
HOME = tempfile.TemporaryDirectory()
FOLDER = Path(HOME.name)
"""Of all runs: it goes with the process."""
SPARE_KEY = "sk-spare"
CONFIGURATION = """
[profiles.main]
provider = "qwen"
model = "plus"
api_key = "env:MAIN_TEST_KEY"
fallback = ["spare"]

[profiles.spare]
provider = "openai"
model = "turbo"
api_key = "env:SPARE_TEST_KEY"
"""


class Script(NamedTuple):
    """What the wire gives for one request, and the tokens that it says, or would say, it took.

    `kind`: "whole"; a failure before anything was said; or "cut" and "error event", which follow the pieces.
    """

    kind: str
    pieces: tuple[str, ...] = ("Hello",)
    input: int = 9
    output: int = 5

    @property
    def breaks_late(self) -> bool:
        """Whether a stream of it begins well and breaks."""
        return self.kind in {"cut", "error event"}


FATES = {
    "bad request": ("failed", "rejected"),
    "wrong key": ("failed", "rejected"),
    "rate limit": ("failed", "rejected"),
    "server error": ("failed", "unknown"),
    "unreachable": ("failed", "not_sent"),
    "reset": ("failed", "unknown"),
    "malformed": ("failed", "unknown"),
    "cut": ("failed", "unknown"),
    "error event": ("failed", "unknown"),
}
"""How an attempt ends that gets such an answer, and what is known of its sending."""

PIECES = st.lists(st.sampled_from(["Hel", "lo", " there"]), min_size=1, max_size=3).map(tuple)
COUNTS = {"pieces": PIECES, "input": st.integers(5, 40), "output": st.integers(5, MAX_TOKENS)}
WHOLE = st.builds(Script, st.just("whole"), **COUNTS)
FAILURES = st.builds(Script, st.sampled_from(list(FATES)), **COUNTS)
SCRIPTS = st.lists(FAILURES, max_size=3).flatmap(lambda failures: WHOLE.map(lambda last: [*failures, last]))
"""What the requests of one call get, one after the other; mostly the first is the last."""
ASKED = {
    "script": st.one_of(WHOLE.map(lambda script: [script]), SCRIPTS),
    "prompt": st.sampled_from(["Hello", "Hi"]),
    "key": st.sampled_from(["sk-one", "sk-two"]),
    "fallback": st.booleans(),
    "team": st.sampled_from(["a", "b"]),
}

PLACES = st.integers(0, 9)
"""Which of those there are."""


def reply(script: Script, end: Callable[[], Any]) -> Reply | BaseException:
    """The wire's words. `end` stands for what never comes."""
    usage = {
        "prompt_tokens": script.input,
        "completion_tokens": script.output,
        "total_tokens": script.input + script.output,
    }
    named = partial(event, model=None)
    said = [named({"content": piece}) for piece in script.pieces]
    match script.kind:
        case "bad request":
            return refused(400, "InvalidParameter")
        case "wrong key":
            return refused(401, "InvalidApiKey")
        case "rate limit":
            return refused(429, "Throttling.RateQuota")
        case "server error":
            return refused(500, "InternalError")
        case "unreachable":
            return APIConnectionError("no", outcome="not_sent")
        case "reset":
            return APIConnectionError("no", outcome="unknown")
        case "malformed":
            return Reply(200, STREAM_HEADERS, (b'{"choices": [',), (b'data: {"choices": [\n\n',))
        case "cut":
            return Reply(200, STREAM_HEADERS, (b'{"choices": [{"me',), (*said, b""))
        case "error event":
            error = b'data: {"error": {"code": "InternalError", "message": "no"}}\n\n'
            return Reply(200, STREAM_HEADERS, (b"{",), (*said, error))
        case "waits at once":
            return Reply(200, STREAM_HEADERS, (end,), (end,))
        case "waits":
            return Reply(200, STREAM_HEADERS, (end,), (*said, end))
    message = {"role": "assistant", "content": "".join(script.pieces)}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    body = {"id": "1", "created": 1, "choices": choices, "usage": usage}
    ending = (named({}, finish="stop"), named(None, usage=usage), b"data: [DONE]\n\n")
    return Reply(200, STREAM_HEADERS, (json.dumps(body).encode(),), (*said, *ending))


@dataclass(eq=False, repr=False)
class Attempt:
    """A request that the wire got, and what is to become of its row."""

    call: int
    script: Script
    model: str
    key: str
    streamed: bool
    team: str
    day: str
    outcome: str | None = None
    """None while it is under way."""
    sent: str | None = None
    cost: str = "unknown"
    """What is known of it: "all", "at least", "nothing", or "unknown"."""
    response: Response | None = None
    """What the caller was given of it."""

    @property
    def spare(self) -> bool:
        """Whether it was the fallback's."""
        return self.key == SPARE_KEY

    @property
    def true_cost(self) -> Decimal:
        """By the wire's own counts."""
        into, out = PRICES[self.model]
        return (self.script.input * into + self.script.output * out) / MILLION

    def fail(self) -> None:
        self.outcome, self.sent = FATES[self.script.kind]
        self.cost = "unknown" if self.sent == "unknown" else "nothing"

    def end(self, outcome: str, cost: str, response: Response | None = None) -> None:
        self.outcome, self.cost, self.response = outcome, cost, response

    def charge(self, row: dict[str, Any]) -> Decimal:
        """What a budget is charged for it, once it has ended."""
        match self.cost:
            case "all":
                return self.true_cost
            case "at least":
                return Decimal(row["amount"])
            case "nothing":
                return Decimal(0)
        return Decimal(row["estimate"])

    def check(self, row: dict[str, Any]) -> None:
        """Compare."""
        assert (row["kind"], row["streamed"], row["model"]) == ("attempt", int(self.streamed), self.model)
        assert (row["profile"], row["provider"]) == (("spare", "openai") if self.spare else ("main", "qwen"))
        state = "intent" if self.outcome is None else "settled"
        assert (row["state"], row["outcome"], row["sent"]) == (state, self.outcome, self.sent), row
        tokens = (row["input_tokens"], row["output_tokens"], row["total_tokens"])
        if self.cost == "all":
            script = self.script
            assert tokens == (script.input, script.output, script.input + script.output)
        else:
            assert tokens == (None, None, None)
        amount = None if row["amount"] is None else Decimal(row["amount"])
        match self.cost:
            case "all":
                assert (amount, row["provenance"]) == (self.true_cost, "exact")
            case "at least":
                assert row["provenance"] == "lower_bound"
                assert amount is not None
                assert 0 < amount <= self.true_cost
            case "nothing":
                assert (amount, row["provenance"]) == (0, "exact")
            case "unknown":
                assert amount is None
        if self.response is not None:
            assert self.response.cost is not None
            assert (self.response.cost.amount, self.response.cost.provenance) == (amount, row["provenance"])


@dataclass(eq=False, repr=False)
class Hit:
    """An answer that the cache gave."""

    of: Attempt
    response: Response | None = None


@dataclass(eq=False, repr=False)
class Reading:
    """A stream that is being read; `source` is what it is an answer of."""

    stream: Any
    source: Attempt | Hit
    client: Owner
    keeps: tuple[str, str] | None
    read: int = 0


@dataclass(eq=False, repr=False)
class Owner:
    """A client with its plugin of the ledger, which go together."""

    client: Any
    plugin: CostPlugin
    orphans: list[Reading] = field(default_factory=list)


@middleware("other_model", wrapped_by=("cache",))
def other_model(call: Any) -> Any:
    """Asks another model when the first has failed, where the call is tagged so."""
    try:
        yield call.request
    except APIError:
        if call.tags.get("fallback") != "yes" or call.committed:
            raise
        yield call.request.replace(model="turbo")


class Wire(MemoryTransport):
    """Gives what the queue says, and remembers what it gave."""

    def __init__(self, machine: Calls) -> None:
        super().__init__()
        self._machine = machine

    def _next(self, wire: Any) -> Reply:
        answer = self._machine.give(json.loads(wire.content), wire.headers["authorization"].removeprefix("Bearer "))
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Calls(RuleBasedStateMachine):
    """The rules that sync and async calls share."""

    asynchronous = False

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.runner = asyncio.Runner()
        gc.freeze()  # so that collecting is fast
        self.path = FOLDER / f"{type(self).__name__}.sqlite3"
        self.now = float(START)
        self._patch_clocks()
        self.store = AsyncDictStore()
        self.kept: dict[tuple[str, str], tuple[Attempt, float]] = {}
        self.queue: list[Script] = []
        self.attempts: list[Attempt] = []
        self.hits: list[Hit] = []
        self.calls = 0
        self.asked: dict[str, Any] = {}
        self.clients: list[Owner] = []
        self.readings: list[Reading] = []
        self.patch.setenv("MAIN_TEST_KEY", "sk-main")
        self.patch.setenv("SPARE_TEST_KEY", SPARE_KEY)

    @initialize(spare=st.booleans())
    def begin(self, spare: bool) -> None:
        """A client, and a ledger without rows."""
        self._open(spare)
        ledger: Any = self.current.plugin._recorder
        ledger.ledger.tidy()  # makes the file
        self.reader = sqlite3.connect(self.path, isolation_level=None)
        self.reader.row_factory = sqlite3.Row
        for table in ("attempts", "budgets"):  # of the run before: a new file each time would be slow
            self.reader.execute(f"DELETE FROM {table}")

    def _patch_clocks(self) -> None:
        class Clock(datetime.datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return datetime.datetime.fromtimestamp(machine.now, tz)

        machine = self
        shim = types.SimpleNamespace(**{**vars(datetime), "datetime": Clock})
        self.patch.setattr("qonduit_cost.budgets.datetime", shim)
        self.patch.setattr(time, "time_ns", lambda: int(self.now * 1e9))
        self.patch.setattr(
            "qonduit.retry.ExponentialRetry.delay",
            lambda _, error, attempt: 0.0 if error.retryable and attempt < 2 else None,
        )

    def _open(self, spare: bool) -> None:
        """A client of the profile `main`, with its fallback or without."""
        configuration = FOLDER / "qonduit.toml"
        configuration.write_text(CONFIGURATION)
        prices = FOLDER / "prices.toml"
        if not prices.exists():
            lines = [f'{{ model = "{name}", input = {into}, output = {out} }}' for name, (into, out) in PRICES.items()]
            prices.write_text(f'[[list]]\ncurrency = "CNY"\nprices = [ {", ".join(lines)} ]\n')
        budgets = [
            {"name": "day", "limit": LIMIT, "currency": "CNY", "period": "day"},
            {"name": "team", "limit": 100, "currency": "CNY", "period": "total", "tag": "team"},
        ]
        plugin = CostPlugin(CostOptions(ledger=str(self.path), budgets=budgets, prices=str(prices)))
        layers = (plugin, cache(self.store, lambda: self.now, ttl=TTL), other_model)
        mode = Mode(self.asynchronous, streamed=False)
        options: dict[str, Any] = {"provider": None, "model": None, "api_key": None, "profile": "main"}
        options |= {"config": configuration, "fallback": None if spare else [], "tags": {"fallback": "no"}}
        self.clients.append(Owner(mode.client(Wire(self), *layers, **options), plugin))

    @property
    def current(self) -> Owner:
        return self.clients[-1]

    def give(self, body: dict[str, Any], key: str) -> Reply | BaseException:
        """The wire is asked."""
        script = self.queue.pop(0)
        self.attempts.append(
            Attempt(
                self.calls, script, body["model"], key, bool(body.get("stream")), self.asked["team"],
                f"{datetime.datetime.fromtimestamp(self.now, datetime.UTC):%Y-%m-%d}",
            )
        )  # fmt: skip
        return reply(script, self.never)

    def never(self) -> Any:
        """What stands in a reply for the end that never comes."""
        raise KeyboardInterrupt

    # Asking

    async def _create(self, *, stream: bool, prompt: str, key: str, fallback: bool, team: str) -> Any:
        client = self.current.client.with_options(api_key=key)
        tags = {"team": team, "fallback": "yes" if fallback else "no"}
        mode = Mode(self.asynchronous, stream)
        return await mode.start(
            client, messages=[{"role": "user", "content": prompt}], max_tokens=MAX_TOKENS, tags=tags
        )

    def _begin(self, script: list[Script], **asked: Any) -> int:
        """A call begins: what was left is settled first. Returns the number of attempts that were made before it."""
        self._settled(self.current)
        self.queue = list(script)
        self.asked = asked
        self.calls += 1
        return len(self.attempts)

    def _settled(self, client: Owner) -> None:
        """Streams that were left to the garbage collector have been settled now."""
        for reading in client.orphans:
            self._left(reading, None)
        client.orphans = []

    def _left(self, reading: Reading, response: Response | None) -> None:
        source = reading.source
        if isinstance(source, Hit):
            source.response = response
            self.hits.append(source)
        else:
            source.end("incomplete", "at least", response)

    def _hit(self, key: str, prompt: str) -> Attempt | None:
        """What the cache has, and what it takes for over and throws away."""
        found = self.kept.get((key, prompt))
        if found is None:
            return None
        attempt, at = found
        if not at - 60 <= self.now < at + TTL:
            del self.kept[key, prompt]
            return None
        return attempt

    def _failed(self, before: int, error: QonduitError) -> None:
        """A call has failed before it gave anything: all of its attempts have."""
        for attempt in self.attempts[before:]:
            attempt.fail()
        if isinstance(error, BudgetExceededError):
            assert error.spent is not None
            assert error.needed is not None
            assert error.spent + error.needed > LIMIT
            assert error.spent == sum(self._used())
        else:
            assert isinstance(error, APIError)
            assert error.response is None

    def _used(self) -> tuple[Decimal, Decimal]:
        """What is spent and set aside today, by the rows."""
        today = f"{datetime.datetime.fromtimestamp(self.now, datetime.UTC):%Y-%m-%d}"
        spent = reserved = Decimal(0)
        attempts = [row for row in self._rows() if row["kind"] == "attempt"]
        for attempt, row in zip(self.attempts, attempts, strict=True):
            if attempt.day == today and attempt.outcome is None:
                reserved += Decimal(row["estimate"])
            elif attempt.day == today:
                spent += attempt.charge(row)
        return spent, reserved

    @rule(**ASKED)
    def plain(self, script: list[Script], prompt: str, key: str, fallback: bool, team: str) -> None:
        """A whole answer is asked for."""
        hit = self._hit(key, prompt)
        before = self._begin(script, team=team)
        try:
            response = self.runner.run(self._create(stream=False, prompt=prompt, key=key, fallback=fallback, team=team))
        except QonduitError as error:
            assert hit is None
            self._failed(before, error)
            return
        self._answered(before, hit, response, (key, prompt))

    def _answered(
        self, before: int, hit: Attempt | None, response: Response, keeps: tuple[str, str] | None = None
    ) -> None:
        if hit is not None:
            assert response.cached
            assert len(self.attempts) == before
            self.hits.append(Hit(hit, response))
            return
        *failed, last = self.attempts[before:]
        for attempt in failed:
            attempt.fail()
        last.end("answered", "all", response)
        if keeps is not None and not last.spare:
            self.kept[keeps] = (last, self.now)

    @rule(**ASKED)
    def begin_stream(self, script: list[Script], prompt: str, key: str, fallback: bool, team: str) -> None:
        """A stream is asked for: it is there when its first chunk is."""
        hit = self._hit(key, prompt)
        before = self._begin(script, team=team)
        try:
            stream = self.runner.run(self._create(stream=True, prompt=prompt, key=key, fallback=fallback, team=team))
        except QonduitError as error:
            assert hit is None
            self._failed(before, error)
            return
        if hit is not None:
            assert len(self.attempts) == before
            self.readings.append(Reading(stream, Hit(hit), self.current, None))
            return
        *failed, last = self.attempts[before:]
        for attempt in failed:
            attempt.fail()
        self.readings.append(Reading(stream, last, self.current, (key, prompt)))

    # Reading

    def _one(self, place: int) -> Reading:
        return self.readings[place % len(self.readings)]

    def _next(self, reading: Reading) -> bool:
        """Whether there was another chunk."""
        mode, source = Mode(self.asynchronous, streamed=True), reading.source
        try:
            self.runner.run(mode.next(reading.stream))
        except StopAsyncIteration:
            response = reading.stream.response
            assert response.complete
            if isinstance(source, Hit):
                source.response = response
                self.hits.append(source)
            else:
                assert source.script.kind == "whole"
                source.end("answered", "all", response)
                assert reading.keeps is not None
                if not source.spare:
                    self.kept[reading.keeps] = (source, self.now)
            self.readings.remove(reading)
            return False
        except APIError as error:
            assert isinstance(source, Attempt)
            assert source.script.breaks_late
            assert reading.read == len(source.script.pieces)
            source.fail()
            source.cost, source.response = "at least", error.response
            self.readings.remove(reading)
            return False
        reading.read += 1
        return True

    @precondition(lambda self: self.readings)
    @rule(place=PLACES)
    def next_chunk(self, place: int) -> None:
        """One chunk more, or the end."""
        self._next(self._one(place))

    @precondition(lambda self: self.readings)
    @rule(place=PLACES)
    def read_to_the_end(self, place: int) -> None:
        """All that is to come."""
        reading = self._one(place)
        while self._next(reading):
            pass

    @precondition(lambda self: self.readings)
    @rule(place=PLACES, twice=st.booleans())
    def close(self, place: int, twice: bool) -> None:
        """The caller has enough."""
        reading = self._one(place)
        mode = Mode(self.asynchronous, streamed=True)
        for _ in range(1 + twice):
            self.runner.run(mode.leave(reading.stream))
        # All chunks of a kept answer may have been given; that of the provider's has not shown its end mark.
        assert not reading.stream.response.complete or isinstance(reading.source, Hit)
        self.readings.remove(reading)
        self._left(reading, reading.stream.response)

    @precondition(lambda self: self.readings)
    @rule(place=PLACES)
    def forget(self, place: int) -> None:
        """Nobody has the stream any more: its client settles it with its next call, or when it is closed."""
        self._forget(self._one(place))

    def _forget(self, reading: Reading) -> None:
        self.readings.remove(reading)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            there, reading.stream = weakref.ref(reading.stream), None
            if there() is None:
                reading.client.orphans.append(reading)
                return
            # An error of an earlier attempt knows the frame that had it. Collecting such a ring may close the flow
            # before the stream can hand it over: nobody knows then what had arrived.
            gc.collect()
        assert there() is None
        attempt = reading.source
        assert isinstance(attempt, Attempt)
        row = self._rows("attempts WHERE kind = 'attempt'")[self.attempts.index(attempt)]
        if row["state"] == "intent":
            reading.client.orphans.append(reading)
        else:
            attempt.end("cancelled", "unknown")
            attempt.sent = "unknown"

    @rule(script=WHOLE, late=st.booleans(), stream=st.booleans(), team=ASKED["team"])
    def interrupt(self, script: Script, late: bool, stream: bool, team: str) -> None:
        """Ctrl-C, or a cancelled task, while an answer is waited for."""
        late = late and stream
        before = self._begin([script._replace(kind="waits" if late else "waits at once")], team=team)
        create = self._create(stream=stream, prompt=f"Wait {self.calls}", key="sk-one", fallback=True, team=team)
        given: list[Any] = []
        try:
            self._interrupted(self._read(create, given, stream))
        except BudgetExceededError as error:
            self._failed(before, error)
            return
        (attempt,) = self.attempts[before:]
        if late:
            attempt.end("incomplete", "at least", given[0].response)
        else:
            attempt.end("cancelled", "unknown")
            attempt.sent = "unknown"

    async def _read(self, create: Any, given: list[Any], stream: bool) -> None:
        given.append(await create)
        with contextlib.suppress(StopAsyncIteration):
            while stream:
                await Mode(self.asynchronous, streamed=True).next(given[0])

    def _interrupted(self, work: Any) -> None:
        with pytest.raises(KeyboardInterrupt):
            self.runner.run(work)

    # The world

    @rule(seconds=st.sampled_from(JUMPS))
    def jump(self, seconds: int) -> None:
        """The wall clock is put right, or wrong."""
        self.now += seconds

    @rule(everything=st.booleans(), spare=st.booleans())
    def reopen(self, everything: bool, spare: bool) -> None:
        """The client is closed, and another takes its place on the same ledger.

        Streams of the old one go on, or are left too: then nothing is open.
        """
        self._close(self.current)
        if everything:
            self._close_everything()
            assert all(attempt.outcome for attempt in self.attempts)
        self._open(spare)

    def _close(self, client: Owner) -> None:
        self.runner.run(Mode(self.asynchronous, streamed=False).leave(client.client))
        client.plugin.close()
        self._settled(client)

    def _close_everything(self) -> None:
        for reading in list(self.readings):
            self._forget(reading)
        for client in self.clients:
            self._close(client)
        self.clients.clear()

    def teardown(self) -> None:
        """Leave nothing behind."""
        try:
            self._close_everything()
        finally:
            self.reader.close()
            gc.unfreeze()
            self.runner.close()
            self.patch.undo()

    # The equations

    def _rows(self, table: str = "attempts") -> list[dict[str, Any]]:
        return [dict(row) for row in self.reader.execute(f"SELECT * FROM {table}")]

    @invariant()
    def the_equations_hold(self) -> None:
        """After every step."""
        found = self._rows()
        attempts = [row for row in found if row["kind"] == "attempt"]
        hits = [row for row in found if row["kind"] == "hit"]
        assert (len(attempts), len(hits)) == (len(self.attempts), len(self.hits))
        self._check_attempts(list(zip(self.attempts, attempts, strict=True)))
        self._check_hits(list(zip(self.hits, hits, strict=True)))
        self._check_sums(found)
        self._check_budgets(list(zip(self.attempts, attempts, strict=True)))

    def _check_attempts(self, pairs: list[tuple[Attempt, dict[str, Any]]]) -> None:
        """Each row is as it should be; rows of a call have one id, rows of a key one tenant, and no others have."""
        for attempt, row in pairs:
            attempt.check(row)
        for ours, theirs in ((lambda attempt: attempt.call, "call_id"), (lambda attempt: attempt.key, "tenant")):
            names = {(ours(attempt), row[theirs]) for attempt, row in pairs}
            assert len(names) == len({ours for ours, _ in names}) == len({theirs for _, theirs in names})

    def _check_hits(self, pairs: list[tuple[Hit, dict[str, Any]]]) -> None:
        """What the cache gave cost nothing, and would have cost something."""
        for hit, row in pairs:
            assert (row["state"], row["outcome"], row["attempt"], row["amount"]) == ("settled", "cached", 0, "0")
            assert Decimal(row["saved"]) == hit.of.true_cost > 0
            if hit.response is not None:
                assert hit.response.cost is not None
                assert (hit.response.cost.amount, hit.response.cost.saved) == (0, hit.of.true_cost)

    def _check_sums(self, found: list[dict[str, Any]]) -> None:
        """Tokens that are billed are those that the wire has told of; no number is negative."""
        for row in found:
            numbers = [value for name, value in row.items() if name.endswith("_tokens") and value is not None]
            numbers += [Decimal(row[name]) for name in ("amount", "saved", "estimate") if row[name] is not None]
            assert all(number >= 0 for number in numbers)
        whole = [attempt.script for attempt in self.attempts if attempt.cost == "all"]
        for view in ("calls", "days"):
            billed = sum(row["total_tokens"] or 0 for row in self._rows(view))
            assert billed == sum(script.input + script.output for script in whole)
        assert len(self._rows("open_attempts")) == sum(attempt.outcome is None for attempt in self.attempts)

    def _check_budgets(self, pairs: list[tuple[Attempt, dict[str, Any]]]) -> None:
        """Each counter is the sum of its rows, and what is set aside is that of open ones; no limit is passed."""
        expected: dict[tuple[str, str], list[Decimal]] = {}
        for attempt, row in pairs:
            aside = Decimal(row["estimate"])
            day, team = (f"day {attempt.day} UTC", ""), ("total", f"tag team={attempt.team}")
            held = [(period, scope, Decimal(amount)) for _, period, scope, _, amount, _ in json.loads(row["held"])]
            assert held == [(*day, aside), (*team, aside)]
            for counter in (day, team):
                sums = expected.setdefault(counter, [Decimal(0), Decimal(0)])
                if attempt.outcome is None:
                    sums[1] += aside
                else:
                    sums[0] += attempt.charge(row)
        assert expected == {
            (row["period"], row["scope"]): [Decimal(row["spent"]), Decimal(row["reserved"])]
            for row in self._rows("budgets")
        }
        assert all(sum(sums) <= LIMIT for (period, _), sums in expected.items() if period.startswith("day"))


class UnderWay(NamedTuple):
    """An async call that waits for the first byte of its answer."""

    task: asyncio.Task[Any]
    gate: asyncio.Event
    attempt: Attempt
    client: Owner
    keeps: tuple[str, str]


class AsyncCalls(Calls):
    """With several calls under way at a time."""

    asynchronous = True

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()
        self.under_way: list[UnderWay] = []
        self.gate: asyncio.Event | None = None

    def never(self) -> Any:
        """What never comes: a call waits for it until it is cancelled."""
        self.reached.set()
        return asyncio.Event().wait()

    async def _until_it_waits(self, work: Any) -> asyncio.Task[Any]:
        """A task, once it waits for the wire or is over."""
        self.reached = asyncio.Event()
        task = asyncio.create_task(work)
        reached = asyncio.create_task(self.reached.wait())
        await asyncio.wait([task, reached], return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()
        return task

    def _interrupted(self, work: Any) -> None:
        async def cancelled() -> None:
            task = await self._until_it_waits(work)
            task.cancel()
            await task

        with contextlib.suppress(asyncio.CancelledError):
            self.runner.run(cancelled())

    @rule(script=WHOLE, team=ASKED["team"], stream=st.booleans())
    def begin_and_wait(self, script: Script, team: str, stream: bool) -> None:
        """A call is under way while others come and go."""
        before, prompt, self.gate = self._begin([script], team=team), f"Wait {self.calls}", asyncio.Event()
        create = self._create(stream=stream, prompt=prompt, key="sk-two", fallback=False, team=team)
        task, gate, self.gate = self.runner.run(self._until_it_waits(create)), self.gate, None
        if task.done():
            error = task.exception()
            assert isinstance(error, BudgetExceededError)
            self._failed(before, error)
        else:
            (attempt,) = self.attempts[before:]
            self.under_way.append(UnderWay(task, gate, attempt, self.current, ("sk-two", prompt)))

    def give(self, body: dict[str, Any], key: str) -> Reply | BaseException:
        """Answers to gated calls wait before their first byte."""
        given = super().give(body, key)
        if self.gate is None:
            return given
        assert isinstance(given, Reply)
        return replace(
            given, plain=self._behind(self.gate, given.plain), streamed=self._behind(self.gate, given.streamed)
        )

    def _behind(self, gate: asyncio.Event, parts: tuple[Any, ...]) -> tuple[Any, ...]:
        async def first() -> Any:
            self.reached.set()
            await gate.wait()
            return parts[0]

        return (first, *parts[1:])

    @precondition(lambda self: self.under_way)
    @rule(place=PLACES, cancelled=st.booleans())
    def end_one(self, place: int, cancelled: bool) -> None:
        """One of those under way is answered, or cancelled."""
        call = self.under_way.pop(place % len(self.under_way))
        if cancelled:
            self._cancel(call)
            return
        call.gate.set()
        result = self.runner.run(_result(call.task))
        if call.attempt.streamed:
            self.readings.append(Reading(result, call.attempt, call.client, call.keeps))
        else:
            call.attempt.end("answered", "all", result)

    def _cancel(self, call: UnderWay) -> None:
        call.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            self.runner.run(_result(call.task))
        call.attempt.end("cancelled", "unknown")
        call.attempt.sent = "unknown"

    def _close_everything(self) -> None:
        for call in self.under_way:
            self._cancel(call)
        self.under_way.clear()
        super()._close_everything()


async def _result(task: asyncio.Task[Any]) -> Any:
    return await task


LIMITS = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # add Phase.shrink for a shorter failure, in minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.F42
@pytest.mark.F43
@pytest.mark.F46
@pytest.mark.parametrize("machine", [Calls, AsyncCalls], ids=["sync", "async"])
def test_the_ledgers_equations_hold(machine: type[Calls]) -> None:
    """After every step of any sequence of calls."""
    run_state_machine_as_test(machine, settings=LIMITS)
