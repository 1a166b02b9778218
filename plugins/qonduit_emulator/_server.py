"""Run the emulator: in the foreground until a signal, or inside this process in a thread.

Uvicorn's protocol classes do the HTTP. Its `Server` is not used: it looks every tenth of a second whether
it should stop, and waits as long again while stopping; here everything waits on events, so start and stop
take milliseconds. Starlette and uvicorn are imported when a server starts, not when this package is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from qonduit_emulator._address import DEFAULT_API_KEY, Address, is_loopback, require_loopback
from qonduit_emulator._books import Books, open_books
from qonduit_emulator._faults import CLOSE_KEY, Faults
from qonduit_emulator._layers import Journal, ReceivedRequest
from qonduit_emulator._pacing import Pacing
from qonduit_emulator._rules import Rules
from qonduit_emulator._scenario import Scenario

if TYPE_CHECKING:
    from starlette.types import ASGIApp
    from uvicorn.config import Config
    from uvicorn.server import ServerState

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
"""How long an idle connection stays open."""
_NOT_RUNNING = "the emulator is not running; use it in a with block, or call start() first"
GRACE_SECONDS = 0.05
"""How long stopping waits for calls under way once their connections are closed, before it cuts them off."""


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

    Raises:
        ValueError: `host` is not a loopback address and `allow_remote` is false.
        SettingError: the configuration is wrong.
        StateError: the state file cannot be used.
        OSError: the port is taken, or the address is not this machine's.
    """
    require_loopback(host, allow_remote=allow_remote)
    _import_server()
    books = open_books(
        config_file=config_file, state_file=state_file, api_key=api_key, default_key=DEFAULT_API_KEY
    )
    with contextlib.closing(books):
        if not is_loopback(host) and api_key != DEFAULT_API_KEY and DEFAULT_API_KEY in books.keys:
            books.remove_key(DEFAULT_API_KEY)
        app = _create_app(books, admin_token, Scenario(books.script))
        with _listen(host, port) as listener:
            key = books.key_to_announce(api_key or DEFAULT_API_KEY)
            address = Address(host, listener.getsockname()[1], key)
            asyncio.run(_serve_until_signal(app, listener, lambda: ready(address) if ready else None))


