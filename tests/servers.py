"""A scripted server on loopback: says byte by byte what a test wants said, and remembers what it was asked.

    with ScriptedServer([json_response({"ok": True})]) as server:
        client = Client(provider="qwen", model="m", api_key="sk-test", base_url=server.url)
        ...
        assert server.requests[0].json["model"] == "m"

The script is a list with one reply a request, in the order of arrival, or a function from the request to its reply. A
reply is bytes, or steps: bytes to send, a `threading.Event` to wait for, or one of `CLOSE`, `RESET`, `HANG`, `Pause`,
`Drip`. After its last step the connection waits for the next request, as HTTP's keep-alive does.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, Self, TypeAlias

PATIENCE = 10.0
"""Seconds after which the server stops waiting for anything: a test that hangs fails instead."""


class End(Enum):
    """How a connection ends."""

    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"


CLOSE = End.CLOSE
"""Close the connection in order (FIN)."""
RESET = End.RESET
"""Break the connection (RST)."""
HANG = End.HANG
"""Say nothing more and wait until the client closes."""


@dataclass(frozen=True)
class Pause:
    """Say nothing for `seconds`, or until the client closes."""

    seconds: float


@dataclass(frozen=True)
class Drip:
    """Say `data` byte by byte, evenly over `seconds`, or until the client closes."""

    data: bytes
    seconds: float


Step: TypeAlias = bytes | threading.Event | End | Pause | Drip
Reply: TypeAlias = bytes | Iterable[Step]


@dataclass(frozen=True)
class Request:
    """One request as it came; header names in lower case. `connection` counts accepted connections from 1."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    @cached_property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class ScriptedServer:
    """The server; a context manager. Requests beyond the script are answered by 599, which no test expects.

    `greeting` is played on every connection before its first request is read; `context` puts TLS on them.
    """

    def __init__(
        self,
        script: Sequence[Reply] | Callable[[Request], Reply],
        *,
        greeting: Sequence[Step] = (),
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._script = script
        self._greeting = greeting
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._changed = threading.Condition()
        self._sockets: dict[int, socket.socket] = {}
        self._threads: list[threading.Thread] = []
        self._stopping = False
        self.connections = 0
        self.requests: list[Request] = []
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'http' if context is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        """Connections that neither side has closed."""
        return len(self._sockets)

    def wait_open(self, count: int) -> bool:
        """Wait until `count` connections are open."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._sockets) == count, PATIENCE)

    def wait_requests(self, count: int) -> bool:
        """Wait until `count` requests have come."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.requests) >= count, PATIENCE)

    def wait_connections(self, count: int) -> bool:
        """Wait until `count` connections have been accepted."""
        with self._changed:
            return self._changed.wait_for(lambda: self.connections >= count, PATIENCE)

    def drop_connections(self) -> None:
        """Close every open connection in order, as a server does with idle ones."""
        with self._changed:
            sockets = list(self._sockets.values())
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self.wait_open(0)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._changed:
            sockets = list(self._sockets.values())
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                self.connections += 1
                number = self.connections
                self._sockets[number] = sock
                self._changed.notify_all()
            self._start(self._serve, sock, number)

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
                with self._changed:
                    self._sockets[number] = sock
            if not self._play(sock, self._greeting):
                return
            buffer = bytearray()
            while (request := _read_request(sock, buffer, number)) is not None:
                with self._changed:
                    position = len(self.requests)
                    self.requests.append(request)
                    self._changed.notify_all()
                if not self._play(sock, self._reply(request, position)):
                    return
        except OSError:
            pass
        finally:
            sock.close()
            with self._changed:
                self._sockets.pop(number, None)
                self._changed.notify_all()

    def _reply(self, request: Request, position: int) -> Iterable[Step]:
        if callable(self._script):
            reply = self._script(request)
        elif position < len(self._script):
            reply = self._script[position]
        else:
            reply = json_response({"error": {"message": "beyond the script"}}, status=599)
        return [reply] if isinstance(reply, bytes) else reply

    def _play(self, sock: socket.socket, steps: Iterable[Step]) -> bool:
        """Whether the connection goes on."""
        for step in steps:
            match step:
                case bytes():
                    sock.sendall(step)
                case threading.Event():
                    step.wait(PATIENCE)
                case Pause():
                    if select.select([sock], [], [], step.seconds)[0]:
                        return False
                case Drip():
                    for place in range(len(step.data)):
                        sock.sendall(step.data[place : place + 1])
                        if select.select([sock], [], [], step.seconds / len(step.data))[0]:
                            return False
                case End.CLOSE:
                    return False
                case End.RESET:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return False
                case End.HANG:
                    sock.settimeout(PATIENCE)
                    while sock.recv(65536):
                        pass
                    return False
        return True


def _read_request(sock: socket.socket, buffer: bytearray, number: int) -> Request | None:
    sock.settimeout(None)
    while (end := buffer.find(b"\r\n\r\n")) < 0:
        data = sock.recv(65536)
        if not data:
            return None
        buffer += data
    first, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    del buffer[: end + 4]
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    length = int(headers.get("content-length", 0))
    while len(buffer) < length:
        data = sock.recv(65536)
        if not data:
            return None
        buffer += data
    body = bytes(buffer[:length])
    del buffer[:length]
    method, path, _ = first.split(" ")
    return Request(method, path, headers, body, number)


@contextlib.contextmanager
def refusing_address() -> Iterator[str]:
    """The URL of a port that is taken but not listened on: connections to it are refused."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"


# HTTP, as bytes.


def head(status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    """A status line and headers."""
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def response(body: bytes, status: int = 200, content_type: str = "application/json", **headers: str) -> bytes:
    """A whole response; an underscore in a header's name stands for a hyphen."""
    return head(status, _headers(content_type, {"content-length": str(len(body))}, headers)) + body


def json_response(body: Any, status: int = 200, **headers: str) -> bytes:
    """A whole response with a JSON body."""
    return response(json.dumps(body, ensure_ascii=False).encode(), status, **headers)


def sse_head(*, chunked: bool = True, status: int = 200, **headers: str) -> bytes:
    """The head of an event stream: chunked, or until the connection is closed."""
    framing = {"transfer-encoding": "chunked"} if chunked else {"connection": "close"}
    return head(status, _headers("text/event-stream;charset=UTF-8", framing, headers))


def sse_response(events: Iterable[bytes], *, chunked: bool = True, **headers: str) -> list[Step]:
    """A whole event stream, one piece an event."""
    if chunked:
        return [sse_head(**headers), *map(chunk, events), LAST_CHUNK]
    return [sse_head(chunked=False, **headers), *events, CLOSE]


def chunk(data: bytes) -> bytes:
    """`data` as one chunk of a chunked body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


LAST_CHUNK = b"0\r\n\r\n"


def _headers(content_type: str, framing: dict[str, str], more: Mapping[str, str]) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return {"content-type": content_type, **framing, **named}
