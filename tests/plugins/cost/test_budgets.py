"""Budgets: what is let through never passes the limit, whoever asks at the same time, and refusals say all there is."""

from __future__ import annotations

import datetime
import threading
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pipeline.memory import MemoryTransport, refused, said
from tests.pipeline.modes import Mode
from tests.plugins.cost.ledgers import answered, counter, entry, rows, script

from qonduit import BudgetExceededError, Client, InternalServerError
from qonduit_cost import CostPlugin
from qonduit_cost.entry import settled
from qonduit_cost.hold import Hold, Limit, Span, read_holds, write_holds
from qonduit_cost.ledger import LedgerBusyError
from qonduit_cost.options import CostOptions
from qonduit_cost.sqlite import SQLiteLedger

PRICE = Decimal("0.0000116")
"""What an answer of the tests costs."""
MOST = Decimal("0.0000808")
"""What a call of theirs can cost at most, with `max_tokens=10`: 76 tokens of input."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


def hold(amount: str, limit: str = "10", *, blocks: bool = True, name: str = "all", rate: str = "1") -> Hold:
    """What is to be set aside in a budget of all time."""
    span = Span(since=None, profile=None, tag=None, rate={"CNY": Decimal(1)}.get)
    return Hold(
        name=name,
        period="total",
        scope="",
        currency="CNY",
        amount=Decimal(amount),
        rate=Decimal(rate),
        limit=Limit(amount=Decimal(limit), blocks=blocks, span=span, resets_at=None),
    )


def plugin(path: Path, *budgets: dict[str, Any], **options: Any) -> CostPlugin:
    """The plugin with budgets; their currency is CNY unless they say another."""
    full = [{"name": f"budget {number}", "currency": "CNY", **budget} for number, budget in enumerate(budgets)]
    return CostPlugin(CostOptions(ledger=str(path), budgets=full, **options))


ENDS = st.one_of(
    st.none(),  # never settled
    st.builds(lambda share: ("answered", share), st.integers(0, 100)),
    st.sampled_from([("rejected", 0), ("unknown", 100)]),
)


@pytest.mark.F45
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 700), ENDS), max_size=25), st.data())
def test_the_limit_holds_whatever_calls_come_and_go(attempts: list[tuple[int, Any]], data: st.DataObject) -> None:
    """Never are more set aside and spent than allowed; what is left is exactly what was charged."""
    ledger = SQLiteLedger(None)
    limit, spent, open_ = Decimal("10"), Decimal(0), []

    def state() -> tuple[Decimal, Decimal]:
        assert ledger._connection is not None
        row = ledger._connection.execute("SELECT spent, reserved FROM budgets").fetchone()
        return (Decimal(row[0]), Decimal(row[1])) if row else (Decimal(0), Decimal(0))

    for cents, end in attempts:
        amount = Decimal(cents) / 100
        attempt = entry("c", hold(f"{amount}"))
        used = spent + sum((other[1] for other in open_), Decimal(0))
        if used + amount > limit:
            with pytest.raises(BudgetExceededError) as caught:
                ledger.begin(attempt, 1)
            assert (caught.value.spent, caught.value.needed, caught.value.limit) == (used, amount, limit)
            continue
        ledger.begin(attempt, 1)
        open_.append((attempt, amount, end))
        while open_ and data.draw(st.booleans()):
            place = data.draw(st.integers(0, len(open_) - 1))
            ending, most, how = open_[place]
            if how is None:
                break
            del open_[place]
            word, share = how
            actual = most * share / 100
            settlement = settled("failed", "unknown", sent=word) if word != "answered" else answered(f"{actual:f}")
            ledger.settle(ending, settlement, 1)
            spent += actual
        assert state() == (spent, sum((other[1] for other in open_), Decimal(0)))
    ledger.close()


@pytest.mark.F45
def test_the_limit_holds_for_threads_and_processes_at_once(path: Path) -> None:
    """Six threads and three processes want 18 times as much as there is; exactly as much is given as there is."""
    source = """
        from tests.plugins.cost.test_budgets import *
        ledger = SQLiteLedger(Path(sys.argv[1]))
        sys.stdin.readline()
        through = 0
        for number in range(60):
            attempt = entry("c", hold("0.5"))
            try:
                ledger.begin(attempt, 10)
            except BudgetExceededError:
                continue
            through += 1
            ledger.settle(attempt, answered("0.25"), 10)
        print(through)
        ledger.close()
    """
    processes = [script(source, path) for _ in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ledger = SQLiteLedger(path)
    through: list[int] = []

    def work() -> None:
        for _ in range(60):
            attempt = entry("c", hold("0.5"))
            try:
                ledger.begin(attempt, 10)
            except BudgetExceededError:
                continue
            through.append(1)
            ledger.settle(attempt, answered("0.25"), 10)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outputs = [process.communicate() for process in processes]
    ledger.close()
    number = len(through) + sum(int(output) for output, _ in outputs)
    spent = number * Decimal("0.25")
    assert counter(path) == {"all": (spent, 0)}
    assert spent <= 10
    assert spent + Decimal("0.5") > 10, "and no less is given than can be"
    assert len(rows(path)) == number


@pytest.mark.F43
@pytest.mark.F45
def test_what_a_killed_process_had_set_aside_is_counted_and_given_back(path: Path) -> None:
    """It counts with what it could cost at most, since it may have been billed: once, and for good."""
    source = """
        from tests.plugins.cost.test_budgets import *
        import os, signal
        SQLiteLedger(Path(sys.argv[1])).begin(entry("killed", hold("4")), 1)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    here = SQLiteLedger(path)
    here.begin(entry("here", hold("3")), 1)
    script(source, path).communicate()
    assert counter(path) == {"all": (0, 7)}
    with pytest.raises(BudgetExceededError) as caught:
        here.begin(entry("too much", hold("4")), 1)
    assert caught.value.spent == 7
    assert counter(path) == {"all": (4, 3)}
    killed = next(row for row in rows(path) if row["call_id"] == "killed")
    assert (killed["outcome"], killed["sent"], killed["amount"], killed["provenance"]) == (
        "cancelled", "unknown", "4", "estimated",
    )  # fmt: skip
    here.close()


