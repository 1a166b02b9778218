"""Each provider does what it declares, and keeps the contract of its parts, by the cases that outside ones run too."""

from __future__ import annotations

import pytest
from tests.conformance.suites import SUITES

from qonduit.testing import Case

CASES = [(name, case) for name, suite in SUITES.items() for case in suite.cases()]


@pytest.mark.parametrize("case", [case for _, case in CASES], ids=[f"{name}: {case}" for name, case in CASES])
def test_conformance(case: Case) -> None:
    """The provider keeps what the case's name says."""
    case.check()
