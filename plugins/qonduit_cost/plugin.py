"""The plugin `cost`: the cost on every answer; with a ledger, a row for every attempt; with budgets, a limit.

Written once for sync and async calls, plain and streamed: what stands after a `yield` runs when the attempt is over,
also when a stream was left or a task cancelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from qonduit import APIError, Call, Cost, Middleware, QonduitError, Response, hookimpl, middleware
from qonduit.middlewares import MiddlewareFlow
from qonduit.value import trusted
from qonduit_cost.accounting import failure_of, intent_of, sent_of, settlement_of
from qonduit_cost.arithmetic import cost_of, unknown
from qonduit_cost.budgets import Budgets, count, set_aside
from qonduit_cost.catalogue import Catalogue
from qonduit_cost.entry import Entry
from qonduit_cost.estimate import estimate, lower_bound
from qonduit_cost.ledger import Ledger
from qonduit_cost.options import CostOptions
from qonduit_cost.recorder import Recorder
from qonduit_cost.spool import Spool
from qonduit_cost.sqlite import SQLiteLedger

_COST = "qonduit_cost.cost"
_DOUBTS = "qonduit_cost.doubts"
_WARNINGS = "qonduit_cost.warnings"


class CostPlugin:
    """Reads usage and prices; never guesses: without a price the amount is None and the reason is said.

    Shared by a client and those made from it by `with_options`. `ledger` takes the place of the one that the options
    name. Raises, when made: ConfigurationError.
    """

    Options = CostOptions

    def __init__(self, options: CostOptions | None = None, *, ledger: Ledger | None = None) -> None:
        options = options or CostOptions()
        self.catalogue = Catalogue.of(options)
        self._budgets = Budgets(options.budgets, options.rates)
        self._recorder = _recorder(options, ledger)

    @staticmethod
    def demands(options: Mapping[str, Any]) -> list[str]:
        """What these options ask for that only a trusted file may: see `qonduit.trust`."""
        return ["plugin.cost.ledger names a file to write to"] if "ledger" in options else []

    @property
    def degraded(self) -> str | None:
        """What is wrong with the ledger, while there are rows that it could not be given; None when all is well."""
        return None if self._recorder is None else self._recorder.degraded

    @hookimpl
    def qonduit_middleware(self) -> Iterable[Middleware]:
        """Outside of the cache, so that hits are priced too; and around each attempt, so that each has its row."""
        yield middleware("cost", wraps=("cache",), on_error="ignore")(self.priced)
        yield middleware("cost.attempt", scope="attempt")(self.recorded if self._recorder else self.doubted)

    def close(self) -> None:
        """Let go of the ledger's file. Idempotent; a later call opens it again."""
        if self._recorder is not None:
            self._recorder.close()

    def priced(self, call: Call) -> MiddlewareFlow:
        """Annotate the answer, or the part of one that a failure carries, with its cost."""
        try:
            response: Response = yield call.request
        except APIError as error:
            if error.response is not None:
                cost = lower_bound(self.catalogue, call.request, error.response, call.profile)
                error.response = error.response.replace(cost=cost)
            raise
        cost = self._cost(call, response)
        if response.cached and self._recorder is not None:
            yield from self._recorder.settle(call, Entry(intent_of(call, hit=True)), settlement_of(response, cost))
        if _DOUBTS in call.state:
            cost = _doubtful(cost, call.state[_DOUBTS])
        warnings = call.state.get(_WARNINGS)
        if warnings:
            return response.replace(cost=cost, warnings=(*response.warnings, *warnings))
        return response.replace(cost=cost)

    def recorded(self, call: Call) -> MiddlewareFlow:
        """A row for an attempt: before it is sent, and again however it ends."""
        recorder = self._recorder
        assert recorder is not None
        entry = self._entry(call)
        yield from recorder.begin(call, entry)
        if entry.warnings:
            call.state.setdefault(_WARNINGS, []).extend(entry.warnings)
        try:
            response: Response = yield call.request
        except BaseException as error:
            cost = self._cost_of_failure(call, error)
            self._note(call, error, cost)
            settlement = failure_of(error, cost)
            yield from recorder.settle(call, entry, settlement, leaving=isinstance(error, GeneratorExit))
            raise
        cost = self._cost(call, response)
        count(call, cost.amount, cost.currency)
        call.state[_COST] = (response.usage, cost)
        yield from recorder.settle(call, entry, settlement_of(response, cost))
        return None

    def doubted(self, call: Call) -> MiddlewareFlow:
        """Without a ledger: remember whether an earlier attempt may have been billed too."""
        try:
            yield call.request
        except APIError as error:
            self._note(call, error, None)
            raise
        return None

    def _entry(self, call: Call) -> Entry:
        """What is taken down before sending. Raises: BudgetExceededError; ConfigurationError for a file of prices."""
        budgets = self._budgets.of(call)
        if not budgets:
            return Entry(intent_of(call))
        cost = estimate(self.catalogue, call.request, call.profile)
        holds, warnings = set_aside(budgets, call, cost)
        return Entry(intent_of(call, cost=cost, holds=holds), holds, warnings=warnings)

    def _cost(self, call: Call, response: Response) -> Cost:
        """What an answer cost; worked out once for an attempt and the call that it answers."""
        usage, cost = call.state.get(_COST, (None, None))
        if cost is not None and usage is response.usage and not response.cached:
            return cost  # type: ignore[no-any-return]
        try:
            if not response.complete and not response.cached:
                return lower_bound(self.catalogue, call.request, response, call.profile)
            return cost_of(self.catalogue, response, call.profile, call.operation)
        except Exception as error:  # noqa: BLE001  # the answer is there and paid for: it must not be lost
            return unknown(_why(error))

    def _cost_of_failure(self, call: Call, error: BaseException) -> Cost:
        partial = error.response if isinstance(error, APIError) else None
        try:
            return lower_bound(self.catalogue, call.request, partial, call.profile)
        except Exception as failure:  # noqa: BLE001  # what the caller is to see is the error of the call
            return unknown(_why(failure))

    @staticmethod
    def _note(call: Call, error: BaseException, cost: Cost | None) -> None:
        """Remember an attempt that may have been billed."""
        if sent_of(error) == "unknown":
            call.state[_DOUBTS] = call.state.get(_DOUBTS, 0) + 1
            if cost is not None:
                count(call, cost.amount, cost.currency)


def _recorder(options: CostOptions, ledger: Ledger | None) -> Recorder | None:
    if ledger is None:
        if options.ledger is None:
            return None
        path = None if options.ledger == ":memory:" else Path(options.ledger)
        ledger = SQLiteLedger(path, power=options.durability == "power")
    path = getattr(ledger, "path", None)
    return Recorder(ledger, None if path is None else Spool(path), strict=options.strict)


def _why(error: Exception) -> str:
    return f"it could not be worked out: {error if isinstance(error, QonduitError) else type(error).__name__}"


def _doubtful(cost: Cost, doubts: int) -> Cost:
    """The cost of an answer that other attempts came before which may have been billed."""
    said = "an earlier attempt" if doubts == 1 else f"{doubts} earlier attempts"
    reason = f"{said} of this call may have been billed as well; that is not in this amount"
    return trusted(Cost, {**cost.__dict__, "reason": reason if cost.reason is None else f"{cost.reason}; {reason}"})