@pytest.mark.F45
def test_a_budget_that_is_new_begins_with_what_was_spent_before(path: Path) -> None:
    """Of its days and tags only; what was refused counts nothing, what may have been billed its estimate."""
    ledger = SQLiteLedger(path)
    old = entry("old", started_at="2020-01-01T00:00:00.000Z")
    for attempt, settlement in (
        (old, answered("100")),
        (entry("a", tags='{"team": "a"}'), answered("1")),
        (entry("b", tags='{"team": "b"}'), answered("50")),
        (entry("c", tags='{"team": "a"}'), settled("failed", "exact", sent="rejected", amount="0", currency="CNY")),
        (entry("d", hold("2", "1000", name="x"), tags='{"team": "a"}'), settled("failed", "unknown", sent="unknown")),
        (entry("e", tags='{"team": "a"}'), settled("answered", "exact", amount="3", currency="EUR")),
    ):
        ledger.begin(attempt, 1)
        ledger.settle(attempt, settlement, 1)
    ledger.begin(entry("f", hold("4", "1000", name="x"), tags='{"team": "a"}'), 1)
    span = Span(since="2026-01-01T00:00:00.000Z", profile="qwen", tag=("team", "a"), rate={"CNY": Decimal(1)}.get)
    limit = Limit(amount=Decimal(8), blocks=True, span=span, resets_at=None)
    asked = Hold(
        name="n", period="total", scope="", currency="CNY", amount=Decimal("1.5"), rate=Decimal(1), limit=limit
    )
    with pytest.raises(BudgetExceededError) as caught:
        ledger.begin(entry("g", asked), 1)
    assert caught.value.spent == 1 + 2 + 4
    ledger.close()


def test_a_new_budget_looks_no_further_back_than_it_must(path: Path) -> None:
    """Rows of its period count, also those that stand before many which were caught up on late."""
    ledger = SQLiteLedger(path)
    for started in ("2026-06-01T00:00:00.000Z", "2026-07-01T00:00:00.000Z"):
        attempt = entry(started_at=started)
        ledger.begin(attempt, 1)
        ledger.settle(attempt, answered("3"), 1)
    late = [entry(started_at="2026-05-01T00:00:00.000Z") for _ in range(300)]
    for attempt in late:
        attempt.settlement = answered("100")
    ledger.catch_up("batch", late, 0, 1)
    span = Span(since="2026-06-15T00:00:00.000Z", profile=None, tag=None, rate={"CNY": Decimal(1)}.get)
    limit = Limit(amount=Decimal(5), blocks=True, span=span, resets_at=None)
    asked = Hold(
        name="n", period="month 2026-06", scope="", currency="CNY", amount=Decimal(3), rate=Decimal(1), limit=limit
    )
    with pytest.raises(BudgetExceededError) as caught:
        ledger.begin(entry("g", asked), 1)
    assert caught.value.spent == 3
    ledger.close()