class Emulator:
    """An emulator inside this process, on a free port of the loopback interface.

        with Emulator() as emulator:
            client = openai.OpenAI(base_url=emulator.base_url, api_key=emulator.api_key)

    It serves in a thread of its own; start and stop wait until they are done. `config_file`, `state_file` and
    `admin_token` are those of `serve`; `clock` says the time in unix seconds, for keys that expire and limits
    that recover.
    """

    def __init__(
        self,
        api_key: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        config_file: Path | None = None,
        state_file: Path | None = None,
        admin_token: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        require_loopback(host, allow_remote=False)
        self._given_key = api_key
        self._api_key = api_key or DEFAULT_API_KEY
        self._host = host
        self._port = port
        self._config_file = config_file
        self._state_file = state_file
        self._admin_token = admin_token
        self._clock = clock
        self._scenario = Scenario(journal=Journal())
        self._books: Books | None = None
        self._address: Address | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    @property
    def api_key(self) -> str:
        """The key it lets in."""
        return self._api_key

    @property
    def books(self) -> Books:
        """Its keys, accounts and what they have used. Raises `RuntimeError` before the start."""
        if self._books is None:
            raise RuntimeError(_NOT_RUNNING)
        return self._books

    @property
    def rules(self) -> Rules:
        """What the model says to whom; may be changed at any time."""
        return self._scenario.rules

    @property
    def faults(self) -> Faults:
        """What goes wrong; may be changed at any time."""
        return self._scenario.faults

    @property
    def pacing(self) -> Pacing:
        """How fast answers come; may be set at any time, for the calls that follow."""
        return self._scenario.pacing

    @pacing.setter
    def pacing(self, pacing: Pacing) -> None:
        self._scenario.pacing = pacing

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """The requests received since the start or the last reset, without their keys."""
        journal = self._scenario.journal
        return () if journal is None else journal.requests

    def reset(self) -> None:
        """Rules, faults, pace, keys, accounts and what they have used are as at the start; no request was received."""
        self._scenario.reset()
        if self._books is not None:
            self._books.restore(*self._at_start)

    @property
    def url(self) -> str:
        """The root, such as `http://127.0.0.1:50123`. Raises `RuntimeError` before the start."""
        return self._running_address().url

    @property
    def base_url(self) -> str:
        """The base URL of the OpenAI-compatible wire. Raises `RuntimeError` before the start."""
        return self._running_address().base_url

    @property
    def native_url(self) -> str:
        """The base URL of the native wire. Raises `RuntimeError` before the start."""
        return self._running_address().native_url

    def start(self) -> Self:
        """Listen; returns when connections are accepted. A second start of a running emulator does nothing.

        Raises:
            OSError: the port is taken.
            SettingError: the configuration is wrong.
            StateError: the state file cannot be used.
        """
        if self._thread is not None:
            return self
        _import_server()
        books = open_books(
            config_file=self._config_file,
            state_file=self._state_file,
            api_key=self._given_key,
            default_key=DEFAULT_API_KEY,
            clock=self._clock,
        )
        self._scenario.load(books.script)
        try:
            self._start(books)
        except BaseException:
            books.close()
            raise
        self._books = books
        self._at_start = (books.keys, books.accounts)
        return self

    def _start(self, books: Books) -> None:
        app = _create_app(books, self._admin_token, self._scenario)
        ready = threading.Event()
        failures: list[BaseException] = []
        listener = _listen(self._host, self._port)
        self._api_key = books.key_to_announce(self._given_key or DEFAULT_API_KEY)
        address = Address(self._host, listener.getsockname()[1], self._api_key)
        self._thread = threading.Thread(
            target=self._run, args=(app, listener, ready, failures), name="qonduit-emulator", daemon=True
        )
        self._thread.start()
        ready.wait()
        if failures:
            self._thread.join()
            self._thread = None
            raise failures[0]
        self._address = address

    def stop(self) -> None:
        """Close every connection and end the thread. Stopping twice, or before the start, does nothing."""
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None or self._stopping is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        thread.join()
        self._address = self._loop = self._stopping = None
        if self._books is not None:
            self._books.close()
            self._books = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _running_address(self) -> Address:
        if self._address is None:
            raise RuntimeError(_NOT_RUNNING)
        return self._address

    def _run(
        self,
        app: ASGIApp,
        listener: socket.socket,
        ready: threading.Event,
        failures: list[BaseException],
    ) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            self._stopping = asyncio.Event()
            await _serve(app, listener, self._stopping, ready.set)

        try:
            with listener:
                asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - start() raises it in the caller's thread
            failures.append(error)
        finally:
            ready.set()


def _import_server() -> None:
    """Find out that something is not installed before any file is opened."""
    import uvicorn.config  # noqa: F401, PLC0415 - heavy

    import qonduit_emulator._app  # noqa: F401, PLC0415


def _create_app(books: Books, admin_token: str | None, scenario: Scenario) -> ASGIApp:
    from qonduit_emulator._app import create_app  # noqa: PLC0415 - starlette is heavy

    return create_app(books=books, admin_token=admin_token, scenario=scenario)


def _listen(host: str, port: int) -> socket.socket:
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


async def _serve_until_signal(app: ASGIApp, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve in the main thread; a signal sets the event, through the loop so that it wakes up."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {
        number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopping.set))
        for number in signals
    }
    try:
        await _serve(app, listener, stopping, ready)
    finally:
        for number, action in before.items():
            signal.signal(number, action)


async def _serve(
    app: ASGIApp, listener: socket.socket, stopping: asyncio.Event, ready: Callable[[], None]
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
        lambda: _connect(protocol, config, state), sock=listener, backlog=BACKLOG
    )
    clock = _Clock(state)
    try:
        ready()
        await stopping.wait()
    finally:
        clock.stop()
        server.close()
        await _close(state)


def _connect(protocol: Callable[..., Any], config: Config, state: ServerState) -> asyncio.Protocol:
    """One connection, with the function that closes it where the layer of faults looks for it."""
    app_state: dict[str, Any] = {}
    connection: Any = protocol(config=config, server_state=state, app_state=app_state)

    def close() -> None:
        connection.transport.close()

    app_state[CLOSE_KEY] = close
    accepted: asyncio.Protocol = connection
    return accepted


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
