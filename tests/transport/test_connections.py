"""Connections: used again while they live, made again when they do not, never shared with a child or a stranger."""

from __future__ import annotations

import asyncio
import json
import os
import threading

import pytest
from tests.servers import (
    CLOSE,
    HANG,
    LAST_CHUNK,
    RESET,
    ScriptedServer,
    chunk,
    head,
    json_response,
    refusing_address,
    sse_head,
)
from tests.transport.driving import ASK, Driver, arguments
from tests.wires import WIRES, dumps

from qonduit import APIConnectionError, APITimeoutError, AsyncClient, Client

pytestmark = pytest.mark.usefixtures("http_library")

WIRE = WIRES["qwen"]
NATIVE = WIRES["dashscope"]
ANSWER = WIRE.plain_reply("hello")
STREAM = list(WIRE.stream_reply())


def echo(request):
    """The prompt as the answer."""
    return WIRE.plain_reply(request.json["messages"][-1]["content"])


def test_one_connection_serves_many_calls(serve, connect) -> None:
    """Calls one after another use one connection, plain, streamed and refused ones alike."""
    server = serve([ANSWER, STREAM, ANSWER, WIRE.error(400, "x"), STREAM, ANSWER])
    driver = connect(server)
    for position in range(6):
        if position == 3:
            with pytest.raises(Exception, match="answered 400"):
                driver.ask()
        elif position in (1, 4):
            assert driver.stream().text() == "hello"
        else:
            assert driver.ask().text == "hello"
    assert server.connections == 1
    assert server.open_connections == 1


def test_a_native_stream_gives_its_connection_back(serve, asynchronous) -> None:
    """A native stream has no end mark but its finish_reason; the chunk after it is read, and the connection kept."""
    server = serve([NATIVE.stream_reply(), NATIVE.plain_reply()])
    given = {**arguments(server), "provider": "dashscope", "base_url": f"{server.url}/api/v1"}
    with Driver(asynchronous, given) as driver:
        assert driver.stream().text() == "hello"
        assert driver.ask().text == "hello"
    assert server.connections == 1


@pytest.mark.F48
def test_close_closes_every_connection(serve, connect) -> None:
    """Closing the client closes idle connections, and closing it twice does nothing."""
    server = serve([ANSWER])
    driver = connect(server)
    driver.ask()
    driver.close()
    assert server.wait_open(0)
    driver.close()


@pytest.mark.F48
def test_close_ends_an_open_stream(serve, connect) -> None:
    """Closing the client while a stream is open closes its connection; reading on is an error of ours."""
    server = serve([[sse_head(), chunk(WIRE.piece("a")), HANG]])
    driver = connect(server)
    stream = driver.stream()
    stream.next()
    driver.close()
    assert server.wait_open(0)
    with pytest.raises(APIConnectionError):
        stream.next()


@pytest.mark.F36
def test_a_connection_closed_while_idle_is_not_used(serve, connect) -> None:
    """A connection that the server closed while idle is replaced, and nothing is sent twice."""
    server = serve([ANSWER, ANSWER])
    driver = connect(server)
    driver.ask()
    server.drop_connections()
    assert driver.ask().text == "hello"
    assert (server.connections, len(server.requests)) == (2, 2)


