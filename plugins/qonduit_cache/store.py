"""Store: where entries are kept. A protocol, so that another place can be had; bytes under a key, for a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from qonduit import ConfigurationError

if TYPE_CHECKING:
    from qonduit_cache.options import CacheOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStats:
    """What a store holds now. `where` names the place, without a password."""

    where: str
    entries: int
    bytes: int


@runtime_checkable
class Store(Protocol):
    """Keeps entries. Safe to share between threads and event loops; nothing is opened before the first access.

    A store may lose entries and may fail: whatever it raises makes a miss, and it is left alone for a while after
    several failures in a row. It need not understand entries; the cache checks them and their time.

    `get` and `put` may take a keyword `timeout`, in seconds: a sync call hands it to them, and they must keep it. The
    async forms are cancelled when it is over; None for one means that the sync form runs in a worker thread.
    """

    inline: bool
    """Whether `get`, `put` and `delete` never wait, so that they are called as they are."""

    def get(self, key: str) -> bytes | None:
        """The entry of `key`; None when there is none."""
        ...

    @property
    def aget(self) -> Callable[[str], Awaitable[bytes | None]] | None:
        """`get`, async: `async def aget(self, key)`; or None."""
        ...

    def put(self, key: str, entry: bytes, ttl: float) -> None:
        """Keep an entry for `ttl` seconds, in place of the one that was there."""
        ...

    @property
    def aput(self) -> Callable[[str, bytes, float], Awaitable[None]] | None:
        """`put`, async: `async def aput(self, key, entry, ttl)`; or None."""
        ...

    def delete(self, key: str) -> None:
        """Forget an entry, if there is one."""
        ...

    def clear(self) -> int:
        """Forget all entries; how many there were."""
        ...

    def keys(self, limit: int) -> list[str]:
        """Up to `limit` keys; the newest first where the store knows."""
        ...

    def stats(self) -> StoreStats:
        """What is kept now."""
        ...

    def close(self) -> None:
        """Let go of files and connections; the next access opens them again. Idempotent."""
        ...


def open_store(options: CacheOptions) -> Store:
    """The store that the options name; nothing is opened yet. Raises: ConfigurationError."""
    for name, store in (("path", "sqlite"), ("url", "redis")):
        if getattr(options, name) is not None and options.store != store:
            raise ConfigurationError(
                f"plugin.cache.{name} is set, but store is '{options.store}': set store = \"{store}\"."
            )
    match options.store:
        case "memory":
            from qonduit_cache.memory import MemoryStore  # noqa: PLC0415  # who names a store pays for it alone

            return MemoryStore(max_entries=options.max_entries, max_bytes=options.max_bytes)
        case "sqlite":
            from qonduit_cache.sqlite import SQLiteStore, default_path  # noqa: PLC0415

            return SQLiteStore(
                options.path or default_path(),
                max_entries=options.max_entries,
                max_bytes=options.max_bytes,
                timeout=options.timeout,
            )
        case "redis":
            from qonduit_cache.redis import RedisStore  # noqa: PLC0415

            if options.url is None:
                raise ConfigurationError('plugin.cache.url is missing: set it for store = "redis", e.g. env:REDIS_URL.')
            return RedisStore(options.url, prefix=options.prefix, timeout=options.timeout)
