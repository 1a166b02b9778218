"""Clients of httpx and httpx2 that the caller hands in: used as they are, never closed, never trusted with more."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest
from tests.servers import CLOSE, HANG, chunk, refusing_address, sse_head
from tests.transport.driving import ASK, Driver, arguments
from tests.wires import WIRES, dumps

from qonduit import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncClient,
    Client,
    ConfigurationError,
    ProtocolError,
    StreamInterruptedError,
)

WIRE = WIRES["qwen"]
URL = "http://api.test"


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> ModuleType:
    """httpx or httpx2."""
    module: ModuleType = request.param
    return module


@pytest.fixture
def handed_in(asynchronous: bool, library: ModuleType) -> Iterator[Callable[..., tuple[Driver, Any]]]:
    """Make a driver whose client sends by an HTTP client of the right kind."""
    drivers: list[tuple[Driver, Any]] = []

    def make(url: str = URL, client_options: dict[str, Any] | None = None, **more: Any) -> tuple[Driver, Any]:
        kind = library.AsyncClient if asynchronous else library.Client
        http_client = kind(**{"trust_env": False, **(client_options or {})})
        driver = Driver(asynchronous, arguments(url, http_client=http_client, **more))
        drivers.append((driver, http_client))
        return driver, http_client

    yield make
    for driver, http_client in drivers:
        driver.close()
        assert not http_client.is_closed
        driver.run(http_client.aclose() if asynchronous else http_client.close())
        driver.__exit__()


def mocked(library: ModuleType, handler: Callable[[Any], Any]) -> dict[str, Any]:
    """Options of an HTTP client whose transport is `handler`."""
    return {"transport": library.MockTransport(handler)}


def test_a_mocked_transport(handed_in, library) -> None:
    """A client with a mock transport answers plain and streamed calls; it sees the request as it would be sent."""
    seen: list[Any] = []

    def handler(request: Any) -> Any:
        seen.append(request)
        body = json.loads(request.content)
        if body.get("stream"):
            headers = {"content-type": "text/event-stream"}
            return library.Response(200, headers=headers, content=b"".join(WIRE.events()))
        return library.Response(200, json=WIRE.answer("hello"))

    driver, _ = handed_in(client_options=mocked(library, handler))
    assert driver.ask().text == "hello"
    assert driver.stream().text() == "hello"
    assert [str(request.url) for request in seen] == [f"{URL}/compatible-mode/v1/chat/completions"] * 2
    assert all(request.headers["authorization"] == "Bearer sk-test" for request in seen)
    assert all(request.headers["accept-encoding"] == "identity" for request in seen)
    assert all(int(request.headers["content-length"]) == len(request.content) for request in seen)


def test_real_sockets(serve, handed_in) -> None:
    """A handed-in client carries calls over its own connections, and keeps them between calls."""
    server = serve([WIRE.plain_reply(), WIRE.stream_reply(), WIRE.plain_reply()])
    driver, _ = handed_in(server.url)
    assert driver.ask().text == "hello"
    assert driver.stream().text() == "hello"
    assert driver.ask().text == "hello"
    assert server.connections == 1


def test_redirects_are_not_followed_even_where_the_client_would(handed_in, library) -> None:
    """A handed-in client that follows redirects does not follow ours."""
    seen: list[str] = []

    def handler(request: Any) -> Any:
        seen.append(str(request.url))
        return library.Response(307, headers={"location": "http://stranger.test/"})

    driver, _ = handed_in(client_options={**mocked(library, handler), "follow_redirects": True})
    with pytest.raises(APIStatusError) as caught:
        driver.ask()
    assert caught.value.status_code == 307
    assert len(seen) == 1


def test_an_encoding_that_was_not_asked_for(handed_in, library) -> None:
    """A compressed answer is refused by way of a handed-in client, too."""
    import gzip

    content = gzip.compress(dumps(WIRE.answer()))
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    handler = lambda _: library.Response(200, headers=headers, content=content)  # noqa: E731
    driver, _ = handed_in(client_options=mocked(library, handler))
    for ask in (driver.ask, driver.stream):
        with pytest.raises(ProtocolError, match="compressed"):
            ask()


@pytest.mark.parametrize(
    ("name", "kind", "outcome"),
    [
        ("ConnectError", APIConnectionError, "not_sent"),
        ("ConnectTimeout", APITimeoutError, "not_sent"),
        ("PoolTimeout", APITimeoutError, "not_sent"),
        ("ReadTimeout", APITimeoutError, "unknown"),
        ("WriteTimeout", APITimeoutError, "unknown"),
        ("ReadError", APIConnectionError, "unknown"),
        ("WriteError", APIConnectionError, "unknown"),
        ("RemoteProtocolError", APIConnectionError, "unknown"),
        ("ProxyError", APIConnectionError, "not_sent"),
    ],
)
def test_errors_of_the_library(handed_in, library, name, kind, outcome) -> None:
    """Each error of the library is ours, with what is known of the outcome."""

    def handler(request: Any) -> Any:
        raise getattr(library, name)("It broke.", request=request)

    driver, _ = handed_in(client_options=mocked(library, handler))
    for ask in (driver.ask, driver.stream):
        with pytest.raises(kind) as caught:
            ask()
        assert type(caught.value) is kind
        assert (caught.value.outcome, caught.value.retryable) == (outcome, True)


def test_broken_connections(serve, handed_in) -> None:
    """What breaks under a handed-in client is an error of ours, streamed and plain."""
    server = serve([[CLOSE], [sse_head(), chunk(WIRE.piece("a")), CLOSE]])
    driver, _ = handed_in(server.url)
    with pytest.raises(APIConnectionError):
        driver.ask()
    with pytest.raises(StreamInterruptedError) as caught:
        driver.stream().text()
    assert caught.value.response.text == "a"
    with refusing_address() as url:
        refused, _ = handed_in(url)
        with pytest.raises(APIConnectionError) as caught:
            refused.ask()
        assert caught.value.outcome == "not_sent"


def test_time(serve, handed_in) -> None:
    """The limit of an attempt holds for a handed-in client, whatever its own is."""
    server = serve([[HANG], [sse_head(), chunk(WIRE.piece("a")), HANG]])
    driver, _ = handed_in(server.url, {"timeout": 60}, timeout=0.2)
    with pytest.raises(APITimeoutError):
        driver.ask()
    with pytest.raises(StreamInterruptedError):
        driver.stream().text()
    assert server.wait_open(0)


def test_an_abandoned_stream_is_closed(serve, handed_in) -> None:
    """A stream that is left closes its connection."""
    server = serve([[sse_head(), chunk(WIRE.piece("a")), HANG]])
    driver, _ = handed_in(server.url)
    stream = driver.stream()
    stream.next()
    stream.close()
    assert server.wait_open(0)


class Multiplexed:
    """A transport of httpx whose answers say that their connection serves others too, as those of HTTP/2 do.

    `touched` counts how often the connection itself was asked for.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.touched = 0

    def _told(self, response: Any) -> Any:
        response.extensions = {**response.extensions, "stream_id": 1, "network_stream": self}
        return response

    def get_extra_info(self, info: str) -> Any:
        self.touched += 1

    def handle_request(self, request: Any) -> Any:
        return self._told(self._inner.handle_request(request))

    async def handle_async_request(self, request: Any) -> Any:
        return self._told(await self._inner.handle_async_request(request))

    def close(self) -> None:
        self._inner.close()

    async def aclose(self) -> None:
        await self._inner.aclose()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def test_what_ends_a_stream_leaves_a_shared_connection_alone(serve, handed_in, library, asynchronous) -> None:
    """Over HTTP/2 others have their streams on it: after the end mark nothing more of it is waited for or shut."""
    server = serve([[sse_head(), *(chunk(event) for event in WIRE.events()), HANG]])
    transport = Multiplexed(library.AsyncHTTPTransport() if asynchronous else library.HTTPTransport())
    driver, _ = handed_in(server.url, {"transport": transport})
    begun = time.monotonic()
    assert driver.stream().text() == "hello"
    assert time.monotonic() - begun < 5  # the limit of the call is 10
    assert transport.touched == 0


