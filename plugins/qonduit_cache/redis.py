"""RedisStore: entries in a Redis server, or one that speaks its protocol, for several machines.

An entry is a string under the prefix and its key, with the server's own expiry. Nothing is retried and every step has a
time limit: what does not answer is a miss. The size of all is the server's matter: set `maxmemory` and
`maxmemory-policy allkeys-lru` there.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator
from typing import Any

from pydantic import SecretStr

from qonduit import ConfigurationError
from qonduit_cache import reference
from qonduit_cache.fork import Forked
from qonduit_cache.store import StoreStats

MAX_ENTRY = 8 * 1024 * 1024
"""Bytes of one entry: what is larger is neither kept nor read, so that no answer of the server fills the memory."""


_INHERITED: list[object] = []
"""Connections of a parent process, kept so that nothing closes them by collecting them."""


class RedisStore(Forked):
    """See `Store`. One pool of connections for threads, and one for each event loop."""

    inline = False

    def __init__(self, url: SecretStr, *, prefix: str, timeout: float) -> None:
        try:
            import redis  # noqa: PLC0415  # an extra
            import redis.asyncio  # noqa: PLC0415
        except ImportError:
            raise ConfigurationError(
                'plugin.cache.store is "redis", but the package redis is not installed: pip install "qonduit[redis]".'
            ) from None
        self._library: Any = redis
        self._url = reference.read(url, "plugin.cache.url")
        self._prefix = prefix
        self._timeout = timeout
        self._lock = threading.Lock()
        self._client: Any = None
        self._clients: dict[asyncio.AbstractEventLoop, tuple[Any, AsyncGenerator[None, None]]] = {}
        self._where = self._describe()
        super().__init__()

    def _describe(self) -> str:
        """The server's address without user and password. Raises: ConfigurationError."""
        try:
            parts = self._library.connection.parse_url(self._url)
        except ValueError:
            raise ConfigurationError(
                "plugin.cache.url: expected redis://HOST:PORT/DB, rediss://… or unix://PATH, or a reference to it."
            ) from None
        if "path" in parts:
            return f"redis at {parts['path']}"
        return f"redis at {parts.get('host', 'localhost')}:{parts.get('port', 6379)}/{parts.get('db', 0)}"

    def after_fork(self) -> None:
        """See `Forked`. The client for threads looks after itself."""
        self._lock = threading.Lock()
        _INHERITED.append(self._clients)
        self._clients = {}

    def get(self, key: str) -> bytes | None:
        """See `Store`."""
        try:
            return self._sync().getrange(self._prefix + key, 0, MAX_ENTRY) or None  # "" for a key that is not there
        except self._library.exceptions.ResponseError as error:
            return _wrong_type(error)

    async def aget(self, key: str) -> bytes | None:
        """See `Store`."""
        client = await self._async()
        try:
            return (await client.getrange(self._prefix + key, 0, MAX_ENTRY)) or None
        except self._library.exceptions.ResponseError as error:
            return _wrong_type(error)

    def put(self, key: str, entry: bytes, ttl: float) -> None:
        """See `Store`."""
        if len(entry) <= MAX_ENTRY:
            self._sync().set(self._prefix + key, entry, px=max(int(ttl * 1000), 1))

    async def aput(self, key: str, entry: bytes, ttl: float) -> None:
        """See `Store`."""
        if len(entry) <= MAX_ENTRY:
            await (await self._async()).set(self._prefix + key, entry, px=max(int(ttl * 1000), 1))

    def delete(self, key: str) -> None:
        """See `Store`."""
        self._sync().delete(self._prefix + key)

    def clear(self) -> int:
        """See `Store`. What else is on the server stays."""
        client = self._sync()
        return sum(client.delete(*names) for names in _batches(self._names(), 500))

    def keys(self, limit: int) -> list[str]:
        """See `Store`; in no order."""
        found = []
        for name in self._names():
            found.append(name.decode(errors="replace").removeprefix(self._prefix))
            if len(found) == limit:
                break
        return found

    def stats(self) -> StoreStats:
        """See `Store`."""
        client = self._sync()
        entries = size = 0
        for names in _batches(self._names(), 500):
            pipeline = client.pipeline(transaction=False)
            for name in names:
                pipeline.strlen(name)
            sizes = pipeline.execute(raise_on_error=False)
            entries += len(names)
            size += sum(found for found in sizes if isinstance(found, int))
        return StoreStats(where=self._where, entries=entries, bytes=size)

    def _names(self) -> Any:
        pattern = "".join(f"\\{letter}" if letter in "*?[]\\^-" else letter for letter in self._prefix) + "*"
        return self._sync().scan_iter(match=pattern, count=500)

    def close(self) -> None:
        """See `Store`. Connections of an event loop are closed by it, when it still runs."""
        with self._lock:
            client, self._client = self._client, None
            clients = list(self._clients.items())
            self._clients.clear()
        if client is not None:
            client.close()
        for loop, (_, life) in clients:
            if loop.is_running():
                with contextlib.suppress(RuntimeError):  # it ends at this very moment, and closes its generators
                    asyncio.run_coroutine_threadsafe(_aclose(life), loop)

    def _sync(self) -> Any:
        with self._lock:
            if self._client is None:
                from redis.backoff import NoBackoff  # noqa: PLC0415  # an extra
                from redis.retry import Retry  # noqa: PLC0415

                self._client = self._library.Redis.from_url(self._url, retry=Retry(NoBackoff(), 0), **self._terms)
            return self._client

    async def _async(self) -> Any:
        loop = asyncio.get_running_loop()
        known = self._clients.get(loop)
        if known is not None:
            return known[0]
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415

        client = self._library.asyncio.Redis.from_url(self._url, retry=Retry(NoBackoff(), 0), **self._terms)
        life = self._life(loop, client)
        with self._lock:
            for other in [other for other in self._clients if other.is_closed()]:
                del self._clients[other]
            self._clients[loop] = (client, life)
        await anext(life)
        return client

    async def _life(self, loop: asyncio.AbstractEventLoop, client: Any) -> AsyncGenerator[None, None]:
        """A generator that closes the client when it is closed; an event loop closes its generators before it ends."""
        try:
            yield
        finally:
            with self._lock:
                self._clients.pop(loop, None)
            await client.aclose()

    @property
    def _terms(self) -> dict[str, Any]:
        # A new connection takes one step to open and another for the command: each has half of the time.
        return {"socket_timeout": self._timeout / 2, "socket_connect_timeout": self._timeout / 2}


async def _aclose(life: AsyncGenerator[None, None]) -> None:
    await life.aclose()


def _wrong_type(error: Exception) -> bytes:
    """What stands for something under our key that is no string: no entry, so that it is deleted."""
    if str(error).startswith("WRONGTYPE"):
        return b"wrong type"
    raise error


def _batches(names: Any, size: int) -> Any:
    batch: list[Any] = []
    for name in names:
        batch.append(name)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
