"""A driver of each kind of client."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.servers import ScriptedServer
from tests.transport.driving import Driver, arguments
from tests.transport.tls import Server, serving

Connect = Callable[..., Driver]


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    """Whether the client is an AsyncClient."""
    kind: bool = request.param
    return kind


@pytest.fixture(params=["httpx", "httptools"])
def http_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The libraries that own connections are made of; a module that uses this runs with each."""
    name: str = request.param
    monkeypatch.setenv("QONDUIT_HTTP_LIBRARY", name)
    return name


@pytest.fixture
def connect(asynchronous: bool) -> Iterator[Connect]:
    """Make a driver for a server; closed when the test ends."""
    with contextlib.ExitStack() as stack:

        def make(server: ScriptedServer | str, **more: Any) -> Driver:
            return stack.enter_context(Driver(asynchronous, arguments(server, **more)))

        yield make


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, Path]:
    """An authority, and the file of its certificate."""
    made = trustme.CA()
    file = tmp_path / "authority.pem"
    made.cert_pem.write_to_path(str(file))
    return made, file


@pytest.fixture
def server(authority: tuple[trustme.CA, Path]) -> Iterator[Server]:
    """A server with a certificate for localhost; `ports` are the client's ports, one a request."""
    yield from serving(authority[0], "localhost")
