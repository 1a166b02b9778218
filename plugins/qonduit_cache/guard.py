"""Guard: a store as a call may use it. Whatever the store does, the call goes on, and within its deadline."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from qonduit import Call
from qonduit_cache.breaker import Breaker
from qonduit_cache.store import Store


class Guard:
    """A store behind a time limit and a breaker. Its methods are flows: `yield from guard.get(call, key)`.

    An `inline` store needs none, since it never waits: `guard.at_once(store.get, key)`.
    """

    def __init__(self, store: Store, timeout: float, breaker: Breaker) -> None:
        self.inline = store.inline
        self._store = store
        self._timeout = timeout
        self.breaker = breaker

    def get(self, call: Call, key: str) -> Generator[Any, Any, Any]:
        """The entry of `key`, as the store has it; None when there is none or the store does not give it."""
        return self._use(call, self._store.get, self._store.aget, key)

    def put(self, call: Call, key: str, entry: bytes, ttl: float) -> Generator[Any, Any, Any]:
        """Keep an entry, if the store takes it."""
        return self._use(call, self._store.put, self._store.aput, key, entry, ttl)

    def delete(self, call: Call, key: str) -> Generator[Any, Any, Any]:
        """Forget an entry, if the store does."""
        return self._use(call, self._store.delete, None, key)

    def at_once(self, function: Callable[..., Any], *args: Any) -> Any:
        """What `function` of an inline store gives; None when it fails or is left alone."""
        if not self.breaker.allows():
            return None
        try:
            value = function(*args)
        except Exception as error:  # noqa: BLE001  # a cache is no reason for a call to fail
            self.breaker.failed(error)
            return None
        self.breaker.succeeded()
        return value

    def _use(
        self, call: Call, function: Callable[..., Any], async_function: Callable[..., Any] | None, *args: Any
    ) -> Generator[Any, Any, Any]:
        if self.inline:
            return self.at_once(function, *args)
        if not self.breaker.allows():
            return None
        seconds = self._timeout
        if call.deadline is not None and call.deadline - call.clock() < seconds:
            return None  # a sync store may need all of its time
        try:
            value = yield from call.io(function, async_function, *args, timeout=seconds)
        except Exception as error:  # noqa: BLE001  # a cache is no reason for a call to fail
            self.breaker.failed(error)
            return None
        self.breaker.succeeded()
        return value
