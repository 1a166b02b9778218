"""Calls of a burst that wait for their turn instead of being refused."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from qonduit_emulator import DEFAULT_API_KEY, Books, create_app
from qonduit_emulator._accounts import parse_account
from qonduit_emulator._books import with_key
from qonduit_emulator._configuration import Configuration
from qonduit_emulator._waiting_room import wait_seconds

from .clocks import Clock, Timeline
from .test_server import _Embedded

CHAT = "/compatible-mode/v1/chat/completions"
TEXT = "/api/v1/services/aigc/text-generation/generation"
EMBEDDINGS = "/compatible-mode/v1/embeddings"
MESSAGES = [{"role": "user", "content": "hi"}]
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"model": "qwen-plus", "messages": MESSAGES},
    TEXT: {"model": "qwen-plus", "input": {"messages": MESSAGES}},
    EMBEDDINGS: {"model": "text-embedding-v4", "input": "hi"},
}
CODES = {CHAT: "limit_burst_rate", TEXT: "Throttling.BurstRate", EMBEDDINGS: "limit_burst_rate"}
both_wires = pytest.mark.parametrize("path", [CHAT, TEXT])


class Desk:
    """An emulator with limits, on a timeline, and the statuses of its answers in the order in which they came."""

    def __init__(self, **limits: int) -> None:
        self.time = Timeline()
        self.books = open_books(self.time, **limits)
        self.app = create_app(books=self.books, sleep=self.time.sleep)
        self.answers: list[tuple[str, int]] = []
        self.documents: dict[str, Any] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://test")

    async def ask(
        self, name: str, path: str = CHAT, wait: str | None = "10", *, streamed: bool = False, **options: Any
    ) -> asyncio.Task[None]:
        """Call, and see what becomes of it without any time passing."""
        headers = headers_of(wait) | ({"X-DashScope-SSE": "enable"} if streamed else {})
        task = asyncio.create_task(self._ask(name, path, headers, options))
        self._tasks.append(task)
        await self.time.go_on()
        return task

    async def call(self, name: str, **options: Any) -> None:
        """Call without waiting, and wake nobody."""
        await self._ask(name, CHAT, headers_of(None), options)

    async def _ask(self, name: str, path: str, headers: dict[str, str], options: dict[str, Any]) -> None:
        answer = await self._http.post(path, json=BODIES[path] | options, headers=headers)
        self.documents[name] = answer.text if "event-stream" in answer.headers["content-type"] else answer.json()
        self.answers.append((name, answer.status_code))

    @property
    def requests(self) -> int:
        """How many calls were counted."""
        return sum(used.requests for used in self.books.ledger.usage("default").values())


def open_books(clock: Clock, **limits: int) -> Books:
    books = Books(with_key(Configuration(), None, DEFAULT_API_KEY), clock=clock)
    books.put_account(parse_account("default", {"limits": limits}, "test"))
    return books


def headers_of(wait: str | None) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {DEFAULT_API_KEY}"}
    return headers if wait is None else headers | {"X-DashScope-Wait-Timeout": wait}


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(scene(), 20))


@pytest.mark.parametrize("path", [CHAT, TEXT, EMBEDDINGS])
def test_they_go_in_the_order_in_which_they_came(path: str) -> None:
    """Two a second: of five at once two go now, two a second later, and the last one another second later."""

    async def scene() -> None:
        desk = Desk(requests_per_second=2)
        for name in "abcde":
            await desk.ask(name, path)
        assert desk.answers == [("a", 200), ("b", 200)]
        await desk.time.go_on(0.99)
        assert len(desk.answers) == 2
        await desk.time.go_on(0.01)
        assert desk.answers[2:] == [("c", 200), ("d", 200)]
        await desk.time.go_on(1)
        assert desk.answers[4:] == [("e", 200)]
        assert (desk.requests, desk.time.sleepers) == (5, 0)

    play(scene)


@both_wires
def test_streams_wait_too(path: str) -> None:
    """A stream that waited is a stream like any other."""

    async def scene() -> None:
        desk = Desk(requests_per_second=1)
        options = {"stream": True} if path == CHAT else {}
        for name in "ab":
            await desk.ask(name, path, streamed=True, **options)
        assert desk.answers == [("a", 200)]
        await desk.time.go_on(1)
        assert desk.answers == [("a", 200), ("b", 200)]
        assert '"finish_reason":"stop"' in desk.documents["b"]

    play(scene)


@both_wires
def test_the_usual_refusal_when_the_time_is_up(path: str) -> None:
    """The one that does not get its turn is refused as one that did not wait, and was no request."""

    async def scene() -> None:
        desk = Desk(requests_per_second=1)
        await desk.ask("goes", path)
        await desk.ask("refused", path, wait=None)
        for name in ("second", "late"):
            await desk.ask(name, path, wait="1.5")
        await desk.time.go_on(1.4)
        assert desk.answers == [("goes", 200), ("refused", 429), ("second", 200)]
        await desk.time.go_on(0.1)
        assert desk.answers[3:] == [("late", 429)]
        late, refused = (desk.documents[name] for name in ("late", "refused"))
        for document in (late, refused):
            assert document.pop("request_id")
            document.pop("id", None)
        assert late == refused
        assert late.get("error", late)["code"] == CODES[path]
        assert (desk.requests, desk.time.sleepers) == (2, 0)

    play(scene)


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"requests_per_minute": 0}, "limit_requests"),
        ({"tokens_per_minute": 0}, "insufficient_quota"),
        ({"concurrency": 0}, "throttling"),
        ({"requests_per_day": 0}, "limit_requests"),
    ],
    ids=str,
)
def test_only_bursts_wait(limits: dict[str, int], code: str) -> None:
    """Any other limit refuses at once, whether the call asks to wait or not; also one whose turn has come."""

    async def scene() -> None:
        desk = Desk(**limits)
        await desk.ask("a")
        assert (desk.answers, desk.time.sleepers) == ([("a", 429)], 0)
        assert desk.documents["a"]["error"]["code"] == code
        desk = Desk(requests_per_second=1)
        await desk.ask("a")
        await desk.ask("b")
        desk.books.change_account("default", {"limits": limits})
        await desk.time.go_on(1)
        assert desk.answers == [("a", 200), ("b", 429)]
        assert desk.documents["b"]["error"]["code"] == code

    play(scene)


def test_nobody_overtakes() -> None:
    """A place that is free belongs to who waits for it; other models have their own."""

    async def scene() -> None:
        desk = Desk(requests_per_second=1)
        await desk.ask("a")
        await desk.ask("b")
        desk.time.advance(1)  # there is a place, but b has not woken up yet
        await desk.call("c")
        await desk.call("other", model="qwen-max")
        assert desk.answers == [("a", 200), ("c", 429), ("other", 200)]
        await desk.time.go_on()
        assert desk.answers[3:] == [("b", 200)]

    play(scene)


def test_the_limit_may_be_lifted() -> None:
    """Without the limit nobody has to wait any more, whoever comes."""

    async def scene() -> None:
        desk = Desk(requests_per_second=0)
        await desk.ask("a")
        desk.books.change_account("default", {"limits": {"requests_per_second": None}})
        await desk.ask("b", wait=None)
        assert desk.answers == [("b", 200)]
        await desk.time.go_on(1)
        assert desk.answers == [("b", 200), ("a", 200)]

    play(scene)


def test_who_leaves_is_forgotten() -> None:
    """The first and the last of the queue leave; the one between them moves up, and only answers are counted."""

    async def scene() -> None:
        desk = Desk(requests_per_second=1)
        await desk.ask("a")
        first = await leaving_call(desk)
        await desk.ask("b")
        last = await leaving_call(desk)
        assert desk.time.sleepers == 3
        for left in (first, last):
            left.set()
            await desk.time.go_on()
        assert desk.time.sleepers == 1
        await desk.time.go_on(1)
        assert desk.answers == [("a", 200), ("b", 200)]
        assert (desk.requests, desk.time.sleepers) == (2, 0)
        await desk.time.go_on(1)
        await desk.ask("c", wait=None)
        assert desk.answers[2:] == [("c", 200)]

    async def leaving_call(desk: Desk) -> asyncio.Event:
        """A call whose client leaves when the event is set."""
        left, sent = asyncio.Event(), False

        async def receive() -> dict[str, Any]:
            nonlocal sent
            if not sent:
                sent = True
                return {"type": "http.request", "body": json.dumps(BODIES[CHAT]).encode(), "more_body": False}
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            assert left.is_set()

        headers = [(name.lower().encode(), value.encode()) for name, value in headers_of("60").items()]
        scope = {"type": "http", "method": "POST", "path": CHAT, "headers": headers, "query_string": b""}
        calls.append(asyncio.ensure_future(desk.app(scope, receive, send)))
        await desk.time.go_on()
        return left

    calls: list[asyncio.Future[None]] = []
    play(scene)
    assert all(call.done() and call.exception() is None for call in calls)


def test_a_call_that_is_cancelled_is_forgotten() -> None:
    """A server that cancels its calls leaves nothing behind either."""

    async def scene() -> None:
        desk = Desk(requests_per_second=1)
        await desk.ask("a")
        task = await desk.ask("b")
        await desk.ask("c")
        task.cancel()
        await desk.time.go_on(1)
        assert desk.answers == [("a", 200), ("c", 200)]
        assert desk.time.sleepers == 0

    play(scene)


def test_over_the_network() -> None:
    """A client that closes its connection while it waits ends the wait; the server stops with one waiting."""
    asleep, ended = threading.Semaphore(0), threading.Semaphore(0)

    async def sleep(seconds: float) -> None:
        asleep.release()
        try:
            await asyncio.Event().wait()
        finally:
            ended.release()

    books = open_books(Clock(), requests_per_second=0)
    with _Embedded(create_app(books=books, sleep=sleep)) as url:
        for _ in range(2):
            _post_in_vain(url, 0.05)
            assert asleep.acquire(timeout=5)
            assert ended.acquire(timeout=5)
        waiting = threading.Thread(target=_post_in_vain, args=(url, 10))
        waiting.start()
        assert asleep.acquire(timeout=5)
    waiting.join(5)
    assert not waiting.is_alive()
    assert ended.acquire(timeout=5)


def _post_in_vain(url: str, seconds: float) -> None:
    with contextlib.suppress(httpx.TransportError):
        httpx.post(url, json=BODIES[CHAT], headers=headers_of("60"), trust_env=False, timeout=seconds)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3),
        ("2.5", 2.5),
        ("120", 120),
        ("1000", 120),
        ("inf", 120),
        ("0", 0),
        ("-1", 0),
        ("nan", 0),
        ("soon", 0),
        ("", 0),
    ],
)
def test_how_long(text: str, seconds: float) -> None:
    """Two minutes at most; what is no time is no wish to wait."""
    assert wait_seconds({"x-dashscope-wait-timeout": text}) == seconds
    assert wait_seconds({}) == 0


def test_two_minutes_at_most() -> None:
    """Who asks for an hour is refused after two minutes."""

    async def scene() -> None:
        desk = Desk(requests_per_second=0)
        await desk.ask("a", wait="3600")
        await desk.time.go_on(119)
        assert desk.answers == []
        await desk.time.go_on(1)
        assert desk.answers == [("a", 429)]

    play(scene)
