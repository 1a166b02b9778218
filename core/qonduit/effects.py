"""Effects: how logic that is written once, without I/O, has I/O done for it.

A flow is a generator. It yields an `Effect` and gets back what the effect's function returned, or the exception that it
raised; it yields a list of chunks to deliver them. `advance` answers effects by their sync form, `aadvance` by their
async form. These two are the only places that know which of the two a call is.

What is raised that is no `Exception` (a cancellation, Ctrl-C, a stream that was left) is thrown into the flow so that
every layer can settle, and then goes on, whatever the flow makes of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator
from typing import Any, Protocol, TypeAlias

logger = logging.getLogger("qonduit")

Flow: TypeAlias = Generator[Any, Any, Any]

SETTLE_SECONDS = 5.0
"""How long async settlement may take after a cancellation, shielded from further ones."""


class Effect:
    """One piece of I/O: `run(*args)` in sync calls, `await arun(*args)` in async ones, where None means a thread."""

    __slots__ = ("args", "arun", "run")

    def __init__(self, run: Callable[..., Any], arun: Callable[..., Any] | None, args: tuple[Any, ...] = ()) -> None:
        self.run = run
        self.arun = arun
        self.args = args


class Left(BaseException):
    """Thrown into a flow whose stream was left. `drained`: every chunk delivered so far has reached the caller."""

    def __init__(self, *, drained: bool = False) -> None:
        super().__init__()
        self.drained = drained


class Reader(Protocol):
    """Who advances a flow on behalf of a caller: a stream."""

    leaving: bool
    """Whether the stream is being left, from another thread or task: what fails meanwhile is the leaving's doing."""
    response: Any
    """Gets what the flow returned when it had to settle for something that goes on past it."""


def advance(flow: Flow, thrown: BaseException | None = None, reader: Reader | None = None) -> Any:
    """Run `flow` until it delivers chunks (a list) or ends (its return value)."""
    try:
        item = flow.send(None) if thrown is None else flow.throw(thrown)
        while item.__class__ is Effect:
            try:
                value = item.run(*item.args)
            except Exception as error:  # noqa: BLE001  # the flow decides
                item = flow.throw(Left(drained=True) if reader is not None and reader.leaving else error)
            except BaseException as leaving:
                try:
                    last = settle(flow, leaving)
                except Exception:  # noqa: BLE001  # said; what is leaving goes on
                    say_unsettled()
                else:
                    if reader is not None:
                        reader.response = last
                raise
            else:
                item = flow.send(value)
    except StopIteration as stop:
        return stop.value
    return item


async def aadvance(flow: Flow, thrown: BaseException | None = None, reader: Reader | None = None) -> Any:
    """`advance`, async."""
    try:
        item = flow.send(None) if thrown is None else flow.throw(thrown)
        while item.__class__ is Effect:
            try:
                if item.arun is None:
                    value = await asyncio.to_thread(item.run, *item.args)
                else:
                    value = await item.arun(*item.args)
            except Exception as error:  # noqa: BLE001  # the flow decides
                item = flow.throw(Left(drained=True) if reader is not None and reader.leaving else error)
            except BaseException as leaving:
                try:
                    last = await asettle(flow, leaving)
                except Exception:  # noqa: BLE001  # said; what is leaving goes on
                    say_unsettled()
                else:
                    if reader is not None:
                        reader.response = last
                raise
            else:
                item = flow.send(value)
    except StopIteration as stop:
        return stop.value
    return item


def settle(flow: Flow, leaving: BaseException) -> Any:
    """Throw `leaving` into `flow` and run it to its end. Returns what it returned; None when `leaving` came out."""
    try:
        item = advance(flow, leaving)
        while item.__class__ is list:  # a layer that goes on delivering to nobody
            item = advance(flow, leaving)
    except BaseException as error:
        if error is not leaving:
            raise
        return None
    finally:
        if isinstance(leaving, Left):
            leaving.__traceback__ = None  # its frames hold it, and through those that called them the caller's
    return item


async def asettle(flow: Flow, leaving: BaseException) -> Any:
    """`settle`, async: shielded from further cancellation, and given up after `SETTLE_SECONDS`."""
    task = asyncio.ensure_future(_asettle(flow, leaving))
    clock = asyncio.get_running_loop().time
    deadline = clock() + SETTLE_SECONDS
    cancelled: BaseException | None = None
    while not task.done() and clock() < deadline:
        try:
            await asyncio.wait({task}, timeout=deadline - clock())
        except asyncio.CancelledError as error:
            cancelled = error
    if not task.done():
        task.cancel()
        logger.warning("qonduit gave up settling a call after %s seconds.", SETTLE_SECONDS)
    if cancelled is not None and not isinstance(leaving, asyncio.CancelledError):
        raise cancelled
    return task.result() if task.done() and not task.cancelled() else None


async def _asettle(flow: Flow, leaving: BaseException) -> Any:
    try:
        item = await aadvance(flow, leaving)
        while item.__class__ is list:
            item = await aadvance(flow, leaving)
    except BaseException as error:
        if error is not leaving:
            raise
        return None
    finally:
        if isinstance(leaving, Left):
            leaving.__traceback__ = None  # its frames hold it, and through those that called them the caller's
    return item


def say_unsettled() -> None:
    """Log the failure of a layer that has nobody left to be told."""
    logger.warning("A layer failed while a call that was left was settled.", exc_info=True)
