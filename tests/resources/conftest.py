"""Both kinds of client."""

from __future__ import annotations

import pytest


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    """Whether the client is an AsyncClient."""
    kind: bool = request.param
    return kind
