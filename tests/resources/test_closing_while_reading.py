"""A stream that one thread or task reads and another one closes: the reading ends, and all is settled once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from tests.pipeline.layers import recorder
from tests.resources.echo import EchoProcess
from tests.resources.state import busy, free_slots
from tests.servers import HANG, chunk, sse_head
from tests.transport.driving import ASK, arguments
from tests.wires import WIRES

from qonduit import AsyncClient, Client, middleware

pytestmark = [pytest.mark.F48, pytest.mark.usefixtures("http_library")]

WIRE = WIRES["qwen"]
ANSWER = WIRE.plain_reply("hello")
HANGING = [sse_head(), chunk(WIRE.piece("a")), HANG]
LEFT = ["call in", "attempt in", "attempt incomplete", "call incomplete"]
PROMPTLY = 3.0
"""Seconds: what is ended by a close, and not by the client's `timeout` of 10."""


def layers(log: list[str]) -> list[Any]:
    return [recorder("call", log), recorder("attempt", log, scope="attempt")]


class Reading:
    """A thread that reads a stream to its end."""

    def __init__(self, stream: Any) -> None:
        self.texts: list[str] = []
        self.error: BaseException | None = None
        self._stream = stream
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        try:
            for found in self._stream:
                self.texts.append(found.choices[0].delta.content)
        except BaseException as error:
            self.error = error

    def wait_blocked(self) -> None:
        """Wait until it is inside of the stream's reading."""
        deadline = time.monotonic() + PROMPTLY
        while not self._stream._reading:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def wait_ended(self) -> None:
        self.thread.join(PROMPTLY)
        assert not self.thread.is_alive()


@pytest.mark.parametrize("kind", ["plain", "TLS", "httpx", "a proxy"])
def test_closing_from_a_watchdog_ends_a_blocked_read(kind: str, serve: Any, tmp_path, monkeypatch) -> None:
    """A read that waits ends at once as the stream's end; every layer settles once, the connection is closed."""
    log: list[str] = []
    server = serve([HANGING, ANSWER])
    url = server.url
    more: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        if kind == "TLS":
            url, authority = stack.enter_context(behind_tls(int(url.rpartition(":")[2]), tmp_path))
            monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        elif kind == "httpx":
            more["http_client"] = stack.enter_context(httpx.Client(trust_env=False))
        elif kind == "a proxy":
            monkeypatch.setenv("HTTP_PROXY", url)
            url = "http://far.example"
        with Client(**arguments(url, plugins=layers(log), **more)) as client:
            stream = client.chat.completions.create(messages=ASK, stream=True)
            reading = Reading(stream)
            reading.wait_blocked()
            started = time.monotonic()
            stream.close()
            assert time.monotonic() - started < PROMPTLY
            reading.wait_ended()
            assert (reading.texts, reading.error) == (["a"], None)
            assert log == LEFT
            assert (stream.response.text, stream.response.complete) == ("a", False)
            assert server.wait_open(0)
            log.clear()
            assert client.chat.completions.create(messages=ASK).text == "hello"


