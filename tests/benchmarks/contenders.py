"""Who is measured. Each contender makes the same call in its own words, importing its library when opened.

A contender reads the text of every answer and of every chunk, as an application would. Raw httpx, the base of
all ratios, is `client.post(url, json=...)` with `json.loads`, and `client.stream` with `iter_lines` and
`json.loads`: without a key, without types, without retries.
"""

import asyncio
import atexit
import json
import logging
import os
import socket
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from .canned import MODEL, TEMPERATURE

API_KEY = "sk-benchmark"
OPENAI_PATH = "/v1"
NATIVE_PATH = "/api/v1"
PLUGINS = ("logging", "cost", "cache")


def _kept_plugins() -> list[Any]:
    """The three plugins with all that they can keep: JSON lines in a file, a ledger on disk, answers in memory."""
    folder = tempfile.TemporaryDirectory(prefix="qonduit-benchmark-")
    atexit.register(folder.cleanup)
    log = {"file": f"{folder.name}/calls.jsonl"}
    return [("logging", log), ("cost", {"ledger": f"{folder.name}/ledger.sqlite3"}), "cache"]


TIMEOUT_SECONDS = 60.0


class Streamed(NamedTuple):
    """What was read from one stream: how many chunks, and how many characters of text in them."""

    chunks: int
    characters: int


class SyncCaller(Protocol):
    def answer(self, prompt: str) -> str: ...
    def stream(self, prompt: str) -> Streamed: ...


class AsyncCaller(Protocol):
    async def answer(self, prompt: str) -> str: ...
    async def stream(self, prompt: str) -> Streamed: ...


@dataclass(frozen=True)
class Contender:
    """One row of the tables.

    `cold_program` is a whole program: import, build a client, one call to the server at `sys.argv[1]`, print.
    """

    label: str
    distribution: str
    cold_program: str
    open_sync: Callable[[str], SyncCaller]
    open_async: Callable[[str], Awaitable[AsyncCaller]]


