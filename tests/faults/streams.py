"""Streams: what is wrong with events, at the first of them and after the answer has begun.

Each fault of `_BOTH` runs twice. Before the first event has been delivered the call may be tried again; after it never,
and what had come is on the error.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from tests.faults.canaries import PIECES
from tests.faults.expectations import Answered, Failed, broken, interrupted, late
from tests.faults.fault import STREAMED, Fault, Scene
from tests.servers import CLOSE, HANG, LAST_CHUNK, RESET, Pause, Reply, chunk, response, sse_head
from tests.wires import REQUEST_ID

from qonduit import (
    BadRequestError,
    ContentFilterError,
    InternalServerError,
    ProtocolError,
    RateLimitError,
    StreamInterruptedError,
)

HEAD = sse_head(x_request_id=REQUEST_ID)
DONE = b"data: [DONE]\n\n"
FIRST = PIECES[0]
SHORT = {"timeout": 0.2, "max_retries": 0}
"""A limit for what never comes, that a begun answer is sure to be within."""

Events = Callable[[Scene], Iterable[Any]]


def begun(scene: Scene) -> bytes:
    """The first piece of an answer."""
    return b"".join(scene.wire.events(PIECES)[: 1 if scene.native else 2])


def _cut(scene: Scene) -> bytes:
    """An event without its end."""
    return scene.wire.events(PIECES)[0][:-20]


def _no_more(*steps: Any) -> Events:
    return lambda scene: steps


def _event(compatible: Any, native: Any, then: tuple[Any, ...] = ()) -> Events:
    """An event by the wire, `then` what follows it."""
    return lambda scene: [
        chunk(b"data: " + (native if scene.native else compatible) + b"\n\n"),
        *(then or map(chunk, scene.wire.events(PIECES))),
        LAST_CHUNK,
    ]


def _refusal(code: dict[str, str], status: int, *then: Any) -> Events:
    return lambda scene: [chunk(scene.wire.stream_error(status, code[scene.provider])), *then]


def _beats(beat: bytes) -> Events:
    """What keeps a connection busy and says nothing."""
    return lambda scene: itertools.chain.from_iterable((chunk(beat), Pause(0.02)) for _ in range(400))


def nonsense(**more: Any) -> Failed:
    return Failed(ProtocolError, "unknown", **more)


NO_EVENT = Failed(StreamInterruptedError, "unknown", attempts=2, retryable=True, says="before its first event")
NOTHING_SAID = replace(NO_EVENT, partial="")
"""Bytes came, which are on the error's response, but none of them said anything."""
CUT = interrupted(FIRST)
EVENT = "An event of the stream"
SLOW = {"openai": "rate_limit_exceeded", "qwen": "limit_requests", "dashscope": "Throttling.RateQuota"}
DOWN = {"openai": "server_error", "qwen": "internal_error", "dashscope": "InternalError"}
INSPECTED = {"openai": "content_filter", "qwen": "data_inspection_failed", "dashscope": "DataInspectionFailed"}
WRONG = {"openai": "context_length_exceeded", "qwen": "invalid_parameter_error", "dashscope": "InvalidParameter"}

DEEP = b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"

