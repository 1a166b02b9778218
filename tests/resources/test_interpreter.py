"""Whole programs: what they import, and what they print on standard error when they end badly."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from tests.servers import HANG, chunk, sse_head
from tests.wires import WIRES

WIRE = WIRES["qwen"]
HANGING = [sse_head(), chunk(WIRE.piece("a")), HANG]
ROOT = Path(__file__).parents[2]
HEAD = """
import asyncio, os, signal, sys, threading, time
from qonduit import AsyncClient, Client
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests may have it ignored
MESSAGES = [{"role": "user", "content": "x"}]
GIVEN = dict(provider="qwen", model="m", api_key="sk-test", base_url=sys.argv[1] + "/compatible-mode/v1", timeout=20)
"""


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program that begins with `HEAD`, with every warning on."""
    command = [sys.executable, "-W", "always", "-c", HEAD + textwrap.dedent(program), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.F53
def test_building_a_client_imports_no_http_library() -> None:
    """Neither importing qonduit nor building a client loads httpx, gevent, anyio or trio, nor reads a proxy."""
    program = """
    Client(**GIVEN), AsyncClient(**GIVEN)
    print(sorted({"gevent", "anyio", "trio", "httpx", "httpcore", "h11", "httptools", "requests"} & set(sys.modules)))
    """
    ran = run(program, "http://far.example")
    assert (ran.stdout, ran.stderr) == ("[]\n", "")


PROGRAMS: dict[str, tuple[str, int]] = {
    "a client that is not closed": (
        """
        client = Client(**GIVEN)
        print(client.chat.completions.create(messages=MESSAGES).text)
        """,
        0,
    ),
    "an async client that is not closed": (
        """
        client = AsyncClient(**GIVEN)
        async def main():
            print((await client.chat.completions.create(messages=MESSAGES)).text)
        asyncio.run(main())
        asyncio.run(main())
        """,
        0,
    ),
    "a stream that is not closed": (
        """
        stream = Client(**GIVEN).chat.completions.create(messages=MESSAGES, stream=True)
        print(next(stream).choices[0].delta.content)
        """,
        1,
    ),
    "an async stream that is not closed": (
        """
        client = AsyncClient(**GIVEN)
        async def main():
            stream = await client.chat.completions.create(messages=MESSAGES, stream=True)
            print((await anext(stream)).choices[0].delta.content)
        asyncio.run(main())
        """,
        1,
    ),
    "an async stream that outlives its loop": (
        """
        client = AsyncClient(**GIVEN)
        async def main():
            global stream
            stream = await client.chat.completions.create(messages=MESSAGES, stream=True)
            print((await anext(stream)).choices[0].delta.content)
        asyncio.run(main())
        """,
        1,
    ),
    "a task that is left": (
        """
        client = AsyncClient(**GIVEN)
        async def read():
            async with await client.chat.completions.create(messages=MESSAGES, stream=True) as stream:
                async for chunk in stream:
                    print(chunk.choices[0].delta.content, flush=True)
                    started.set()
        async def main():
            global started, task
            started = asyncio.Event()
            task = asyncio.create_task(read())
            await started.wait()
        asyncio.run(main())
        """,
        0,
    ),
    "a daemon thread that reads": (
        """
        client = Client(**GIVEN)
        started = threading.Event()
        def read():
            for chunk in client.chat.completions.create(messages=MESSAGES, stream=True):
                print(chunk.choices[0].delta.content, flush=True)
                started.set()
        threading.Thread(target=read, daemon=True).start()
        started.wait(10)
        """,
        0,
    ),
    "sys.exit in a stream": (
        """
        with Client(**GIVEN) as client:
            for chunk in client.chat.completions.create(messages=MESSAGES, stream=True):
                print(chunk.choices[0].delta.content, flush=True)
                sys.exit()
        """,
        1,
    ),
    "sys.exit in an async stream": (
        """
        async def main():
            async with AsyncClient(**GIVEN) as client:
                async with await client.chat.completions.create(messages=MESSAGES, stream=True) as stream:
                    async for chunk in stream:
                        print(chunk.choices[0].delta.content, flush=True)
                        sys.exit()
        asyncio.run(main())
        """,
        0,
    ),
}


@pytest.mark.F48
@pytest.mark.usefixtures("http_library")
@pytest.mark.parametrize(("program", "warnings"), PROGRAMS.values(), ids=list(PROGRAMS))
def test_a_program_ends_without_noise(serve: Any, program: str, warnings: int) -> None:
    """With every warning on, standard error holds nothing, or the one warning of a stream that nobody closed."""
    server = serve(lambda request: HANGING if request.json.get("stream") else WIRE.plain_reply("a"))
    ran = run(program, server.url)
    assert set(ran.stdout.split()) == {"a"}, ran.stderr
    lines = [line for line in ran.stderr.splitlines() if line[:1].strip() and "Enable tracemalloc" not in line]
    assert [("ResourceWarning" in line, "neither read" in line) for line in lines] == [(True, True)] * warnings
    assert server.wait_open(0)


NOISE = ("was never", "Exception ignored", "Warning", "socket.send", "Event loop is closed", "never retrieved")
INTERRUPTED = {
    "a sync stream": """
        with Client(**GIVEN) as client, client.chat.completions.create(messages=MESSAGES, stream=True) as stream:
            for chunk in stream:
                print(chunk.choices[0].delta.content, flush=True)
        """,
    "an async stream": """
        async def main():
            async with AsyncClient(**GIVEN) as client:
                async with await client.chat.completions.create(messages=MESSAGES, stream=True) as stream:
                    async for chunk in stream:
                        print(chunk.choices[0].delta.content, flush=True)
        asyncio.run(main())
        """,
}


@pytest.mark.F48
@pytest.mark.usefixtures("http_library")
@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is not sent to a process there")
@pytest.mark.parametrize("kind", ["a sync stream", "an async stream"])
def test_ctrl_c_in_a_stream(serve: Any, kind: str) -> None:
    """Ctrl-C while a stream waits ends the program by one KeyboardInterrupt and nothing else, and the connection."""
    server = serve([HANGING])
    command = [sys.executable, "-W", "always", "-c", HEAD + textwrap.dedent(INTERRUPTED[kind]), server.url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "a\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode in {-signal.SIGINT, 128 + signal.SIGINT, 1}
    assert errors.rstrip().endswith("KeyboardInterrupt")
    for noise in (
        "was never",
        "Exception ignored",
        "Warning",
        "socket.send",
        "Event loop is closed",
        "never retrieved",
    ):
        assert noise not in errors
    assert server.wait_open(0)
