"""Forks: what a child does with a client of its parent's disturbs nobody, and the other way round."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.resources.echo import EchoProcess
from tests.servers import LAST_CHUNK, chunk, sse_head
from tests.transport.driving import arguments
from tests.wires import WIRES

from qonduit import AsyncClient, Client, StreamInterruptedError

pytestmark = [
    pytest.mark.F50,
    pytest.mark.usefixtures("http_library"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

WIRE = WIRES["qwen"]
CHILDREN = 4
REQUESTS = 1000


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server that echoes, in a process that shares nothing with the tests."""
    with EchoProcess() as running:
        yield running


def asking(prompt: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}], **more}


def in_child(function: Callable[[], Any]) -> Callable[[], Any]:
    """Begin `function` in a forked child; what it returned, when that is asked for."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            with os.fdopen(writing, "w") as pipe:
                try:
                    json.dump(function(), pipe)
                except BaseException:
                    json.dump(traceback.format_exc(), pipe)
        finally:
            os._exit(0)
    os.close(writing)

    def finish() -> Any:
        with os.fdopen(reading) as pipe:
            found = json.load(pipe)
        assert os.waitpid(child, 0)[1] == 0
        return found

    return finish


def wrong_answers(client: Client, tenant: str) -> list[str]:
    """Answers that are not this tenant's."""
    wrong = []
    for number in range(REQUESTS):
        prompt = f"{tenant} {number}"
        text = client.chat.completions.create(**asking(prompt)).text
        if text != prompt:
            wrong.append(text)
    return wrong


def test_no_child_gets_anothers_answer(url: str) -> None:
    """Four children of a warm client and the parent, 1,000 requests each at once: 0 wrong answers."""
    with Client(**arguments(url)) as client:
        client.chat.completions.create(**asking("warm"))
        children = [in_child(lambda name=name: wrong_answers(client, f"child-{name}")) for name in range(CHILDREN)]
        assert wrong_answers(client, "parent") == []
        assert [child() for child in children] == [[]] * CHILDREN


def test_an_async_client_serves_a_loop_of_the_childs_own(url: str) -> None:
    """A child runs a loop of its own over a connection of its own, while the parent's loop goes on."""
    client = AsyncClient(**arguments(url))

    async def wrong(tenant: str) -> list[str]:
        prompts = [f"{tenant} {number}" for number in range(200)]
        create = client.chat.completions.create
        answers = [await asyncio.gather(*(create(**asking(prompt)) for prompt in prompts[:50]))]
        answers += [[await create(**asking(prompt))] for prompt in prompts[50:]]
        texts = [answer.text for group in answers for answer in group]
        return [text for text, prompt in zip(texts, prompts, strict=True) if text != prompt]

    with asyncio.Runner() as runner:
        assert runner.run(wrong("warm")) == []
        children = [in_child(lambda name=name: asyncio.run(wrong(f"child-{name}"))) for name in range(2)]
        assert runner.run(wrong("parent")) == []
        assert [child() for child in children] == [[], []]
        runner.run(client.aclose())


@pytest.fixture
def halves(serve: Any) -> tuple[str, threading.Event]:
    """A server whose first answer is a stream that goes on when it is told to; others are plain."""
    go_on = threading.Event()
    first, *rest = WIRE.events(["Hel", "lo"])
    rest = [chunk(event) for event in rest]
    server = serve(
        [[sse_head(), chunk(first), chunk(WIRE.piece("")), go_on, *rest, LAST_CHUNK], *[WIRE.plain_reply()] * 2]
    )
    return server.url, go_on


def test_a_fork_out_of_a_running_loop(halves: tuple[str, threading.Event]) -> None:
    """A child that is forked in the midst of a coroutine and closes what it has leaves the parent's loop at work."""
    url, go_on = halves

    async def main() -> None:
        async with AsyncClient(**arguments(url)) as client:
            stream = await client.chat.completions.create(**asking("x"), stream=True)
            await client.chat.completions.create(**asking("warm"))

            def leave() -> str:
                stream._call._wire_stream.close()
                client._routes[0].transport.close()
                return "left"

            assert in_child(leave)() == "left"
            go_on.set()
            texts = [chunk.choices[0].delta.content or "" async for chunk in stream]
            assert "".join(texts) == "Hello"
            assert (await client.chat.completions.create(**asking("on"))).text == "hello"

    asyncio.run(main())


def test_an_open_stream_stays_the_parents(halves: tuple[str, threading.Event]) -> None:
    """A child cannot read a stream of the parent's, and may close it, and the client: the parent reads on."""
    url, go_on = halves
    with Client(**arguments(url)) as client:
        stream = client.chat.completions.create(**asking("x"), stream=True)
        client.chat.completions.create(**asking("warm"))

        def read() -> str:
            try:
                return "".join(chunk.choices[0].delta.content or "" for chunk in stream)
            except StreamInterruptedError as error:
                client.close()
                return type(error).__name__

        def close() -> str:
            stream.close()
            client.close()
            return "closed"

        assert in_child(read)() == "StreamInterruptedError"
        assert in_child(close)() == "closed"
        go_on.set()
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "Hello"
        assert client.chat.completions.create(**asking("on")).text == "hello"


def test_a_client_behind_a_proxy(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """httpx's pool behind a proxy is not shared with a child either."""
    monkeypatch.setenv("HTTP_PROXY", url)
    with Client(**arguments("http://far.example")) as client:
        client.chat.completions.create(**asking("warm"))
        children = [in_child(lambda name=name: wrong_answers(client, f"child-{name}")) for name in range(2)]
        assert wrong_answers(client, "parent") == []
        assert [child() for child in children] == [[], []]
