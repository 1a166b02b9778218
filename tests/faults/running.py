"""Running one case: ask as its scene says, compare with what is expected, and check what must hold after every case.

The cases are shared out between httpcore and httptools, `Case.library`; with `QONDUIT_HTTP_LIBRARY` set all of them run
over that one.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.faults import canaries, invariants
from tests.faults.books import Books
from tests.faults.expectations import MAX_RETRIES, Answered, Left
from tests.faults.fault import Case
from tests.faults.places import Place, scripted
from tests.faults.told import Asker, Told

from qonduit import Call, Middleware, middleware
from qonduit.middlewares import MiddlewareFlow
from qonduit.sse import EventDecoder

PATIENCE = 4.0
"""Seconds that a call may take beyond its limits, on a slow machine; what never ends here goes on for longer."""
ROOMY = 10.0
"""Seconds that are never used up where time is not what a fault is about."""
BOUND = 10_000
"""Bytes of a body, a stream or an event, where the bounds are small."""
NOWHERE = "http://127.0.0.1:9"
LIBRARY = "QONDUIT_HTTP_LIBRARY"


@dataclass
class Tools:
    """What all cases share, and what each is watched by."""

    books: Books
    monkeypatch: pytest.MonkeyPatch
    caplog: pytest.LogCaptureFixture
    capsys: pytest.CaptureFixture[str]
    delays: list[float | None] = field(default_factory=list)

    def watcher(self) -> Middleware:
        """A middleware that takes down what each attempt was waited for."""

        @middleware("watcher", scope="attempt")
        def watcher(call: Call) -> MiddlewareFlow:
            self.delays.append(call.retry_delay)
            yield call.request
            return None

        return watcher


def run(case: Case, tools: Tools) -> None:
    """Run one case and check everything. Raises: AssertionError."""
    fault, scene = case.fault, case.scene
    expected = fault.expectation(scene)
    tools.books.begin()
    with _bounds(fault.bounds, tools.monkeypatch), (fault.place or scripted)(case) as place:
        _prepare(case, place, tools.monkeypatch)
        with Asker(scene.asynchronous, _arguments(case, place, tools)) as asker:
            if fault.warm:
                Answered().check(asker.ask(_parameters(case, good=True)))
                tools.books.new_rows()
                tools.delays.clear()
            before = place.seen()
            started = time.monotonic()
            told = asker.ask(_parameters(case), fault.consumer)
            assert time.monotonic() - started < PATIENCE, "the call hung"
            expected.check(told)
            if before is not None:
                seen = expected.attempts if expected.seen is None else expected.seen
                assert place.seen(before + seen) == before + seen
            invariants.check_attempts(tools.delays, expected)
            invariants.check_books(tools.books, expected)
            invariants.check_error(told.error, expected)
            told = Told(scene.streamed)  # lets go of the error, its frames and its response
            if not (isinstance(expected, Left) and expected.settled_later):
                invariants.check_client(asker)
            if fault.goes_on:
                Answered().check(asker.ask(_parameters(case, good=True)))
                invariants.check_client(asker)
                invariants.check_books(tools.books, Answered())
        if place.server is not None:
            assert place.server.wait_open(0), "a connection is open after the client was closed"
        assert tools.books.unsettled() == 0
        invariants.check_loop(asker)
    invariants.check_outputs(tools.caplog, tools.capsys)


def _prepare(case: Case, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process as the place wants it: by default with a proxy that is not for this host."""
    monkeypatch.setenv(LIBRARY, os.environ.get(LIBRARY) or case.library)
    proxy = f"http://user:{canaries.PROXY_PASSWORD}@{NOWHERE.removeprefix('http://')}"
    environment = {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "NO_PROXY": "127.0.0.1,localhost,.invalid"}
    for name, value in {**environment, **place.environment}.items():
        monkeypatch.setenv(name, value)
    for name, replacement in place.patches.items():
        monkeypatch.setattr(name, replacement)


def _arguments(case: Case, place: Place, tools: Tools) -> dict[str, Any]:
    return {
        "provider": case.scene.provider,
        "model": "qwen-plus",
        "api_key": canaries.KEY,
        "base_url": place.url + case.scene.wire.prefix,
        "timeout": ROOMY,
        "max_retries": MAX_RETRIES,
        "tags": {"tenant": canaries.TENANT},
        "plugins": ["logging", tools.books.plugin, tools.watcher()],
        **case.fault.settings,
        **place.settings,
    }


def _parameters(case: Case, *, good: bool = False) -> dict[str, Any]:
    """Arguments of a call: of the one that meets the fault, or of a `good` one before or after it."""
    return {
        "messages": [{"role": "user", "content": canaries.PROMPT}],
        "extra_headers": {"x-canary": canaries.HEADER},
        "stream": case.scene.streamed,
        **({"timeout": ROOMY} if good else case.fault.parameters),
    }


@contextlib.contextmanager
def _bounds(small: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not small:
        yield
        return
    with monkeypatch.context() as patches:
        patches.setattr("qonduit._http.MAX_BODY_BYTES", BOUND)
        patches.setattr("qonduit._reading.MAX_STREAM_BYTES", BOUND)
        patches.setitem(EventDecoder.__init__.__kwdefaults__, "max_event_bytes", BOUND // 2)
        yield