@pytest.mark.F45
def test_a_clock_that_was_put_back_moves_no_cost_into_the_past(path: Path) -> None:
    """What was spent of later days is not counted for a day that is new to the ledger."""
    ledger = SQLiteLedger(path)
    for day, amount in (("2026-06-02", "1"), ("2026-06-01", "2"), ("2026-06-03", "4"), ("2026-06-02", "8")):
        attempt = entry(started_at=f"{day}T12:00:00.000Z")
        ledger.begin(attempt, 1)
        ledger.settle(attempt, answered(amount), 1)
    rate = {"CNY": Decimal(1)}.get
    span = Span(since="2026-06-02T00:00:00.000Z", until="2026-06-03T00:00:00.000Z", profile=None, tag=None, rate=rate)
    limit = Limit(amount=Decimal(20), blocks=True, span=span, resets_at=None)
    asked = Hold(
        name="n", period="day 2026-06-02", scope="", currency="CNY", amount=Decimal(3), rate=Decimal(1), limit=limit
    )
    ledger.begin(entry("g", asked), 1)
    assert counter(path) == {"n": (9, 3)}
    ledger.close()


def test_a_new_budget_takes_over_what_was_set_aside_while_the_ledger_was_down(path: Path) -> None:
    """An attempt that was caught up on as open is given back when it ends, and charged once."""
    ledger = SQLiteLedger(path)
    running = entry("running", hold("4"))
    ledger.catch_up("batch", [running], 0, 1)
    assert counter(path) == {}
    ledger.begin(entry("next", hold("1")), 1)
    assert counter(path) == {"all": (0, 5)}
    ledger.settle(running, answered("2"), 1)
    assert counter(path) == {"all": (2, 1)}
    ledger.close()


def test_a_new_budget_is_added_up_before_the_ledger_is_held(path: Path) -> None:
    """Others go on writing meanwhile; what they wrote counts too. An event loop does not wait for it."""
    ledger, other = SQLiteLedger(path), SQLiteLedger(path)
    first = entry("first")
    ledger.begin(first, 1)
    asked = hold("1")
    with pytest.raises(LedgerBusyError, match="new budget"):
        ledger.begin(entry("asks", asked), 0)
    before = ledger._count_before([asked], 1)
    other.settle(first, answered("2"), 1)
    other.settle(entry("second"), answered("3"), 1)
    ledger._write(1, ledger._begin, entry("asks", asked), before)
    assert counter(path) == {"all": (5, 1)}
    ledger.close()
    other.close()


@pytest.mark.F45
def test_what_is_settled_twice_is_charged_once(path: Path) -> None:
    """As a row is written once."""
    ledger, attempt = SQLiteLedger(path), entry("a", hold("4"))
    ledger.begin(attempt, 1)
    for amount in ("1", "2"):
        ledger.settle(attempt, answered(amount), 1)
    ledger.close()
    assert counter(path) == {"all": (1, 0)}


def test_holds_are_read_as_they_were_written() -> None:
    """Without their limits, which are checked once."""
    (read,) = read_holds(write_holds((hold("0.00000001", rate="7.12"),)))
    assert (read.name, read.amount, read.rate, read.limit) == ("all", Decimal("0.00000001"), Decimal("7.12"), None)
    assert write_holds(()) is None
    assert read_holds(None) == ()


def test_a_cost_in_another_currency_is_charged_at_the_rate_of_the_hold(path: Path) -> None:
    """And by what was set aside where it turns out to be in a third."""
    ledger = SQLiteLedger(path)
    first = entry("a", hold("7.12", "100", rate="7.12"), currency="USD")
    second = entry("b", hold("7.12", "100", rate="7.12"), currency="USD")
    for attempt in (first, second):
        ledger.begin(attempt, 1)
    ledger.settle(first, settled("answered", "exact", amount="0.5", currency="USD"), 1)
    ledger.settle(second, settled("answered", "exact", amount="0.5", currency="EUR"), 1)
    ledger.close()
    assert counter(path) == {"all": (Decimal("10.68"), 0)}


