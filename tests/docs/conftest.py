"""Where the examples run: a folder and a home of their own, and every request goes to the emulator."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.docs.pages import EXAMPLE, Block

from qonduit._http import HttpTransport
from qonduit.profile import Profile
from qonduit.wire import WireRequest
from qonduit_emulator import Emulator

PATHS = ("/compatible-mode/v1/", "/compatible-api/v1/", "/api/v1/", "/v1/")
"""Base paths that the emulator has; what lies below another one is not a provider's."""


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """One emulator for all pages."""
    with Emulator() as running:
        yield running


class Page:
    """A reader's machine: runs the blocks of one page in one namespace."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, transports: list[HttpTransport]) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._transports = transports
        self._namespace: dict[str, Any] = {"__name__": "__main__"}

    def run(self, block: Block) -> None:
        """Run a block; a line of a traceback is the line of the page."""
        source = "\n" * (block.line - 1) + block.code
        exec(compile(source, str(block.page), "exec", dont_inherit=True), self._namespace)

    def configure(self, block: Block) -> Path:
        """Make a block the configuration. The reader names the file, so that it is trusted."""
        path = self.folder / "qonduit.toml"
        path.write_text(block.code, encoding="utf-8")
        self._monkeypatch.setenv("QONDUIT_CONFIG", str(path))
        return path

    def close(self) -> None:
        """Close what the examples left open."""
        self._namespace.clear()
        for transport in self._transports:
            transport.close()


@pytest.fixture
def page(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """A machine with keys in its environment, and the example distribution installed."""
    monkeypatch.chdir(tmp_path)
    for variable in ("DASHSCOPE_API_KEY", "OPENAI_API_KEY", "TEAM_API_KEY"):
        monkeypatch.setenv(variable, emulator.api_key)
    (tmp_path / "key.txt").write_text(emulator.api_key)
    _install_example(tmp_path / "installed", monkeypatch)
    made = Page(tmp_path, monkeypatch, _redirect(emulator, monkeypatch))
    yield made
    made.close()
    for module in [name for name in sys.modules if name.startswith("qonduit_timing")]:
        del sys.modules[module]


def _redirect(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> list[HttpTransport]:
    """Below everything else, each address becomes the emulator's; no example reaches the network.

    So presets of providers, rules of keys and of trust hold in the examples as they do for users. Gives the transports
    that will have been made.
    """
    made: list[HttpTransport] = []

    def here(wire: WireRequest) -> WireRequest:
        path = urlsplit(wire.url).path
        assert path.startswith(PATHS), f"{wire.url} is not an address that the examples may ask"
        return replace(wire, url=emulator.url + path)

    class Redirected(HttpTransport):
        def __init__(self, profile: Profile, http_client: Any = None) -> None:
            super().__init__(profile, http_client)
            made.append(self)

        def send(self, wire: WireRequest, deadline: float | None) -> Any:
            return super().send(here(wire), deadline)

        async def asend(self, wire: WireRequest, deadline: float | None) -> Any:
            return await super().asend(here(wire), deadline)

        def stream(self, wire: WireRequest, deadline: float | None) -> Any:
            return super().stream(here(wire), deadline)

        async def astream(self, wire: WireRequest, deadline: float | None) -> Any:
            return await super().astream(here(wire), deadline)

    monkeypatch.setattr("qonduit._http.HttpTransport", Redirected)
    return made


def _install_example(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `pip install` leaves of the example distribution. The real thing is in test_example_distribution."""
    information = folder / "qonduit_timing-1.0.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: qonduit-timing\nVersion: 1.0.0\n")
    (information / "entry_points.txt").write_text("[qonduit.plugins]\ntiming = qonduit_timing:TimingPlugin\n")
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.syspath_prepend(str(folder))
