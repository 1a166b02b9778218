"""Logging, cache and cost together: however a call goes, exactly the records, entries and rows that there should be."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.pipeline.memory import STREAM_HEADERS, MemoryTransport, Reply, Waiting, event, refused, said
from tests.pipeline.modes import MODES, Mode
from tests.plugins.cost.ledgers import rows

from qonduit import APIError, StreamInterruptedError, middleware
from qonduit_cache import CachePlugin
from qonduit_cost import CostPlugin
from qonduit_cost.options import CostOptions
from qonduit_logging import LoggingOptions, LoggingPlugin

PRICE = Decimal("0.0000116")
"""7 tokens of input and 3 of output of qwen-plus, in CNY."""


PART = Decimal("0.0000028")
"""What "Hello" for "Hello" costs at least: a token each."""


class Expected(NamedTuple):
    """What a case leaves behind."""

    calls: list[str]
    """The outcome of each call's record."""
    attempts: list[str]
    """The outcome of each attempt's record."""
    entries: int
    """How many answers the cache keeps."""
    rows: list[tuple[str, int, str, str | None]]
    """The ledger: kind, attempt, outcome and, of a failure, what is known of its sending."""
    cost: Decimal | None
    """What the ledger's rows come to; None where one of them is not known."""


ANSWERED = Expected(["answered"], ["answered"], 1, [("attempt", 1, "answered", None)], PRICE)
FAILED = [("attempt", 1, "failed", "unknown")]
AGAIN = [*FAILED, ("attempt", 2, "answered", None)]
INSTEAD = [("attempt", 1, "failed", "rejected"), ("attempt", 1, "answered", None)]
HIT = [("attempt", 1, "answered", None), ("hit", 0, "cached", None)]


@middleware("fallback", wrapped_by=("cache",))
def fallback(call):
    """Goes on again with another model when the first is refused."""
    try:
        yield call.request
    except APIError:
        yield call.request.replace(model="qwen-turbo")


async def ask(mode: Mode, client: Any) -> None:
    told = await mode.ask(client)
    assert told.response.text == "Hello there"


async def ask_twice(mode: Mode, client: Any) -> None:
    await ask(mode, client)
    told = await mode.ask(client)
    assert told.response.cached
    assert told.response.cost is not None
    assert (told.response.cost.amount, told.response.cost.saved) == (0, PRICE)


async def fail(mode: Mode, client: Any) -> None:
    with pytest.raises(APIError):
        await mode.ask(client)


async def leave(mode: Mode, client: Any) -> None:
    stream = await mode.start(client)
    await mode.next(stream)
    await mode.leave(stream)
    assert not stream.response.complete
    assert stream.response.cost.provenance == "lower_bound"


async def break_off(mode: Mode, client: Any) -> None:
    with pytest.raises(StreamInterruptedError) as caught:
        await mode.ask(client)
    assert caught.value.response is not None
    assert caught.value.response.cost is not None
    assert caught.value.response.cost.provenance == "lower_bound"


WHOLE = said("Hello", " there")
BROKEN = Reply(200, STREAM_HEADERS, (b"{",), (event({"content": "Hello"}), b""))
Act = Callable[[Mode, Any], Awaitable[None]]

CASES: dict[str, tuple[list[Reply], list[Any], Act, Expected]] = {
    "answer": ([WHOLE], [], ask, ANSWERED),
    "error": ([refused(401)], [], fail, Expected(["failed"], ["failed"], 0, INSTEAD[:1], Decimal(0))),
    "error of unknown outcome": ([refused(500)], [], fail, Expected(["failed"], ["failed"] * 2, 0, [
        ("attempt", 1, "failed", "unknown"), ("attempt", 2, "failed", "unknown"),
    ], None)),
    "retry": ([refused(500), WHOLE], [], ask, Expected(["answered"], ["failed", "answered"], 1, AGAIN, None)),
    "cache hit": ([WHOLE], [], ask_twice, Expected(["answered", "cached"], ["answered"], 1, HIT, PRICE)),
    "fallback": ([refused(403), WHOLE], [fallback], ask, Expected(
        ["answered"], ["failed", "answered"], 1, INSTEAD, PRICE,
    )),
}  # fmt: skip
STREAMED_CASES: dict[str, tuple[list[Reply], list[Any], Act, Expected]] = {
    "abandoned": ([WHOLE], [], leave, Expected(
        ["incomplete"], ["incomplete"], 0, [("attempt", 1, "incomplete", None)], PART,
    )),
    "broken": ([BROKEN], [], break_off, Expected(["failed"], ["failed"], 0, FAILED, PART)),
}  # fmt: skip