_BOTH: list[tuple[str, Events, Failed, Failed, tuple[int, ...]]] = [
    ("closed", _no_more(CLOSE), broken(), CUT, (19,)),
    ("reset", _no_more(RESET), broken(), CUT, (19,)),
    ("ended-in-order", _no_more(LAST_CHUNK), NO_EVENT, CUT, (11,)),
    ("closed-within-an-event", lambda scene: [chunk(_cut(scene)), CLOSE], broken(), CUT, (11, 19)),
    ("ended-within-an-event", lambda scene: [chunk(_cut(scene)), LAST_CHUNK], NOTHING_SAID, CUT, (11,)),
    ("closed-within-a-chunk", lambda scene: [chunk(begun(scene))[:9], CLOSE], broken(), CUT, (19,)),
    ("chunk-size-that-is-no-number", _no_more(b"zz\r\n", CLOSE), broken(), CUT, (19,)),
    ("hang", _no_more(HANG), late(attempts=1), CUT, (20,)),
    ("comments-only", _beats(b": ping\n\n"), late(attempts=1), CUT, (21,)),
    ("comment-bytes-only", _beats(b":"), late(attempts=1), CUT, (21,)),
    ("empty-events-only", _beats(b"id:1\nevent:result\n\n"), late(attempts=1), CUT, (21,)),
    (
        "slow-down", _refusal(SLOW, 429, LAST_CHUNK), Failed(RateLimitError, status=429, attempts=3, retryable=True),
        Failed(RateLimitError, "unknown", status=429, partial=FIRST), (14, 15, 37),
    ),
    (
        "slow-down-then-done", _refusal(SLOW, 429, chunk(DONE), LAST_CHUNK),
        Failed(RateLimitError, status=429, attempts=3, retryable=True),
        Failed(RateLimitError, "unknown", status=429, partial=FIRST), (14,),
    ),
    (
        "failure", _refusal(DOWN, 500, LAST_CHUNK),
        Failed(InternalServerError, "unknown", status=500, attempts=2, retryable=True),
        Failed(InternalServerError, "unknown", status=500, partial=FIRST), (14, 15),
    ),
    (
        "inspected", _refusal(INSPECTED, 400, LAST_CHUNK), Failed(ContentFilterError, status=400),
        Failed(ContentFilterError, "unknown", status=400, partial=FIRST), (14, 28),
    ),
    (
        "invalid-and-closed", _refusal(WRONG, 400, CLOSE), Failed(BadRequestError, status=400),
        Failed(BadRequestError, "unknown", status=400, partial=FIRST), (14, 28),
    ),
    ("text", _event(b"hello", b"hello"), nonsense(says=EVENT), nonsense(says=EVENT, partial=FIRST), (7,)),
    (
        "half-an-object", _event(b'{"choices":[', b'{"output":'), nonsense(says=EVENT),
        nonsense(says=EVENT, partial=FIRST), (7,),
    ),
    (
        "two-objects", _event(b'{"choices":[]}{"choices":[]}', b'{"output":{}}{"output":{}}'), nonsense(says=EVENT),
        nonsense(says=EVENT, partial=FIRST), (7,),
    ),
    ("list", _event(b"[]", b"[]"), nonsense(says=EVENT), nonsense(says=EVENT, partial=FIRST), (7,)),
    ("null", _event(b"null", b"null"), nonsense(says=EVENT), nonsense(says=EVENT, partial=FIRST), (7,)),
    (
        "not-a-number", _event(b'{"choices":[],"x":NaN}', b'{"output":{"x":NaN}}'), nonsense(),
        nonsense(partial=FIRST), (25,),
    ),
    ("deep", _event(DEEP, DEEP), nonsense(says=EVENT), nonsense(says=EVENT, partial=FIRST), (26,)),
    (
        "broken-utf-8", _event(b'{"id":"\xff"}', b'{"id":"\xff"}'), nonsense(says=EVENT),
        nonsense(says=EVENT, partial=FIRST), (1,),
    ),
    (
        "choices-text", _event(b'{"choices":"x"}', b'{"output":{"choices":"x"}}'), nonsense(says=EVENT),
        nonsense(says=EVENT, partial=FIRST), (16,),
    ),
    (
        "content-number",
        _event(
            b'{"choices":[{"index":0,"delta":{"content":1}}]}',
            b'{"output":{"choices":[{"index":0,"message":{"content":1}}]}}',
        ),
        nonsense(says=EVENT), nonsense(says=EVENT, partial=FIRST), (16,),
    ),
    (
        "html-in-an-event", _event(b"<html>203.0.113.9</html>", b"<html>203.0.113.9</html>"),
        nonsense(says="^An event(?!.*203[.]0)"), nonsense(says="^An event(?!.*203[.]0)", partial=FIRST), (17,),
    ),
]  # fmt: skip


def _both(name: str, events: Events, first: Failed, after: Failed, failures: tuple[int, ...]) -> list[Fault]:
    settings = SHORT if first.attempts == 1 and first.retryable else {}

    def at_first(scene: Scene) -> Reply:
        return itertools.chain([HEAD], events(scene))

    def afterwards(scene: Scene) -> Reply:
        return itertools.chain([HEAD, chunk(begun(scene))], events(scene))

    once = []
    if first.attempts > 1 and name in {"closed", "ended-in-order", "slow-down", "failure"}:
        warns = "outcome is unknown" if first.outcome == "unknown" else None
        once = [Fault(f"{name}-at-first-once", at_first, Answered(attempts=2, warns=warns), (35, 37), modes=STREAMED)]
    return [
        Fault(f"{name}-at-first", at_first, first, failures, modes=STREAMED, settings=settings),
        Fault(f"{name}-afterwards", afterwards, after, (*failures, 37), modes=STREAMED, settings=settings),
        *once,
    ]


FAULTS = [
    *(fault for row in _BOTH for fault in _both(*row)),
    # In place of a stream.
    Fault(
        "html-in-place-of-a-stream", response(b"<html>203.0.113.9", content_type="text/html"),
        nonsense(status=200, says="html(?!.*203[.]0)|HTML"), (17, 18), modes=STREAMED,
    ),
    Fault("no-events", [HEAD, LAST_CHUNK], NO_EVENT, (18,), modes=STREAMED),
    Fault("comments-and-an-end", [HEAD, chunk(b": ping\n\n"), LAST_CHUNK], NOTHING_SAID, (18,), modes=STREAMED),
    Fault(
        "done-and-nothing-else", [HEAD, chunk(DONE), LAST_CHUNK], replace(NOTHING_SAID, says="no answer"), (18,),
        modes=STREAMED,
    ),
    # Bounds, which are small here.
    *(
        Fault(
            f"endless-{name}", lambda scene, piece=piece: itertools.chain(
                [HEAD, chunk(begun(scene))], [chunk(piece(scene))] * 300
            ),
            nonsense(partial=partial, says="larger than"), (24,), modes=STREAMED, bounds=True,
        )
        for name, piece, partial in (
            ("comments", lambda scene: b": " + b"c" * 100 + b"\n\n", FIRST),
            ("line", lambda scene: b"data: " + b"x" * 100, FIRST),
            ("event", lambda scene: b"data: " + b"x" * 100 + b"\n", FIRST),
            ("fields", lambda scene: b"x: " + b"y" * 100 + b"\n", FIRST),
        )
    ),
]  # fmt: skip
