"""Network backends for httpcore's connections: deadlines in place of timeouts, and asyncio in place of anyio.

httpcore hands a backend the timeout of each single read, so an answer that drips a byte at a time never times out.
Here each connection has one deadline, set by the transport before it asks for something, and every operation gets what
is left of it. A count of the bytes read tells a connection that died idle from one that died with an answer under way.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from collections.abc import Iterable
from typing import Any

from qonduit._forks import INHERITED
from qonduit._link import HIGH_WATER, Link

_HAS_POLL = hasattr(select, "poll")


class SyncBackend:
    """Opens blocking sockets."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> SyncStream:
        """Connect. Raises httpcore's ConnectTimeout and ConnectError."""
        link = self._link
        remaining = link.remaining(timeout)
        if remaining == 0.0:  # to a socket, this would mean that nothing may block
            raise link.httpcore.ConnectTimeout("the time was up")
        try:
            sock = socket.create_connection((host, port), remaining)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                sock.close()
                raise
        except TimeoutError as error:
            raise link.httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise link.httpcore.ConnectError(str(error)) from error
        link.stream = SyncStream(link, sock)
        return link.stream


class SyncStream:
    """A blocking socket, plain or TLS. What is written waits until something is read, so a request is one packet."""

    def __init__(self, link: Link, sock: socket.socket) -> None:
        self._link = link
        self._socket = sock
        self._pending = b""
        self._poll: Any = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Send what waits, then the next bytes; b"" at the end. Raises httpcore's ReadTimeout and ReadError."""
        link = self._link
        remaining = link.remaining(timeout)
        if remaining == 0.0:
            raise link.httpcore.ReadTimeout("the time was up")
        try:
            self._socket.settimeout(remaining)
            if self._pending:
                self._flush()
            data = self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise link.httpcore.ReadTimeout(str(error)) from error
        except OSError as error:
            raise link.httpcore.ReadError(str(error)) from error
        link.received += len(data)
        link.reads += 1
        link.latest = data
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Take bytes to be sent by the next read, or at once when they are many."""
        self._pending = self._pending + buffer if self._pending else buffer
        if len(self._pending) < HIGH_WATER:
            return
        remaining = self._link.remaining(timeout)
        if remaining == 0.0:
            raise self._link.httpcore.WriteTimeout("the time was up")
        try:
            self._socket.settimeout(remaining)
            self._flush()
        except TimeoutError as error:
            raise self._link.httpcore.WriteTimeout(str(error)) from error

    def _flush(self) -> None:
        pending, self._pending = self._pending, b""
        try:
            self._socket.sendall(pending)
        except TimeoutError:
            raise
        except OSError:
            # A server may refuse a request before it has read it all: its answer, if any, is there to be read.
            return

    def close(self) -> None:
        """Close the socket. Idempotent."""
        self._socket.close()

    abort = close

    def interrupt(self) -> None:
        """Shut the socket down: a reader sees the end. Its number stays taken, so that no read can meet another's."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # SSLSocket's own would take the reader's TLS away

    def disown(self) -> None:
        """Let go of the socket without a word to the peer: to this process it is closed."""
        INHERITED.append(self._socket)
        self._socket = socket.socket()
        self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> SyncStream:
        """Put TLS on the connection. Raises httpcore's ConnectTimeout and ConnectError."""
        core = self._link.httpcore
        remaining = self._link.remaining(timeout)
        if remaining == 0.0:
            self.close()
            raise core.ConnectTimeout("the time was up")
        try:
            self._socket.settimeout(remaining)
            self._socket.getpeername()  # of a connection that was reset, wrap_socket would lose the socket unclosed
            self._socket = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
            self._poll = None
        except TimeoutError as error:
            self.close()
            raise core.ConnectTimeout(str(error)) from error
        except OSError as error:
            self.close()
            raise core.ConnectError(str(error)) from error
        return self

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks: whether a byte, or the end, waits to be read; the TLS object."""
        if info == "is_readable":
            return self._socket.fileno() < 0 or self._readable()
        if info == "ssl_object":
            return self._socket if isinstance(self._socket, ssl.SSLSocket) else None
        return None

    def _readable(self) -> bool:
        if not _HAS_POLL:
            return bool(select.select([self._socket], [], [], 0)[0])
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._socket, select.POLLIN)
        return bool(self._poll.poll(0))