@contextlib.contextmanager
def behind_tls(port: int, folder: Path) -> Iterator[tuple[str, Path]]:
    """TLS in front of a plain server, which gets a connection for each: its URL, and the file of its authority."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    def carry(near: ssl.SSLSocket, far: socket.socket, answers: threading.Thread) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(65536):
                far.sendall(data)
        far.shutdown(socket.SHUT_RDWR)
        answers.join()
        near.close()
        far.close()

    def answer(near: ssl.SSLSocket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(65536):
                near.sendall(data)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                near = context.wrap_socket(listener.accept()[0], server_side=True)
                far = socket.create_connection(("127.0.0.1", port))
                answers = threading.Thread(target=answer, args=(near, far))
                threads.extend([answers, threading.Thread(target=carry, args=(near, far, answers))])
                for thread in threads[-2:]:
                    thread.start()

    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept)
        accepting.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", folder / "authority.pem"
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()
    for thread in threads:
        thread.join()


def test_closing_while_a_layer_works_leaves_the_settling_to_the_reader(serve: Any) -> None:
    """`close` never runs a flow that another thread is in: layer code is entered by one thread at a time."""
    entered, go_on, threads = threading.Event(), threading.Event(), []

    @middleware("slow", stream="transform", on_chunk=lambda call, found: work(found))
    def slow(call):
        response = yield call.request
        threads.append(threading.current_thread())
        return response

    def work(found: Any) -> Any:
        if found.choices and found.choices[0].delta.content == "b":
            entered.set()
            go_on.wait(PROMPTLY)
        return found

    both = [sse_head(), chunk(WIRE.piece("a")), threading.Event(), chunk(WIRE.piece("b")), HANG]
    server = serve([both])
    with Client(**arguments(server, plugins=[slow])) as client:
        stream = client.chat.completions.create(messages=ASK, stream=True)
        reading = Reading(stream)
        both[2].set()
        assert entered.wait(PROMPTLY)
        closer = threading.Thread(target=stream.close)
        closer.start()
        go_on.set()
        closer.join(PROMPTLY)
        reading.wait_ended()
        assert reading.error is None
        assert threads == [reading.thread]
        assert not stream.response.complete
    assert server.wait_open(0)


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    """A server that echoes, in a process of its own."""
    with EchoProcess() as url:
        yield url


def test_closing_at_any_moment(echo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """300 streams, each closed by another thread at another moment of its reading: no error, no lost slot."""
    monkeypatch.setenv("QONDUIT_MAX_CONNECTIONS", "2")
    ends: list[str] = []

    @middleware("count")
    def count(call):
        response = yield call.request
        ends.append("complete" if response.complete else "incomplete")
        return response

    with Client(**arguments(echo, plugins=[count])) as client:
        messages = [{"role": "user", "content": "slowly does it"}]
        for number in range(300):
            stream = client.chat.completions.create(messages=messages, stream=True)
            reading = Reading(stream)
            closer = threading.Thread(target=lambda stream=stream, wait=number: (spin(wait), stream.close()))
            closer.start()
            closer.join(PROMPTLY)
            reading.wait_ended()
            assert reading.error is None
            assert stream.response is not None
        assert len(ends) == 300
        assert (free_slots(client), busy(client)) == ([2], 0)
        assert client.chat.completions.create(messages=[{"role": "user", "content": "on"}]).text == "on"


def spin(steps: int) -> None:
    """Pass a little time."""
    for _ in range(steps * 50):
        pass


def test_closing_the_client_from_another_thread_ends_a_blocked_read(serve: Any) -> None:
    """A reader whose client another thread closes is told at once, by a typed error with what had arrived."""
    server = serve([HANGING])
    client = Client(**arguments(server))
    reading = Reading(client.chat.completions.create(messages=ASK, stream=True))
    reading.wait_blocked()
    client.close()
    reading.wait_ended()
    assert type(reading.error).__name__ == "StreamInterruptedError"
    assert reading.error.response.text == "a"
    assert server.wait_open(0)


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no timers that signal")
def test_closing_from_a_signals_handler(serve: Any) -> None:
    """A handler that closes the stream that its own thread waits for ends the waiting."""
    log: list[str] = []
    server = serve([HANGING])
    with Client(**arguments(server, plugins=layers(log))) as client:
        stream = client.chat.completions.create(messages=ASK, stream=True)
        before = signal.signal(signal.SIGALRM, lambda *_: stream.close())
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        started = time.monotonic()
        try:
            assert [found.choices[0].delta.content for found in stream] == ["a"]
        finally:
            signal.signal(signal.SIGALRM, before)
        assert time.monotonic() - started < PROMPTLY
        assert log == LEFT
        assert not stream.response.complete
    assert server.wait_open(0)


async def test_closing_while_another_task_reads_settles_with_io(serve: Any) -> None:
    """The layers' own I/O on leaving is done in peace: the reader that wakes up meanwhile does not disturb it."""
    done: list[str] = []

    async def write() -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        done.append("written")

    @middleware("ledger")
    def ledger(call):
        response = yield call.request
        yield from call.io(dict, write)
        done.append("complete" if response.complete else "incomplete")
        return response

    server = serve([HANGING, ANSWER])
    async with AsyncClient(**arguments(server, plugins=[ledger])) as client:
        stream = await client.chat.completions.create(messages=ASK, stream=True)
        await anext(stream)
        reader = asyncio.create_task(anext(stream, None))
        await asyncio.sleep(0)
        await asyncio.gather(stream.aclose(), stream.aclose())
        assert done == ["written", "incomplete"]
        assert await reader is None
        assert (stream.response.text, stream.response.complete) == ("a", False)
        assert (await client.chat.completions.create(messages=ASK)).text == "hello"


@pytest.mark.parametrize("cancelled", ["reader", "closer"])
async def test_cancelling_while_a_stream_is_closed(serve: Any, cancelled: str) -> None:
    """Whichever of the two tasks is cancelled meanwhile, the layers settle once and the connection is closed."""
    log: list[str] = []
    server = serve([HANGING, ANSWER])
    async with AsyncClient(**arguments(server, plugins=layers(log))) as client:
        stream = await client.chat.completions.create(messages=ASK, stream=True)
        await anext(stream)
        reader = asyncio.create_task(anext(stream, None))
        await asyncio.sleep(0)
        closer = asyncio.create_task(stream.aclose())
        await asyncio.sleep(0)
        (reader if cancelled == "reader" else closer).cancel()
        await asyncio.wait({reader, closer})
        assert log == LEFT
        log.clear()
        assert (await client.chat.completions.create(messages=ASK)).text == "hello"
        assert (free_slots(client), busy(client)) == ([100], 0)
