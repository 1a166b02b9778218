"""Starting, stopping, and who may listen where."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest

from qonduit_emulator import DEFAULT_API_KEY, Emulator, create_app, serve
from qonduit_emulator._exchange import ChatRequest, Delta, FinishDelta, TextDelta, Usage
from qonduit_emulator._gate import Call, Settle, Stage
from qonduit_emulator._refusal import Refusal, internal_error
from qonduit_emulator._server import listen, serve_until

CHAT = {"model": "qwen-plus", "messages": [{"role": "user", "content": "hi"}]}


def post(emulator: Emulator, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    url = emulator.base_url + "/chat/completions"
    return httpx.post(url, json=CHAT, headers=headers, trust_env=False).status_code


def test_start_and_stop_leave_nothing_behind() -> None:
    """After stop the thread is gone and the port is closed; stopping again does nothing."""
    threads = threading.active_count()
    emulator = Emulator()
    emulator.stop()
    emulator.start()
    url = emulator.url
    assert emulator.start().url == url
    assert post(emulator, DEFAULT_API_KEY) == 200
    emulator.stop()
    emulator.stop()
    assert threading.active_count() == threads
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)
    with pytest.raises(RuntimeError, match="not running"):
        _ = emulator.url


def test_restart_works() -> None:
    """A stopped emulator can be started again."""
    emulator = Emulator()
    for _ in range(3):
        with emulator:
            assert post(emulator, DEFAULT_API_KEY) == 200


def test_start_and_stop_are_quick() -> None:
    """Once imported, start and stop take less than a tenth of a second, an idle connection open or not."""
    with Emulator() as emulator, httpx.Client(trust_env=False) as client:
        client.get(emulator.url)
        begin = time.perf_counter()
        with Emulator() as second:
            client.get(second.url)
        emulator.stop()
        assert time.perf_counter() - begin < 0.1


def test_ipv6_loopback() -> None:
    """The URL of an IPv6 address has its brackets."""
    with contextlib.ExitStack() as stack:
        try:
            emulator = stack.enter_context(Emulator(host="::1"))
        except OSError:
            pytest.skip("no IPv6 on this machine")
        assert emulator.url.startswith("http://[::1]:")
        assert post(emulator, DEFAULT_API_KEY) == 200


def test_own_key_replaces_the_default() -> None:
    """A given key is let in and the default one is not."""
    with Emulator(api_key="sk-mine") as emulator:
        assert emulator.api_key == "sk-mine"
        assert post(emulator, "sk-mine") == 200
        assert post(emulator, DEFAULT_API_KEY) == 401


def test_taken_port_is_an_error() -> None:
    """A port in use raises OSError in the caller's thread."""
    with Emulator() as emulator:
        port = int(emulator.url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match="in use"):
            Emulator(port=port).start()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.com"])
def test_only_loopback_without_permission(host: str) -> None:
    """A host that other machines reach is refused before anything is opened."""
    with pytest.raises(ValueError, match="loopback"):
        serve(host, 0)
    with pytest.raises(ValueError, match="loopback"):
        Emulator(host=host)


def test_serve_runs_until_a_signal() -> None:
    """In the foreground: one ready call, answers, a clean return on SIGTERM, also with a client connected."""
    program = (
        "from qonduit_emulator import serve\n"
        "serve(port=0, ready=lambda a: print(a.base_url, a.api_key, flush=True))\n"
        "print('bye')"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        url, key = process.stdout.readline().split()
        with httpx.Client(trust_env=False, headers={"Authorization": f"Bearer {key}"}) as client:
            assert client.post(url + "/chat/completions", json=CHAT).status_code == 200
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "bye\n", "")


def test_import_is_light() -> None:
    """Importing the package loads neither starlette nor uvicorn."""
    program = "import sys, qonduit_emulator; print({'starlette', 'uvicorn'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    out = subprocess.check_output([sys.executable, "-c", program], text=True, env=environment)
    assert out == "set()\n"


class _Failing:
    """A backend that fails in mid-stream."""

    async def answer(self, request: ChatRequest) -> AsyncIterator[Delta]:
        yield TextDelta(0, "so far", Usage(1, 1))
        raise internal_error()


