"""Flights: identical calls at the same time share one upstream call.

The first call of a key leads; others wait for it, in a thread or as a task, whichever they are. A leader that leaves
without an outcome, because it failed, was cancelled or its client went away, wakes all: one of them leads then.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Hashable

from qonduit_cache.fork import Forked


class Flight:
    """One upstream call that is under way.

    Attributes:
        landed: whether it has an outcome.
        entry: the outcome, as it is kept; None when the answer is not one to be shared.
    """

    __slots__ = ("_flights", "_leader", "_place", "_thread", "_waiting", "entry", "landed", "left")

    def __init__(self, flights: Flights, place: Hashable) -> None:
        self._flights = flights
        self._place = place
        self._thread = threading.get_ident()
        self._leader = _task()
        self._waiting: list[Callable[[], None]] = []
        self.entry: bytes | None = None
        self.landed = False
        self.left = False

    def land(self, entry: bytes | None) -> None:
        """Give the outcome to all who wait, and to who comes before the leader leaves."""
        self.entry = entry
        self.landed = True
        if self._waiting:
            self._wake()

    def leave(self) -> None:
        """The leader goes; without an outcome, another may lead."""
        self.left = True
        self._flights.forget(self)
        if self._waiting:
            self._wake()

    def wait(self, timeout: float) -> bool:
        """Wait for the outcome, or until the leader has gone; False when it took longer than `timeout` seconds.

        Also False at once in the leader's own thread: it would wait for itself.
        """
        if self._thread == threading.get_ident():
            return self.landed or self.left
        event = threading.Event()
        return not self._enter(event.set) or event.wait(timeout)

    async def await_(self) -> bool:
        """`wait`, async; the time limit is the caller's."""
        if self._leader is not None and self._leader is asyncio.current_task():
            return self.landed or self.left
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop of who waited is closed
                loop.call_soon_threadsafe(_finish, future)

        if self._enter(wake):
            try:
                await future
            finally:
                self._exit(wake)
        return True

    def _enter(self, wake: Callable[[], None]) -> bool:
        """Be woken later; False when there is nothing to wait for."""
        with self._flights.lock:
            if self.landed or self.left:
                return False
            self._waiting.append(wake)
            return True

    def _exit(self, wake: Callable[[], None]) -> None:
        with self._flights.lock, contextlib.suppress(ValueError):
            self._waiting.remove(wake)

    def _wake(self) -> None:
        with self._flights.lock:
            waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake()

    @property
    def place(self) -> Hashable:
        """What it is known by."""
        return self._place


class Flights(Forked):
    """The flights of one cache."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, Flight] = {}
        self.lock = threading.Lock()
        super().__init__()

    def after_fork(self) -> None:
        """The leaders are in the parent."""
        self._flights = {}
        self.lock = threading.Lock()

    def join(self, place: Hashable) -> tuple[Flight, bool]:
        """The flight of `place`, and whether the caller leads it."""
        with self.lock:
            flight = self._flights.get(place)
            if flight is not None:
                return flight, False
            flight = self._flights[place] = Flight(self, place)
            return flight, True

    def forget(self, flight: Flight) -> None:
        """Let nobody else join a flight."""
        with self.lock:
            if self._flights.get(flight.place) is flight:
                del self._flights[flight.place]


def _task() -> asyncio.Task[object] | None:
    loop = asyncio._get_running_loop()  # None in a sync call; get_running_loop raises there, at five times the cost
    return None if loop is None else asyncio.current_task(loop)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
