"""A short run of the soak; the long one is `python -m tests.resources.soak`."""

from __future__ import annotations

import sys

import pytest
from tests.resources import soak


@pytest.mark.F47
@pytest.mark.F48
@pytest.mark.usefixtures("http_library")
@pytest.mark.skipif(sys.platform != "linux", reason="memory and descriptors are read from /proc")
def test_failing_calls_leave_nothing_behind() -> None:
    """2,000 calls, a fifth of which fail in five ways: memory is flat, descriptors and threads are as before."""
    figures = soak.run(2000)
    assert figures.unexpected == {}
    assert sum(figures.outcomes.values()) == 2000
    assert {kind for kind, _ in figures.outcomes} == set(soak.EXPECTED)
    assert figures.growth <= soak.LIMIT
    assert figures.descriptors[0] == figures.descriptors[1]
    assert figures.threads[0] == figures.threads[1]
    assert figures.tasks == 0
