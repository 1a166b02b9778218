"""The declared differences of chat: where the wires do not allow equal results, which field differs, how, and why."""

from __future__ import annotations

from tests.equivalence.difference import Difference
from tests.equivalence.differences_errors import ERRORS
from tests.equivalence.differences_messages import MESSAGES, STRUCTURE
from tests.equivalence.differences_parameters import PARAMETERS, SEARCH
from tests.equivalence.differences_reasoning import BY_MODEL, REASONING
from tests.equivalence.differences_wires import WIRES
from tests.equivalence.outcomes import Outcome

GROUPS: dict[str, tuple[Difference, ...]] = {
    "Every answer, and answers that only come as streams": WIRES,
    "Messages and parts": MESSAGES,
    "Structured output": STRUCTURE,
    "Reasoning": REASONING,
    "Reasoning, by kind of model": BY_MODEL,
    "Parameters and models": PARAMETERS,
    "Web search": SEARCH,
    "Errors": ERRORS,
}
"""The differences by the heading that they have on the page."""
DIFFERENCES = tuple(row for rows in GROUPS.values() for row in rows)


def declared(
    case: str, provider: str, *, answers: bool, streamed: bool, rows: tuple[Difference, ...] = DIFFERENCES
) -> Outcome:
    """The fields that are declared to differ; `answers` says that both sides have one.

    Raises:
        ValueError: a field is declared twice.
    """
    found: Outcome = {}
    for row in rows:
        if not row.fits(case, provider, answers=answers, streamed=streamed):
            continue
        if twice := sorted(found.keys() & row.fields.keys()):
            raise ValueError(f"{case}, {provider}: declared twice: {twice}")
        found |= row.fields
    return found