async def test_a_call_is_refused_before_it_is_sent(mode: Mode, path: Path) -> None:
    """The error says how much, of what, until when; nothing is sent, and no row is written."""
    transport = MemoryTransport(said("ok"))
    cost = plugin(path, {"limit": "0.0001", "period": "month", "timezone": "Asia/Shanghai"})
    client = mode.client(transport, cost)
    told = await mode.ask(client, max_tokens=10)
    assert told.response.cost is not None
    assert told.response.cost.amount == PRICE
    with pytest.raises(BudgetExceededError) as caught:
        await mode.ask(client, max_tokens=20)
    error = caught.value
    assert (error.budget, error.limit, error.currency) == ("budget 0", Decimal("0.0001"), "CNY")
    assert (error.spent, error.needed) == (PRICE, MOST + 10 * Decimal("0.000002"))
    assert error.resets_at is not None
    assert error.resets_at > datetime.datetime.now(datetime.UTC)
    assert (error.resets_at.day, error.resets_at.hour, error.resets_at.utcoffset()) == (
        1, 0, datetime.timedelta(hours=8),
    )  # fmt: skip
    for piece in ("'budget 0'", "0.0001 CNY a month", "0.0000116", "0.0001008", "begins anew at", "max_tokens"):
        assert piece in str(error)
    assert len(transport.sent) == len(rows(path)) == 1
    await mode.ask(client, max_tokens=10)
    await mode.leave(client)
    cost.close()


async def test_a_budget_that_warns_lets_the_call_through(mode: Mode, path: Path) -> None:
    """And says so in the answer; the next one says so again."""
    cost = plugin(path, {"limit": "0", "period": "day", "action": "warn"})
    client = mode.client(MemoryTransport(said("ok")), cost)
    for _ in range(2):
        told = await mode.ask(client, max_tokens=10)
        (warning,) = told.response.warnings
        assert "Budget 'budget 0' allows 0 CNY a day" in warning
        assert "only warns" in warning
    assert counter(path) == {"budget 0": (2 * PRICE, 0)}
    await mode.leave(client)
    cost.close()


async def test_a_budget_of_one_call(mode: Mode, path: Path) -> None:
    """Nothing of it is in the ledger; another call begins with nothing."""
    transport = MemoryTransport(said("ok"))
    cost = plugin(path, {"limit": "0.0001", "period": "call"})
    client = mode.client(transport, cost)
    for _ in range(3):
        await mode.ask(client, max_tokens=10)
    with pytest.raises(BudgetExceededError, match="CNY a call") as caught:
        await mode.ask(client, max_tokens=20)
    assert caught.value.resets_at is None
    assert len(transport.sent) == 3
    assert not counter(path)
    await mode.leave(client)
    cost.close()


def test_a_budget_of_one_call_counts_all_batches(path: Path) -> None:
    """An embeddings call of several requests is one call: the one that does not fit any more is not sent."""
    transport = MemoryTransport(embeddings(10))
    cost = plugin(path, {"limit": "0.000055", "period": "call"})
    client = Client(provider="qwen", model="text-embedding-v4", api_key="sk-test", plugins=[cost, transport])
    with pytest.raises(BudgetExceededError) as caught:
        client.embeddings.create(input=["hi"] * 20)
    assert caught.value.spent == Decimal("0.00001")
    assert len(transport.sent) == 1
    client.close()
    cost.close()


def embeddings(count: int) -> Any:
    """An answer of vectors, which took 2 tokens each."""
    import json

    from tests.pipeline.memory import Reply

    data = [{"index": index, "embedding": [0.5], "object": "embedding"} for index in range(count)]
    usage = {"prompt_tokens": 2 * count, "total_tokens": 2 * count}
    content = json.dumps({"object": "list", "data": data, "model": "text-embedding-v4", "usage": usage}).encode()
    return Reply(200, {"content-type": "application/json"}).with_parts(content)


@pytest.mark.parametrize(
    ("budget", "tags", "counts"),
    [
        ({}, {}, "budget 0"),
        ({"profile": "qwen"}, {}, "budget 0 profile qwen"),
        ({"profile": "other"}, {}, None),
        ({"tag": "team=a"}, {"team": "a"}, "budget 0 tag team=a"),
        ({"tag": "team=a"}, {"team": "b"}, None),
        ({"tag": "team"}, {"team": "b"}, "budget 0 tag team=b"),
        ({"tag": "team"}, {}, None),
        ({"tag": "team=", "profile": "qwen"}, {"team": ""}, "budget 0 profile qwen, tag team="),
    ],
)
def test_which_calls_count(path: Path, budget: dict[str, Any], tags: dict[str, str], counts: str | None) -> None:
    """By profile and tag; each value of a tag that is named alone has a budget of its own."""
    cost = plugin(path, {"limit": "1", **budget})
    client = Client(
        provider="qwen", model="qwen-plus", api_key="sk-test", tags=tags, plugins=[cost, MemoryTransport(said("ok"))]
    )
    client.chat.completions.create(messages=[{"role": "user", "content": "Hello"}], max_tokens=10)
    assert counter(path) == ({} if counts is None else {counts: (PRICE, 0)})
    client.close()
    cost.close()


