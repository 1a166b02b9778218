"""Both kinds of client, and both libraries that their own connections are made of."""

from __future__ import annotations

import pytest
from tests.transport.conftest import http_library

__all__ = ["asynchronous", "http_library"]


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    """Whether the client is an AsyncClient."""
    kind: bool = request.param
    return kind
