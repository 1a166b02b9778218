"""The modes as fixtures."""

from __future__ import annotations

import pytest
from tests.pipeline.modes import MODES, Mode


@pytest.fixture(params=MODES, ids=lambda mode: mode.name)
def mode(request: pytest.FixtureRequest) -> Mode:
    """Each of the four ways to ask."""
    return request.param
