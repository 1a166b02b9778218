"""A body that does not come in time: an error in the wire's shape, for nobody else."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from qonduit_emulator import DEFAULT_API_KEY, create_app

from .test_server import _Embedded

CHAT = "/compatible-mode/v1/chat/completions"
TEXT = "/api/v1/services/aigc/text-generation/generation"
BODY = json.dumps({"model": "qwen-plus", "messages": [{"role": "user", "content": "hi"}]}).encode()
MESSAGE = "Request timed out, please try again later. The body of the request did not arrive within 0.1 seconds."


@pytest.fixture
def url() -> Iterator[str]:
    with _Embedded(create_app(body_timeout_seconds=0.1)) as chat_url:
        yield chat_url.removesuffix(CHAT)


@contextmanager
def half_a_request(url: str, path: str) -> Iterator[socket.socket]:
    """A connection that has sent its headers and a part of its body."""
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {DEFAULT_API_KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(head.encode() + BODY[:10])
        yield connection


def read_to_the_end(connection: socket.socket) -> tuple[str, dict[str, object]]:
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    return head.decode().lower(), json.loads(body)


def test_each_wire_says_so_and_closes(url: str) -> None:
    """RequestTimeOut with the limit stated, in the wire's shape; the connection ends, for it is out of step."""
    with half_a_request(url, TEXT) as connection:
        head, document = read_to_the_end(connection)
    assert head.startswith("http/1.1 500")
    assert "connection: close" in head
    assert (document["code"], document["message"]) == ("RequestTimeOut", MESSAGE)
    assert f"x-request-id: {document['request_id']}" in head
    with half_a_request(url, CHAT) as connection:
        head, document = read_to_the_end(connection)
    error = document["error"]
    assert isinstance(error, dict)
    assert (error["code"], error["message"]) == ("RequestTimeOut", MESSAGE)


def test_slow_ones_do_not_harm_others(url: str) -> None:
    """While a hundred requests hang, another is answered."""
    with (
        _Embedded(create_app()) as chat_url,
        httpx.Client(headers={"Authorization": f"Bearer {DEFAULT_API_KEY}"}, trust_env=False) as client,
    ):
        hanging = [half_a_request(chat_url.removesuffix(CHAT), CHAT) for _ in range(100)]
        connections = [each.__enter__() for each in hanging]
        assert client.post(chat_url, content=BODY).status_code == 200
        connections[0].sendall(BODY[10:])
        assert connections[0].recv(65536).startswith(b"HTTP/1.1 200")
        for each in hanging:
            each.__exit__(None, None, None)
        assert client.post(chat_url, content=BODY).status_code == 200


def test_long_answers_are_not_cut(url: str) -> None:
    """The time is for the body alone: the next request on the connection has its own."""
    with httpx.Client(headers={"Authorization": f"Bearer {DEFAULT_API_KEY}"}, trust_env=False) as client:
        streamed = json.loads(BODY) | {"stream": True}
        for _ in range(3):
            assert client.post(url + CHAT, json=streamed).text.endswith("data: [DONE]\n\n")
