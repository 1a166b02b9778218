"""What a client holds at the moment: for tests that say it holds nothing."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import Any


def free_slots(client: Any) -> list[int]:
    """Free slots of each of its stacks."""
    transport = client._routes[0].transport
    carriers = [transport._sync, transport._proxied, *transport._async.values(), *transport._async_proxied.values()]
    slots = [carrier._slots for carrier in carriers if carrier is not None]
    return [slot._free.qsize() if hasattr(slot, "_free") else slot._semaphore._value for slot in slots]


def busy(client: Any) -> int:
    """Connections that serve a call, or were lost while they did."""
    transport = client._routes[0].transport
    stacks = [transport._sync, *transport._async.values()]
    return sum(len(stack._busy) for stack in stacks if stack is not None)


def other_tasks() -> set[Any]:
    """Tasks of this loop besides the one that asks."""
    return asyncio.all_tasks() - {asyncio.current_task()}


def descriptors() -> int:
    """Open descriptors of this process."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