class Records(logging.Handler):
    """The records that the plugin `logging` makes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record.qonduit)  # type: ignore[attr-defined]

    def outcomes(self, event: str) -> list[str]:
        return [fields["qonduit.outcome"] for fields in self.found if fields["event.name"] == f"qonduit.{event}"]


class Three:
    """The three plugins, and what they leave behind."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.records = Records()
        self.logger = logging.getLogger("tests.three")
        self.logging = LoggingPlugin(LoggingOptions(logger=self.logger.name))
        self.cost = CostPlugin(CostOptions(ledger=str(path)))
        self.cache = CachePlugin()
        self.plugins = [self.cache, self.cost, self.logging]  # the order is theirs to say

    def expect(self, expected: Expected) -> None:
        """Compare."""
        assert self.records.outcomes("call") == expected.calls
        assert self.records.outcomes("attempt") == expected.attempts
        assert self.cache.store.stats().entries == expected.entries
        found = rows(self._path)
        assert [(row["kind"], row["attempt"], row["outcome"], row["sent"]) for row in found] == expected.rows
        assert {row["state"] for row in found} == {"settled"}
        assert len({row["call_id"] for row in found}) == len(expected.calls)
        ids = {fields["qonduit.call.id"] for fields in self.records.found}
        assert {row["call_id"][:16] for row in found} == ids, "a record leads to its rows"
        assert {len(row["call_id"]) for row in found} == {32}
        amounts = [row["amount"] for row in found]
        assert (None if None in amounts else sum(map(Decimal, amounts))) == expected.cost

    def close(self) -> None:
        for plugin in self.plugins:
            plugin.close()


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Three]:
    monkeypatch.setattr("qonduit.retry.ExponentialRetry.delay", _at_once)
    plugins = Three(tmp_path / "ledger.sqlite3")
    logger = plugins.logger
    logger.addHandler(plugins.records)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield plugins
    logger.removeHandler(plugins.records)
    plugins.close()


def _at_once(self: Any, error: APIError, attempt: int) -> float | None:
    return 0.0 if error.retryable and attempt < 2 else None


@pytest.mark.F42
@pytest.mark.F77
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("case", CASES)
async def test_what_is_left_behind(three: Three, mode: Mode, case: str) -> None:
    """One record a call and one an attempt, an entry for a whole answer, a row an attempt and one a hit."""
    script, layers, act, expected = CASES[case]
    client = mode.client(MemoryTransport(*script), *three.plugins, *layers)
    assert [layer.name for layer in client.middleware if layer.scope == "call"][:3] == ["logging", "cost", "cache"]
    await act(mode, client)
    three.expect(expected)
    await mode.leave(client)


@pytest.mark.F43
@pytest.mark.F77
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode.streamed], ids=lambda mode: mode.name)
@pytest.mark.parametrize("case", STREAMED_CASES)
async def test_what_a_part_of_a_stream_leaves_behind(three: Three, mode: Mode, case: str) -> None:
    """What had arrived is paid for, at least; it is not kept."""
    script, layers, act, expected = STREAMED_CASES[case]
    client = mode.client(MemoryTransport(*script), *three.plugins, *layers)
    await act(mode, client)
    three.expect(expected)
    await mode.leave(client)


@pytest.mark.F43
@pytest.mark.F77
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode.asynchronous], ids=lambda mode: mode.name)
@pytest.mark.parametrize("begun", [False, True], ids=["before the first chunk", "after it"])
async def test_what_a_cancelled_call_leaves_behind(three: Three, mode: Mode, begun: bool) -> None:
    """It may have been billed; a part that had been delivered is paid for, at least."""
    waiting = Waiting()
    head = (event({"content": "Hello"}),) if begun else ()
    transport = MemoryTransport(Reply(200, STREAM_HEADERS, (waiting,), (*head, waiting)))
    client = mode.client(transport, *three.plugins)
    task = asyncio.create_task(mode.ask(client))
    await waiting.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    if begun and mode.streamed:
        row = ("attempt", 1, "incomplete", None)
        three.expect(Expected(["incomplete"], ["incomplete"], 0, [row], PART))
    else:
        three.expect(Expected(["cancelled"], ["cancelled"], 0, [("attempt", 1, "cancelled", "unknown")], None))
    await mode.leave(client)


@pytest.mark.F43
@pytest.mark.parametrize("mode", [mode for mode in MODES if not mode.asynchronous], ids=lambda mode: mode.name)
async def test_what_an_interrupted_call_leaves_behind(three: Three, mode: Mode) -> None:
    """Ctrl-C in a sync call is its cancellation."""
    client = mode.client(MemoryTransport(Reply().with_parts(KeyboardInterrupt())), *three.plugins)
    with pytest.raises(KeyboardInterrupt):
        await mode.ask(client)
    three.expect(Expected(["cancelled"], ["cancelled"], 0, [("attempt", 1, "cancelled", "unknown")], None))
    await mode.leave(client)
