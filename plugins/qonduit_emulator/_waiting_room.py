"""Where calls wait that came in a burst: `X-DashScope-Wait-Timeout: SECONDS`.

Rules:

1. Only a call refused for burst waits; every other refusal, at once or when its turn comes, is its answer.
2. Calls wait per account and model, in the order in which they came, and nobody overtakes them: while they wait,
   a call that does not is refused for burst, even when a place is free.
3. When its time is up a call gets the refusal it would have got at once. A client that leaves is forgotten.
4. A waiting call has taken nothing; when its turn comes it passes the whole gate again.

Source: https://help.aliyun.com/zh/model-studio/rate-limiting-best-practices (2026-05). What the vendor does with a
value that is no number is not documented; here the call does not wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect

from qonduit_emulator._body import until_gone
from qonduit_emulator._books import Books
from qonduit_emulator._gate import Call, Gate, Permit, Stage
from qonduit_emulator._refusal import Refusal
from qonduit_emulator._refusal_codes import refusal_by_code
from qonduit_emulator._sleep import Sleep

if TYPE_CHECKING:
    from starlette.types import Receive

HEADER = "x-dashscope-wait-timeout"
MAX_WAIT_SECONDS = 120.0
"""Who asks for more waits so long."""
RETRY_SECONDS = 1.0
"""How often a call asks again that something else than the limit of a second refuses for burst."""
BURST = "Throttling.BurstRate"

_Queue = tuple[str, str]
"""Account and model."""


class _Waiting:
    """One call that waits."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.first = asyncio.Event()


class Queues:
    """Who waits for what. As a check of the gate it keeps others from overtaking."""

    stage = Stage.RATE

    def __init__(self, books: Books) -> None:
        self._books = books
        self._queues: dict[_Queue, deque[_Waiting]] = {}

    def check(self, call: Call) -> None:
        """Refuse a call before which others wait, as long as the limit they wait for is there."""
        queue = self.queue_of(call) if self._queues else None
        waiting = self._queues.get(queue) if queue else None
        if queue and waiting and waiting[0].call is not call:
            account = self._books.accounts.get(queue[0])
            if account is not None and account.limits_for(queue[1]).requests_per_second is not None:
                raise refusal_by_code(BURST)

    def queue_of(self, call: Call) -> _Queue | None:
        """The queue in which a call would wait."""
        key = self._books.find_key(call.api_key or "")
        return (key.account, call.model_name) if key is not None and call.model_name is not None else None

    def join(self, queue: _Queue, call: Call) -> _Waiting:
        """Stand at the end."""
        waiting = _Waiting(call)
        members = self._queues.setdefault(queue, deque())
        members.append(waiting)
        members[0].first.set()
        return waiting

    def leave(self, queue: _Queue, waiting: _Waiting) -> None:
        """Be forgotten; the next one moves up."""
        members = self._queues[queue]
        members.remove(waiting)
        if members:
            members[0].first.set()
        else:
            del self._queues[queue]

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, self._queues.values()))


class WaitingRoom:
    """The gate, and the room before it."""

    def __init__(self, gate: Gate, queues: Queues, books: Books, sleep: Sleep) -> None:
        """`queues` must be one of the gate's checks."""
        self._gate = gate
        self._queues = queues
        self._books = books
        self._sleep = sleep

    async def admit(self, call: Call, receive: Receive) -> Permit:
        """Run the chain, and again while there is time. The request's body must have been read.

        Raises:
            Refusal: by the first check that refuses.
            ClientDisconnect: the client left while it waited.
        """
        try:
            return self._gate.admit(call)
        except Refusal as refused:
            refusal = refused
        queue = self._queues.queue_of(call)
        seconds = wait_seconds(call.headers)
        if refusal.native.code != BURST or queue is None or not seconds:
            raise refusal
        waiting = self._queues.join(queue, call)
        gone = asyncio.ensure_future(until_gone(receive))
        try:
            return await self._wait(queue, waiting, self._books.clock() + seconds, gone, refusal)
        finally:
            gone.cancel()
            self._queues.leave(queue, waiting)

    async def _wait(
        self, queue: _Queue, waiting: _Waiting, deadline: float, gone: asyncio.Future[None], refusal: Refusal
    ) -> Permit:
        while (rest := deadline - self._books.clock()) > 0:
            if waiting.first.is_set():
                await _first_of(gone, self._sleep(min(rest, self._seconds_to_place(queue))))
            else:
                await _first_of(gone, self._sleep(rest), waiting.first.wait())
            if gone.done():
                gone.result()
                raise ClientDisconnect
            if waiting.first.is_set():
                try:
                    return self._gate.admit(waiting.call)
                except Refusal as again:
                    if again.native.code != BURST:
                        raise
        raise refusal

    def _seconds_to_place(self, queue: _Queue) -> float:
        account = self._books.accounts.get(queue[0])
        seconds = 0.0 if account is None else self._books.ledger.seconds_to_place(account, queue[1])
        return seconds or RETRY_SECONDS


def wait_seconds(headers: Mapping[str, str]) -> float:
    """How long a call wants to wait; 0 when it does not."""
    try:
        seconds = float(headers.get(HEADER, "0"))
    except ValueError:
        return 0
    return min(seconds, MAX_WAIT_SECONDS) if seconds > 0 else 0


async def _first_of(gone: asyncio.Future[None], *waits: Awaitable[Any]) -> None:
    """Until one of them is there; the others but the first are given up. What fails raises here."""
    tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait([gone, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done:
                task.result()
    finally:
        for task in tasks:
            task.cancel()
