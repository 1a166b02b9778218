"""Whole calls through each provider, on real sockets, in all four ways."""

from __future__ import annotations

from threading import Event

import pytest
from tests.servers import chunk, sse_head
from tests.transport.driving import Driver
from tests.wires import REQUEST_ID, WIRES

from qonduit import AuthenticationError, ChatResponse, RateLimitError

pytestmark = pytest.mark.usefixtures("http_library")

UNAUTHORIZED = {"openai": "invalid_api_key", "qwen": "invalid_api_key", "dashscope": "InvalidApiKey"}


def test_plain_and_streamed_answers_are_equal(serve, wire, arguments, asynchronous) -> None:
    """A plain and a streamed call give equal responses, and the chunks make up the text."""
    server = serve([wire.plain_reply("hello"), wire.stream_reply(["hel", "lo"])])
    with Driver(asynchronous, arguments(server)) as driver:
        plain = driver.ask()
        stream = driver.stream()
        assert stream.response is None
        assert stream.text() == "hello"
    assert plain.text == "hello"
    assert plain.usage.input_tokens == 5
    assert plain.request_id == REQUEST_ID
    assert stream.response == plain


def test_swapping_the_provider_line_changes_nothing_else(serve, asynchronous) -> None:
    """The same answer from three providers gives equal responses, but for provider, raw and ids."""
    seen: list[ChatResponse] = []
    for provider, wire in WIRES.items():
        server = serve([wire.plain_reply("你好"), wire.stream_reply(["你", "好"])])
        base_url = server.url + wire.prefix
        with Driver(
            asynchronous, {"provider": provider, "model": "qwen-plus", "api_key": "k", "base_url": base_url}
        ) as driver:
            seen.append(driver.ask())
            stream = driver.stream()
            stream.text()
            seen.append(stream.response)
        assert {response.provider for response in seen[-2:]} == {provider}
    bare = [response.replace(provider=None, id=None) for response in seen]
    assert all(response == bare[0] for response in bare)


def test_the_request_on_the_wire(serve, wire, arguments, asynchronous) -> None:
    """A call is one POST with the key in its header, no cookie and no encoding but identity."""
    server = serve(
        lambda request: (
            wire.stream_reply() if "event-stream" in request.headers.get("accept", "") else wire.plain_reply()
        )
    )
    with Driver(asynchronous, arguments(server)) as driver:
        driver.ask()
        driver.stream().text()
    for request in server.requests:
        assert request.method == "POST"
        assert request.path.startswith(wire.prefix)
        assert request.headers["authorization"] == "Bearer sk-test"
        assert request.headers["accept-encoding"] == "identity"
        assert request.headers["host"] == server.url.removeprefix("http://")
        assert int(request.headers["content-length"]) == len(request.body)
        assert "cookie" not in request.headers
        assert request.json["model"] == "qwen-plus"


def test_each_request_has_its_own_headers(serve, wire, arguments, asynchronous) -> None:
    """Requests that differ by one header, or by what it says, are sent as they are, however many there are."""
    server = serve(lambda _: wire.plain_reply())
    values = [{"x-trace": str(number % 40)} for number in range(80)] + [{"x-other": "1"}, {}, {"x-trace": "1"}]
    with Driver(asynchronous, arguments(server)) as driver:
        for headers in values:
            driver.ask(extra_headers=headers)
    sent = [
        {name: value for name, value in request.headers.items() if name.startswith("x-")} for request in server.requests
    ]
    assert [{name: found[name] for name in found.keys() & {"x-trace", "x-other"}} for found in sent] == values
    assert {request.headers["content-length"] for request in server.requests} == {str(len(server.requests[0].body))}


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_status(serve, wire, provider, arguments, asynchronous, stream) -> None:
    """An error status is the provider's error, plain or streamed, and the connection serves again."""
    server = serve([wire.error(401, UNAUTHORIZED[provider]), wire.plain_reply()])
    with Driver(asynchronous, arguments(server)) as driver:
        with pytest.raises(AuthenticationError) as caught:
            driver.stream() if stream else driver.ask()
        assert (caught.value.status_code, caught.value.attempts) == (401, 1)
        assert (caught.value.provider, caught.value.model) == (provider, "qwen-plus")
        assert driver.ask().text == "hello"
    assert server.connections == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_rate_limit_is_retried(serve, wire, arguments, asynchronous, stream, no_waiting) -> None:
    """A 429 is asked again, and the answer to the second attempt is the answer."""
    server = serve([wire.error(429, "x"), wire.stream_reply() if stream else wire.plain_reply()])
    with Driver(asynchronous, arguments(server, max_retries=1)) as driver:
        text = driver.stream().text() if stream else driver.ask().text
    assert text == "hello"
    assert len(server.requests) == 2


def test_an_error_inside_a_stream(serve, wire, provider, arguments, asynchronous) -> None:
    """An error event after the first chunk is the provider's error, with what had arrived."""
    code = {"openai": "rate_limit_exceeded", "qwen": "limit_requests", "dashscope": "Throttling"}[provider]
    go_on = Event()
    server = serve(
        [
            [
                sse_head(),
                chunk(wire.events(["hel"])[0]),
                chunk(wire.piece("hel")),
                go_on,
                chunk(wire.stream_error(429, code)),
            ]
        ]
    )
    with Driver(asynchronous, arguments(server, max_retries=3)) as driver:
        stream = driver.stream()
        texts = [stream.next().choices[0].delta.content, stream.next().choices[0].delta.content]
        go_on.set()
        with pytest.raises(RateLimitError) as caught:
            stream.next()
    partial = caught.value.response
    assert partial.text == "".join(texts)
    assert not partial.complete
    assert not caught.value.retryable
    assert len(server.requests) == 1
