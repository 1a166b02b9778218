"""Before the headers: connections that end, hang, or say what is no HTTP, where an answer should begin."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import replace

from tests.faults.canaries import ANSWER
from tests.faults.expectations import Answered, Failed, broken, late
from tests.faults.fault import ONE_OF_EACH_WIRE, Case, Fault, Scene
from tests.faults.places import Place, script_of
from tests.servers import CLOSE, HANG, RESET, Drip, Pause, Reply, ScriptedServer, head

from qonduit import ProtocolError

JSON = {"content-type": "application/json"}
BILLED_TWICE = "outcome is unknown and it may have been billed"
SHORT = {"timeout": 0.15}
"""A limit for what never comes; two attempts of it are 0.3 s."""
ENDLESS = Failed(ProtocolError, "unknown", says="larger than 102400 bytes")
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"


def _whole(scene: Scene) -> bytes:
    """A good answer as one piece of bytes."""
    reply = scene.good()
    return reply if isinstance(reply, bytes) else b"".join(step for step in reply if isinstance(step, bytes))


def _twice(scene: Scene) -> bytes:
    """An answer, and in the same bytes another one that nobody asked for."""
    other = scene.wire.stream_reply(["stale"]) if scene.streamed else scene.wire.plain_reply("stale")
    stale = other if isinstance(other, bytes) else b"".join(step for step in other if isinstance(step, bytes))
    return _whole(scene) + stale


def _http_1_0(scene: Scene) -> Reply:
    """An answer in HTTP/1.0, which ends with its connection."""
    wire = scene.wire
    if scene.streamed:
        body, kind = b"".join(wire.events([ANSWER])), "text/event-stream"
    else:
        body, kind = wire.plain_reply(ANSWER).split(b"\r\n\r\n", 1)[1], "application/json"
    return [f"HTTP/1.0 200 OK\r\ncontent-type: {kind}\r\n\r\n".encode() + body, CLOSE]


def _hints(count: int, *then: object) -> list[object]:
    return [EARLY_HINTS * count, *then]


@contextlib.contextmanager
def _answering_at_once(case: Case) -> Iterator[Place]:
    """A server that answers each connection before it has read the request."""
    answer = _whole(case.scene)
    with ScriptedServer(lambda _: b"", greeting=[answer]) as server:
        yield Place(server.url, server)


@contextlib.contextmanager
def _leaving(case: Case) -> Iterator[Place]:
    """A server that closes its connections when the first call has been answered, as one does with idle ones."""
    script = script_of(case)
    with ScriptedServer(lambda request: [*_steps(script(request)), CLOSE]) as server:
        yield Place(server.url, server)


def _steps(reply: Reply) -> list[object]:
    return [reply] if isinstance(reply, bytes) else list(reply)


_FAULTS = [
    # The connection ends.
    Fault("closed", [CLOSE], broken(), (19,)),
    Fault("closed-once", [CLOSE], Answered(attempts=2, warns=BILLED_TWICE), (35,)),
    Fault("reset", [RESET], broken(), (19,)),
    Fault("reset-once", [RESET], Answered(attempts=2, warns=BILLED_TWICE), (35,)),
    Fault("closed-without-retries", [CLOSE], broken(attempts=1), (35,), settings={"max_retries": 0}),
    Fault("closed-in-the-status-line", [b"HTTP/1.1 20", CLOSE], broken(), (19,)),
    Fault("closed-in-a-header", [b"HTTP/1.1 200 OK\r\ncontent-le", CLOSE], broken(), (19,)),
    Fault("reset-in-a-header", [b"HTTP/1.1 200 OK\r\ncontent-le", RESET], broken(), (19,)),
    # Connections that are kept for the next call.
    Fault("kept-connection-closed", [CLOSE], Answered(seen=2), (36,), warm=True),
    Fault("kept-connection-reset", [RESET], Answered(seen=2), (36,), warm=True),
    Fault("kept-connection-closed-within-an-answer", [b"HTTP/1.1 200", CLOSE], broken(), (36,), warm=True),
    Fault(
        "kept-connection-closed-while-idle", lambda scene: scene.good(), Answered(), (36,), warm=True, place=_leaving
    ),
    # Nothing comes, or too slowly.
    Fault("hang", [HANG], late(), (35,), settings=SHORT),
    Fault("hang-once", [HANG], Answered(attempts=2, warns=BILLED_TWICE), (35,), parameters=SHORT),
    Fault("hang-in-a-header", [b"HTTP/1.1 200 OK\r\nx:", HANG], late(attempts=1), settings={**SHORT, "max_retries": 0}),
    Fault(
        "headers-that-drip",
        [Drip(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 80, 8.0)],
        late(attempts=1),
        (22,),
        settings={**SHORT, "max_retries": 0},
    ),
    Fault(
        "early-hints-that-never-end",
        lambda scene: itertools.chain.from_iterable((EARLY_HINTS, Pause(0.02)) for _ in range(400)),
        late(attempts=1),
        (22,),
        settings={**SHORT, "max_retries": 0},
    ),
    Fault("deadline-of-the-call", [HANG], late(attempts=1, says="deadline"), (38,), parameters={"deadline": 0.15}),
    # Bytes that are no HTTP.
    Fault("another-protocol", [b"SSH-2.0-OpenSSH_9.6\r\n", CLOSE], broken()),
    Fault("no-status-line", [b"<html></html>\r\n\r\n", CLOSE], broken()),
    Fault("a-status-that-is-no-number", [b"HTTP/1.1 banana OK\r\n\r\n", CLOSE], broken()),
    Fault("a-status-of-four-digits", [b"HTTP/1.1 2000 OK\r\n\r\n", CLOSE], broken()),
    Fault("a-header-without-a-colon", [b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", CLOSE], broken()),
    Fault("a-header-with-a-null", [b"HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n", CLOSE], broken()),
    Fault("a-header-of-200-kB", [b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000, HANG], ENDLESS, (24,)),
    Fault("headers-of-1-MB", [b"HTTP/1.1 200 OK\r\n" + b"x: yyyyyyyy\r\n" * 80_000, HANG], ENDLESS, (24,)),
    Fault("a-length-that-is-no-number", [head(200, {**JSON, "content-length": "many"}), CLOSE], broken()),
    Fault("a-negative-length", [head(200, {**JSON, "content-length": "-5"}), CLOSE], broken()),
    Fault("two-lengths", [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n", CLOSE], broken()),
    Fault("an-unknown-framing", [head(200, {**JSON, "transfer-encoding": "banana"}), CLOSE], broken()),
    # What looks wrong and is not.
    Fault("early-hints", lambda scene: _hints(1, _whole(scene)), Answered()),
    Fault("a-storm-of-early-hints", lambda scene: _hints(200, _whole(scene)), Answered()),
    Fault("early-hints-in-place-of-an-answer", lambda _: _hints(3, CLOSE), broken()),
    Fault("http-1.0", _http_1_0, Answered()),
    Fault("an-answer-before-the-request", b"", Answered(), place=_answering_at_once, goes_on=False),
    Fault("two-answers-to-one-request", _twice, Answered()),
]

FAULTS = [replace(fault, providers=ONE_OF_EACH_WIRE) for fault in _FAULTS]