def _messages(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


def _body(prompt: str, **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": _messages(prompt), "temperature": TEMPERATURE, **more}


def _is_chunk(line: str) -> bool:
    return line.startswith("data: ") and line != "data: [DONE]"


class RawHttpx:
    def __init__(self, server_url: str) -> None:
        import httpx

        self._client = httpx.Client(timeout=TIMEOUT_SECONDS)
        self._url = f"{server_url}{OPENAI_PATH}/chat/completions"

    def answer(self, prompt: str) -> str:
        response = self._client.post(self._url, json=_body(prompt))
        return json.loads(response.content)["choices"][0]["message"]["content"]  # type: ignore[no-any-return]

    def stream(self, prompt: str) -> Streamed:
        chunks = characters = 0
        with self._client.stream("POST", self._url, json=_body(prompt, stream=True)) as response:
            for line in response.iter_lines():
                if _is_chunk(line):
                    chunks += 1
                    characters += len(json.loads(line[6:])["choices"][0]["delta"]["content"])
        return Streamed(chunks, characters)


class AsyncRawHttpx:
    def __init__(self, server_url: str) -> None:
        import httpx

        self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS)
        self._url = f"{server_url}{OPENAI_PATH}/chat/completions"

    async def answer(self, prompt: str) -> str:
        response = await self._client.post(self._url, json=_body(prompt))
        return json.loads(response.content)["choices"][0]["message"]["content"]  # type: ignore[no-any-return]

    async def stream(self, prompt: str) -> Streamed:
        chunks = characters = 0
        async with self._client.stream("POST", self._url, json=_body(prompt, stream=True)) as response:
            async for line in response.aiter_lines():
                if _is_chunk(line):
                    chunks += 1
                    characters += len(json.loads(line[6:])["choices"][0]["delta"]["content"])
        return Streamed(chunks, characters)


class _SocketBytes:
    """Prebuilt requests, and the least reading of answers: for the floor that no client can go below."""

    def __init__(self, server_url: str) -> None:
        parts = urlsplit(server_url)
        assert parts.hostname
        assert parts.port
        self.address = (parts.hostname, parts.port)
        self.unary_request = self._request(_body("hi"))
        self.stream_request = self._request(_body("hi", stream=True))

    def _request(self, body: dict[str, Any]) -> bytes:
        content = json.dumps(body).encode()
        head = (
            f"POST {OPENAI_PATH}/chat/completions HTTP/1.1\r\n"
            f"host: {self.address[0]}\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content

    @staticmethod
    def is_whole(received: bytes) -> bool:
        head, separator, content = received.partition(b"\r\n\r\n")
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return bool(separator) and (len(content) >= int(length) if length else content.endswith(b"\r\n0\r\n\r\n"))

    @staticmethod
    def text(received: bytes) -> str:
        content = received.partition(b"\r\n\r\n")[2]
        return json.loads(content)["choices"][0]["message"]["content"]  # type: ignore[no-any-return]

    @staticmethod
    def streamed(received: bytes) -> Streamed:
        lines = [line for line in received.split(b"\n") if line.startswith(b"data: {")]
        return Streamed(len(lines), sum(len(json.loads(line[6:])["choices"][0]["delta"]["content"]) for line in lines))


class PlainSocket:
    def __init__(self, server_url: str) -> None:
        self._bytes = _SocketBytes(server_url)
        self._socket = socket.create_connection(self._bytes.address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _exchange(self, request: bytes) -> bytes:
        self._socket.sendall(request)
        received = b""
        while not self._bytes.is_whole(received):
            received += self._socket.recv(1 << 18)
        return received

    def answer(self, prompt: str) -> str:
        return self._bytes.text(self._exchange(self._bytes.unary_request))

    def stream(self, prompt: str) -> Streamed:
        return self._bytes.streamed(self._exchange(self._bytes.stream_request))


class AsyncPlainSocket:
    def __init__(self, server_url: str) -> None:
        self._bytes = _SocketBytes(server_url)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def _exchange(self, request: bytes) -> bytes:
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(*self._bytes.address)
        writer.write(request)
        received = b""
        while not self._bytes.is_whole(received):
            received += await reader.read(1 << 18)
        self._idle.append((reader, writer))
        return received

    async def answer(self, prompt: str) -> str:
        return self._bytes.text(await self._exchange(self._bytes.unary_request))

    async def stream(self, prompt: str) -> Streamed:
        return self._bytes.streamed(await self._exchange(self._bytes.stream_request))


class OpenAIShaped:
    """A client with OpenAI's face: the openai SDK and qonduit, whose streams are context managers."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def answer(self, prompt: str) -> str:
        response = self._client.chat.completions.create(
            model=MODEL, messages=_messages(prompt), temperature=TEMPERATURE
        )
        return response.choices[0].message.content  # type: ignore[no-any-return]

    def stream(self, prompt: str) -> Streamed:
        chunks = characters = 0
        with self._client.chat.completions.create(
            model=MODEL, messages=_messages(prompt), temperature=TEMPERATURE, stream=True
        ) as stream:
            for chunk in stream:
                chunks += 1
                characters += len(chunk.choices[0].delta.content or "")
        return Streamed(chunks, characters)


class AsyncOpenAIShaped:
    def __init__(self, client: Any) -> None:
        self._client = client

    async def answer(self, prompt: str) -> str:
        response = await self._client.chat.completions.create(
            model=MODEL, messages=_messages(prompt), temperature=TEMPERATURE
        )
        return response.choices[0].message.content  # type: ignore[no-any-return]

    async def stream(self, prompt: str) -> Streamed:
        chunks = characters = 0
        stream = await self._client.chat.completions.create(
            model=MODEL, messages=_messages(prompt), temperature=TEMPERATURE, stream=True
        )
        async with stream:
            async for chunk in stream:
                chunks += 1
                characters += len(chunk.choices[0].delta.content or "")
        return Streamed(chunks, characters)


class DashScopeSDK(OpenAIShaped):
    """The dashscope SDK's `Client`: its streams are plain iterators."""

    def stream(self, prompt: str) -> Streamed:
        chunks = characters = 0
        for chunk in self._client.chat.completions.create(
            model=MODEL, messages=_messages(prompt), temperature=TEMPERATURE, stream=True
        ):
            chunks += 1
            characters += len(chunk.delta.content or "")
        return Streamed(chunks, characters)


class AsyncDashScopeSDK(AsyncOpenAIShaped):
    async def stream(self, prompt: str) -> Streamed:
        chunks = characters = 0
        async for chunk in await self._client.chat.completions.create(
            model=MODEL, messages=_messages(prompt), temperature=TEMPERATURE, stream=True
        ):
            chunks += 1
            characters += len(chunk.delta.content or "")
        return Streamed(chunks, characters)


def _log_to_the_null_device() -> None:
    """Switch qonduit's log records on (INFO) and write them, formatted, to a file that keeps nothing."""
    sink = logging.FileHandler(os.devnull)
    sink.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.getLogger().addHandler(sink)
    for name in ("qonduit", "qonduit_logging"):
        logging.getLogger(name).setLevel(logging.INFO)


def _openai_sync(server_url: str) -> SyncCaller:
    import openai

    return OpenAIShaped(openai.OpenAI(api_key=API_KEY, base_url=server_url + OPENAI_PATH, timeout=TIMEOUT_SECONDS))


async def _openai_async(server_url: str) -> AsyncCaller:
    import openai

    client = openai.AsyncOpenAI(api_key=API_KEY, base_url=server_url + OPENAI_PATH, timeout=TIMEOUT_SECONDS)
    return AsyncOpenAIShaped(client)


def _dashscope_sync(server_url: str) -> SyncCaller:
    import dashscope

    return DashScopeSDK(dashscope.Client(api_key=API_KEY, base_url=server_url + NATIVE_PATH, timeout=TIMEOUT_SECONDS))


async def _dashscope_async(server_url: str) -> AsyncCaller:
    import dashscope

    return AsyncDashScopeSDK(
        dashscope.AsyncClient(api_key=API_KEY, base_url=server_url + NATIVE_PATH, timeout=TIMEOUT_SECONDS)
    )


async def _async_raw_httpx(server_url: str) -> AsyncCaller:
    return AsyncRawHttpx(server_url)


async def _async_plain_socket(server_url: str) -> AsyncCaller:
    return AsyncPlainSocket(server_url)


_CALL = f"""client.chat.completions.create(
    model={MODEL!r}, messages=[{{"role": "user", "content": "hi"}}], temperature={TEMPERATURE})
print(response.choices[0].message.content)
"""


def _qonduit(
    label: str,
    *,
    provider: str,
    path: str,
    plugins: Sequence[str] = (),
    records: bool = False,
    kept: bool = False,
    http_library: str = "auto",
) -> Contender:
    def options(server_url: str) -> dict[str, Any]:
        if records:
            _log_to_the_null_device()
        return {
            "provider": provider,
            "api_key": API_KEY,
            "base_url": server_url + path,
            "model": MODEL,
            "timeout": TIMEOUT_SECONDS,
            "plugins": _kept_plugins() if kept else list(plugins),
        }

    def open_sync(server_url: str) -> SyncCaller:
        os.environ["QONDUIT_HTTP_LIBRARY"] = http_library
        from qonduit import Client

        return OpenAIShaped(Client(**options(server_url)))

    async def open_async(server_url: str) -> AsyncCaller:
        os.environ["QONDUIT_HTTP_LIBRARY"] = http_library
        from qonduit import AsyncClient

        return AsyncOpenAIShaped(AsyncClient(**options(server_url)))

    cold_program = f"""import os, sys
os.environ["QONDUIT_HTTP_LIBRARY"] = {http_library!r}
from qonduit import Client
client = Client(provider={provider!r}, api_key={API_KEY!r}, base_url=sys.argv[1] + {path!r}, model={MODEL!r},
    plugins={list(plugins)!r})
response = {_CALL}"""
    return Contender(label, "qonduit", cold_program, open_sync, open_async)


_COLD_RAW_HTTPX = f"""import json, sys
import httpx
client = httpx.Client()
response = client.post(sys.argv[1] + "{OPENAI_PATH}/chat/completions", json={_body("hi")!r})
print(json.loads(response.content)["choices"][0]["message"]["content"])
"""
_COLD_PLAIN_SOCKET = f"""import json, socket, sys
from urllib.parse import urlsplit
parts = urlsplit(sys.argv[1])
body = json.dumps({_body("hi")!r}).encode()
connection = socket.create_connection((parts.hostname, parts.port))
connection.sendall(b"POST {OPENAI_PATH}/chat/completions HTTP/1.1\\r\\nconnection: close\\r\\n"
    b"content-length: %d\\r\\n\\r\\n%b" % (len(body), body))
received = connection.recv(1 << 16)
print(json.loads(received.partition(b"\\r\\n\\r\\n")[2])["choices"][0]["message"]["content"])
"""
_COLD_OPENAI = f"""import sys
import openai
client = openai.OpenAI(api_key={API_KEY!r}, base_url=sys.argv[1] + {OPENAI_PATH!r})
response = {_CALL}"""
_COLD_DASHSCOPE = f"""import sys
import dashscope
client = dashscope.Client(api_key={API_KEY!r}, base_url=sys.argv[1] + {NATIVE_PATH!r})
response = {_CALL}"""

RAW_HTTPX = "httpx"
OPENAI = "openai"
QONDUIT = "qonduit"
QONDUIT_PLUGINS = "qonduit-plugins"
QONDUIT_RECORDS = "qonduit-records"
QONDUIT_KEPT = "qonduit-kept"
QONDUIT_HTTPCORE = "qonduit-httpcore"
QONDUIT_KEPT_HTTPCORE = "qonduit-kept-httpcore"
QONDUIT_CACHE = "qonduit-cache"
QONDUIT_NATIVE = "qonduit-native"
DASHSCOPE = "dashscope"
PLAIN_SOCKET = "socket"

CONTENDERS: dict[str, Contender] = {
    RAW_HTTPX: Contender("raw httpx", "httpx", _COLD_RAW_HTTPX, RawHttpx, _async_raw_httpx),
    QONDUIT: _qonduit("qonduit", provider="openai", path=OPENAI_PATH),
    QONDUIT_PLUGINS: _qonduit("qonduit, 3 plugins", provider="qwen", path=OPENAI_PATH, plugins=PLUGINS),
    QONDUIT_RECORDS: _qonduit(
        "qonduit, 3 plugins, log written", provider="qwen", path=OPENAI_PATH, plugins=PLUGINS, records=True
    ),
    QONDUIT_KEPT: _qonduit(
        "qonduit, JSON log, ledger, cache", provider="qwen", path=OPENAI_PATH, plugins=PLUGINS, kept=True
    ),
    QONDUIT_HTTPCORE: _qonduit("qonduit, httpcore", provider="openai", path=OPENAI_PATH, http_library="httpx"),
    QONDUIT_KEPT_HTTPCORE: _qonduit(
        "qonduit, JSON log, ledger, cache, httpcore",
        provider="qwen",
        path=OPENAI_PATH,
        plugins=PLUGINS,
        kept=True,
        http_library="httpx",
    ),
    OPENAI: Contender("openai SDK", "openai", _COLD_OPENAI, _openai_sync, _openai_async),
    QONDUIT_NATIVE: _qonduit("qonduit, native DashScope", provider="dashscope", path=NATIVE_PATH),
    DASHSCOPE: Contender("dashscope SDK, native", "dashscope", _COLD_DASHSCOPE, _dashscope_sync, _dashscope_async),
    PLAIN_SOCKET: Contender("plain socket (floor)", "", _COLD_PLAIN_SOCKET, PlainSocket, _async_plain_socket),
}

HITS: dict[str, Contender] = {
    RAW_HTTPX: CONTENDERS[RAW_HTTPX],
    QONDUIT_CACHE: _qonduit("qonduit, from its memory cache", provider="qwen", path=OPENAI_PATH, plugins=("cache",)),
}
"""Who is asked the same thing again and again."""
