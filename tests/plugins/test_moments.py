"""Each documented moment comes exactly once: every hook, part and layer, in every mode, however a call goes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tests.pipeline.memory import MemoryTransport, Reply, refused, said
from tests.pipeline.modes import Mode
from tests.plugins.test_failing_plugins import HOOKS

from qonduit import APIError, hookimpl, middleware


class Counted:
    """A part that counts how often each of its methods is called."""

    def __init__(self, part: Any, name: str, counts: Counter[str]) -> None:
        self._part, self._name, self._counts = part, name, counts

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._part, method)

        def call(*arguments: Any, **given: Any) -> Any:
            self._counts[f"{self._name}.{method.removeprefix('a')}"] += 1
            return found(*arguments, **given)

        return call


class Spy:
    """A plugin that wraps every part, and has a layer of each scope and kind."""

    name = "spy"

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def _wrap(self, hook: str) -> Any:
        part = yield
        self.counts[hook] += 1
        return Counted(part, hook.removeprefix("qonduit_"), self.counts)

    def _layer(self, name: str, **terms: Any) -> Any:
        def through(call: Any) -> Any:
            self.counts[f"{name} in"] += 1
            try:
                return (yield call.request)
            finally:
                self.counts[f"{name} out"] += 1

        return middleware(name, **terms)(through)

    def _on_chunk(self, call: Any, chunk: Any) -> Any:
        self.counts["on_chunk"] += 1
        return chunk

    @hookimpl
    def qonduit_middleware(self) -> Any:
        self.counts["qonduit_middleware"] += 1
        yield self._layer("call", wraps="cache")
        yield self._layer("chunks", stream="transform", on_chunk=self._on_chunk)
        yield self._layer("attempt", scope="attempt")

    qonduit_auth = hookimpl(wrapper=True)(lambda self, profile: (yield from self._wrap("qonduit_auth")))
    qonduit_request_builder = hookimpl(wrapper=True)(
        lambda self, profile: (yield from self._wrap("qonduit_request_builder"))
    )
    qonduit_transport = hookimpl(wrapper=True)(lambda self, profile: (yield from self._wrap("qonduit_transport")))
    qonduit_response_normalizer = hookimpl(wrapper=True)(
        lambda self, profile: (yield from self._wrap("qonduit_response_normalizer"))
    )
    qonduit_retry_policy = hookimpl(wrapper=True)(lambda self, profile: (yield from self._wrap("qonduit_retry_policy")))


def layers(calls: int, attempts: int) -> dict[str, int]:
    """How often each layer is entered, and left."""
    counts = {"call": calls, "chunks": calls, "attempt": attempts}
    return {f"{name} {way}": count for name, count in counts.items() for way in ("in", "out") if count}


ANSWER = said("Hel", "lo")
CASES: dict[str, tuple[list[Reply], int, dict[str, int]]] = {
    # the script, how many calls, and how often: attempts, answers, errors, delays asked for
    "an answer": ([ANSWER], 1, {"attempts": 1, "answers": 1, "errors": 0, "delays": 0}),
    "an error": ([refused(400)], 1, {"attempts": 1, "answers": 0, "errors": 1, "delays": 1}),
    "a retry": ([refused(503), ANSWER], 1, {"attempts": 2, "answers": 1, "errors": 1, "delays": 1}),
    "two retries": ([refused(503)] * 2 + [ANSWER], 1, {"attempts": 3, "answers": 1, "errors": 2, "delays": 2}),
    "no retry left": ([refused(503)] * 2, 1, {"attempts": 2, "answers": 0, "errors": 2, "delays": 2}),
    "two calls": ([ANSWER], 2, {"attempts": 2, "answers": 2, "errors": 0, "delays": 0}),
}


@pytest.mark.F77
@pytest.mark.parametrize("name", CASES)
async def test_each_moment_comes_once(mode: Mode, no_waiting: None, name: str) -> None:
    """Hooks when the client is built; parts once an attempt; layers once a call or an attempt; chunks once each."""
    script, calls, often = CASES[name]
    spy = Spy()
    client = mode.client(MemoryTransport(*script), spy, max_retries=1 if name == "no retry left" else 3)
    assert spy.counts == dict.fromkeys(HOOKS, 1)
    spy.counts.clear()
    chunks = 0
    for _ in range(calls):
        try:
            chunks += len((await mode.ask(client)).chunks)
        except APIError:
            assert not often["answers"]
    attempts, answers = often["attempts"], often["answers"]
    expected = {
        **layers(calls, attempts),
        "request_builder.build": attempts,
        "auth.flow": attempts,
        "transport.stream" if mode.streamed else "transport.send": attempts,
        "response_normalizer.decoder" if mode.streamed else "response_normalizer.normalize": answers,
        "response_normalizer.error": often["errors"],
        "retry_policy.delay": often["delays"],
        "on_chunk": chunks,
    }
    assert spy.counts == {moment: count for moment, count in expected.items() if count}
    spy.counts.clear()
    await mode.leave(client)
    await mode.leave(client)
    assert sum(spy.counts.values()) == 1  # the transport's close


@pytest.mark.F77
async def test_each_moment_of_a_hit_comes_once(mode: Mode) -> None:
    """A hit is seen by the layers around the cache, and by nothing within."""
    spy = Spy()
    client = mode.client(MemoryTransport(ANSWER), spy, "cache")
    await mode.ask(client)
    spy.counts.clear()
    assert (await mode.ask(client)).response.cached
    chunked = {name: count for name, count in spy.counts.items() if name != "on_chunk"}
    assert chunked == {"call in": 1, "call out": 1, "chunks in": 1, "chunks out": 1}
    await mode.leave(client)


@pytest.mark.F77
async def test_each_moment_of_a_stream_that_is_left_comes_once(streaming: Mode) -> None:
    """A stream that is closed early leaves every layer once."""
    spy = Spy()
    client = streaming.client(MemoryTransport(ANSWER), spy)
    spy.counts.clear()
    stream = await streaming.start(client)
    await streaming.next(stream)
    await streaming.leave(stream)
    await streaming.leave(stream)
    assert {name: spy.counts[name] for name in layers(1, 1)} == layers(1, 1)
    assert spy.counts["on_chunk"] == 1
