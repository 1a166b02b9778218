"""Which library serves direct connections: what was asked for, or by default what is installed."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import httptools
import httpx
import pytest
from tests.transport.driving import ASK, Driver, arguments
from tests.wires import WIRES

from qonduit import APIConnectionError, AsyncClient, ConfigurationError
from qonduit._libraries import library

WIRE = WIRES["qwen"]
PLAIN = WIRE.plain_reply("hello")
FOLDED = PLAIN.replace(b"\r\n", b"\r\nx-folded: a\r\n b\r\n", 1)
"""An answer that h11 takes, and that is refused where httptools parses."""
NOWHERE = "http://127.0.0.1:9"


def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httptools", None)


def old(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an older uvicorn may have brought it."""
    monkeypatch.setattr(httptools, "__version__", "0.8.0")


def of_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of that name in the working folder, which Python takes for a package."""
    monkeypatch.setitem(sys.modules, "httptools", ModuleType("httptools"))


UNFIT: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "missing": missing,
    "too old": old,
    "of another kind": of_another_kind,
}


@pytest.fixture(autouse=True)
def _imported_anew() -> Iterator[None]:
    """What another test imported, or faked, is not what these get."""
    library.cache_clear()
    yield
    library.cache_clear()


@pytest.fixture(params=UNFIT.values(), ids=list(UNFIT))
def unfit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """httptools, in the ways in which it cannot serve."""
    request.param(monkeypatch)


def served_by(driver: Driver) -> str:
    """Which library parsed an answer of `FOLDED`."""
    try:
        assert driver.ask().text == "hello"
        return "httpcore"
    except APIConnectionError as error:
        if "broke before the answer was whole" not in str(error):
            raise
        return "httptools"


@pytest.mark.parametrize(("name", "serves"), [(None, "httptools"), ("auto", "httptools"), ("httptools", "httptools"),
                                              ("httpx", "httpcore"), ("httpx2", "httpcore")])  # fmt: skip
def test_what_serves(serve: Any, connect: Any, monkeypatch: pytest.MonkeyPatch, name: str | None, serves: str) -> None:
    """By default httptools, where it is installed; "httpx" and "httpx2" do without it."""
    monkeypatch.delenv("QONDUIT_HTTP_LIBRARY", raising=False)
    if name is not None:
        monkeypatch.setenv("QONDUIT_HTTP_LIBRARY", name)
    assert served_by(connect(serve([FOLDED]))) == serves


@pytest.mark.parametrize("version", ["0.9.0", "0.10.1", "1.0", "1.0rc1"])
def test_versions_that_serve(serve: Any, connect: Any, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """The numbers of a version are compared as numbers."""
    monkeypatch.setenv("QONDUIT_HTTP_LIBRARY", "auto")
    monkeypatch.setattr(httptools, "__version__", version)
    assert served_by(connect(serve([FOLDED]))) == "httptools"


@pytest.mark.usefixtures("unfit")
def test_by_default_httpcore_serves_where_httptools_cannot(
    serve: Any, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing, too old or something else of that name: it is passed over, without a warning."""
    monkeypatch.setenv("QONDUIT_HTTP_LIBRARY", "auto")
    driver = connect(serve([FOLDED, PLAIN]))
    assert served_by(driver) == "httpcore"
    assert driver.ask().text == "hello"


def test_it_is_decided_once(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client goes on with what its first call found, in each event loop."""
    monkeypatch.setenv("QONDUIT_HTTP_LIBRARY", "auto")
    client = AsyncClient(**arguments(serve([PLAIN, FOLDED])))

    async def ask() -> None:
        await client.chat.completions.create(messages=ASK)

    asyncio.run(ask())
    missing(monkeypatch)
    library.cache_clear()
    with pytest.raises(APIConnectionError):
        asyncio.run(ask())
    asyncio.run(client.close())


def test_the_extra_is_named_where_it_is_missing(connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without httptools the setting is an error that says what to install, before anything is sent."""
    monkeypatch.setenv("QONDUIT_HTTP_LIBRARY", "httptools")
    missing(monkeypatch)
    with pytest.raises(ConfigurationError, match=re.escape('pip install "qonduit[httptools]"')):
        connect(NOWHERE).ask()


@pytest.mark.parametrize(("unfitting", "told"), [(old, "0.8.0"), (of_another_kind, "of no version")])
def test_an_old_httptools_is_not_used(
    connect: Any, monkeypatch: pytest.MonkeyPatch, unfitting: Callable[[pytest.MonkeyPatch], None], told: str
) -> None:
    """uvicorn may have brought an older one: it is named, before anything is sent."""
    monkeypatch.setenv("QONDUIT_HTTP_LIBRARY", "httptools")
    unfitting(monkeypatch)
    with pytest.raises(ConfigurationError, match=rf"httptools is {re.escape(told)}; expected 0\.9"):
        connect(NOWHERE).ask()


@pytest.mark.usefixtures("unfit")
def test_a_client_that_was_handed_in_needs_none_of_them(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is used as it is, whatever the setting says."""
    monkeypatch.setenv("QONDUIT_HTTP_LIBRARY", "httptools")
    with httpx.Client() as own, Driver(False, arguments(serve([PLAIN]), http_client=own)) as driver:
        assert driver.ask().text == "hello"
