"""The key is in the request's header and nowhere else: not in errors, their causes, or tracebacks with locals."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import traceback
from typing import Any

import httpx
import pytest
from tests.servers import CLOSE, HANG, chunk, head, refusing_address, response, sse_head
from tests.transport.driving import ASK, Driver, arguments
from tests.wires import WIRES

from qonduit import AsyncClient, Client, PluginError, _async_network, _network

pytestmark = pytest.mark.usefixtures("http_library")

WIRE = WIRES["qwen"]
KEY = "sk-canary-2f9c"
PROMPT = "prompt-canary-71d0"


def shown(error: BaseException) -> str:
    """All that a careless program may print of an error: texts, attributes, causes, and locals of every frame."""
    parts = [str(error), repr(error), repr(error.args), repr(vars(error))]
    parts += traceback.TracebackException.from_exception(error, capture_locals=True).format()
    for other in (error.__cause__, error.__context__):
        if other is not None:
            parts.append(shown(other))
    return "\n".join(parts)


FAILURES: dict[str, Any] = {
    "closed": [CLOSE],
    "nothing in time": [HANG],
    "no HTTP": [b"SSH-2.0\r\n\r\n", CLOSE],
    "cut": [head(200, {"content-length": "9"}), CLOSE],
    "401": WIRE.error(401, "invalid_api_key", "Incorrect API key provided."),
    "500": response(b"<html>", 500, content_type="text/html"),
    "a redirect": response(b"", 302, location="http://stranger.test/"),
    "HTML": response(b"<html>", content_type="text/html"),
    "nothing": response(b""),
    "no answer": response(b"{}"),
    "an encoding": response(b"", content_encoding="gzip"),
    "a stream that breaks off": [sse_head(), chunk(WIRE.piece("a")), CLOSE],
    "a stream that stalls": [sse_head(), chunk(WIRE.piece("a")), HANG],
    "a stream with an error": [sse_head(), chunk(WIRE.piece("a") + WIRE.stream_error(400, "x"))],
    "a stream of nonsense": [sse_head(), chunk(WIRE.piece("a") + b"data: nonsense\n\n")],
}


def failure(driver: Driver, streamed: bool) -> BaseException:
    """The error of one call."""
    messages = [{"role": "user", "content": PROMPT}]
    with pytest.raises(Exception) as caught:  # noqa: PT011  # whatever it is
        driver.stream(messages=messages).text() if streamed else driver.ask(messages=messages)
    return caught.value


@pytest.mark.F54
@pytest.mark.F59
@pytest.mark.parametrize("reply", FAILURES.values(), ids=list(FAILURES))
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_no_error_shows_the_key(serve, connect, reply, streamed) -> None:
    """Whatever fails, nothing that can be printed of the error holds the key."""
    server = serve([reply])
    driver = connect(server, api_key=KEY, timeout=0.1)
    error = failure(driver, streamed)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in shown(error)


@pytest.mark.F59
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_a_refused_connection_does_not_show_the_key(connect, streamed) -> None:
    """Nor does the error of a connection that was refused."""
    with refusing_address() as url:
        assert KEY not in shown(failure(connect(url, api_key=KEY), streamed))


@pytest.mark.F59
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_a_cancelled_call_does_not_show_the_key(serve, streamed) -> None:
    """Nor does the error of a task that was cancelled while it waited for its answer."""
    server = serve([[HANG]])

    async def cancelled() -> BaseException:
        async with AsyncClient(**arguments(server, api_key=KEY)) as client:
            task = asyncio.create_task(client.chat.completions.create(messages=ASK, stream=streamed))
            await asyncio.to_thread(server.wait_requests, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            return caught.value

    assert KEY not in shown(asyncio.run(cancelled()))


@pytest.mark.F59
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, LookupError])
def test_what_goes_through_the_transport_does_not_show_the_key(
    serve, connect, asynchronous, monkeypatch, kind, streamed
) -> None:
    """Nor does Ctrl-C, or a defect of a library, in the depths of the transport."""

    def fail(*_: Any, **__: Any) -> None:
        raise kind("It came from below.")

    monkeypatch.setattr((_async_network.AsyncStream if asynchronous else _network.SyncStream), "read", fail)
    driver = connect(serve([]), api_key=KEY)
    with pytest.raises((kind, PluginError)) as caught:
        driver.stream() if streamed else driver.ask()
    below = caught.value if kind is KeyboardInterrupt else caught.value.__cause__
    assert repr(below) == f"{kind.__name__}('It came from below.')"
    assert KEY not in shown(caught.value)


@pytest.mark.F54
@pytest.mark.parametrize("reply", FAILURES.values(), ids=list(FAILURES))
def test_no_error_message_shows_the_prompt(serve, connect, reply) -> None:
    """No message of an error repeats the prompt."""
    error = failure(connect(serve([reply]), timeout=0.1), False)
    assert PROMPT not in str(error)
    assert PROMPT not in repr(vars(error))


@pytest.mark.F54
@pytest.mark.F59
def test_an_error_of_a_handed_in_client_does_not_show_the_key() -> None:
    """httpx's own errors hold the request, and it the key: none of them is reachable from ours."""

    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("It broke.", request=request)

    http_client = httpx.Client(transport=httpx.MockTransport(handler), trust_env=False)
    with http_client, Client(**arguments("http://api.test", api_key=KEY, http_client=http_client)) as client:
        with pytest.raises(Exception, match="broke") as caught:
            client.chat.completions.create(messages=ASK)
        error: BaseException | None = caught.value
        while error is not None:
            assert KEY not in repr(vars(error))
            assert not hasattr(error, "request")
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@pytest.mark.F59
@pytest.mark.F61
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_clients_do_not_show_the_key(kind) -> None:
    """Neither a client nor its profile shows the key, and neither copy nor pickle takes it along."""
    client = kind(**arguments("http://api.test", api_key=KEY))
    for thing in (client, client.profile, client._routes, client._routes[0].auth, vars(client), vars(client.profile)):
        assert KEY not in repr(thing)
        assert KEY not in str(thing)
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="pickle"):
            take(client)
    assert KEY not in client.profile.model_dump_json()
    assert KEY.encode() not in pickle.dumps(client.profile)


