"""Events: streams that look wrong and are read all the same, and what comes after an answer's end."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from typing import Any

from tests.faults.canaries import PIECES
from tests.faults.expectations import Answered
from tests.faults.fault import COMPATIBLE, NATIVE, STREAMED, Fault, Scene
from tests.faults.streams import DONE, HEAD
from tests.servers import CLOSE, HANG, LAST_CHUNK, RESET, Reply, chunk, sse_head
from tests.wires import dumps


def _said(make: Callable[[Scene, list[bytes]], Iterable[Any]]) -> Callable[[Scene], Reply]:
    """A whole stream whose steps `make` makes of the events of an answer."""
    return lambda scene: itertools.chain([HEAD], make(scene, scene.wire.events(PIECES)))


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Scene], Reply]:
    """A whole stream whose bytes are changed."""
    return _said(lambda scene, events: [chunk(change(b"".join(events))), LAST_CHUNK])


def _odd(name: str, reply: Any, failures: tuple[int, ...], expected: Any = None, **more: Any) -> Fault:
    """What looks wrong, and is read all the same."""
    return Fault(name, reply, expected or Answered(), failures, modes=STREAMED, **more)


def _text(text: str) -> Callable[[Scene], Reply]:
    """A stream of one text, in which every byte is a chunk."""
    return lambda scene: [
        HEAD,
        *(chunk(bytes([byte])) for event in scene.wire.events([text]) for byte in event),
        LAST_CHUNK,
    ]


def _extra(compatible: bytes, native: bytes) -> Callable[[Scene], Reply]:
    """A stream with an event more after its first one."""
    return _said(
        lambda scene, events: [
            chunk(events[0] + b"data: " + (native if scene.native else compatible) + b"\n\n"),
            *map(chunk, events[1:]),
            LAST_CHUNK,
        ]
    )


def _ends(scene: Scene, events: list[bytes], *, done: bool, reason: bool) -> list[Any]:
    """The events without their end mark, or without their finish_reason."""
    kept = [event for event in events if done or b"[DONE]" not in event]
    if not reason:
        kept = [event for event in kept if b'"finish_reason":"stop"' not in event]
        if scene.native and done:
            kept.append(DONE)
    return [*map(chunk, kept), LAST_CHUNK]


def _with_usage(value: bytes) -> Callable[[Scene], Reply]:
    """A stream whose count of input tokens is `value`."""
    return lambda scene: [
        HEAD,
        *(
            chunk(event.replace(b'tokens":5', b'tokens":' + value)) for event in scene.wire.events(PIECES)
        ),
        LAST_CHUNK,
    ]  # fmt: skip


def _text_first(scene: Scene) -> Reply:
    """A stream that begins with a byte order mark and then, in its first line, with text."""
    events = scene.wire.events(PIECES)
    data = re.sub(rb"(?m)^(id|event|:).*\n", b"", b"".join(events[0 if scene.native else 1 :]))
    return [HEAD, chunk(b"\xef\xbb\xbf" + data), LAST_CHUNK]


TWO = "a\u2028b\u2029c\x85d"

FAULTS = [
    # Ends.
    _odd(
        "finish-reason-without-done", _said(lambda scene, events: _ends(scene, events, done=False, reason=True)), (12,)
    ),
    _odd(
        "done-without-finish-reason", _said(lambda scene, events: _ends(scene, events, done=True, reason=False)), (12,),
        lambda scene: Answered(finish_reason=None, warns="without a finish_reason", usage=(5, 2)),
    ),
    _odd("open-after-the-end", _said(lambda scene, events: [*map(chunk, events), HANG]), (13,)),
    _odd("reset-after-the-end", _said(lambda scene, events: [chunk(b"".join(events)), RESET]), (13,)),
    _odd(
        "nonsense-after-the-end", _said(lambda scene, events: [chunk(b"".join(events) + b"data: no\n\n"), LAST_CHUNK]),
        (13,),
    ),
    _odd(
        "an-error-after-the-end",
        _said(lambda scene, events: [chunk(b"".join([*events, scene.wire.stream_error(500, "x")])), LAST_CHUNK]), (13,),
    ),
    _odd("one-line-end-at-the-end", _bytes(lambda data: data.removesuffix(b"\n")), (12,)),
    _odd("no-blank-line-at-the-end", _bytes(lambda data: data.removesuffix(b"\n\n")), (12,)),
    _odd("until-close", lambda scene: [sse_head(chunked=False), *scene.wire.events(PIECES), CLOSE], (12,)),
    _odd(
        "two-finish-reasons",
        _said(
            lambda scene, events: [
                *map(chunk, (event for event in scene.wire.events(PIECES, finish_reason="length") if event != DONE)),
                *map(chunk, events[-3 if not scene.native else len(events):]), LAST_CHUNK,
            ]
        ),
        (70,), Answered(finish_reason="length"),
    ),
    # Lines and bytes.
    _odd("byte-order-mark", _text_first, (3,)),
    _odd("carriage-returns", _bytes(lambda data: data.replace(b"\n", b"\r")), (2,)),
    _odd("carriage-returns-and-line-feeds", _bytes(lambda data: data.replace(b"\n", b"\r\n")), (2,)),
    _odd(
        "line-ends-cut-in-two",
        _said(
            lambda scene, events: [
                *(
                    chunk(part)
                    for event in events
                    for part in event.replace(b"\n", b"\r\n").replace(b"\r\n", b"\r\0\n").split(b"\0")
                ),
                LAST_CHUNK,
            ]
        ),
        (2,),
    ),
    _odd("no-space-after-the-colon", _bytes(lambda data: data.replace(b"data: ", b"data:")), (4,)),
    _odd("a-space-after-the-colon", _bytes(lambda data: data.replace(b"data:{", b"data: {")), (4, 27)),
    _odd("comments", _bytes(lambda data: data.replace(b"\n\n", b"\n\n: ping\n\n")), (4,)),
    _odd(
        "retry-and-id-only", _bytes(lambda data: b"retry: 3000\n\nid: 7\n\n" + data.replace(b"\n\n", b"\n\nid: 8\n\n")),
        (4,),
    ),
    _odd("unknown-fields", _bytes(lambda data: data.replace(b"data:", b"banana: 1\ndata:")), (4,)),
    _odd("several-lines-of-data", _bytes(lambda data: data.replace(b',"', b',\ndata: "')), (8,)),
    _odd("line-separators-in-the-text", _text(TWO), (5,), Answered(TWO)),
    _odd("characters-cut-in-two", _text("é你😀"), (1,), Answered("é你😀")),
    _odd(
        "charset-latin-1",
        lambda scene: [
            HEAD.replace(b"charset=UTF-8", b"charset=ISO-8859-1"), *map(chunk, scene.wire.events(["é你"])), LAST_CHUNK
        ],
        (6,), Answered("é你"),
    ),
    _odd("all-in-one-chunk", _bytes(lambda data: data), (1,)),
    _odd("byte-by-byte", _text("hello"), (1,), Answered("hello")),
    # Events that say nothing.
    _odd("no-choices", _extra(b'{"choices":[]}', b'{"output":{"choices":[]}}'), (9,)),
    _odd("choices-null", _extra(b'{"choices":null}', b'{"output":{"choices":null}}'), (9,)),
    _odd("choices-missing", _extra(b'{"id":"x"}', b'{"request_id":"x"}'), (9,)),
    _odd(
        "delta-null", _extra(b'{"choices":[{"index":0,"delta":null}]}', b'{"output":{"choices":[{"message":null}]}}'),
        (9,),
    ),
    _odd(
        "a-finish-reason-that-is-empty",
        _extra(
            b'{"choices":[{"index":0,"delta":{},"finish_reason":""}]}',
            b'{"output":{"choices":[{"message":{},"finish_reason":""}]}}',
        ),
        (70,),
    ),
    # Usage.
    _odd(
        "usage-missing",
        _said(
            lambda scene, events: [
                *(chunk(event) for event in events if b'"choices":[]' not in event), LAST_CHUNK
            ]
        ),
        (10, 44), Answered(usage=None), providers=COMPATIBLE,
    ),
    _odd("usage-true", _with_usage(b"true"), (44,), Answered(usage=(None, 2))),
    _odd("usage-negative", _with_usage(b"-5"), (44,), Answered(usage=(None, 2))),
    _odd("usage-text", _with_usage(b'"5"'), (44,), Answered(usage=(None, 2))),
    _odd("usage-null", _with_usage(b"null"), (44,), Answered(usage=(None, 2))),
    _odd(
        "usage-in-the-last-event-of-the-text",
        _said(
            lambda scene, events: [
                *(
                    chunk(event.replace(b'"usage":null', b'"usage":' + dumps(scene.wire.usage(7, 3))))
                    for event in events
                    if b'"choices":[]' not in event
                ),
                LAST_CHUNK,
            ]
        ),
        (10,), Answered(usage=(7, 3)), providers=COMPATIBLE,
    ),
    _odd(
        "a-used-up-native-event-name", _bytes(lambda data: data.replace(b"event:result", b"event: result")), (27,),
        providers=NATIVE,
    ),
]  # fmt: skip
