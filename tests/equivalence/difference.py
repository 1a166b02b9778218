"""Difference: fields that one provider's outcome has otherwise than the reference, and why."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tests.equivalence.outcomes import ABSENT, Outcome

OTHER: Any = type("Other", (), {"__repr__": lambda _: "another value"})()
"""A value that differs and is not written down: a count or a text that follows from the others."""
EVERY_ANSWER = "every answer"
OPENAI = ("openai",)
DASHSCOPE = ("dashscope",)
QWEN = ("qwen",)
REFUSED: Outcome = {
    "kind": "error",
    "error": "BadRequestError",
    "status": 400,
    "retryable": False,
    "outcome": "rejected",
}
"""An error of the server in place of an answer."""
ANSWERED: Outcome = {"kind": "answer", **dict.fromkeys(("error", "status", "retryable", "outcome"), ABSENT)}
"""An answer in place of an error."""
REFUSED_BY_THE_SERVER: Outcome = {
    "status": 400,
    "status family": "4xx",
    "outcome": "rejected",
    "attempts": 1,
    "request_id": "a uuid",
    "sent.count": 1,
}
"""An error of the server in place of one of this side."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Fields that differ from the reference, which is `qwen` in the same mode, and for its streams its plain answer.

    Attributes:
        cases: names of cases, with `*` for any letters, or `("every answer",)`.
        providers: whose outcome differs.
        fields: the fields, with what stands there.
        why: one sentence.
        streamed: True or False when only that mode differs; None when both do.
        but: names of cases that `cases` means and that do not differ.
    """

    cases: tuple[str, ...]
    providers: tuple[str, ...]
    fields: Outcome
    why: str
    streamed: bool | None = None
    but: tuple[str, ...] = ()

    def fits(self, case: str, provider: str, *, answers: bool, streamed: bool) -> bool:
        """Whether the outcome of a case has these fields; `answers` says that it and the reference are answers."""
        meant = self.names(case) or (answers and EVERY_ANSWER in self.cases and not _any(case, self.but))
        return meant and provider in self.providers and self.streamed in {None, streamed}

    def names(self, case: str) -> bool:
        """Whether a case is one of `cases`."""
        return _any(case, self.cases) and not _any(case, self.but)


def left_out(*names: str) -> Outcome:
    """The warnings of an answer to a request of which something was left out."""
    return {"warnings": tuple(f"Provider '…' takes no {name}; it was left out." for name in names)}


def _any(case: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(case, pattern) for pattern in patterns)
