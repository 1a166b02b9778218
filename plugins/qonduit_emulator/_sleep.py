"""How this server waits; tests pass another one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

Sleep = Callable[[float], Awaitable[None]]
"""Waits for a number of seconds."""


async def sleep(seconds: float) -> None:
    """Wait."""
    await asyncio.sleep(seconds)
