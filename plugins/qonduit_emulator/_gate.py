"""The gate: every request passes a chain of small checks before it reaches a backend.

Rules:

1. Stages run in one order, whatever order the checks are given in: format, key, account and quota, rate,
   model.
2. A check refuses by raising `Refusal`; the first refusal ends the chain.
3. A check that takes something it must give back (a concurrency slot, reserved tokens) returns a `Settle`.
   Every settle runs exactly once: when the call ends, when it breaks off, or when a later check refuses.

A call without a chat request (the list of models) passes the same chain; a check that looks at requests
lets it by.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, Protocol

from qonduit_emulator._exchange import ChatRequest, Usage
from qonduit_emulator._refusal import missing_api_key, wrong_api_key

Settle = Callable[[Usage | None], None]
"""Gives back what a check took. The usage is `None` when the call was refused or never answered."""


class Stage(IntEnum):
    """Where in the chain a check stands."""

    FORMAT = 1
    KEY = 2
    ACCOUNT = 3
    RATE = 4
    MODEL = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What the checks see of a call; header names are lower case."""

    wire: Literal["native", "compatible"]
    headers: Mapping[str, str]
    request: ChatRequest | None = None

    @property
    def api_key(self) -> str | None:
        """The key of the `Authorization: Bearer …` header; `None` when there is none."""
        scheme, _, key = self.headers.get("authorization", "").strip().partition(" ")
        return (key.strip() or None) if scheme.lower() == "bearer" else None


class Check(Protocol):
    """One reason to refuse."""

    @property
    def stage(self) -> Stage:
        """Where in the chain it stands."""
        ...

    def check(self, call: Call) -> Settle | None:
        """Let the call by (returning what must be settled, or `None`), or raise `Refusal`."""
        ...


@dataclass
class Permit:
    """An admitted call: what must be settled when it ends."""

    _settles: list[Settle] = field(default_factory=list)

    def add(self, settle: Settle) -> None:
        """Remember one more thing to give back."""
        self._settles.append(settle)

    def settle(self, usage: Usage | None) -> None:
        """Give everything back, last taken first; a second call does nothing."""
        while self._settles:
            self._settles.pop()(usage)


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
                settle = check.check(call)
                if settle is not None:
                    permit.add(settle)
        except BaseException:
            permit.settle(None)
            raise
        return permit


class KeyCheck:
    """The key must be one of the given ones.

    Source: https://help.aliyun.com/zh/model-studio/error-code (401); wrong native key: captured traffic,
    2024-11-25.
    """

    stage = Stage.KEY

    def __init__(self, api_keys: Collection[str]) -> None:
        self._api_keys = frozenset(api_keys)

    def check(self, call: Call) -> None:
        """Refuse a missing or unknown key."""
        if call.api_key is None:
            raise missing_api_key()
        if call.api_key not in self._api_keys:
            raise wrong_api_key()
