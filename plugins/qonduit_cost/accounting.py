"""Accounting: what a call, its answer or its failure come to in the columns of the ledger.

Nothing of a prompt or an answer is in them, and no key: `tenant` is a digest of it that is made for this. What a
provider says is taken only where it has the form of a name.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from functools import lru_cache
from operator import itemgetter
from typing import Any

from qonduit import APIError, Call, ConfigurationError, Cost, CostPart, PluginError, Response
from qonduit_cost.entry import NOT_SENT, Intent, Sent, Settlement, now, settled
from qonduit_cost.hold import Hold, plain, write_holds

_CALL_ID = "call_id"
"""In the state of a call; the plugin `logging` has the same, with fewer digits."""
_NAME = re.compile(r"[\w.:/@+-]{1,128}", re.ASCII)
_CODE = re.compile(r"[A-Za-z][\w.-]{0,63}", re.ASCII)


def intent_of(call: Call, *, hit: bool = False, cost: Cost | None = None, holds: tuple[Hold, ...] = ()) -> Intent:
    """What is known before an attempt; `cost` is what it can cost at most, where a budget asked."""
    profile = call.profile
    known = cost is not None and cost.amount is not None
    return Intent(
        call_id(call),
        0 if hit else call.attempt,
        "hit" if hit else "attempt",
        now(),
        profile.name,
        profile.provider,
        profile.region,
        call.operation,
        call.request.model and _writable(call.request.model),
        call.streamed,
        _writable(_tags(call.tags)) if call.tags else "{}",
        profile.key_id,
        plain(cost.amount) if cost is not None and cost.amount is not None else None,
        cost.currency if cost is not None and known else None,
        "estimated" if known else "unknown",
        write_holds(holds) if holds else None,
    )


def call_id(call: Call) -> str:
    """The id that all rows of a call have. It begins with that of its log records, whichever was made first."""
    found: str = call.state.get(_CALL_ID, "")
    if len(found) < 32:
        found = call.state[_CALL_ID] = found + os.urandom(16 - len(found) // 2).hex()
    return found


def settlement_of(response: Response, cost: Cost) -> Settlement:
    """How an attempt ended that was answered, in whole or in part; or that a cache answered."""
    answer = response.__dict__  # many attributes of one pydantic model cost more than those of its dict
    outcome = "cached" if answer["cached"] else "answered" if answer["complete"] else "incomplete"
    usage, model = answer["usage"], answer["model"]
    known = outcome, None, now(), _model(model), _name(answer["request_id"]), answer["status_code"], None
    counts = _NO_COUNTS if usage is None else _counts(usage.__dict__)
    return Settlement._make((*known, *counts, *_money(cost, model)))


def failure_of(error: BaseException, cost: Cost) -> Settlement:
    """How an attempt ended that failed or was cancelled; `cost` is that of what had arrived."""
    partial = error.response if isinstance(error, APIError) else None
    usage = None if partial is None else partial.usage
    sent = sent_of(error)
    if isinstance(error, APIError):
        status, request_id, code = error.status_code, error.request_id, error.code
    else:
        status, request_id, code = None, None, None
    if sent in {"not_sent", "rejected"}:
        reason = NOT_SENT if sent == "not_sent" else "it was refused: providers charge nothing for that"
        return settled(
            "failed", "exact", sent=sent, status=status, request_id=_name(request_id), error=_error(error, code),
            amount="0", reason=reason,
        )  # fmt: skip
    cancelled = not isinstance(error, Exception) or isinstance(error, asyncio.CancelledError)
    outcome = "cancelled" if cancelled else "failed"
    model = None if partial is None else _model(partial.model)
    known = outcome, sent, now(), model, _name(request_id), status, _error(error, code)
    counts = _NO_COUNTS if usage is None else _counts(usage.__dict__)
    return Settlement._make((*known, *counts, *_money(cost, None if partial is None else partial.model)))


def sent_of(error: BaseException) -> Sent:
    """What is known of a failed attempt; as the core says it, where it does."""
    if isinstance(error, APIError):
        return error.outcome
    if isinstance(error, ConfigurationError) and not isinstance(error, PluginError):
        return "not_sent"
    return "unknown"


def _money(cost: Cost, model: str | None) -> tuple[str | None, ...]:
    money = cost.__dict__
    amount, reason, parts, saved = money["amount"], money["reason"], money["parts"], money["saved"]
    if reason is not None and model and _model(model) is None:
        reason = reason.replace(model, "?")
    return (
        None if amount is None else plain(amount),
        money["currency"],
        money["provenance"],
        reason,
        money["source"],
        _parts(parts) if parts else None,
        None if saved is None else plain(saved),
    )


def _parts(parts: tuple[CostPart, ...]) -> str:
    """The column `parts`. Put together by hand, since no value needs more than quotes."""
    lines = [
        f'{{"kind":{_quoted(part["kind"])},"quantity":{part["quantity"]},"unit_price":"{plain(part["unit_price"])}",'
        f'"amount":"{plain(part["amount"])}","tier":{_quoted(part["tier"])}}}'
        for part in map(vars, parts)
    ]
    return f"[{','.join(lines)}]"


def _error(error: BaseException, code: str | None) -> str:
    kind = type(error).__name__
    return f"{kind}: {code}" if code is not None and _CODE.fullmatch(code) else kind


def _writable(text: str) -> str:
    """Lone surrogates, which no file can hold, written out as JSON does."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _name(text: Any) -> str | None:
    """What a provider says, where it can be a name; else None."""
    return text if text is not None and _NAME.fullmatch(text) else None


_quoted = lru_cache(maxsize=256)(json.dumps)
_model = lru_cache(maxsize=256)(_name)
_tags = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode
_COUNTS = Settlement._fields[Settlement._fields.index("input_tokens") : Settlement._fields.index("amount")]
_counts = itemgetter(*_COUNTS)
_NO_COUNTS = (None,) * len(_COUNTS)