@pytest.mark.F36
@pytest.mark.parametrize("end", [CLOSE, RESET], ids=["closed", "reset"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_a_request_on_a_connection_that_just_died_is_sent_once_more(serve, connect, end, stream) -> None:
    """A used connection that dies before a byte of the answer: the request is sent again, as one attempt."""
    server = serve([ANSWER, [end], STREAM if stream else ANSWER])
    driver = connect(server)
    driver.ask()
    assert (driver.stream().text() if stream else driver.ask().text) == "hello"
    assert (server.connections, len(server.requests)) == (2, 3)


@pytest.mark.F36
def test_a_request_on_a_new_connection_is_not_sent_again(serve, connect) -> None:
    """A new connection that dies before a byte of the answer: the outcome is unknown, nothing is sent twice."""
    server = serve([[CLOSE], ANSWER])
    with pytest.raises(APIConnectionError) as caught:
        connect(server).ask()
    assert (caught.value.outcome, caught.value.retryable) == ("unknown", True)
    assert len(server.requests) == 1


@pytest.mark.F36
@pytest.mark.parametrize("start", [b"H", head()[:-2], head(200, {"content-length": "9"}) + b"{"])
def test_a_request_whose_answer_began_is_not_sent_again(serve, connect, start) -> None:
    """A used connection that dies after a byte of the answer is an error: it may have been answered."""
    server = serve([ANSWER, [start, CLOSE], ANSWER])
    driver = connect(server)
    driver.ask()
    with pytest.raises(APIConnectionError) as caught:
        driver.ask()
    assert caught.value.outcome == "unknown"
    assert len(server.requests) == 2


@pytest.mark.F36
def test_a_second_death_is_an_error(serve, connect) -> None:
    """A request that was sent once more and died again is an error, not a third request."""
    server = serve([ANSWER, [CLOSE], [CLOSE], ANSWER])
    driver = connect(server)
    driver.ask()
    with pytest.raises(APIConnectionError):
        driver.ask()
    assert len(server.requests) == 3


def test_a_server_that_closes_after_each_answer(serve, connect) -> None:
    """`connection: close` is heeded: each call has its own connection, and none is sent twice."""
    server = serve(lambda _: [json_response(WIRE.answer(), connection="close"), CLOSE])
    driver = connect(server)
    for _ in range(3):
        assert driver.ask().text == "hello"
    assert (server.connections, len(server.requests)) == (3, 3)


def test_an_answer_that_ends_with_its_connection(serve, connect) -> None:
    """A body without length or chunks ends where the connection ends."""
    server = serve([[head(200, {"content-type": "application/json"}), dumps(WIRE.answer()), CLOSE]])
    assert connect(server).ask().text == "hello"


def test_connection_refused(connect) -> None:
    """A refused connection was not sent, may be tried again, and its error names the host."""
    with refusing_address() as url:
        driver = connect(url)
        for ask in (driver.ask, driver.stream):
            with pytest.raises(APIConnectionError, match=url.removeprefix("http://")) as caught:
                ask()
            assert (caught.value.outcome, caught.value.retryable) == ("not_sent", True)
            assert caught.value.status_code is None
            assert caught.value.attempts == 1


def test_an_unknown_host(connect) -> None:
    """A host without an address was not sent."""
    with pytest.raises(APIConnectionError) as caught:
        connect("http://no-such-host.invalid").ask()
    assert caught.value.outcome == "not_sent"


@pytest.mark.F48
def test_an_abandoned_stream_closes_its_connection(serve, connect) -> None:
    """A stream that is closed after one chunk closes its connection, and the next call makes a new one."""
    server = serve([[sse_head(), chunk(WIRE.piece("a")), HANG], ANSWER])
    driver = connect(server)
    stream = driver.stream()
    assert stream.next().choices[0].delta.content == "a"
    stream.close()
    assert server.wait_open(0)
    assert not stream.response.complete
    assert driver.ask().text == "hello"
    assert server.connections == 2


def test_an_end_mark_ends_a_stream_though_the_server_keeps_it_open(serve, connect) -> None:
    """After [DONE] the stream ends at once, and the connection that the server keeps open is closed."""
    server = serve([[sse_head(), *map(chunk, WIRE.events()), HANG]])
    stream = connect(server, timeout=10).stream()
    assert stream.text() == "hello"
    assert stream.response.complete
    assert server.wait_open(0)


def test_threads_do_not_get_each_others_answers() -> None:
    """Many threads on one client get their own answers, over no more connections than threads."""
    with ScriptedServer(echo) as server, Client(**arguments(server)) as client:
        wrong: list[tuple[str, str]] = []

        def work(name: int) -> None:
            for number in range(20):
                text = f"{name}-{number}"
                answer = client.chat.completions.create(messages=[{"role": "user", "content": text}]).text
                if answer != text:
                    wrong.append((text, answer))

        threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert len(server.requests) == 160
        assert server.connections <= 8


async def test_tasks_do_not_get_each_others_answers(serve) -> None:
    """Many tasks on one client get their own answers, plain and streamed."""
    server = serve(
        lambda request: (
            WIRE.stream_reply([request.json["messages"][-1]["content"]])
            if request.json.get("stream")
            else echo(request)
        )
    )
    async with AsyncClient(**arguments(server)) as client:

        async def ask(text: str, stream: bool) -> str:
            messages = [{"role": "user", "content": text}]
            if not stream:
                return (await client.chat.completions.create(messages=messages)).text
            async with await client.chat.completions.create(messages=messages, stream=True) as chunks:
                return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

        texts = [str(number) for number in range(60)]
        answers = await asyncio.gather(*(ask(text, stream=int(text) % 2 == 0) for text in texts))
    assert answers == texts


@pytest.mark.F47
async def test_a_cancelled_call_closes_its_connection(serve) -> None:
    """A task that is cancelled while it waits closes its connection; the client goes on."""
    server = serve([[HANG], ANSWER])
    async with AsyncClient(**arguments(server)) as client:
        task = asyncio.create_task(client.chat.completions.create(messages=ASK))
        assert await asyncio.to_thread(server.wait_requests, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.wait_open, 0)
        assert (await client.chat.completions.create(messages=ASK)).text == "hello"


FEW = """
[profiles.few]
provider = "qwen"
model = "qwen-plus"
base_url = "{url}/compatible-mode/v1"
api_key = "env:FEW_KEY"
max_connections = 4
max_retries = 0
timeout = {timeout}
"""


@pytest.fixture
def few(tmp_path, monkeypatch):
    """Arguments of a client that may have four connections."""

    def make(server, timeout=5):
        monkeypatch.setenv("FEW_KEY", "sk-test")
        path = tmp_path / "qonduit.toml"
        path.write_text(FEW.format(url=server.url, timeout=timeout), encoding="utf-8")
        return {"profile": "few", "config": path}

    return make


@pytest.mark.F52
async def test_more_calls_than_connections_wait(serve, few) -> None:
    """Calls beyond `max_connections` wait for a connection, and all are answered."""
    server = serve(echo)
    async with AsyncClient(**few(server)) as client:
        calls = (client.chat.completions.create(messages=ASK) for _ in range(30))
        assert [response.text for response in await asyncio.gather(*calls)] == ["hi"] * 30
    assert server.connections <= 4


@pytest.mark.F52
def test_waiting_for_a_connection_has_a_limit(serve, few, asynchronous) -> None:
    """A call that gets no connection in time was not sent, and its error names the setting."""
    server = serve(lambda _: [sse_head(), chunk(WIRE.piece("a")), HANG])
    with Driver(asynchronous, few(server, timeout=0.2)) as driver:
        streams = [driver.stream(timeout=10) for _ in range(4)]
        with pytest.raises(APITimeoutError, match="max_connections") as caught:
            driver.ask()
        assert caught.value.outcome == "not_sent"
        for stream in streams:
            stream.close()
    assert len(server.requests) == 4


@pytest.mark.F47
async def test_cancelled_calls_lose_no_slot(serve, few) -> None:
    """However many calls were cancelled, as many as before can run at once."""
    hang = True
    server = serve(lambda request: [HANG] if hang else echo(request))
    async with AsyncClient(**few(server)) as client:
        for _ in range(5):
            tasks = [asyncio.create_task(client.chat.completions.create(messages=ASK)) for _ in range(8)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(result, asyncio.CancelledError) for result in results)
        hang = False
        calls = (client.chat.completions.create(messages=ASK) for _ in range(16))
        assert [response.text for response in await asyncio.gather(*calls)] == ["hi"] * 16


@pytest.mark.F49
def test_several_event_loops(serve) -> None:
    """One AsyncClient serves one event loop after another, each over its own connection, and closes in a third."""
    server = serve(echo)
    client = AsyncClient(**arguments(server))

    async def ask() -> str:
        await client.chat.completions.create(messages=ASK)
        return (await client.chat.completions.create(messages=ASK)).text

    assert asyncio.run(ask()) == "hi"
    assert asyncio.run(ask()) == "hi"
    assert server.connections == 2
    asyncio.run(client.aclose())
    assert server.wait_open(0)


@pytest.mark.F49
def test_event_loops_in_threads(serve) -> None:
    """One AsyncClient serves event loops that run at once in several threads."""
    server = serve(echo)
    client = AsyncClient(**arguments(server))
    answers: list[str] = []

    async def ask(name: str) -> None:
        for number in range(10):
            text = f"{name}-{number}"
            response = await client.chat.completions.create(messages=[{"role": "user", "content": text}])
            answers.append(f"{text}={response.text}")

    threads = [threading.Thread(target=lambda name=name: asyncio.run(ask(name))) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(client.aclose())
    assert len(answers) == 40
    assert all(left == right for left, _, right in (answer.partition("=") for answer in answers))
    assert server.wait_open(0)


@pytest.mark.F50
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_makes_its_own_connection(serve, connect) -> None:
    """A child that inherits a client uses a connection of its own, and leaves the parent's as it was."""
    server = serve(echo)
    driver = connect(server)
    assert driver.ask().text == "hi"
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            text = "".join(driver.ask(messages=[{"role": "user", "content": "child"}]).text for _ in range(3))
            os.write(writing, json.dumps(text).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert json.loads(pipe.read()) == "childchildchild"
    assert os.waitpid(child, 0)[1] == 0
    assert driver.ask(messages=[{"role": "user", "content": "parent"}]).text == "parent"
    assert [request.connection for request in server.requests] == [1, 2, 2, 2, 1]


def test_cookies_are_not_kept(serve, connect) -> None:
    """A cookie that a server sets is not sent back."""
    server = serve(lambda _: json_response(WIRE.answer(), set_cookie="session=1"))
    driver = connect(server)
    driver.ask()
    driver.ask()
    assert all("cookie" not in request.headers for request in server.requests)


@pytest.mark.F13
def test_trailing_chunks_are_drained(serve, connect) -> None:
    """What follows the end mark in the same breath is drained, so that the connection serves again."""
    events = b"".join(WIRE.events())
    server = serve([[sse_head(), chunk(events + b": bye\n\n") + LAST_CHUNK], ANSWER])
    driver = connect(server)
    assert driver.stream().text() == "hello"
    driver.ask()
    assert server.connections == 1