@pytest.mark.F55
@pytest.mark.parametrize("key", [f"{KEY}\nx", f"{KEY}\r\nx-evil: 1", f"{KEY}é", f"{KEY}\x00", f"{KEY} x", f"“{KEY}”"])
def test_a_key_that_no_header_can_carry(key) -> None:
    """A key with a line break or other characters is refused before anything is sent, and not repeated."""
    with pytest.raises(Exception, match="api_key") as caught:
        Client(**arguments("http://api.test", api_key=key))
    error: BaseException | None = caught.value
    while error is not None:
        assert KEY not in str(error) + repr(error) + repr(vars(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@pytest.mark.F55
def test_a_key_from_a_function_that_no_header_can_carry() -> None:
    """A key that a function gives is checked when it is given, and not repeated."""
    with pytest.raises(Exception, match="api_key") as caught:
        Client(**arguments("http://api.test", api_key=lambda: f"{KEY}\r\nx-evil: 1"))
    error = caught.value
    assert KEY not in str(error) + repr(error) + repr(vars(error))


@pytest.mark.F54
@pytest.mark.parametrize(
    "headers",
    [{"x-evil": "1\r\nx-more: 2"}, {"x-evil\r\nx-more": "1"}, {"x": "é"}, {"": "1"}, {"x y": "1"}],
    ids=["value", "name", "non-ASCII", "no name", "a space"],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_extra_headers_that_http_forbids(serve, connect, headers, streamed) -> None:
    """A header that would split the request is refused before anything is sent, without showing the key."""
    server = serve([WIRE.plain_reply()])
    driver = connect(server, api_key=KEY)
    with pytest.raises(Exception, match="extra_headers") as caught:
        driver.stream(extra_headers=headers) if streamed else driver.ask(extra_headers=headers)
    assert KEY not in shown(caught.value)
    assert server.requests == []


@pytest.mark.F54
@pytest.mark.F58
@pytest.mark.parametrize("handed_in", [False, True], ids=["own", "handed in"])
def test_no_log_shows_the_key(serve, connect, asynchronous, caplog, handed_in, http_library) -> None:
    """With every logger at DEBUG, httpx's, httpcore's and asyncio's too, no record holds the key or the prompt."""
    caplog.set_level(logging.DEBUG)
    more: dict[str, Any] = {"plugins": ["logging"]}
    if handed_in:
        more["http_client"] = (httpx.AsyncClient if asynchronous else httpx.Client)(trust_env=False)
    driver = connect(serve([WIRE.plain_reply(), WIRE.stream_reply()]), api_key=KEY, **more)
    driver.ask(messages=[{"role": "user", "content": PROMPT}])
    driver.stream(messages=[{"role": "user", "content": PROMPT}]).text()
    if handed_in:
        driver.run(more["http_client"].aclose() if asynchronous else more["http_client"].close())
    by_httpcore = handed_in or http_library != "httptools"  # which keeps no log
    assert ("httpcore" in {record.name.partition(".")[0] for record in caplog.records}) == by_httpcore
    said = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    assert KEY not in said
    assert PROMPT not in said
