"""Every operation beside chat gives the same over every provider that has it, but for the declared differences."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.equivalence.asking import SYNC, Asker
from tests.equivalence.case import Case
from tests.equivalence.differences import declared
from tests.equivalence.differences_operations import OPERATION_DIFFERENCES
from tests.equivalence.judging import check_rows, compare
from tests.equivalence.operations import OPERATIONS, PROVIDERS_OF
from tests.equivalence.outcomes import ABSENT, differences
from tests.pipeline.modes import Mode

CASES = [(path, case) for path, cases in OPERATIONS.items() for case in cases]
EXPECTING = [(path, case) for path, case in CASES if case.expect]
ASKED = [(path, case, provider) for path, case in CASES for provider in PROVIDERS_OF[path]]
MODES = [SYNC, SYNC._replace(asynchronous=True)]


def named(value: object) -> str:
    """The name of a case, for the id of a test."""
    return value.name if isinstance(value, Case) else str(value)


@pytest.mark.parametrize("mode", MODES, ids=["sync", "async"])
@pytest.mark.parametrize(("path", "case", "provider"), ASKED, ids=named)
def test_results_are_equal_but_for_what_is_declared(
    asker: Asker, path: str, case: Case, provider: str, mode: Mode
) -> None:
    """A case gives what it gives in compatible mode, or differs exactly as the table says."""
    outcome = asker.operation(path, case, provider, mode)
    reference = asker.operation(path, case, "qwen", SYNC)
    answers = outcome["kind"] == reference["kind"] == "answer"
    expected = declared(case.name, provider, answers=answers, streamed=False, rows=OPERATION_DIFFERENCES)
    assert compare(differences(outcome, reference, streamed=False), expected) == []


@pytest.mark.parametrize(("path", "case"), EXPECTING, ids=named)
def test_the_reference_is_what_it_should_be(asker: Asker, path: str, case: Case) -> None:
    """What all are compared with has the fields that the case expects: three wrong answers may be equal."""
    reference = asker.operation(path, case, "qwen", SYNC)
    assert {name: reference.get(name, ABSENT) for name in case.expect} == case.expect


@pytest.mark.parametrize("mode", MODES, ids=["sync", "async"])
@pytest.mark.parametrize("path", [path for path, providers in PROVIDERS_OF.items() if "openai" not in providers])
def test_an_operation_that_a_provider_does_not_have_is_refused_before_it_is_sent(
    asker: Asker, path: str, mode: Mode
) -> None:
    """OpenAI's wire has no rerank and no tokenizer."""
    outcome = asker.operation(path, OPERATIONS[path][0], "openai", mode)
    told = {name: outcome[name] for name in ("error", "status", "outcome", "attempts", "sent.count")}
    assert told == {"error": "BadRequestError", "status": None, "outcome": "not_sent", "attempts": 0, "sent.count": 0}


def test_the_cases_are_named_once() -> None:
    """No two have one name."""
    assert [name for name, times in Counter(case.name for _, case in CASES).items() if times > 1] == []


def test_the_table_names_what_there_is() -> None:
    """A declared difference is of known cases and providers, has fields and says why."""
    check_rows(OPERATION_DIFFERENCES, [case.name for _, case in CASES])
