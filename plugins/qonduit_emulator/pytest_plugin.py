"""A pytest plugin: the fixture `dashscope_emulator`.

It loads with every pytest run where qonduit is installed, so it imports nothing but pytest until a test asks for
the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from qonduit_emulator._emulator import Emulator


@pytest.fixture(scope="session")
def _dashscope_emulator_process() -> Iterator[Emulator]:
    try:
        from qonduit_emulator._emulator import Emulator  # noqa: PLC0415 - only for those who use it

        emulator = Emulator().start()
    except ImportError as error:
        pytest.fail(
            f'the fixture dashscope_emulator needs {error.name}: pip install "qonduit[emulator]"', pytrace=False
        )
    with emulator:
        yield emulator


@pytest.fixture
def dashscope_emulator(_dashscope_emulator_process: Emulator) -> Iterator[Emulator]:
    """A running DashScope emulator, as it was at its start: it is started once and reset after each test.

    It has `base_url`, `native_url`, `api_key`, the `requests` it received, `rules.set(…)`, `faults.set(…)`,
    `pacing`, and in `books` its keys, accounts and limits.
    """
    yield _dashscope_emulator_process
    _dashscope_emulator_process.reset()
