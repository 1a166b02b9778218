"""A running emulator and plain HTTP clients for it."""

from collections.abc import Iterator

import httpx
import pytest

from qonduit_emulator import Emulator


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def http(emulator: Emulator) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    with httpx.Client(base_url=emulator.url, headers=headers, trust_env=False, timeout=10) as client:
        yield client
