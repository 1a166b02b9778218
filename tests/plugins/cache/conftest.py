"""The modes as fixtures, and a real Redis server for each test that asks for one."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.pipeline.modes import MODES, Mode


@pytest.fixture(params=MODES, ids=lambda mode: mode.name)
def mode(request: pytest.FixtureRequest) -> Mode:
    """Each of the four ways to ask."""
    return request.param


@pytest.fixture(params=[mode for mode in MODES if not mode.streamed], ids=lambda mode: mode.name)
def plain(request: pytest.FixtureRequest) -> Mode:
    """Each of the two ways to ask for a whole answer."""
    return request.param


class RedisServer:
    """A redis-server of a test's own, without files."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "", "--dir", folder, *arguments],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "ready to accept connections" in line.lower():
                return
        raise RuntimeError("redis-server did not start")

    def hang(self) -> None:
        """It takes connections and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def command(self, *words: str | bytes) -> str:
        """Speak to it without the library that is tested."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(10)
            link.connect(str(self.socket))
            parts = [word.encode() if isinstance(word, str) else word for word in words]
            link.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts))
            return link.recv(1 << 20).decode(errors="replace")


@pytest.fixture
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RedisServer]]:
    """Start servers; further arguments are redis-server's own."""
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server on this machine")
    started: list[RedisServer] = []

    def start(*arguments: str) -> RedisServer:
        started.append(RedisServer(tmp_path_factory.mktemp("redis"), *arguments))
        return started[-1]

    yield start
    for server in started:
        server.kill()
