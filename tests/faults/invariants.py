"""What must hold after every case, whatever went wrong in it."""

from __future__ import annotations

import pickle
import sys

import pytest
from tests.faults import inside
from tests.faults.books import Books
from tests.faults.canaries import CONTENTS, LABELS, SECRETS, leaks, locals_of, texts_of
from tests.faults.expectations import Expected, Left
from tests.faults.told import Asker

from qonduit import ConfigurationError, QonduitError


def check_attempts(delays: list[float | None], expected: Expected) -> None:
    """As many attempts as expected were made, and each waited as long as it should."""
    assert len(delays) == expected.attempts
    assert delays[0] is None
    for number, delay in enumerate(delays[1:]):
        least = float(2**number) if expected.delays is None else expected.delays[number]
        assert delay is not None
        assert least <= delay <= least + 1, f"retry {number + 1} waited {delay} s, {least} to {least + 1} expected"


def check_books(books: Books, expected: Expected) -> None:
    """The ledger has one settled row for each attempt, says how each ended, and holds no content."""
    rows, text = books.new_rows()
    assert [row.attempt for row in rows] == list(range(1, expected.attempts + 1))
    if isinstance(expected, Left) and expected.settled_later:
        assert [row.state for row in rows] == ["intent"]
        return
    assert {row.state for row in rows} == {"settled"}
    for row, (outcome, sent) in zip(rows, expected.rows, strict=True):
        assert row.outcome == outcome
        assert sent == "" or row.sent == sent
    assert leaks(text, {**SECRETS, **CONTENTS}) == []
    assert books.plugin.degraded is None


def check_client(asker: Asker) -> None:
    """No connection is in use, nobody waits for one, nothing runs, and the client is in no pickle."""
    assert inside.in_use(asker.client) == 0, "a connection is in use"
    assert inside.waiting(asker.client) == 0
    assert asker.tasks() == set()
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(asker.client)


def check_error(error: BaseException | None, expected: Expected) -> None:
    """An error is one of qonduit's, and shows no secret and no content in any way that it can be shown."""
    if error is None or isinstance(expected, Left):  # what the caller's own code raised
        return
    assert isinstance(error, QonduitError)
    assert not isinstance(error, ConfigurationError)
    shown = texts_of(error)
    assert leaks(shown, {**SECRETS, **CONTENTS, **LABELS}) == [], shown
    assert leaks(locals_of(error), SECRETS) == []
    assert leaks(pickle.dumps(error).decode("latin-1"), SECRETS) == []


def check_loop(asker: Asker) -> None:
    """Nothing was left to the event loop, which is closed by now."""
    assert asker.unhandled == []


def check_outputs(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing was printed; no record of any logger, at any level, holds a secret or a content."""
    assert capsys.readouterr() == ("", "")
    said = "\n".join([caplog.text, *(repr(vars(record)) for record in caplog.records)])
    assert leaks(said, {**SECRETS, **CONTENTS}) == []
    assert "asyncio" not in {record.name for record in caplog.records if record.levelname != "DEBUG"}
    assert sys.exc_info() == (None, None, None)
