"""Every case gives the same over every provider, in every mode, but for the declared differences."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.equivalence.asking import PROVIDERS, SYNC, Asker
from tests.equivalence.case import Case
from tests.equivalence.cases import CASES
from tests.equivalence.difference import OTHER
from tests.equivalence.differences import DIFFERENCES, declared
from tests.equivalence.judging import check_rows, compare
from tests.equivalence.outcomes import ABSENT, differences
from tests.pipeline.modes import MODES, Mode


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
    plain = asker.outcome(case, provider, SYNC)
    if plain["kind"] == outcome["kind"]:  # a value that is not written down is the same in every mode all the same
        others = [name for name, value in expected.items() if value is OTHER and not name.startswith("stream.")]
        assert {name: outcome.get(name) for name in others} == {name: plain.get(name) for name in others}


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_sync_and_async_are_equal(asker: Asker, case: Case, provider: str, streamed: bool) -> None:
    """Whatever a provider gives, it gives to both clients; pieces of a stream, too."""
    sync, asynchronous = (asker.outcome(case, provider, Mode(kind, streamed)) for kind in (False, True))
    assert compare(differences(asynchronous, sync, streamed=True), {}) == []


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
    check_rows(DIFFERENCES, [case.name for case in CASES])


@pytest.mark.parametrize("provider", ["openai", "dashscope"])
def test_whatever_differs_otherwise_than_declared_is_told(asker: Asker, provider: str) -> None:
    """Of real outcomes: a field that is changed, taken away or new, and a declared difference that is made good."""
    case = next(case for case in CASES if case.name == "search-citations")
    outcome, reference = asker.outcome(case, provider, SYNC), asker.reference(case, provider, SYNC)
    expected = declared(case.name, provider, answers=True, streamed=False)
    assert expected
    for name in outcome.keys() | {"new"}:
        changed = compare(differences({**outcome, name: "changed"}, reference, streamed=False), expected)
        assert bool(changed) is (expected.get(name) is not OTHER), name
    for name in expected:
        mended = differences({**outcome, name: reference.get(name, ABSENT)}, reference, streamed=False)
        assert compare(mended, expected) == [f"{name} is declared to differ and does not"]


def test_what_is_compared_is_strict() -> None:
    """An undeclared difference, a declared one that does not occur and another value are each told."""
    assert compare({"a": 1}, {}) == ["a differs, undeclared: 1"]
    assert compare({}, {"a": 1}) == ["a is declared to differ and does not"]
    assert compare({"a": 2}, {"a": 1}) == ["a is 2, declared as 1"]
    assert compare({"a": 2}, {"a": OTHER}) == []
    assert compare({}, {"a": OTHER}) == ["a is declared to differ and does not"]
