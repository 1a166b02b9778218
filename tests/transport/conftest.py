"""A driver of each kind of client."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.servers import ScriptedServer
from tests.transport.driving import Driver, arguments

Connect = Callable[..., Driver]


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    """Whether the client is an AsyncClient."""
    kind: bool = request.param
    return kind


@pytest.fixture
def connect(asynchronous: bool) -> Iterator[Connect]:
    """Make a driver for a server; closed when the test ends."""
    with contextlib.ExitStack() as stack:

        def make(server: ScriptedServer | str, **more: Any) -> Driver:
            return stack.enter_context(Driver(asynchronous, arguments(server, **more)))

        yield make
