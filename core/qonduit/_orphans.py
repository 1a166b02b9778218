"""Orphans: streams that were only garbage-collected, waiting to be settled by their client."""

from __future__ import annotations

import atexit
import contextlib
import weakref
from collections import deque

from qonduit.effects import Flow, Left, asettle, say_unsettled, settle


class Orphans:
    """Flows of collected streams. `add` does no I/O; the client settles them at its next call, at close or at exit."""

    def __init__(self) -> None:
        self._flows: deque[Flow] = deque()
        _ALL.add(self)

    def __bool__(self) -> bool:
        """Whether any waits."""
        return bool(self._flows)

    def add(self, flow: Flow) -> None:
        """Take a flow over."""
        self._flows.append(flow)

    def settle(self) -> None:
        """Settle all, by their sync forms. What fails is said: it belongs to no call that is under way."""
        while self._flows:
            try:
                settle(self._flows.popleft(), Left())
            except Exception:  # noqa: BLE001  # said
                say_unsettled()

    async def asettle(self) -> None:
        """Settle all, by their async forms."""
        while self._flows:
            try:
                await asettle(self._flows.popleft(), Left())
            except Exception:  # noqa: BLE001  # said
                say_unsettled()


_ALL: weakref.WeakSet[Orphans] = weakref.WeakSet()


@atexit.register
def _settle_all() -> None:
    for orphans in list(_ALL):
        with contextlib.suppress(Exception):  # the process ends: nobody is left to be told
            orphans.settle()
