"""What tests of the plugin share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.pipeline.modes import MODES, Mode


@pytest.fixture(params=MODES, ids=lambda mode: mode.name)
def mode(request: pytest.FixtureRequest) -> Mode:
    """Each of the four ways to ask."""
    return request.param


@pytest.fixture
def shown() -> Iterator[Path]:
    """A folder that every user may look into; pytest's own are for one user."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
