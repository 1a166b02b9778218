"""The real command in a process of its own, with a home of its own; and a provider that answers as told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

CANARY = "sk-canary-3f9a1c"
"""The key of every test: it must never be printed."""


class Command:
    """`qonduit` with its own folder, home and environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.home = folder / "home"
        self.folder.mkdir()
        self.home.mkdir()
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
        self.env = {
            **kept,
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_DATA_HOME": str(self.home / "data"),
            "LC_ALL": "C.UTF-8",
        }
        self.started: list[subprocess.Popen[str]] = []

    def configure(self, text: str, **variables: str) -> Path:
        """A configuration that is named, and so trusted; `variables` are the environment's."""
        path = self.folder / "named.toml"
        path.write_text(text, encoding="utf-8")
        self.env |= {"QONDUIT_CONFIG": str(path), **variables}
        return path

    def run(self, *arguments: str, text: str | bytes = "") -> subprocess.CompletedProcess[str]:
        """The command, run to its end. No output may hold the key or a traceback."""
        return self._run("-m", "qonduit_cli", *arguments, text=text)

    def python(self, code: str) -> subprocess.CompletedProcess[str]:
        """Python code in the command's place."""
        return self._run("-c", code)

    def _run(self, *arguments: str, text: str | bytes = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.env,
            input=text.encode() if isinstance(text, str) else text,
            capture_output=True,
            timeout=60,
            check=False,
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        assert CANARY not in out + err
        assert "Traceback" not in out + err
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def start(self, *arguments: str, stdout: Any = subprocess.PIPE) -> subprocess.Popen[str]:
        """The command, running. A process that is born with SIGINT ignored would never hear it."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "qonduit_cli", *arguments],
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                bufsize=1,
            )
        finally:
            signal.signal(signal.SIGINT, before)
        self.started.append(process)
        return process

    def end(self) -> None:
        """Leave no process behind."""
        for process in self.started:
            process.kill()
            process.communicate()


class Provider(ThreadingHTTPServer):
    """A server with OpenAI's wire. `answer` says what a call gets."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: Callable[[Handler], None] = hello
        self.bodies: list[Any] = []
        self.keys: list[str | None] = []
        self.left = threading.Event()
        """Set when a client has closed the connection of a stalled stream."""

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def profile(self, extra: str = "") -> str:
        """A configuration with one profile for this server; its key is the variable TEST_KEY."""
        return (
            'default = "local"\n[profiles.local]\nprovider = "openai"\nmodel = "small"\nmax_retries = 0\n'
            f'base_url = "{self.base_url}"\napi_key = "env:TEST_KEY"\n{extra}'
        )


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Provider
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.keys.append(self.headers["authorization"])
        self.reply(b'{"object": "list", "data": []}')

    def do_POST(self) -> None:
        self.body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.bodies.append(self.body)
        self.server.keys.append(self.headers["authorization"])
        self.server.answer(self)

    def reply(self, content: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def begin_stream(self) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()

    def event(self, delta: dict[str, Any], finish_reason: str | None = None) -> None:
        chunk = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "small",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        }
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def hello(handler: Handler) -> None:
    """A short answer, streamed or whole."""
    if handler.body.get("stream"):
        handler.begin_stream()
        handler.event({"role": "assistant", "reasoning_content": "Hm."})
        handler.event({"content": "Hel"})
        handler.event({"content": "lo"})
        handler.event({}, "stop")
        handler.wfile.write(b"data: [DONE]\n\n")
        return
    message = {"role": "assistant", "content": "Hello", "reasoning_content": "Hm."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    answer = {"id": "chatcmpl-1", "created": 1, "model": "small", "choices": [choice], "usage": usage}
    handler.reply(json.dumps(answer).encode())


def stall(handler: Handler) -> None:
    """One chunk, and then nothing until the client leaves."""
    handler.begin_stream()
    handler.event({"content": "Once"})
    if not handler.connection.recv(1):
        handler.server.left.set()


def cut(handler: Handler) -> None:
    """One chunk, and the connection ends."""
    handler.begin_stream()
    handler.event({"content": "Once"})


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    """The command in an empty folder with an empty home."""
    made = Command(tmp_path)
    yield made
    made.end()


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider on loopback."""
    with Provider() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def local(command: Command, provider: Provider) -> Command:
    """The command with a profile for the provider, and its key."""
    command.configure(provider.profile(), TEST_KEY=CANARY)
    return command
