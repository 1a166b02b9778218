"""cache_control: what the cache shall do for the calls of one block of code."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from typing import get_args

from qonduit import ConfigurationError
from qonduit_cache.options import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What a block asks for; None leaves what the block around it, or the profile, says."""

    mode: Mode | None = None
    ttl: float | None = None
    max_age: float | None = None
    namespace: str | None = None


current: ContextVar[Control | None] = ContextVar("qonduit_cache_control", default=None)
"""What the innermost block asks for, with what the blocks around it say; None outside of all."""


@contextmanager
def cache_control(
    *,
    mode: Mode | None = None,
    ttl: float | None = None,
    max_age: float | None = None,
    namespace: str | None = None,
) -> Iterator[None]:
    """Within the block, calls use the cache as said here; what is left out stays as it is.

        with cache_control(mode="refresh", ttl=60):
            client.chat.completions.create(messages=messages)

    Holds for sync and async calls of this thread or task, and of the tasks made within; a stream keeps what held when
    it was made. Blocks nest. Who names a mode has asked for the cache: then `max_temperature` does not count.

    Args:
        mode: "on", "off", "read_only", "write_only" or "refresh"; see `qonduit_cache.options.Mode`.
        ttl: seconds that answers are kept.
        max_age: answers older than so many seconds are not given.
        namespace: calls of one namespace share answers, whatever their key.

    Raises: ConfigurationError for a mode that there is not, or seconds that are no positive number.
    """
    if mode is not None and mode not in get_args(Mode):
        raise ConfigurationError(f"cache_control: mode={mode!r}; expected one of {', '.join(get_args(Mode))}.")
    for name, seconds in (("ttl", ttl), ("max_age", max_age)):
        if seconds is not None and not (isinstance(seconds, int | float) and 0 < seconds < math.inf):
            raise ConfigurationError(f"cache_control: {name}: expected a positive number of seconds.")
    if namespace is not None and not isinstance(namespace, str):
        raise ConfigurationError("cache_control: namespace: expected a text.")
    asked = Control(mode=mode, ttl=ttl, max_age=max_age, namespace=namespace)
    token = current.set(_over(asked, current.get()))
    try:
        yield
    finally:
        current.reset(token)


def _over(inner: Control, outer: Control | None) -> Control:
    if outer is None:
        return inner
    pairs = ((field.name, getattr(inner, field.name), getattr(outer, field.name)) for field in fields(Control))
    return Control(**{name: mine if mine is not None else others for name, mine, others in pairs})
