"""The gate's checks of keys, accounts, rates and access, and the taking: all of them look into the books.

Nothing is taken before the last stage, and there it is decided once more, in one step with the taking: so a
call that the model stage refuses was never counted, and two calls cannot both get the last place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from qonduit_emulator import _tokens
from qonduit_emulator._accounts import Account, AccountState
from qonduit_emulator._books import Books
from qonduit_emulator._exchange import ChatRequest
from qonduit_emulator._gate import Call, Check, Hold, Stage
from qonduit_emulator._keys import ApiKey
from qonduit_emulator._ledger import Demand
from qonduit_emulator._models import Catalogue, Model
from qonduit_emulator._refusal import missing_api_key, wrong_api_key
from qonduit_emulator._refusal_codes import refusal_by_code

ACCOUNT_CODES: Mapping[AccountState, str] = {
    "frozen": "AccessDenied",
    "arrears": "Arrearage",
    "not-purchased": "CommodityNotPurchased",
    "prepaid-bill-overdue": "PrepaidBillOverdue",
    "postpaid-bill-overdue": "PostpaidBillOverdue",
}
"""What an account that is not active is refused with. The vendor's list has no code for a frozen account; the
general 403 stands for it."""

UNKNOWN_OUTPUT = 32768
"""The most tokens an answer can have where neither the caller nor the catalogue says."""


def account_checks(books: Books, catalogue: Catalogue) -> Iterable[Check]:
    """All checks of this module."""
    demands = _Demands(catalogue)
    return (
        KeyCheck(books),
        _AccountCheck(books, demands),
        _RateCheck(books, demands),
        _AccessCheck(books, catalogue),
        _Taking(books, demands, catalogue),
    )


class KeyCheck:
    """The key must exist, be neither disabled nor expired, and belong to this region and the named workspace.

    The vendor has one answer for a wrong, an expired and a disabled key, and for one of another region.
    Source: https://help.aliyun.com/zh/model-studio/error-code (401); wrong native key: captured traffic,
    2024-11-25.
    """

    stage = Stage.KEY

    def __init__(self, books: Books) -> None:
        self._books = books

    def check(self, call: Call) -> None:
        """Refuse a missing or invalid key, and a workspace it does not enter."""
        if call.api_key is None:
            raise missing_api_key()
        key = self._books.find_key(call.api_key)
        if key is None or not key.valid(self._books.clock()):
            raise wrong_api_key()
        if key.region not in {None, self._books.region}:
            raise wrong_api_key()
        _check_workspace(self._books, key, call.headers.get("x-dashscope-workspace"))


def _check_workspace(books: Books, key: ApiKey, workspace: str | None) -> None:
    """A key enters its own workspace; a main account's key enters all, and any where none are known."""
    if not workspace or workspace == key.workspace:
        return
    known = books.workspaces(key.account)
    if key.workspace is None and (not known or workspace in known):
        return
    raise refusal_by_code("Workspace.AccessDenied" if workspace in known else "NOT AUTHORIZED")


class _Demands:
    """What a call may use; the last one is remembered, for several checks ask and counting takes time."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._last: tuple[Call, Demand] | None = None

    def of(self, call: Call) -> Demand:
        """The demand of one call."""
        last = self._last
        if last is not None and last[0] is call:
            return last[1]
        demand = self._measure(call)
        self._last = (call, demand)
        return demand

    def _measure(self, call: Call) -> Demand:
        request = call.request
        if request is None:
            return Demand(call.input_tokens)
        model = self._catalogue.get(request.model)
        least, most = (0, 0) if model is None else _output_range(request, model)
        return Demand(_tokens.count_input(request), least * request.parameters.n, most * request.parameters.n)


def _output_range(request: ChatRequest, model: Model) -> tuple[int, int]:
    """The least and the most output tokens to reserve for one choice; what the caller left open is 1 at least."""
    given = request.parameters
    answer = given.max_tokens
    reasoning = given.thinking_budget if model.thinks(given.enable_thinking) else 0
    least = (1 if answer is None else answer) + (reasoning or 0)
    most = (answer or model.max_output or UNKNOWN_OUTPUT) + (
        (model.max_thinking or 0) if reasoning is None else reasoning
    )
    if given.max_completion_tokens is not None:
        most = min(most, given.max_completion_tokens)
        least = most
    return max(0, least), max(0, most)


class _BooksCheck:
    """Finds key and account again; the key stage has seen that they are there."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def _find(self, call: Call) -> tuple[ApiKey, Account]:
        key = self._books.find_key(call.api_key or "")
        if key is None:
            raise wrong_api_key()
        return key, self._books.account_of(key)


class _AccountCheck(_BooksCheck):
    """The account must be in good standing, with tokens left."""

    stage = Stage.ACCOUNT

    def __init__(self, books: Books, demands: _Demands) -> None:
        super().__init__(books)
        self._demands = demands

    def check(self, call: Call) -> None:
        """Refuse an account that is not active, or whose tokens are used up."""
        _, account = self._find(call)
        if account.state != "active":
            raise refusal_by_code(ACCOUNT_CODES[account.state])
        if call.model_name is not None:
            self._books.ledger.check_quota(account, call.model_name, self._demands.of(call))


class _RateCheck(_BooksCheck):
    """The limits of account and model: how often, how many at once, how many today."""

    stage = Stage.RATE

    def __init__(self, books: Books, demands: _Demands) -> None:
        super().__init__(books)
        self._demands = demands

    def check(self, call: Call) -> None:
        """Refuse what comes too fast."""
        if call.model_name is not None:
            _, account = self._find(call)
            self._books.ledger.check_rate(account, call.model_name, self._demands.of(call))


class _AccessCheck(_BooksCheck):
    """The account must have bought the model, and the key's workspace must be allowed it.

    A model that does not exist is left to the check that says so.
    """

    stage = Stage.MODEL

    def __init__(self, books: Books, catalogue: Catalogue) -> None:
        super().__init__(books)
        self._catalogue = catalogue

    def check(self, call: Call) -> None:
        """Refuse a model that is not theirs."""
        model = call.model_name
        if model is None or model not in self._catalogue:
            return
        key, account = self._find(call)
        if not account.allows(model):
            raise refusal_by_code("AccessDenied.Unpurchased")
        if not key.allows(model):
            raise refusal_by_code("Model.AccessDenied")


class _Taking(_BooksCheck):
    """Reserves what the call may use, until it is settled."""

    stage = Stage.TAKE

    def __init__(self, books: Books, demands: _Demands, catalogue: Catalogue) -> None:
        super().__init__(books)
        self._demands = demands
        self._catalogue = catalogue

    def check(self, call: Call) -> Hold | None:
        """Take it, or refuse as the account and rate checks do."""
        model = call.model_name
        if model is None or model not in self._catalogue:  # a job of an unknown model is refused after the gate
            return None
        _, account = self._find(call)
        demand = self._demands.of(call)
        ledger = self._books.ledger
        reservation = ledger.reserve(account, model, demand)
        bound = None
        if reservation.tokens < demand.input_tokens + demand.most_output:
            choices = call.request.parameters.n if call.request is not None else 1
            bound = max(1, (reservation.tokens - demand.input_tokens) // choices)
        return Hold(lambda usage: ledger.settle(reservation, usage), bound)
