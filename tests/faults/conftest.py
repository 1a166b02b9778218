"""What the faults share: one ledger, and a collection of garbage after each that takes no time."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest
from tests.faults.books import Books
from tests.faults.canaries import CONTENTS, SECRETS, leaks
from tests.faults.running import Tools


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    """The ledger of all cases; at the end no byte of its files may be a secret or a content."""
    made = Books(tmp_path_factory.mktemp("ledger") / "costs.sqlite3")
    yield made
    found = leaks(made.content().decode("latin-1"), {**SECRETS, **CONTENTS})
    made.close()
    assert found == []


@pytest.fixture(scope="module", autouse=True)
def _old_things() -> Iterator[None]:
    """What is there already is not looked at by the collections after each case."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def tools(
    books: Books,
    no_waiting: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Tools]:
    """What watches a case. What it left is collected, so that what is wrong with it is told with its name."""
    caplog.set_level(logging.DEBUG)
    yield Tools(books, monkeypatch, caplog, capsys)
    gc.collect()
    gc.freeze()
