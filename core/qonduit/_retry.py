"""The retry loop: one effect with two drivers.

The first try goes without stamina. After a retryable failure stamina is entered with that failure as its first
attempt, so that it waits before the next: entered naively it would try again at once. stamina hands its hook every
exception, cancellations included, and takes 0 for "now" and None for a warning, so the hook answers False or a delay,
keeps its own count, and never raises. An error of the application's own hooks on stamina's retries would replace the
provider's: it ends the retries, and the provider's error goes on.

A streamed attempt is over for this loop when its first chunk has been decoded: from then on it is committed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeAlias

from qonduit._chain import Step, pump
from qonduit.call import Call
from qonduit.effects import Effect, Flow, aadvance, advance
from qonduit.errors import APIError
from qonduit.request import Request
from qonduit.response import Response
from qonduit.retry import MAX_RETRY_AFTER
from qonduit.route import Route

UNKNOWN_WARNING = (
    "An earlier attempt failed after it was sent: its outcome is unknown and it may have been billed as well."
)


_Begun: TypeAlias = "tuple[Flow, Response | list[Any]]"
"""A flow, and what it has come to: its answer, or its first chunks."""


def retrying(route: Route, attempt: Step) -> Step:
    """`attempt`, tried again as the route's policy decides."""

    def step(call: Call, request: Request) -> Flow:
        call.attempt = 1
        try:
            if not call.streamed:
                response = yield from attempt(call, request)
                route.retry_budget.succeeded()
                return response
            flow = attempt(call, request)
            outcome = yield from _until_committed(flow)
        except APIError as error:
            error.attempts = error.attempts and call.attempt
            decision = _Decision(route, call)
            if decision(error) is False:
                raise
            decision.rewind()
            failed = [error]  # taken out by who raises it: no frame is to keep what keeps the frame
        else:
            route.retry_budget.succeeded()
            return (yield from _rest(flow, outcome))

        def again() -> Flow:
            call.attempt += 1
            call.first_chunk = None
            return attempt(call, request)

        flow, outcome = yield Effect(_run, _arun, (again, decision, failed))
        decision.forget()
        route.retry_budget.succeeded()
        response = yield from _rest(flow, outcome)
        if decision.unknown:
            response = response.replace(warnings=(*response.warnings, UNKNOWN_WARNING))
        return response

    return step


def _until_committed(flow: Flow) -> Flow:
    """Run `flow` to its first chunks, or to its end without one."""
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            item = flow.send(value) if error is None else flow.throw(error)
        except StopIteration as stop:
            return stop.value
        if item.__class__ is list:
            return item
        value = error = None
        try:
            value = yield item
        except BaseException as thrown:  # noqa: BLE001  # passed on
            error = thrown


def _rest(flow: Flow, outcome: Any) -> Flow:
    """What is left of an attempt whose outcome so far is its first chunks or its answer."""
    if outcome.__class__ is not list:
        return outcome
    try:
        yield outcome
    except BaseException as left:  # noqa: BLE001  # passed on
        return (yield from pump(flow, on_batch=_same, thrown=left))
    return (yield from flow)


def _same(chunks: list[Any]) -> list[Any]:
    return chunks


class _Decision:
    """Whether to try again after an error, and when; stamina's hook. Keeps the count that stamina does not pass."""

    def __init__(self, route: Route, call: Call) -> None:
        self._route = route
        self._call = call
        self._given: float | None = None
        self._latest: BaseException | None = None
        self.unknown = 0

    def rewind(self) -> None:
        """Give the same answer once more, to stamina, which has yet to see the failure that was just decided."""
        self._rewound = True

    _rewound = False

    def __call__(self, error: BaseException) -> bool | float:
        """False, or seconds to wait."""
        if self._rewound:
            self._rewound = False
            assert self._given is not None
            return self._given
        self._latest = error
        self._given = self._decide(error)
        return False if self._given is None else self._given

    def forget(self) -> None:
        """Let go of the error that was decided last."""
        self._latest = None

    def outcome(self, error: Exception) -> Exception:
        """What to raise for what came out of stamina's loop: the provider's error, whatever the process made of it."""
        latest = self._latest
        if self._given is None or not isinstance(latest, APIError):
            return error
        if error is latest:
            latest.add_reason("Not tried again: stamina is switched off, or in its test mode, in this process.")
        else:
            latest.add_reason(f"Not tried again: a hook on stamina's retries failed ({type(error).__name__}).")
            latest.__cause__ = error
        return latest

    def _decide(self, error: BaseException) -> float | None:
        if not isinstance(error, APIError):
            return None
        attempt = self._call.attempt
        error.attempts = error.attempts and attempt
        if error.outcome == "unknown":
            self.unknown += 1
            self._call._unknown += 1
        try:
            delay = self._route.retry_policy.delay(error, attempt)
            given_up = delay is None or not 0 <= delay < float("inf")
        except Exception as failure:  # noqa: BLE001  # a hook that raises would replace the provider's error
            error.add_reason(f"The retry policy failed ({type(failure).__name__}), so the call was not tried again.")
            return None
        if delay is None or given_up:
            if error.retryable and error.retry_after is not None and error.retry_after > MAX_RETRY_AFTER:
                error.add_reason(f"Not tried again: the provider asks to wait {error.retry_after:g} s.")
            return None
        if error.outcome == "unknown" and not self._route.profile.retry_unknown:
            error.add_reason(
                "Not tried again: its outcome is unknown, so it may have been billed, and retry_unknown is false."
            )
            return None
        if error.outcome == "unknown" and self.unknown > 1:
            error.add_reason("Not tried again: its outcome is unknown for the second time; each may have been billed.")
            return None
        deadline = self._call.deadline
        if deadline is not None and time.monotonic() + delay >= deadline:
            seconds = deadline - self._call.started
            error.add_reason(f"Not tried again: waiting {delay:.1f} s would pass the call's deadline ({seconds:g} s).")
            return None
        if not self._route.retry_budget.take():
            error.add_reason("Not tried again: the retry budget of this client is used up; the provider keeps failing.")
            return None
        self._call.retry_delay, self._call.retry_reason = delay, type(error).__name__
        return delay


def _run(again: Callable[[], Flow], decision: _Decision, failed: list[APIError]) -> _Begun:
    import stamina  # noqa: PLC0415  # only a call that failed pays for it

    raised: Exception = StopIteration()
    try:
        for attempt in stamina.retry_context(on=decision, attempts=None, timeout=None):
            with attempt:
                if failed:
                    raise failed.pop()
                flow = again()
                try:
                    return flow, advance(flow)
                finally:
                    del flow  # a failure's frames, this one among them, may be kept by stamina
    except Exception as caught:  # noqa: BLE001  # it, or the error that it hides, is raised
        raised = caught
    raise decision.outcome(raised)


async def _arun(again: Callable[[], Flow], decision: _Decision, failed: list[APIError]) -> _Begun:
    import stamina  # noqa: PLC0415

    raised: Exception = StopAsyncIteration()
    try:
        async for attempt in stamina.retry_context(on=decision, attempts=None, timeout=None):
            with attempt:
                if failed:
                    raise failed.pop()
                flow = again()
                return flow, await aadvance(flow)
    except Exception as caught:  # noqa: BLE001  # it, or the error that it hides, is raised
        raised = caught
    raise decision.outcome(raised)
