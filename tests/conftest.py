"""What every test stands on: no keys, proxies or configuration of the machine's own, and no waiting between retries."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import stamina
from tests.servers import Reply, Request, ScriptedServer
from tests.wires import WIRES, Wire

# So that these say what was wrong, as tests do; before any other test imports them.
pytest.register_assert_rewrite(*(f"tests.faults.{name}" for name in ("expectations", "invariants", "running")))

LIBRARY = "QONDUIT_HTTP_LIBRARY"
"""What is set for a run: with `QONDUIT_HTTP_LIBRARY=httpx pytest tests/faults` all faults run over that library."""
FAILURES = 77
"""The failures of the field that docs/reference/failures.md lists: `pytest -m F12` runs the tests of one of them."""


def pytest_configure(config: pytest.Config) -> None:
    """A marker for each failure of the field: F1 to F77."""
    for number in range(1, FAILURES + 1):
        config.addinivalue_line("markers", f"F{number}: failure F{number} of docs/reference/failures.md")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No key, proxy or configuration of the machine reaches a test; the library that a run is for does."""
    for name in set(os.environ) - {LIBRARY}:
        if name.upper().endswith(("_API_KEY", "_PROXY")) or name.startswith("QONDUIT_"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.getbasetemp() / "home"
    home.mkdir(exist_ok=True)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "APPDATA"):
        monkeypatch.setenv(name, str(home))


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """Retries follow at once, without stamina's own records, which go to standard output where structlog is at hand."""
    hooks = stamina.instrumentation.get_on_retry_hooks()
    stamina.instrumentation.set_on_retry_hooks([])
    with stamina.set_testing(True, attempts=10, cap=False):
        yield
    stamina.instrumentation.set_on_retry_hooks(hooks)


@pytest.fixture
def serve() -> Iterator[Callable[[Sequence[Reply] | Callable[[Request], Reply]], ScriptedServer]]:
    """Start a `ScriptedServer` of a script; stopped when the test ends."""
    servers: list[ScriptedServer] = []

    def start(script: Sequence[Reply] | Callable[[Request], Reply]) -> ScriptedServer:
        server = ScriptedServer(script).__enter__()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.__exit__()


@pytest.fixture(params=list(WIRES))
def provider(request: pytest.FixtureRequest) -> str:
    """Each provider's name in turn."""
    name: str = request.param
    return name


@pytest.fixture
def wire(provider: str) -> Wire:
    """The wire of `provider`."""
    return WIRES[provider]


@pytest.fixture
def arguments(provider: str, wire: Wire) -> Callable[..., dict[str, Any]]:
    """Arguments of a client of `provider` for a server; no retries unless asked for."""

    def make(server: ScriptedServer | str, **more: Any) -> dict[str, Any]:
        url = server if isinstance(server, str) else server.url
        return {
            "provider": provider,
            "model": "qwen-plus",
            "api_key": "sk-test",
            "base_url": url + wire.prefix,
            "timeout": 10,
            "max_retries": 0,
            **more,
        }

    return make
