"""The ledger's sums are the provider's own: a thousand calls of all kinds, with faults, and the emulator's books."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.plugins.cost.ledgers import rows

from qonduit import APIError, AsyncClient, Client
from qonduit_cost import CostPlugin
from qonduit_cost.options import CostOptions
from qonduit_emulator import Emulator

MESSAGES = [{"role": "user", "content": "How much is it?"}]
CHAT, VECTORS = "qwen-plus", "text-embedding-v4"
DAMAGES = ("truncate", "cut-mid-event", "malformed-json")


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


def kinds(client: Any) -> list[Callable[[], Any]]:
    """The ways to ask: plain, streamed, and vectors in one request or several."""
    chat, vectors = client.chat.completions.create, client.embeddings.create
    return [
        lambda: chat(messages=MESSAGES, max_tokens=16),
        lambda: chat(messages=MESSAGES, max_tokens=16, stream=True),
        lambda: vectors(input=["one", "two"], model=VECTORS),
        lambda: vectors(input=["text"] * 21, model=VECTORS),
    ]


def ask_sync(client: Client, count: int, failed: Counter[str]) -> None:
    ways = kinds(client)
    for number in range(count):
        try:
            answer = ways[number % len(ways)]()
            if number % len(ways) == 1:
                list(answer)
        except APIError as error:
            failed[type(error).__name__] += 1


async def ask_async(client: AsyncClient, count: int, failed: Counter[str]) -> None:
    ways = kinds(client)

    async def one(number: int) -> None:
        try:
            answer = await ways[number % len(ways)]()
            if number % len(ways) == 1:
                async for _ in answer:
                    pass
        except APIError as error:
            failed[type(error).__name__] += 1

    for start in range(0, count, 10):
        await asyncio.gather(*(one(number) for number in range(start, start + 10)))


@pytest.mark.F43
@pytest.mark.F45
@pytest.mark.usefixtures("no_waiting")
def test_a_thousand_calls(emulator: Emulator, tmp_path: Path) -> None:
    """Refusals cost nothing, damaged answers are told from the others, and the rest is the same to the token.

    Three threads of sync calls and an event loop share one ledger. What an answer used that was damaged on the way is
    in the provider's books and not in what the client was told: those attempts say that they may have been billed.
    """
    emulator.faults.set("error", 429, every=11)
    emulator.faults.set("error", 503, every=17)
    for number, name in enumerate(DAMAGES):
        emulator.faults.set(name, path="chat", every=41 + 2 * number)
    path = tmp_path / "ledger.sqlite3"
    plugin = CostPlugin(CostOptions(ledger=str(path)))
    options: dict[str, Any] = {
        "provider": "qwen",
        "model": CHAT,
        "api_key": emulator.api_key,
        "base_url": emulator.base_url,
        "plugins": [plugin],
    }
    failed: Counter[str] = Counter()
    client = Client(**options)
    threads = [threading.Thread(target=ask_sync, args=(client, 240, failed)) for _ in range(3)]
    for thread in threads:
        thread.start()

    async def asynchronously() -> None:
        async with AsyncClient(**options) as asynchronous:
            await ask_async(asynchronous, 280, failed)

    asyncio.run(asynchronously())
    for thread in threads:
        thread.join()
    client.close()
    plugin.close()

    found = rows(path)
    assert len({row["call_id"] for row in found}) == 1000
    assert {row["state"] for row in found} == {"settled"}
    happened = {plan["name"]: plan["happened"] for plan in emulator.faults.list() if plan["name"] in DAMAGES}
    refused = sum(plan["happened"] for plan in emulator.faults.list() if plan["name"] == "error")
    assert all(happened.values())
    outcomes = Counter((row["outcome"], row["sent"], row["status"]) for row in found)
    assert sum(count for (outcome, sent, status), count in outcomes.items() if status in {429, 503}) == refused
    damaged = [row for row in found if row["outcome"] == "failed" and row["status"] not in {429, 503}]
    assert len(damaged) == sum(happened.values())
    assert {row["sent"] for row in damaged} == {"unknown"}

    books = emulator.books.ledger.usage("default")
    vectors = [row for row in found if row["model"] == VECTORS]
    assert sum(row["total_tokens"] or 0 for row in vectors) == books[VECTORS].used_tokens
    chats = [row for row in found if row["model"] == CHAT and row["outcome"] == "answered"]
    (each,) = {row["total_tokens"] for row in chats}
    assert (len(chats) + len(damaged)) * each == books[CHAT].used_tokens
    assert len(chats) + len(damaged) == books[CHAT].requests
    assert sum(row["total_tokens"] for row in rows(path, "calls") if row["total_tokens"]) == sum(
        row["total_tokens"] or 0 for row in found
    )
