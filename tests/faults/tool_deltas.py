"""Tool deltas: fragments of tool calls that are hard to tell apart, or cut. Two calls' arguments are never joined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.faults.expectations import Answered, Expected, Failed, interrupted
from tests.faults.fault import STREAMED, Fault, Scene
from tests.servers import CLOSE, LAST_CHUNK, Reply, chunk, sse_head

from qonduit import ProtocolError

Fragment = dict[str, Any]
Calls = tuple[tuple[str | None, str, str], ...]


def _part(arguments: str, name: str | None = None, **more: Any) -> Fragment:
    function: dict[str, Any] = {"arguments": arguments}
    if name is not None:
        function["name"] = name
    return {"type": "function", "function": function, **more}


def _event(scene: Scene, fragments: list[Fragment], reason: str | None = None) -> bytes:
    """One event with `fragments`."""
    said = {"role": "assistant", "content": "", "tool_calls": fragments}
    if scene.native:
        reason = reason or "null"
        return scene.wire.event({"output": {"choices": [{"index": 0, "message": said, "finish_reason": reason}]}})
    return scene.wire.event({"choices": [{"index": 0, "delta": said, "finish_reason": reason}]})


def _stream(*fragments: Fragment, reason: str = "tool_calls", end: Any = None) -> Callable[[Scene], Reply]:
    """A stream with an event for each fragment, and then its end; in one piece, so that none is delivered alone."""

    def reply(scene: Scene) -> Reply:
        events = [_event(scene, [fragment]) for fragment in fragments]
        if end is not None:
            return [sse_head(), chunk(b"".join(events)), *end]
        finish = scene.wire.events([""], finish_reason=reason)
        return [sse_head(), chunk(b"".join([*events, *finish])), LAST_CHUNK]

    return reply


def _called(*calls: tuple[str | None, str, str], **more: Any) -> Answered:
    return Answered(**{"text": "", "finish_reason": "tool_calls", "calls": calls, **more})


def _fault(name: str, reply: Any, expected: Expected, failures: tuple[int, ...] = (69,)) -> Fault:
    return Fault(name, reply, expected, failures, modes=STREAMED)


NOBODYS = Failed(ProtocolError, "unknown", says="belongs to no call")
BOTH = _called(("a", "f", '{"x":1}'), ("b", "g", "[2]"))

FAULTS = [
    _fault(
        "ids-without-an-index",
        _stream(_part('{"x"', "f", id="a"), _part("[", "g", id="b"), _part(":1}", id="a"), _part("2]", id="b")),
        BOTH,
    ),
    _fault(
        "neither-id-nor-index",
        _stream(_part('{"x"', "f", id="a"), _part(":1}"), _part("[", "g", id="b"), _part("2]")),
        BOTH,
    ),
    _fault(
        "a-new-id-on-a-used-index",
        _stream(
            _part('{"x":1}', "f", id="a", index=0), _part("[", "g", id="b", index=0), _part("2]", index=0),
        ),
        BOTH,
    ),
    _fault(
        "an-index-that-drifts",
        _stream(_part('{"x"', "f", id="a", index=0), _part(":1}", id="a", index=1), _part("[2]", "g", id="b", index=2)),
        BOTH,
    ),
    _fault(
        "an-id-that-comes-late", _stream(_part('{"x"', "f", index=0), _part(":1}", id="a", index=0)),
        _called(("a", "f", '{"x":1}')),
    ),
    _fault(
        "ids-that-are-empty",
        _stream(
            _part("", "f", id="a", index=0), _part("", "g", id="b", index=1),
            _part("[2]", id="", index=1), _part('{"x":1}', id="", index=0),
        ),
        BOTH,
    ),
    _fault(
        "no-ids", _stream(_part('{"x":1}', "f", index=0), _part("[2]", "g", index=1)),
        _called((None, "f", '{"x":1}'), (None, "g", "[2]")),
    ),
    _fault(
        "one-name-twice", _stream(_part("{}", "f", id="a", index=0), _part("[]", "f", id="b", index=1)),
        _called(("a", "f", "{}"), ("b", "f", "[]")),
    ),
    _fault(
        "interleaved",
        _stream(
            _part('{"x"', "f", id="a", index=0), _part("[", "g", id="b", index=1), _part(":1}", index=0),
            _part("2]", index=1),
        ),
        BOTH,
    ),
    _fault("a-fragment-of-no-call", _stream(_part("{}", index=0)), NOBODYS),
    _fault("an-unknown-index", _stream(_part("{}", "f", id="a", index=0), _part("[]", index=3)), NOBODYS),
    _fault(
        "an-unknown-id-without-a-name",
        _stream(_part("{}", "f", id="a", index=0), _part("[]", id="b", index=0)), NOBODYS,
    ),
    _fault(
        "finish-reason-stop", _stream(_part("{}", "f", id="a", index=0), reason="stop"), _called(("a", "f", "{}")),
        (70,),
    ),
    _fault("arguments-null", _stream(_part(None, "f", id="a", index=0)), _called(("a", "f", "")), (69,)),  # type: ignore[arg-type]
    _fault(
        "arguments-cut-by-the-limit", _stream(_part('{"x"', "f", id="a", index=0), reason="length"),
        _called(("a", "f", '{"x"'), finish_reason="length", whole=False), (71,),
    ),
    _fault(
        "closed-within-arguments", _stream(_part('{"x"', "f", id="a", index=0), end=[CLOSE]), interrupted(""),
        (11, 37, 71),
    ),
    _fault(
        "ended-within-arguments", _stream(_part('{"x"', "f", id="a", index=0), end=[LAST_CHUNK]), interrupted(""),
        (11, 71),
    ),
    _fault(
        "an-error-within-arguments",
        lambda scene: [
            sse_head(), chunk(_event(scene, [_part('{"x"', "f", id="a", index=0)]) + b"data: oops\n\n"), LAST_CHUNK,
        ],
        Failed(ProtocolError, "unknown", partial=""), (37, 71),
    ),
]  # fmt: skip
