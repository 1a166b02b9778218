"""Listen, and serve on a loop until told to stop.

Uvicorn's protocol classes do the HTTP. Its `Server` is not used: it looks every tenth of a second whether
it should stop, and waits as long again while stopping; here everything waits on events, so start and stop
take milliseconds. Starlette and uvicorn are imported when a server starts, not when this package is.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from qonduit_emulator._faults import CLOSE_KEY
from qonduit_emulator._header_deadline import HEADER_TIMEOUT_SECONDS, HeaderDeadline

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
    from uvicorn.config import Config
    from uvicorn.server import ServerState

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
"""How long an idle connection stays open."""
GRACE_SECONDS = 0.05
"""How long stopping waits for calls under way once their connections are closed, before it cuts them off."""


def import_server() -> None:
    """Find out that something is not installed before any file is opened."""
    import uvicorn.config  # noqa: F401, PLC0415 - heavy

    import qonduit_emulator._app  # noqa: F401, PLC0415


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    The protocol number is given because asyncio sets TCP_NODELAY only where it sees it, and
    `socket.create_server` gives none; without it answers wait 40 ms for the client's delayed acknowledgement.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


async def serve_until(
    stopping: asyncio.Event,
    app: ASGIApp,
    listener: socket.socket,
    ready: Callable[[], None],
    header_timeout_seconds: float = HEADER_TIMEOUT_SECONDS,
) -> None:
    """Accept connections from `ready` until `stopping` is set, then close them all."""
    from uvicorn.config import Config  # noqa: PLC0415 - uvicorn is heavy
    from uvicorn.server import ServerState  # noqa: PLC0415

    config = Config(
        app,
        log_config=None,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    config.load()
    state = ServerState()
    protocol: Callable[..., asyncio.Protocol] = config.http_protocol_class
    server = await asyncio.get_running_loop().create_server(
        lambda: HeaderDeadline(_connect(protocol, config, state), header_timeout_seconds),
        sock=listener,
        backlog=BACKLOG,
    )
    clock = _Clock(state)
    try:
        ready()
        await stopping.wait()
    finally:
        clock.stop()
        server.close()
        await _close(state)


def _connect(protocol: Callable[..., Any], config: Config, state: ServerState) -> Any:
    """One connection, with the function that closes it where the layer of faults looks for it."""
    app_state: dict[str, Any] = {}
    connection: Any = protocol(config=config, server_state=state, app_state=app_state)

    def close() -> None:
        connection.transport.close()

    app_state[CLOSE_KEY] = close
    connection.app = _noticing_departures(connection)
    return connection


def _noticing_departures(connection: Any) -> ASGIApp:
    """The connection's application, where a client that is gone is noticed in the midst of a stream without a pause.

    Else everything that is yet to come is written, and asyncio logs "socket.send() raised exception." for each piece.
    """
    app: ASGIApp = connection.app

    async def noticing(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_on(message: Message) -> None:
            if connection.transport.is_closing():
                connection.cycle.disconnected = True  # as uvicorn is told when the loop comes to it
            await send(message)

        await app(scope, receive, send_on)

    return noticing


class _Clock:
    """Keeps the `Date` header of all answers at the present second."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._tick()

    def _tick(self) -> None:
        self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        self._timer = asyncio.get_running_loop().call_later(1.0, self._tick)

    def stop(self) -> None:
        """Leave no timer behind."""
        self._timer.cancel()


async def _close(state: ServerState) -> None:
    """Close every connection; calls under way see their client leave, and are cancelled if that is no end."""
    for connection in list(state.connections):
        connection.transport.close()
    if tasks := set(state.tasks):
        await asyncio.wait(tasks, timeout=GRACE_SECONDS)
    for connection in list(state.connections):
        connection.transport.abort()
    if tasks := set(state.tasks):
        await asyncio.wait(tasks, timeout=GRACE_SECONDS)
    for task in list(state.tasks):
        task.cancel()
    await asyncio.sleep(0)
