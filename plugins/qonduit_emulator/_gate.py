"""The gate: every request passes a chain of small checks before it reaches a backend.

Rules:

1. Stages run in one order, whatever order the checks are given in: format, key, account and quota, rate,
   model, and last the taking.
2. A check refuses by raising `Refusal`; the first refusal ends the chain.
3. A check that takes something it must give back (a concurrency slot, reserved tokens) returns a `Settle`, or
   a `Hold` where what it took bounds the answer. Every settle runs exactly once: when the call ends, when it
   breaks off, or when a later check refuses. The checks of this package take at the last stage only, so a
   refused call leaves no trace in any count.

A call without a chat request (embeddings, the list of models) passes the same chain; a check that looks at
requests lets it by, and one that looks at models and tokens asks the call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Literal, Protocol

from qonduit_emulator._exchange import ChatRequest, Usage

Settle = Callable[[Usage | None], None]
"""Gives back what a check took. The usage is `None` when the call was refused or never answered."""


class Stage(IntEnum):
    """Where in the chain a check stands."""

    FORMAT = 1
    KEY = 2
    ACCOUNT = 3
    RATE = 4
    MODEL = 5
    TAKE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What the checks see of a call; header names are lower case.

    A call that is no chat names its model and its tokens by itself: `model` is `None` where no model is
    called, and `input_tokens` are what will be counted for the call. `check_model` refuses, at the model stage,
    what that model cannot do.
    """

    wire: Literal["native", "compatible"]
    headers: Mapping[str, str]
    request: ChatRequest | None = None
    model: str | None = None
    input_tokens: int = 0
    check_model: Callable[[], object] | None = None

    @property
    def model_name(self) -> str | None:
        """The model that is called; `None` when there is none."""
        return self.model if self.request is None else self.request.model

    @property
    def api_key(self) -> str | None:
        """The key of the `Authorization: Bearer …` header; `None` when there is none."""
        scheme, _, key = self.headers.get("authorization", "").strip().partition(" ")
        return (key.strip() or None) if scheme.lower() == "bearer" else None


@dataclass(frozen=True, slots=True)
class Hold:
    """What a check took, where that bounds the answer: at most `max_output_tokens` for each choice."""

    settle: Settle
    max_output_tokens: int | None = None


class Check(Protocol):
    """One reason to refuse."""

    @property
    def stage(self) -> Stage:
        """Where in the chain it stands."""
        ...

    def check(self, call: Call) -> Settle | Hold | None:
        """Let the call by (returning what must be settled, or `None`), or raise `Refusal`."""
        ...


@dataclass
class Permit:
    """An admitted call: what must be settled when it ends, and how long its answer may be."""

    _settles: list[Settle] = field(default_factory=list)
    _max_output_tokens: int | None = None

    def add(self, taken: Settle | Hold) -> None:
        """Remember one more thing to give back."""
        if not isinstance(taken, Hold):
            self._settles.append(taken)
            return
        self._settles.append(taken.settle)
        self._max_output_tokens = _least(self._max_output_tokens, taken.max_output_tokens)

    def bound(self, request: ChatRequest) -> ChatRequest:
        """The request as it may be answered: no longer than what was taken for it."""
        given = request.parameters
        limit = _least(given.max_completion_tokens, self._max_output_tokens)
        if limit == given.max_completion_tokens:
            return request
        return replace(request, parameters=replace(given, max_completion_tokens=limit))

    def settle(self, usage: Usage | None) -> None:
        """Give everything back, last taken first; a second call does nothing."""
        while self._settles:
            self._settles.pop()(usage)


def _least(one: int | None, other: int | None) -> int | None:
    limits = [limit for limit in (one, other) if limit is not None]
    return min(limits, default=None)


class Gate:
    """The chain of checks."""

    def __init__(self, checks: Iterable[Check]) -> None:
        self._checks = sorted(checks, key=lambda check: check.stage)

    def admit(self, call: Call) -> Permit:
        """Run the chain.

        Raises:
            Refusal: by the first check that refuses; what earlier checks took is given back.
        """
        permit = Permit()
        try:
            for check in self._checks:
                taken = check.check(call)
                if taken is not None:
                    permit.add(taken)
        except BaseException:
            permit.settle(None)
            raise
        return permit
