"""The distribution of docs/examples: built, installed and used as a stranger's."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.pages import EXAMPLE

PROGRAM = """
import asyncio, logging, sys
from qonduit import AsyncClient, Client
from qonduit_emulator import Emulator

class Events(logging.Handler):
    def emit(self, record):
        print(record.event, record.fields["seconds"] > 0)

logging.getLogger("qonduit.middleware").addHandler(Events())
logging.getLogger("qonduit.middleware").setLevel("INFO")
MESSAGES = [{"role": "user", "content": "你好"}]

def plain(client):
    client.chat.completions.create(messages=MESSAGES)
    with client.chat.completions.create(messages=MESSAGES, stream=True) as stream:
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == stream.response.text

async def asynchronous(client):
    async with client:
        await client.chat.completions.create(messages=MESSAGES)
        async with await client.chat.completions.create(messages=MESSAGES, stream=True) as stream:
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        assert text == stream.response.text

with Emulator() as emulator:
    where = {"provider": "qwen", "model": "qwen-plus", "base_url": emulator.base_url, "api_key": emulator.api_key}
    with Client(**where):
        assert "qonduit_timing" not in sys.modules, "it was imported though nobody named it"
    with Client(**where, plugins=["timing"]) as client:
        plain(client)
    asyncio.run(asynchronous(AsyncClient(**where, plugins=["timing"])))
print(sys.modules["qonduit_timing"].__file__)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the distribution was installed, without the network."""
    target = tmp_path_factory.mktemp("target")
    if importlib.util.find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check"]
    else:  # an environment made by uv
        uv = shutil.which("uv")
        assert uv is not None, "neither pip nor uv is there to install with"
        command = [uv, "pip", "install", "--quiet", "--offline", "--python", sys.executable]
    command += ["--no-deps", "--no-build-isolation", "--target", str(target), str(EXAMPLE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nIs hatchling installed? It builds the example."
    return target


def run(installed: Path, *arguments: str, folder: Path) -> str:
    """Python with the distribution on its path, in a folder of its own; what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(installed), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_serves_all_four_kinds_of_call(installed: Path, tmp_path: Path) -> None:
    """A stranger's middleware, named in `plugins`, sees plain, streamed, async and async streamed calls once each."""
    *events, file = run(installed, "-W", "error", "-c", PROGRAM, folder=tmp_path).splitlines()
    assert events == ["answered True"] * 4
    assert Path(file).is_relative_to(installed)


def test_its_own_tests_pass(installed: Path, tmp_path: Path) -> None:
    """The tests that the distribution brings along pass against what was installed."""
    tests = shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    arguments = ("-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "--rootdir", str(tmp_path))
    assert " passed" in run(installed, "-m", "pytest", *arguments, str(tests), folder=tmp_path)
