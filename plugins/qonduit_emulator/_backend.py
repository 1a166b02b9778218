"""The seam behind the gate: who makes the answer.

The scripted backend is one implementation; anything that turns a `ChatRequest` into `Delta` values is
another.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from qonduit_emulator._exchange import ChatRequest, Delta


class Backend(Protocol):
    """Answers admitted requests."""

    def answer(self, request: ChatRequest) -> AsyncIterator[Delta]:
        """Yield the answer piece by piece, ending each choice with one `FinishDelta`.

        The caller iterates to the end for a plain answer, and may stop early when the client goes away; it
        closes the iterator either way. A `Refusal` may be raised at any point, also in the middle of a
        stream.
        """
        ...
