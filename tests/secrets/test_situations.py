"""However a call goes, no canary is in an error, a log, a warning, an output or a file."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.modes import Mode
from tests.secrets.canaries import ASKED, KEY, check, seen
from tests.secrets.situations import SITUATIONS, WIRE, answer
from tests.servers import HANG, ScriptedServer

from qonduit import _network

pytestmark = pytest.mark.usefixtures("http_library")


class Outputs:
    """What is written while something is done: records of every logger, warnings, both outputs, and files."""

    def __init__(self, folder: Path, caplog: Any, capfd: Any, caught: list[warnings.WarningMessage]) -> None:
        self._folder, self._caplog, self._capfd, self._caught = folder, caplog, capfd, caught
        self.plugins: list[Any] = [
            ("logging", {"file": str(folder / "log"), "level": "DEBUG"}),
            ("cost", {"ledger": str(folder / "ledger.sqlite3")}),
            ("cache", {"store": "sqlite", "path": str(folder / "cache.sqlite3")}),
        ]

    def places(self, *, answered: bool = False) -> dict[str, str]:
        """By name; the cache's files only where nothing was answered, as they hold answers."""
        records = [record for record in self._caplog.records if not _quotes_the_server(record)]
        files = [path for path in self._folder.iterdir() if not answered or not path.name.startswith("cache")]
        assert "log" in {path.name for path in files}
        return {
            "records": "".join(f"{record.getMessage()} {vars(record)!r}" for record in records),
            "warnings": "".join(str(warning.message) for warning in self._caught),
            "outputs": "".join(self._capfd.readouterr()),
            **{path.name: path.read_bytes().decode("latin-1") for path in files},
        }


def _quotes_the_server(record: logging.LogRecord) -> bool:
    """httpcore's own trace, at DEBUG, of what came from the network; of what is sent it shows no more than "POST"."""
    return record.name.startswith("httpcore") and record.getMessage().startswith("receive_response_headers")


@pytest.fixture
def outputs(tmp_path: Path, caplog: Any, capfd: Any) -> Iterator[Outputs]:
    folder = tmp_path / "written"
    folder.mkdir()
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield Outputs(folder, caplog, capfd, caught)


def client(mode: Mode, server: ScriptedServer, outputs: Outputs, options: Mapping[str, Any]) -> Any:
    given = {"api_key": KEY, "base_url": server.url + WIRE.prefix, "timeout": 10, "max_retries": 0, **options}
    return mode.client(None, *outputs.plugins, *given.pop("plugins", ()), **given)


@pytest.mark.F54
@pytest.mark.F58
@pytest.mark.F59
@pytest.mark.F60
@pytest.mark.parametrize("name", SITUATIONS)
async def test_no_canary_is_seen(serve: Any, mode: Mode, outputs: Outputs, monkeypatch: Any, name: str) -> None:
    """Not in an error, its chain, its frames, its pickle or copy; not in logs, warnings, outputs or files."""
    situation = SITUATIONS[name]
    server = serve(situation.script)
    prepared = situation.prepare(monkeypatch, server, mode.asynchronous)
    made = client(mode, server, outputs, {**situation.options, **prepared})
    expected = situation.streamed if mode.streamed else situation.plain
    places: dict[str, str] = {}
    if expected is None:
        await mode.ask(made, **ASKED)
    else:
        with pytest.raises(expected) as caught:
            await mode.ask(made, **ASKED)
        places = seen(caught.value)
    await mode.leave(made)
    check({**places, **outputs.places(answered=expected is None)}, situation.shows)


@pytest.mark.F54
@pytest.mark.F59
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
async def test_no_canary_is_seen_of_a_cancelled_call(serve: Any, outputs: Outputs, streamed: bool) -> None:
    """Nor when the task is cancelled while it waits for its answer."""
    mode = Mode(True, streamed)
    server = serve([[HANG]])
    made = client(mode, server, outputs, {})
    task = asyncio.create_task(mode.ask(made, **ASKED))
    await asyncio.to_thread(server.wait_requests, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    places = seen(caught.value)
    await mode.leave(made)
    check({**places, **outputs.places()})


@pytest.mark.F54
@pytest.mark.F59
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
async def test_no_canary_is_seen_of_an_interrupted_call(
    serve: Any, outputs: Outputs, monkeypatch: Any, kind: type[BaseException], streamed: bool
) -> None:
    """Nor of Ctrl-C in the depths of the transport of a sync call; asyncio makes a cancellation of it."""
    mode = Mode(False, streamed)

    def fail(*_: Any, **__: Any) -> None:
        raise kind("from below")

    monkeypatch.setattr(_network.SyncStream, "read", fail)
    made = client(mode, serve([]), outputs, {})
    with pytest.raises(kind, match="from below") as caught:
        await mode.ask(made, **ASKED)
    places = seen(caught.value)
    await mode.leave(made)
    check({**places, **outputs.places()})


@pytest.mark.F56
async def test_a_redirect_is_not_followed(serve: Any, mode: Mode, outputs: Outputs) -> None:
    """Neither the key, nor headers of one's own, nor the prompt reach the host that a redirect names."""
    stranger = serve(answer)
    for status in (301, 302, 303, 307, 308):
        location = f"HTTP/1.1 {status} X\r\nlocation: {stranger.url}/v1\r\ncontent-length: 0\r\n\r\n".encode()
        made = client(mode, serve([location]), outputs, {})
        with pytest.raises(Exception, match="Redirects are not followed") as caught:
            await mode.ask(made, **ASKED)
        assert caught.value.status_code == status  # type: ignore[attr-defined]
        assert not caught.value.retryable  # type: ignore[attr-defined]
        await mode.leave(made)
    assert stranger.connections == 0
