"""Headers that do not come in time: the connection is closed, and nobody else is harmed."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from qonduit_emulator import Emulator

SECONDS = 0.3
BODY = json.dumps({"model": "qwen-plus", "messages": [{"role": "user", "content": "hi"}]}).encode()
HALF = b"POST /compatible-mode/v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-Slow"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(header_timeout_seconds=SECONDS) as running:
        yield running


@pytest.fixture
def client(emulator: Emulator) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    with httpx.Client(base_url=emulator.base_url, headers=headers, trust_env=False) as http:
        yield http


def connect(emulator: Emulator) -> socket.socket:
    address = urlsplit(emulator.url)
    assert address.port is not None
    return socket.create_connection((str(address.hostname), address.port), timeout=10)


def whole_request(emulator: Emulator) -> bytes:
    head = (
        "POST /compatible-mode/v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {emulator.api_key}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    return head.encode() + BODY


def test_fifty_slow_ones_harm_nobody() -> None:
    """While fifty connections hang in their headers another client is answered."""
    with contextlib.ExitStack() as stack:
        patient = stack.enter_context(Emulator(header_timeout_seconds=60))
        slow = [stack.enter_context(connect(patient)) for _ in range(50)]
        for connection in slow:
            connection.sendall(HALF)
        with httpx.Client(trust_env=False) as http:
            headers = {"Authorization": f"Bearer {patient.api_key}"}
            answer = http.post(f"{patient.base_url}/chat/completions", content=BODY, headers=headers)
        assert answer.status_code == 200
        for connection in slow:
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(1)


def test_fifty_slow_ones_are_closed(emulator: Emulator, client: httpx.Client) -> None:
    """When their time is up all of them are closed, and the next client is answered."""
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(emulator)) for _ in range(50)]
        for connection in slow:
            connection.sendall(HALF)
        for connection in slow:
            assert connection.recv(65536) == b""
    assert client.post("/chat/completions", content=BODY).status_code == 200


@pytest.mark.parametrize("first", [b"", b"P"], ids=["nothing", "a byte"])
def test_silence_and_drops(emulator: Emulator, first: bytes) -> None:
    """A connection that says nothing is closed, and bytes that come one by one do not prolong the time."""
    dripping = threading.Event()
    with connect(emulator) as connection:
        connection.sendall(first)
        if first:
            with contextlib.suppress(ConnectionError):
                for byte in HALF[1:]:
                    connection.sendall(bytes([byte]))
                    dripping.wait(0.02)
                pytest.fail("the connection stayed open")
        else:
            assert connection.recv(1) == b""


def test_late_second_request(emulator: Emulator) -> None:
    """A second request on a connection has the same time, from its first byte."""
    with connect(emulator) as connection:
        connection.sendall(whole_request(emulator))
        received = connection.recv(65536)
        assert received.startswith(b"HTTP/1.1 200")
        connection.sendall(HALF)
        while chunk := connection.recv(65536):
            received += chunk
        assert received.count(b"HTTP/1.1") == 1


def test_idle_connections_and_long_answers_stay(emulator: Emulator) -> None:
    """The time is for headers alone: not for the pause between two requests, a slow body, or a slow answer."""
    request = whole_request(emulator)
    pause = threading.Event()
    slow_answer = request.replace(b"Host:", b"X-Emulator-Pace: first=0.4\r\nHost:")
    with connect(emulator) as connection:
        for pieces in ([request], [request[:-10], request[-10:]], [slow_answer]):
            for piece in pieces:
                connection.sendall(piece)
                pause.wait(SECONDS + 0.1)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
