"""The modes as fixtures."""

import pytest
from tests.pipeline.modes import MODES, Mode


@pytest.fixture(params=MODES, ids=lambda mode: mode.name)
def mode(request: pytest.FixtureRequest) -> Mode:
    """Each of the four ways to ask."""
    return request.param


@pytest.fixture(params=[mode for mode in MODES if mode.streamed], ids=lambda mode: mode.name)
def streaming(request: pytest.FixtureRequest) -> Mode:
    """Each of the two ways to ask for a stream."""
    return request.param


@pytest.fixture(params=[mode for mode in MODES if not mode.streamed], ids=lambda mode: mode.name)
def plain(request: pytest.FixtureRequest) -> Mode:
    """Each of the two ways to ask for a whole answer."""
    return request.param
