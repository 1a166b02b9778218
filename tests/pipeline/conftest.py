"""The modes as fixtures, and waits that take no time."""

from collections.abc import Iterator

import pytest
import stamina
import stamina._core
import tenacity.nap
from tests.pipeline.modes import MODES, Mode
from tests.pipeline.naps import Naps

from qonduit.retry import ExponentialRetry


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> Iterator[Naps]:
    """The waits between attempts, which take no time and have no jitter."""
    naps = Naps()
    monkeypatch.setattr(tenacity.nap, "time", naps)
    monkeypatch.setattr(stamina._core, "_smart_sleep", naps.asleep)
    monkeypatch.setattr("qonduit.retry.random.random", lambda: 0.5)
    monkeypatch.setattr(ExponentialRetry.__init__, "__kwdefaults__", {"jitter": lambda: 0.5})
    hooks = stamina.instrumentation.get_on_retry_hooks()
    stamina.instrumentation.set_on_retry_hooks([])  # its own go to standard output where structlog is at hand
    yield naps
    stamina.instrumentation.set_on_retry_hooks(hooks)


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
