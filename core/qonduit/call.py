"""Call: what a middleware sees of the call that it is part of."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import time
import types
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from qonduit.effects import Effect

if TYPE_CHECKING:
    from qonduit.parts import WireStream
    from qonduit.profile import Profile
    from qonduit.request import Request

T = TypeVar("T")

logger = logging.getLogger("qonduit.middleware")

IO_SECONDS = 5.0
"""The default time limit of `Call.io`."""


class Call:
    """One call on its way.

    Attributes:
        request: the request as it came to this layer.
        profile: the profile of the route; never holds the key.
        streamed: whether the caller asked for a stream.
        attempt: the number of the attempt under way, or of the last one made; 0 before the first.
        tags: the caller's labels, the client's under the request's.
        state: a dict of this call's own, shared by its layers.
        started: `clock()` when the call began.
        committed: whether chunks have been passed on and no layer holds them back: nothing is tried again then.
        first_chunk: `clock()` when the first chunk of a stream had been decoded; None before, and without a stream.
        retry_delay: seconds that the attempt under way was waited for; None for the first.
        retry_reason: why it is made: the name of the error of the attempt before.
    """

    __slots__ = (
        "_unknown",
        "_wire_stream",
        "attempt",
        "committed",
        "deadline",
        "first_chunk",
        "profile",
        "request",
        "retry_delay",
        "retry_reason",
        "started",
        "state",
        "streamed",
        "tags",
    )

    def __init__(self, request: Request, profile: Profile, tags: dict[str, str]) -> None:
        self.request = request
        self.profile = profile
        self.streamed = request.stream
        self.attempt = 0
        self.tags = {**tags, **request.tags} if tags else request.tags
        self.state: dict[str, Any] = {}
        self.committed = False
        self.first_chunk: float | None = None
        self.retry_delay: float | None = None
        self.retry_reason: str | None = None
        self._unknown = 0  # attempts that may have been billed though they failed
        self._wire_stream: WireStream | None = None  # the opened answer of the attempt under way, for who leaves it
        self.started = time.monotonic()
        seconds = request.deadline if request.deadline is not None else profile.deadline
        self.deadline = None if seconds is None else self.started + seconds

    @property
    def operation(self) -> str:
        """What the call does: "chat"."""
        return self.request.operation

    @staticmethod
    def clock() -> float:
        """Seconds on a monotonic clock, for durations."""
        return time.monotonic()

    def log(self, event: str, **fields: Any) -> None:
        """Log `event` at INFO on the logger "qonduit.middleware", with `fields` as `record.fields`."""
        if logger.isEnabledFor(logging.INFO):
            details = " ".join(f"{name}={value!r}" for name, value in fields.items())
            logger.info("%s %s", event, details, extra={"event": event, "fields": fields})

    def io(
        self,
        function: Callable[..., T],
        async_function: Callable[..., Awaitable[T]] | None = None,
        *args: Any,
        timeout: float = IO_SECONDS,
    ) -> Generator[Effect, T, T]:
        """Do I/O: `value = yield from call.io(store.get, store.aget, key)`.

        Calls `function(*args)` in sync calls and awaits `async_function(*args)` in async ones; with None for it,
        `function` runs in a worker thread there. `timeout`, in seconds, is enforced in async calls; a function that
        takes a keyword `timeout` is handed it, and in sync calls must keep it itself.
        Raises: TimeoutError, and whatever the function raises.
        """
        if _takes_timeout(function):
            function = functools.partial(function, timeout=timeout)
        value = yield Effect(function, functools.partial(_within, function, async_function, timeout), args)
        return value


async def _within(
    function: Callable[..., Any],
    async_function: Callable[..., Awaitable[Any]] | None,
    seconds: float,
    *args: Any,
) -> Any:
    async with asyncio.timeout(seconds):
        if async_function is None:
            return await asyncio.to_thread(function, *args)
        return await async_function(*args)


def _takes_timeout(function: Any) -> bool:
    """Whether `function` has a parameter `timeout`. Nothing is kept of it: it may be a closure of one call."""
    plain = getattr(function, "__func__", function)
    while (wrapped := getattr(plain, "__wrapped__", None)) is not None:
        plain = wrapped
    if isinstance(plain, types.FunctionType):  # what inspect would find, a hundred times faster
        code = plain.__code__
        return "timeout" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    try:
        return "timeout" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin without a signature
        return False
