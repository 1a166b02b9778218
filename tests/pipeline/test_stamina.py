"""What the process does to stamina, which is its own: the provider's error comes out, and every layer settles."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stamina
import stamina._core
import tenacity.nap
from tests.pipeline.layers import recorder
from tests.pipeline.memory import MemoryTransport, Waiting, refused, said
from tests.pipeline.modes import MODES, Mode
from tests.pipeline.naps import Naps
from tests.plugins.cost.ledgers import rows

from qonduit import APIConnectionError, APIError, RateLimitError, ServiceUnavailableError, hookimpl
from qonduit_cost import CostPlugin
from qonduit_cost.options import CostOptions

OK = said("Hel", "lo")
ASYNC = [mode for mode in MODES if mode.asynchronous]


async def failed(mode: Mode, transport: MemoryTransport, *plugins: object, **options: Any) -> APIError:
    """The error of a call."""
    with pytest.raises(APIError) as caught:
        await mode.ask(mode.client(transport, *plugins, **options))
    return caught.value


@pytest.fixture
def inactive() -> Iterator[None]:
    """A process in which somebody switched stamina off."""
    stamina.set_active(False)
    yield
    stamina.set_active(True)


@pytest.mark.F34
async def test_stamina_switched_off(mode: Mode, inactive: None) -> None:
    """With stamina switched off there is no retry, and the provider's error is intact and says why."""
    transport = MemoryTransport(refused(429, retry_after="1"))
    error = await failed(mode, transport)
    assert isinstance(error, RateLimitError)
    assert (error.attempts, error.retry_after, len(transport.sent)) == (1, 1.0, 1)
    assert "Not tried again: stamina is switched off, or in its test mode, in this process." in str(error)


@pytest.mark.F34
@pytest.mark.parametrize("allowed", [10, 100])
@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (3, 4), (5, 6)])
async def test_staminas_test_mode_cannot_add_retries(
    mode: Mode, naps: Naps, retries: int, attempts: int, allowed: int
) -> None:
    """However many attempts stamina's test mode allows, the policy ends them."""
    transport = MemoryTransport(refused(503))
    with stamina.set_testing(True, attempts=allowed):
        error = await failed(mode, transport, max_retries=retries)
    assert (error.attempts, len(transport.sent)) == (attempts, attempts)
    assert "stamina" not in str(error)


@pytest.mark.F34
async def test_staminas_test_mode_may_take_retries_away(mode: Mode, naps: Naps) -> None:
    """A test mode of one attempt, stamina's default, ends the retries with the provider's error."""
    transport = MemoryTransport(refused(503))
    with stamina.set_testing(True):
        error = await failed(mode, transport)
    assert (type(error), error.attempts, len(transport.sent)) == (ServiceUnavailableError, 1, 1)
    assert "stamina is switched off, or in its test mode" in str(error)


def raising(error: BaseException, *, after: int = 0) -> Any:
    """A hook on retries that lets `after` of them pass and then raises."""
    seen: list[Any] = []

    def hook(details: Any) -> None:
        seen.append(details)
        if len(seen) > after:
            raise error

    return hook


