"""Consumers: streams that are left, cancelled, interrupted or read slowly, while the server goes on or hangs."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from tests.faults.canaries import PIECES
from tests.faults.consuming import CONSUMERS, OwnError
from tests.faults.expectations import Answered, Expected, Left
from tests.faults.fault import Fault, Scene
from tests.servers import HANG, RESET, Pause, Reply, chunk, sse_head

FIRST = PIECES[0]


def _hanging(scene: Scene) -> Reply:
    """An answer that begins and does not go on."""
    return [sse_head(), chunk(_begun(scene)), HANG]


def _running(scene: Scene) -> Reply:
    """An answer that begins, and goes on for seconds with nothing in it."""
    empty = chunk(scene.wire.piece(""))
    return itertools.chain([sse_head(), chunk(_begun(scene))], *([Pause(0.01), empty] for _ in range(800)))


def _begun(scene: Scene) -> bytes:
    return b"".join(scene.wire.events(PIECES)[: 1 if scene.native else 2])


def _whole(scene: Scene) -> Reply:
    return scene.wire.stream_reply(PIECES)


def _consumed(consumer: str, name: str, reply: Any, expected: Expected, failures: tuple[int, ...] = (48,)) -> Fault:
    has = CONSUMERS[consumer]
    modes = [mode for mode, read in (("sync-stream", has.sync), ("async-stream", has.asynchronous)) if read is not None]
    return Fault(f"{consumer}-{name}", reply, expected, failures, modes=tuple(modes), consumer=consumer)


LEFT = Left(FIRST)
RAISED = Left(FIRST, error=OwnError)

FAULTS = [
    *(
        _consumed(consumer, name, reply, expected)
        for consumer, expected in (("break", LEFT), ("close-twice", LEFT), ("unread", Left("")), ("raise", RAISED))
        for name, reply in (("while-it-hangs", _hanging), ("while-it-runs", _running), ("of-a-whole-stream", _whole))
    ),
    _consumed("interrupt", "while-it-hangs", _hanging, Left(FIRST, error=KeyboardInterrupt)),
    _consumed("interrupt", "while-it-runs", _running, Left(FIRST, error=KeyboardInterrupt)),
    _consumed("slowly", "of-a-whole-stream", _whole, Answered(), (20,)),
    _consumed(
        "slowly", "of-a-stream-that-is-reset-at-its-end",
        lambda scene: [sse_head(), chunk(b"".join(scene.wire.events(PIECES))), RESET], Answered(), (13,),
    ),
    _consumed("close-elsewhere", "while-it-hangs", _hanging, LEFT),
    _consumed("cancel", "while-it-hangs", _hanging, Left(FIRST, error=asyncio.CancelledError), (43, 47)),
    _consumed("cancel", "while-it-runs", _running, Left(FIRST, error=asyncio.CancelledError), (43, 47)),
    _consumed("time-out", "while-it-hangs", _hanging, Left(FIRST, error=TimeoutError), (43, 47)),
    _consumed("time-out", "while-it-runs", _running, Left(FIRST, error=TimeoutError), (43, 47)),
    _consumed("drop", "while-it-hangs", _hanging, Left(FIRST, settled_later=True)),
    _consumed("drop", "while-it-runs", _running, Left(FIRST, settled_later=True)),
    _consumed("drop", "of-a-whole-stream", _whole, Left(FIRST, settled_later=True)),
]  # fmt: skip
