"""One emulator and one asker for the whole suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.equivalence.asking import Asker

from qonduit_emulator import Emulator


@pytest.fixture(scope="session")
def asker() -> Iterator[Asker]:
    """Asks the emulator."""
    with Emulator() as emulator:
        asker = Asker(emulator)
        try:
            yield asker
        finally:
            asker.close()
