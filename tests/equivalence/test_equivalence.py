"""Every case gives the same over every provider, in every mode, but for the declared differences."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.equivalence.asking import PROVIDERS, SYNC, Asker
from tests.equivalence.cases import CASES, Case
from tests.equivalence.differences import DIFFERENCES, EVERY_ANSWER, OTHER, declared
from tests.equivalence.outcomes import ABSENT, Outcome, differences
from tests.pipeline.modes import MODES, Mode


def compare(found: Outcome, expected: Outcome) -> list[str]:
    """What is wrong: differences that are not declared, and declared ones that do not occur; a line for each."""
    wrong = []
    for name in sorted(found.keys() | expected.keys()):
        if name not in expected:
            wrong.append(f"{name} differs, undeclared: {found[name]!r}")
        elif name not in found:
            wrong.append(f"{name} is declared to differ and does not")
        elif expected[name] is not OTHER and found[name] != expected[name]:
            wrong.append(f"{name} is {found[name]!r}, declared as {expected[name]!r}")
    return wrong


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_results_are_equal_but_for_what_is_declared(asker: Asker, case: Case, provider: str, mode: Mode) -> None:
    """A case gives what it gives in compatible mode, or differs exactly as the table says."""
    outcome = asker.outcome(case, provider, mode)
    reference = asker.reference(case, provider, mode)
    answers = outcome["kind"] == reference["kind"] == "answer"
    expected = declared(case.name, provider, answers=answers, streamed=mode.streamed)
    assert compare(differences(outcome, reference, streamed=mode.streamed), expected) == []


@pytest.mark.parametrize("case", [case for case in CASES if case.expect], ids=lambda case: case.name)
def test_the_reference_is_what_it_should_be(asker: Asker, case: Case) -> None:
    """What all are compared with has the fields that the case expects: three wrong answers may be equal."""
    streamed = asker.reference(case, "dashscope", SYNC._replace(streamed=True))
    reference = {**streamed, **asker.outcome(case, "qwen", SYNC)}
    assert {name: reference.get(name, ABSENT) for name in case.expect} == case.expect


def test_the_cases_are_many_and_named_once() -> None:
    """There are at least 60 cases, and no two of one name."""
    assert len(CASES) >= 60
    assert [name for name, times in Counter(case.name for case in CASES).items() if times > 1] == []


def test_the_table_names_what_there_is() -> None:
    """A declared difference is of known cases and providers, has fields and says why."""
    known = {EVERY_ANSWER, *(case.name for case in CASES)}
    for row in DIFFERENCES:
        assert set(row.cases) <= known, row
        assert set(row.providers) <= set(PROVIDERS), row
        assert row.fields, row
        assert row.why.endswith("."), row


def test_what_is_compared_is_strict() -> None:
    """An undeclared difference, a declared one that does not occur and another value are each told."""
    assert compare({"a": 1}, {}) == ["a differs, undeclared: 1"]
    assert compare({}, {"a": 1}) == ["a is declared to differ and does not"]
    assert compare({"a": 2}, {"a": 1}) == ["a is 2, declared as 1"]
    assert compare({"a": 2}, {"a": OTHER}) == []
    assert compare({}, {"a": OTHER}) == ["a is declared to differ and does not"]
