"""Run the emulator in the foreground, until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qonduit_emulator._address import DEFAULT_API_KEY, Address, is_loopback, require_loopback
from qonduit_emulator._body_deadline import BODY_TIMEOUT_SECONDS
from qonduit_emulator._books import open_books
from qonduit_emulator._header_deadline import HEADER_TIMEOUT_SECONDS
from qonduit_emulator._scenario import Scenario
from qonduit_emulator._server import import_server, listen, serve_until

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def serve(
    host: str = "127.0.0.1",
    port: int = 8765,
    *,
    api_key: str | None = None,
    ready: Callable[[Address], None] | None = None,
    allow_remote: bool = False,
    config_file: Path | None = None,
    state_file: Path | None = None,
    admin_token: str | None = None,
    header_timeout_seconds: float = HEADER_TIMEOUT_SECONDS,
    body_timeout_seconds: float = BODY_TIMEOUT_SECONDS,
) -> None:
    """Run in the foreground until SIGINT or SIGTERM; then close every connection and return.

    Args:
        host: the address to listen on.
        port: 0 takes a free one.
        api_key: a key that is let in; when `None`, the configuration's keys, or else `DEFAULT_API_KEY`.
        ready: called once, when connections are accepted.
        allow_remote: let `host` be reachable from other machines. `DEFAULT_API_KEY`, which everybody knows, is
            then let in only when it is given.
        config_file: region, accounts and keys, in TOML.
        state_file: where keys, accounts and what they have used outlive the process; in memory when `None`.
        admin_token: what the admin API asks for; `None` turns it off.
        header_timeout_seconds: a connection whose request headers take longer to arrive is closed.
        body_timeout_seconds: a request whose body takes longer to arrive is refused.

    Raises:
        ValueError: `host` is not a loopback address and `allow_remote` is false.
        SettingError: the configuration is wrong.
        StateError: the state file cannot be used.
        OSError: the port is taken, or the address is not this machine's.
    """
    require_loopback(host, allow_remote=allow_remote)
    import_server()
    from qonduit_emulator._app import create_app  # noqa: PLC0415 - starlette is heavy

    books = open_books(config_file=config_file, state_file=state_file, api_key=api_key, default_key=DEFAULT_API_KEY)
    with contextlib.closing(books):
        if not is_loopback(host) and api_key != DEFAULT_API_KEY and DEFAULT_API_KEY in books.keys:
            books.remove_key(DEFAULT_API_KEY)
        app = create_app(
            books=books,
            admin_token=admin_token,
            scenario=Scenario(books.script),
            body_timeout_seconds=body_timeout_seconds,
        )
        with listen(host, port) as listener:
            key = books.key_to_announce(api_key or DEFAULT_API_KEY)
            address = Address(host, listener.getsockname()[1], key)
            announce = partial(ready, address) if ready else _say_nothing
            asyncio.run(_serve_until_signal(app, listener, announce, header_timeout_seconds))


def _say_nothing() -> None:
    pass


async def _serve_until_signal(
    app: ASGIApp, listener: socket.socket, ready: Callable[[], None], header_timeout_seconds: float
) -> None:
    """Serve in the main thread; a signal sets the event, through the loop so that it wakes up."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopping.set)) for number in signals}
    try:
        await serve_until(stopping, app, listener, ready, header_timeout_seconds)
    finally:
        for number, action in before.items():
            signal.signal(number, action)
