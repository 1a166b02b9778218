"""Every fault in every way to ask on every wire, with what must hold after each."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from tests.faults import (
    before_headers,
    bodies,
    connecting,
    consumers,
    events,
    redirects,
    retry_after,
    statuses,
    streams,
    tool_deltas,
    waiting,
)
from tests.faults.fault import LIBRARIES, STREAMED, Case, Fault, cases_of
from tests.faults.running import Tools, run
from tests.wires import WIRES

FAMILIES: dict[str, list[Fault]] = {
    "connecting": connecting.FAULTS,
    "before_headers": before_headers.FAULTS,
    "bodies": bodies.FAULTS,
    "redirects": redirects.FAULTS,
    "retry_after": retry_after.FAULTS,
    "statuses": statuses.FAULTS,
    "streams": streams.FAULTS,
    "events": events.FAULTS,
    "tool_deltas": tool_deltas.FAULTS,
    "consumers": consumers.FAULTS,
    "waiting": waiting.FAULTS,
}
CASES = cases_of(FAMILIES)


def _parameter(case: Case) -> Any:
    marks = [getattr(pytest.mark, f"F{number}") for number in case.fault.failures]
    return pytest.param(case, id=case.name, marks=marks)


@pytest.mark.parametrize("case", [_parameter(case) for case in CASES])
def test_fault(case: Case, tools: Tools) -> None:
    """A fault ends as its table says, and leaves nothing behind."""
    run(case, tools)


def test_every_fault_meets_both_libraries() -> None:
    """Each fault with two cases does: with a kind of client, a form of answer, a mode, a provider; and each scene."""
    met: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for case in CASES:
        fault, scene = (case.family, case.fault.id), case.scene
        for part in (*scene.mode.split("-"), scene.mode, scene.provider, "whole"):
            met[*fault, part].append(case.library)
        met[scene].append(case.library)
    assert [key for key, libraries in met.items() if len(libraries) > 1 and {*libraries} != {*LIBRARIES}] == []


def test_the_matrix_is_as_large_as_it_says() -> None:
    """At least 200 faults and 1,200 cases, none of them twice, and every family on every wire and in every mode."""
    faults = [(family, fault.id) for family, table in FAMILIES.items() for fault in table]
    assert len(faults) >= 200
    assert len(set(faults)) == len(faults)
    assert len(CASES) >= 1200
    for family, table in FAMILIES.items():
        wires = {WIRES[provider].native for fault in table for provider in fault.providers}
        modes = {mode for fault in table for mode in fault.modes}
        assert wires == {False, True}, family
        assert modes >= set(STREAMED), family
