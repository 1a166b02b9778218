"""The captured records, and the modes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.pipeline.conftest import mode, streaming  # noqa: F401  # fixtures
from tests.plugins.logging.capture import Handler, capturing


@pytest.fixture
def logged() -> Iterator[Handler]:
    """The records of the test, from DEBUG."""
    with capturing() as handler:
        yield handler
