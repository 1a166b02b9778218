"""Waiting: limits of time in the midst of an answer."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.faults.canaries import PIECES
from tests.faults.expectations import Answered, Failed, interrupted, late
from tests.faults.fault import ONE_OF_EACH_WIRE, PLAIN, STREAMED, Fault, Scene
from tests.servers import HANG, LAST_CHUNK, Drip, Pause, Reply, chunk, head, sse_head

from qonduit import APITimeoutError

JSON = {"content-type": "application/json"}
FIRST = PIECES[0]
SHORT = {"timeout": 0.2, "max_retries": 0}


def _events(*gaps: float) -> Callable[[Scene], Reply]:
    """A stream with a gap before each of its events."""

    def reply(scene: Scene) -> Reply:
        events = scene.wire.events(PIECES)
        steps = [
            [Pause(gap), chunk(event)] for gap, event in itertools.zip_longest(gaps[: len(events)], events, fillvalue=0)
        ]
        return itertools.chain([sse_head()], *steps, [LAST_CHUNK])

    return reply


def _endless(scene: Scene) -> Reply:
    """A stream that never ends and never pauses for long."""
    begun = scene.wire.events(PIECES)[: 1 if scene.native else 2]
    empty = scene.wire.piece("")
    return itertools.chain([sse_head(), chunk(b"".join(begun))], *([Pause(0.02), chunk(empty)] for _ in range(400)))


def _after(scene: Scene, *steps: Any) -> Reply:
    begun = b"".join(scene.wire.events(PIECES)[: 1 if scene.native else 2])
    return [sse_head(), chunk(begun), *steps]


_FAULTS = [
    Fault("gaps-within-the-limit", _events(0.05, 0.05, 0.05, 0.05, 0.05), Answered(), (20,), modes=STREAMED),
    Fault(
        "an-endless-stream-and-a-deadline", _endless, interrupted(FIRST), (21, 38), modes=STREAMED,
        parameters={"deadline": 0.25},
    ),
    Fault(
        "a-first-event-past-the-deadline", [sse_head(), HANG], late(attempts=1), (20, 38), modes=STREAMED,
        parameters={"deadline": 0.2},
    ),
    Fault(
        "an-event-that-drips", lambda scene: _after(scene, Drip(chunk(scene.wire.piece("x" * 200)), 8.0)),
        interrupted(FIRST), (22,), modes=STREAMED, settings=SHORT,
    ),
    Fault(
        "chunks-of-a-line-without-end",
        lambda scene: _after(scene, *[chunk(b"data: x"), Pause(0.02)] * 400),
        interrupted(FIRST), (21, 22), modes=STREAMED, settings=SHORT,
    ),
    Fault(
        "an-error-body-that-hangs", [head(500, {**JSON, "content-length": "99"}) + b"{", HANG],
        Failed(APITimeoutError, "unknown", retryable=True), (22,), settings=SHORT,
    ),
    Fault(
        "an-error-body-that-drips", [head(429, {**JSON, "content-length": "99"}), Drip(b" " * 99, 8.0)],
        Failed(APITimeoutError, "unknown", retryable=True), (22,), settings=SHORT,
    ),
    Fault(
        "a-limit-of-one-call", [HANG], late(attempts=1), (38,), parameters={"timeout": 0.15},
        settings={"max_retries": 0},
    ),
    Fault(
        "a-deadline-that-one-attempt-eats-up", [HANG], late(attempts=1), (38,), parameters={"deadline": 0.2},
    ),
    Fault(
        "a-plain-answer-past-the-deadline", [head(200, {**JSON, "content-length": "99"}), Drip(b" " * 99, 8.0)],
        late(attempts=1), (22, 38), modes=PLAIN, parameters={"deadline": 0.2},
    ),
]  # fmt: skip

FAULTS = [replace(fault, providers=ONE_OF_EACH_WIRE) for fault in _FAULTS]