@pytest.mark.parametrize(
    ("model", "parameters", "reason"),
    [
        ("nobody-knows-this", {"max_tokens": 10}, "nobody-knows-this"),
        ("nobody-knows-this", {}, "give the call max_tokens"),
    ],
)
def test_a_call_of_unknown_cost_is_refused_unless_it_is_allowed(
    path: Path, model: str, parameters: dict[str, Any], reason: str
) -> None:
    """The refusal names what is missing and the mend."""
    for unknown in ("block", "allow"):
        transport = MemoryTransport(said("ok"))
        cost = plugin(path, {"limit": "1", "unknown": unknown})
        client = Client(provider="qwen", model=model, api_key="sk-test", plugins=[cost, transport])
        if unknown == "allow":
            client.chat.completions.create(messages=[{"role": "user", "content": "Hello"}], **parameters)
        else:
            with pytest.raises(BudgetExceededError, match=reason) as caught:
                client.chat.completions.create(messages=[{"role": "user", "content": "Hello"}], **parameters)
            assert 'unknown = "allow"' in str(caught.value)
            assert caught.value.needed is None
        assert len(transport.sent) == (unknown == "allow")
        client.close()
        cost.close()


def test_a_budget_in_another_currency_needs_a_rate(path: Path) -> None:
    """Currencies are not converted in silence."""
    rates = {"base": "CNY", "date": "2026-11-20", "rates": {"USD": "8"}}
    for options, sent in (({}, 0), ({"rates": rates}, 1)):
        transport = MemoryTransport(said("ok"))
        cost = plugin(path, {"limit": "1", "currency": "USD"}, **options)
        client = Client(provider="qwen", model="qwen-plus", api_key="sk-test", plugins=[cost, transport])
        refusal = pytest.raises(BudgetExceededError, match="paid in CNY, the budget is in USD")
        with nullcontext() if sent else refusal:
            client.chat.completions.create(messages=[{"role": "user", "content": "Hello"}], max_tokens=10)
        assert len(transport.sent) == sent
        client.close()
        cost.close()
    assert counter(path)["budget 0"][0] == PRICE / 8


@pytest.mark.F43
async def test_an_attempt_that_may_have_been_billed_counts_with_its_estimate(mode: Mode, path: Path) -> None:
    """The budget is not passed by what nobody saw the bill of; a refusal gives all back."""
    cost = plugin(path, {"limit": "1"})
    for answer, spent in ((refused(400), Decimal(0)), (refused(500), MOST)):
        client = mode.client(MemoryTransport(answer), cost, max_retries=0)
        with pytest.raises(Exception) as caught:  # noqa: PT011
            await mode.ask(client, max_tokens=10)
        assert isinstance(caught.value, InternalServerError) is bool(spent)
        assert counter(path) == {"budget 0": (spent, 0)}
        await mode.leave(client)
    cost.close()


@pytest.mark.parametrize(
    ("zone", "period", "name", "resets"),
    [
        ("UTC", "day", "day 2026-02-28 UTC", "2026-03-01T00:00:00+00:00"),
        ("Asia/Shanghai", "day", "day 2026-03-01 Asia/Shanghai", "2026-03-02T00:00:00+08:00"),
        ("Asia/Shanghai", "month", "month 2026-03 Asia/Shanghai", "2026-04-01T00:00:00+08:00"),
        ("America/New_York", "month", "month 2026-02 America/New_York", "2026-03-01T00:00:00-05:00"),
        ("UTC", "total", "total", None),
    ],
)
def test_periods(path: Path, zone: str, period: str, name: str, resets: str | None) -> None:
    """Days and months begin at midnight, where the budget says."""
    from qonduit_cost.budgets import Budgets

    options = CostOptions(
        ledger="x", budgets=[{"name": "b", "limit": 1, "currency": "CNY", "period": period, "timezone": zone}]
    )
    budget = Budgets(options.budgets, None)._budgets[0]
    now = datetime.datetime(2026, 2, 28, 20, 30, tzinfo=datetime.UTC)
    found, since, until = budget._period(now)
    assert found == name
    assert (None if until is None else until.isoformat()) == resets
    assert since is None or until is None or since <= now < until


def test_a_wrong_zone_is_a_mistake_of_the_set_up() -> None:
    """Said with what was expected."""
    from pydantic import ValidationError

    with pytest.raises(ValidationError, match="Asia/Shanghai or UTC"):
        CostOptions(ledger="x", budgets=[{"name": "b", "limit": 1, "currency": "CNY", "timezone": "Mars/Olympus"}])