def test_a_closed_http_client(handed_in, library, asynchronous) -> None:
    """A handed-in client that was closed is an error of ours that says so."""
    driver, http_client = handed_in(client_options=mocked(library, lambda _: library.Response(200)))
    driver.run(http_client.aclose() if asynchronous else http_client.close())
    with pytest.raises(APIConnectionError, match="closed") as caught:
        driver.ask()
    assert caught.value.outcome == "not_sent"
    http_client.__init__()  # open again, for the fixture's own check that qonduit closed nothing


def test_the_wrong_kind_of_client(library) -> None:
    """A sync client in an AsyncClient, and the other way round, is refused by a sentence that names the right one."""
    asynchronous = library.AsyncClient(trust_env=False)
    with (
        library.Client(trust_env=False) as synchronous,
        pytest.raises(ConfigurationError, match=r"expected httpx\.AsyncClient"),
    ):
        asyncio.run(_ask(synchronous))
    with (
        pytest.raises(ConfigurationError, match=r"expected httpx\.Client"),
        Client(**arguments(URL, http_client=asynchronous)) as client,
    ):
        client.chat.completions.create(messages=ASK)
    asyncio.run(asynchronous.aclose())


@pytest.mark.parametrize("thing", [object(), "http://proxy", 7, dict, httpx.HTTPTransport], ids=repr)
def test_no_client_at_all(thing: Any) -> None:
    """Anything else is refused by a sentence that says what was expected."""
    with pytest.raises(ConfigurationError, match=r"http_client.*expected httpx\."):
        _sync_ask(thing)
    with pytest.raises(ConfigurationError, match=r"http_client.*expected httpx\."):
        asyncio.run(_ask(thing))


def _sync_ask(http_client: Any) -> Any:
    with Client(**arguments(URL, http_client=http_client)) as client:
        return client.chat.completions.create(messages=ASK)


async def _ask(http_client: Any) -> Any:
    async with AsyncClient(**arguments(URL, http_client=http_client)) as client:
        return await client.chat.completions.create(messages=ASK)
