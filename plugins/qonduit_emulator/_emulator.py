"""An emulator inside this process, in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from qonduit_emulator._address import DEFAULT_API_KEY, Address, require_loopback
from qonduit_emulator._body_deadline import BODY_TIMEOUT_SECONDS
from qonduit_emulator._books import Books, open_books
from qonduit_emulator._faults import Faults
from qonduit_emulator._header_deadline import HEADER_TIMEOUT_SECONDS
from qonduit_emulator._layers import Journal, ReceivedRequest
from qonduit_emulator._pacing import Pacing
from qonduit_emulator._rules import Rules
from qonduit_emulator._scenario import Scenario
from qonduit_emulator._server import import_server, listen, serve_until

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_NOT_RUNNING = "the emulator is not running; use it in a with block, or call start() first"


class Emulator:
    """An emulator inside this process, on a free port of the loopback interface.

        with Emulator() as emulator:
            client = openai.OpenAI(base_url=emulator.base_url, api_key=emulator.api_key)

    It serves in a thread of its own; start and stop wait until they are done. `config_file`, `state_file`,
    `admin_token` and the two times are those of `serve`; `clock` says the time in unix seconds, for
    keys that expire and limits that recover.
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
        header_timeout_seconds: float = HEADER_TIMEOUT_SECONDS,
        body_timeout_seconds: float = BODY_TIMEOUT_SECONDS,
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
        self._header_timeout_seconds = header_timeout_seconds
        self._body_timeout_seconds = body_timeout_seconds
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
        import_server()
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
        from qonduit_emulator._app import create_app  # noqa: PLC0415 - starlette is heavy

        app = create_app(
            books=books,
            admin_token=self._admin_token,
            scenario=self._scenario,
            body_timeout_seconds=self._body_timeout_seconds,
        )
        ready = threading.Event()
        failures: list[BaseException] = []
        listener = listen(self._host, self._port)
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
            await serve_until(self._stopping, app, listener, ready.set, self._header_timeout_seconds)

        try:
            with listener:
                asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - start() raises it in the caller's thread
            failures.append(error)
        finally:
            ready.set()