class _Endless:
    """A backend that goes on until it is closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    async def answer(self, request: ChatRequest) -> AsyncIterator[Delta]:
        try:
            for number in range(1_000_000):
                yield TextDelta(0, "word ", Usage(1, number))
                await asyncio.sleep(0)
            yield FinishDelta(0, "stop", Usage(1, 1))
        finally:
            self.closed.set()


class _Leaving:
    """A backend that makes its client go away, and then answers without a pause."""

    client: socket.socket

    async def answer(self, request: ChatRequest) -> AsyncIterator[Delta]:
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()
        for number in range(50):
            yield TextDelta(0, "word ", Usage(1, number))
        yield FinishDelta(0, "stop", Usage(1, 50))


class _Slot:
    """A check that is told when its call is over."""

    stage = Stage.RATE

    def __init__(self) -> None:
        self.usages: list[Usage | None] = []
        self.given_back = threading.Event()

    def check(self, call: Call) -> Settle:
        def settle(usage: Usage | None) -> None:
            self.usages.append(usage)
            self.given_back.set()

        return settle


class _Embedded:
    """An application of our own making, served in a thread."""

    def __init__(self, app: object) -> None:
        self._app = app
        self._ready = threading.Event()

    def __enter__(self) -> str:
        listener = listen("127.0.0.1", 0)
        self._thread = threading.Thread(target=asyncio.run, args=(self._main(listener),))
        self._thread.start()
        self._ready.wait()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/compatible-mode/v1/chat/completions"

    async def _main(self, listener: socket.socket) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        with listener:
            await serve_until(self._stopping, self._app, listener, self._ready.set)  # type: ignore[arg-type]

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()


HEADERS = {"Authorization": f"Bearer {DEFAULT_API_KEY}"}


def test_refusal_in_mid_stream() -> None:
    """A backend's refusal ends a stream with an error object and no [DONE]; plain, it is the answer."""
    slot = _Slot()
    with _Embedded(create_app(backend=_Failing(), checks=(slot,))) as url:
        streamed = httpx.post(url, json={**CHAT, "stream": True}, headers=HEADERS, trust_env=False)
        assert streamed.status_code == 200
        assert "so far" in streamed.text
        assert '"internal_error"' in streamed.text.split("\n\n")[-2]
        assert "[DONE]" not in streamed.text
        assert httpx.post(url, json=CHAT, headers=HEADERS, trust_env=False).status_code == 500
    assert slot.usages == [Usage(1, 1), Usage(1, 1)]


def test_client_that_leaves_settles_the_call() -> None:
    """When the client goes away in mid-stream the backend is closed and the call settled once."""
    backend, slot = _Endless(), _Slot()
    with _Embedded(create_app(backend=backend, checks=(slot,))) as url:
        with httpx.stream("POST", url, json={**CHAT, "stream": True}, headers=HEADERS, trust_env=False) as response:
            next(response.iter_raw())
        assert slot.given_back.wait(5)
        assert backend.closed.wait(5)
    assert len(slot.usages) == 1


def test_client_that_leaves_is_written_to_no_more(caplog: pytest.LogCaptureFixture) -> None:
    """A client that is gone before a stream that never waits: asyncio has no failed writes to complain of."""
    leaving, slot = _Leaving(), _Slot()
    with _Embedded(create_app(backend=leaving, checks=(slot,))) as url:
        parts = urlsplit(url)
        body = json.dumps({**CHAT, "stream": True}).encode()
        head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: {HEADERS['Authorization']}\r\n"
        leaving.client = socket.create_connection((parts.hostname, parts.port))
        leaving.client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert slot.given_back.wait(5)
    assert len(slot.usages) == 1
    assert [record for record in caplog.records if record.name == "asyncio"] == []


def test_stop_ends_streams_under_way() -> None:
    """Stopping does not wait for endless answers."""
    backend = _Endless()
    begin = time.perf_counter()
    with (
        _Embedded(create_app(backend=backend)) as url,
        httpx.Client(trust_env=False) as client,
        client.stream("POST", url, json={**CHAT, "stream": True}, headers=HEADERS) as response,
    ):
        next(response.iter_raw())
    assert backend.closed.wait(5)
    assert time.perf_counter() - begin < 2


def test_refusals_can_be_raised_by_own_checks() -> None:
    """A check given to create_app refuses like the built-in ones."""

    class _Closed:
        stage = Stage.ACCOUNT

        def check(self, call: Call) -> None:
            raise Refusal(internal_error().native, internal_error().compatible)

    with _Embedded(create_app(checks=(_Closed(),))) as url:
        assert httpx.post(url, json=CHAT, headers=HEADERS, trust_env=False).status_code == 500
