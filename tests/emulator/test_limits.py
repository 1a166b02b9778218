"""Limits and quotas: when they recover, and that they hold when everybody comes at once."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from qonduit_emulator import Emulator
from qonduit_emulator._accounts import Account, Limits, parse_account
from qonduit_emulator._exchange import Usage
from qonduit_emulator._keys import parse_key
from qonduit_emulator._ledger import Demand, Ledger
from qonduit_emulator._pacing import Pacing
from qonduit_emulator._refusal import Refusal

from .clocks import Clock

CLIENTS = 200
CHAT: dict[str, Any] = {"model": "qwen-plus", "messages": [{"role": "user", "content": "hi"}]}
DAY = 24 * 3600


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def emulator(clock: Clock) -> Iterator[Emulator]:
    with Emulator(clock=clock) as running:
        yield running


def limited(emulator: Emulator, **record: Any) -> None:
    emulator.books.put_account(parse_account("default", record, "test"))


async def _ask_together(emulator: Emulator, bodies: list[dict[str, Any]]) -> list[httpx.Response]:
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    limits = httpx.Limits(max_connections=len(bodies))
    async with httpx.AsyncClient(
        base_url=emulator.base_url, headers=headers, limits=limits, trust_env=False, timeout=60
    ) as client:
        return list(await asyncio.gather(*(client.post("/chat/completions", json=body) for body in bodies)))


def ask_together(emulator: Emulator, bodies: list[dict[str, Any]]) -> list[httpx.Response]:
    """Each body from a connection of its own, all at once."""
    return asyncio.run(_ask_together(emulator, bodies))


def ask(emulator: Emulator, **options: Any) -> httpx.Response:
    return ask_together(emulator, [{**CHAT, **options}])[0]


@pytest.mark.parametrize("streamed", [False, True])
def test_200_clients_at_once_get_60_answers(emulator: Emulator, clock: Clock, streamed: bool) -> None:
    """Against 60 requests a minute, 200 at once get exactly 60 answers; a minute later there are 60 more."""
    limited(emulator, limits={"requests_per_minute": 60})
    bodies = [{**CHAT, "stream": streamed}] * CLIENTS
    answers = ask_together(emulator, bodies)
    assert Counter(answer.status_code for answer in answers) == {200: 60, 429: 140}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["error"]["code"] == "limit_requests"
    clock.advance(59.9)
    assert ask(emulator).status_code == 429
    clock.advance(0.1)
    assert Counter(answer.status_code for answer in ask_together(emulator, bodies)) == {200: 60, 429: 140}


def test_200_threads_on_the_ledger(clock: Clock) -> None:
    """The ledger decides and takes in one step, whoever calls it."""
    ledger = Ledger(clock=clock)
    account = Account(name="a", limits=Limits(requests_per_minute=60))
    barrier = threading.Barrier(CLIENTS)

    def call(_: int) -> bool:
        barrier.wait()
        try:
            ledger.settle(ledger.reserve(account, "m", Demand(3, 1, 5)), Usage(3, 2))
        except Refusal:
            return False
        return True

    with ThreadPoolExecutor(CLIENTS) as pool:
        assert sum(pool.map(call, range(CLIENTS))) == 60
    used = ledger.usage("a")["m"]
    assert (used.requests, used.used_tokens, used.running, used.reserved_tokens) == (60, 300, 0, 0)


@pytest.mark.parametrize("options", [{"max_tokens": 20}, {"max_completion_tokens": 7, "n": 2}, {}], ids=str)
def test_a_quota_is_never_oversold(emulator: Emulator, options: dict[str, Any]) -> None:
    """200 clients at once use a quota of 1000 tokens up to what fits, and what was answered is what was charged."""
    limited(emulator, token_quota=1000)
    answers = [answer for answer in ask_together(emulator, [{**CHAT, **options}] * CLIENTS) if answer.is_success]
    answered = sum(answer.json()["usage"]["total_tokens"] for answer in answers)
    used = emulator.books.ledger.usage("default")["qwen-plus"]
    assert 0 < answered <= 1000
    assert (used.used_tokens, used.reserved_tokens, used.running) == (answered, 0, 0)
    assert used.requests == len(answers)


def test_a_quota_is_used_to_its_last_token(emulator: Emulator) -> None:
    """An answer without a bound of its own ends where the quota does, with the reason length."""
    limited(emulator, token_quota=30)
    reasons = []
    while (answer := ask(emulator)).is_success:
        reasons.append(answer.json()["choices"][0]["finish_reason"])
    assert answer.json()["error"]["code"] == "insufficient_quota"
    assert reasons[-1] == "length"
    assert 20 < emulator.books.ledger.usage("default")["qwen-plus"].used_tokens <= 30


def test_quotas_are_for_all_models_and_free_tokens_for_each(emulator: Emulator) -> None:
    """Free tokens go first, model by model; then the quota, for all of them together."""
    limited(emulator, token_quota=0, limits={"free_tokens": 100})
    assert ask(emulator, max_tokens=10).is_success
    assert ask(emulator, max_tokens=10, model="qwen-max").is_success
    assert ask(emulator, max_tokens=95).status_code == 429
    usage = emulator.books.ledger.usage("default")
    assert all(used.used_tokens == used.free_tokens_used > 0 for used in usage.values())


def test_a_call_may_use_both(clock: Clock) -> None:
    """What the free tier cannot hold is taken from the quota, and charged to the free tier first."""
    ledger = Ledger(clock=clock)
    account = Account(name="a", token_quota=50, limits=Limits(free_tokens=10))
    reservation = ledger.reserve(account, "m", Demand(5, 20, 20))
    assert (reservation.free_tokens, reservation.paid_tokens) == (10, 15)
    ledger.settle(reservation, Usage(5, 7))
    used = ledger.usage("a")["m"]
    assert (used.free_tokens_used, used.used_tokens) == (10, 12)
    with pytest.raises(Refusal, match="Allocated quota"):
        ledger.reserve(account, "m", Demand(49, 0, 0))
    assert ledger.reserve(account, "m", Demand(48, 0, 0)).paid_tokens == 48


def test_tokens_a_minute_count_what_was_used(emulator: Emulator, clock: Clock) -> None:
    """A reservation gives way to the real use; the window recovers after a minute."""
    limited(emulator, limits={"tokens_per_minute": 100})
    first = ask(emulator, max_tokens=80).json()["usage"]["total_tokens"]
    assert first < 80
    assert ask(emulator, max_tokens=100 - first).status_code == 429
    assert ask(emulator, max_tokens=100 - first - 7).is_success
    clock.advance(60)
    assert ask(emulator, max_tokens=90).is_success


def test_bursts_recover_after_a_second(emulator: Emulator, clock: Clock) -> None:
    """Two a second: the third waits for the next second."""
    limited(emulator, limits={"requests_per_second": 2})
    assert [ask(emulator).status_code for _ in range(3)] == [200, 200, 429]
    clock.advance(1)
    assert [ask(emulator).status_code for _ in range(3)] == [200, 200, 429]


def test_a_day_begins_at_midnight_in_china(emulator: Emulator, clock: Clock) -> None:
    """The clock begins at 16:00 there; eight hours later there is a new day."""
    limited(emulator, limits={"requests_per_day": 1})
    assert [ask(emulator).status_code for _ in range(2)] == [200, 429]
    clock.advance(8 * 3600 - 1)
    assert ask(emulator).status_code == 429
    clock.advance(1)
    assert [ask(emulator).status_code for _ in range(2)] == [200, 429]
    clock.advance(DAY)
    assert ask(emulator).status_code == 200


def test_concurrency_counts_calls_that_have_not_ended(clock: Clock) -> None:
    """A place is free again when a call has settled, answered or not; settling twice frees one place."""
    ledger = Ledger(clock=clock)
    account = Account(name="a", limits=Limits(concurrency=2))
    first, second = (ledger.reserve(account, "m", Demand(1)) for _ in range(2))
    with pytest.raises(Refusal, match="Too many requests in route"):
        ledger.reserve(account, "m", Demand(1))
    ledger.reserve(account, "other", Demand(1))
    ledger.settle(first, None)
    ledger.settle(first, Usage(100))
    ledger.reserve(account, "m", Demand(1))
    with pytest.raises(Refusal):
        ledger.check_rate(account, "m", Demand(1))
    ledger.settle(second, Usage(1))
    assert ledger.usage("a")["m"].used_tokens == 1


def test_clients_that_leave_free_their_place(emulator: Emulator) -> None:
    """A stream that its client breaks off gives its concurrency and its reservation back."""
    limited(emulator, limits={"concurrency": 1}, token_quota=100_000)
    emulator.pacing = Pacing(tokens_per_second=1)
    body = {**CHAT, "stream": True}
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    for _ in range(3):
        with httpx.stream(
            "POST", f"{emulator.base_url}/chat/completions", json=body, headers=headers, trust_env=False
        ) as response:
            assert response.status_code == 200
            next(response.iter_raw())
        eventually(lambda: emulator.books.ledger.usage("default")["qwen-plus"].running == 0)
    assert emulator.books.ledger.usage("default")["qwen-plus"].reserved_tokens == 0


def eventually(holds: Callable[[], bool]) -> None:
    """Wait for another thread, ten seconds at most."""
    waiting = threading.Event()
    for _ in range(1000):
        if holds():
            return
        waiting.wait(0.01)
    raise AssertionError("it does not happen")


def test_accounts_do_not_share(emulator: Emulator) -> None:
    """One account's limit is not another's; the keys of one account share it."""
    for name in ("a", "b"):
        emulator.books.put_account(parse_account(name, {"limits": {"requests_per_minute": 1}}, "test"))
    for key, account in (("sk-a1", "a"), ("sk-a2", "a"), ("sk-b", "b")):
        emulator.books.put_key(parse_key(key, {"account": account}, "test"))
    url = f"{emulator.base_url}/chat/completions"
    statuses = [
        httpx.post(url, json=CHAT, headers={"Authorization": f"Bearer {key}"}, trust_env=False).status_code
        for key in ("sk-a1", "sk-a2", "sk-b")
    ]
    assert statuses == [200, 429, 200]


def test_embeddings_count_too(emulator: Emulator) -> None:
    """Other endpoints go through the same gate, with their own tokens."""
    limited(emulator, limits={"requests_per_minute": 1})
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    body = {"model": "text-embedding-v4", "input": "hello"}
    statuses = [
        httpx.post(f"{emulator.base_url}/embeddings", json=body, headers=headers, trust_env=False).status_code
        for _ in range(2)
    ]
    assert statuses == [200, 429]
    assert emulator.books.ledger.usage("default")["text-embedding-v4"].used_tokens > 0
    body["model"] = "text-embedding-nope"
    httpx.post(f"{emulator.base_url}/embeddings", json=body, headers=headers, trust_env=False)
    assert set(emulator.books.ledger.usage("default")) == {"text-embedding-v4"}


def test_temporary_keys(emulator: Emulator, clock: Clock) -> None:
    """An `st-` key does what its parent may until it expires, and outlives its parent's disabling."""
    books = emulator.books
    limited(emulator, limits={"requests_per_minute": 3})
    made = books.create_temporary(emulator.api_key, 60)
    url = f"{emulator.base_url}/chat/completions"

    def status() -> int:
        headers = {"Authorization": f"Bearer {made.key}"}
        return httpx.post(url, json=CHAT, headers=headers, trust_env=False).status_code

    assert made.key.startswith("st-")
    assert status() == 200
    books.change_key(emulator.api_key, {"state": "disabled"})
    assert status() == 200
    clock.advance(60)
    assert status() == 401
    books.create_temporary(emulator.api_key, 60)
    assert books.find_key(made.key) is None


def test_settings_change_at_once(emulator: Emulator) -> None:
    """A limit that is set or taken away holds for the next call."""
    books = emulator.books
    assert ask(emulator).is_success
    books.change_account("default", {"limits": {"requests_per_minute": 0}})
    assert ask(emulator).status_code == 429
    books.change_account("default", {"limits": {"requests_per_minute": None}})
    assert ask(emulator).is_success
    books.ledger.reset("default")
    assert books.ledger.usage("default")["qwen-plus"].requests == 0