class Manager(contextlib.AbstractContextManager[None]):
    """A context manager that counts, and fails where it is told to."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.entered = 0

    def __call__(self, details: Any) -> Manager:
        return self

    def __enter__(self) -> None:
        self.entered += 1
        if self.fails == "enter":
            raise ZeroDivisionError

    def __exit__(self, *_: object) -> None:
        if self.fails == "exit":
            raise ZeroDivisionError


HOOKS = {
    "one that raises": lambda: raising(ZeroDivisionError()),
    "one that raises an error of the application's": lambda: raising(APIConnectionError("elsewhere", retryable=True)),
    "one that ends sync loops": lambda: raising(StopIteration()),
    "one that ends async loops": lambda: raising(StopAsyncIteration()),
    "a context manager that cannot be entered": lambda: Manager("enter"),
    "a context manager that cannot be left": lambda: Manager("exit"),
}


@pytest.mark.parametrize("make", HOOKS.values(), ids=list(HOOKS))
async def test_a_hook_that_fails(mode: Mode, naps: Naps, tmp_path: Path, make: Any) -> None:
    """An application's hook on stamina's retries that fails ends them: the provider's error comes out, and says so.

    The layers settle as ever, and the ledger has a settled row for the attempt.
    """
    log: list[str] = []
    cost = CostPlugin(CostOptions(ledger=str(tmp_path / "ledger.sqlite3")))
    stamina.instrumentation.set_on_retry_hooks([make()])
    transport = MemoryTransport(refused(503), OK)
    layers = (recorder("outer", log), recorder("inner", log, scope="attempt"))
    error = await failed(mode, transport, cost, *layers)
    assert (type(error), error.status_code, error.attempts) == (ServiceUnavailableError, 503, 1)
    assert "Not tried again: a hook on stamina's retries failed" in str(error)
    assert len(transport.sent) == 1
    assert log == ["outer in", "inner in", "inner ServiceUnavailableError", "outer ServiceUnavailableError"]
    cost.close()
    assert [(row["state"], row["outcome"]) for row in rows(tmp_path / "ledger.sqlite3")] == [("settled", "failed")]


async def test_a_hook_that_fails_later(mode: Mode, naps: Naps) -> None:
    """The error that comes out is that of the attempt before the hook failed."""
    stamina.instrumentation.set_on_retry_hooks([raising(ZeroDivisionError(), after=1)])
    error = await failed(mode, MemoryTransport(refused(503), refused(429), OK))
    assert (type(error), error.attempts) == (RateLimitError, 2)
    assert isinstance(error.__cause__, ZeroDivisionError)


async def test_a_hook_that_interrupts(naps: Naps) -> None:
    """Ctrl-C in a hook is Ctrl-C."""
    stamina.instrumentation.set_on_retry_hooks([raising(KeyboardInterrupt())])
    transport = MemoryTransport(refused(503), OK)
    with pytest.raises(KeyboardInterrupt):
        await Mode(False, False).ask(Mode(False, False).client(transport))
    assert len(transport.sent) == 1


async def test_a_hook_that_gives_a_context_manager(mode: Mode, naps: Naps) -> None:
    """It is entered at each retry, and changes nothing."""
    manager = Manager()
    stamina.instrumentation.set_on_retry_hooks([manager])
    transport = MemoryTransport(refused(503))
    error = await failed(mode, transport)
    assert (error.attempts, len(transport.sent), manager.entered) == (4, 4, 3)


@pytest.mark.F38
async def test_a_slow_attempt_does_not_use_up_the_retries(
    mode: Mode, naps: Naps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long an attempt took, it is tried again: stamina's own limit of 45 s on all attempts is not used."""
    start = tenacity.time.monotonic()
    late: list[float] = []
    clock = type("Clock", (), {"monotonic": staticmethod(lambda: start + 3600 * len(late))})
    monkeypatch.setattr(tenacity, "time", clock)
    slow = MemoryTransport(refused(503), refused(503), OK)
    take = slow._next
    monkeypatch.setattr(slow, "_next", lambda wire: (late.append(1.0), take(wire))[1])
    assert (await mode.ask(mode.client(slow))).response.text == "Hello"
    assert (len(slow.sent), naps.delays) == (3, [1.5, 2.5])


@pytest.mark.F39
@pytest.mark.parametrize("mode", ASYNC, ids=lambda mode: mode.name)
async def test_no_async_call_blocks_its_loop_while_it_waits(mode: Mode, naps: Naps) -> None:
    """The waits of async calls are asyncio's; a sleep of the thread is for sync calls only."""
    await failed(mode, MemoryTransport(refused(503)))
    assert (naps.delays, naps.blocking) == ([1.5, 2.5, 4.5], [])
    sync = Mode(False, mode.streamed)
    await failed(sync, MemoryTransport(refused(503)))
    assert naps.blocking == [1.5, 2.5, 4.5]


class Always:
    """A policy that tries everything again."""

    @hookimpl
    def qonduit_retry_policy(self, profile: Any) -> Always:
        return self

    def delay(self, error: APIError, attempt: int) -> float:
        return 0.0


@pytest.mark.F40
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("before", [0, 1, 2])
async def test_a_call_cancelled_in_an_attempt(naps: Naps, streamed: bool, before: int) -> None:
    """A cancellation in any attempt goes on at once, whatever the policy; nothing more is sent."""
    waiting = Waiting()
    mode = Mode(True, streamed)
    transport = MemoryTransport(*[refused(503)] * before, said("x").with_parts(waiting), OK)
    task = asyncio.create_task(mode.ask(mode.client(transport, Always())))
    await waiting.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(transport.sent) == before + 1


@pytest.mark.F40
@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("before", [0, 1, 2])
async def test_an_interruption_in_an_attempt(
    naps: Naps, streamed: bool, interruption: type[BaseException], before: int
) -> None:
    """What is no `Exception` is never tried again, in any attempt, whatever the policy."""
    mode = Mode(False, streamed)
    transport = MemoryTransport(*[refused(503)] * before, interruption(), OK)
    with pytest.raises(interruption):
        await mode.ask(mode.client(transport, Always()))
    assert len(transport.sent) == before + 1


@pytest.mark.F40
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_a_call_cancelled_while_it_waits(monkeypatch: pytest.MonkeyPatch, naps: Naps, streamed: bool) -> None:
    """A cancellation during the wait goes on at once; nothing more is sent."""
    waiting = Waiting()

    async def sleep(delay: float) -> None:
        await waiting()

    monkeypatch.setattr(stamina._core, "_smart_sleep", sleep)
    transport = MemoryTransport(refused(503))
    mode = Mode(True, streamed)
    task = asyncio.create_task(mode.ask(mode.client(transport)))
    await waiting.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(transport.sent) == 1


@pytest.mark.F40
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_ctrl_c_while_it_waits(naps: Naps, monkeypatch: pytest.MonkeyPatch, streamed: bool) -> None:
    """Ctrl-C during the wait of a sync call goes on at once; nothing more is sent."""

    def sleep(delay: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(naps, "sleep", sleep)
    transport = MemoryTransport(refused(503))
    mode = Mode(False, streamed)
    with pytest.raises(KeyboardInterrupt):
        await mode.ask(mode.client(transport))
    assert len(transport.sent) == 1
