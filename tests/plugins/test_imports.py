"""What importing qonduit, building a client and naming plugins load and touch, in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

WATCH = textwrap.dedent(
    """
    import json, os, sys, sysconfig
    home = os.environ["HOME"]
    seen = []

    def hook(event, arguments):
        if event == "open" and isinstance(arguments[0], str):
            path = os.path.abspath(arguments[0])
            if path.startswith((home, os.getcwd())) :
                seen.append(path)
        elif event.startswith("socket.") or event in ("subprocess.Popen", "os.mkdir", "os.remove", "os.rename"):
            seen.append(event)

    before = set(sys.modules)
    sys.addaudithook(hook)
    """
)


def run(program: str, tmp_path: Path, **environment: str) -> Any:
    """What `program` prints as JSON; HOME and the working folder hold files of a user."""
    for name in (".env", "qonduit.toml"):
        (tmp_path / name).write_text("")
    environ = {**os.environ, "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", WATCH + textwrap.dedent(program)],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return json.loads(ran.stdout)


FOREIGN = ("typer", "rich", "starlette", "uvicorn", "httpx", "httpcore", "httptools", "stamina", "keyring", "dotenv")


def loaded(modules: list[str]) -> set[str]:
    """The top names that matter among `modules`."""
    tops = {module.partition(".")[0] for module in modules}
    return tops & {*FOREIGN, "pluggy", "pydantic", "logging"} | {top for top in tops if top.startswith("qonduit_")}


def test_importing_qonduit_touches_nothing(tmp_path: Path) -> None:
    """`import qonduit` opens no file of the user's and no socket, and loads neither a dependency nor a plugin."""
    told = run("import qonduit; print(json.dumps([seen, [m for m in sys.modules if m not in before]]))", tmp_path)
    assert told[0] == []
    assert loaded(told[1]) == set()


def test_the_public_names_load_no_provider(tmp_path: Path) -> None:
    """All public names together load neither a provider, a plugin, the CLI's or emulator's libraries, nor httpx."""
    told = run(
        """
        import qonduit
        for name in qonduit.__all__:
            getattr(qonduit, name)
        print(json.dumps([seen, [m for m in sys.modules if m not in before]]))
        """,
        tmp_path,
    )
    assert told[0] == []
    assert loaded(told[1]) <= {"pluggy", "pydantic", "logging"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("provider='qwen'", {"qonduit_qwen", "qonduit_openai_compatible", "qonduit_model_studio"}),
        ("provider='dashscope'", {"qonduit_dashscope", "qonduit_model_studio"}),
        ("provider='openai'", {"qonduit_openai", "qonduit_openai_compatible"}),
        (
            "provider='dashscope', plugins=['cost']",
            {"qonduit_dashscope", "qonduit_model_studio", "qonduit_cost"},
        ),
    ],
)
def test_a_client_loads_what_it_names(tmp_path: Path, arguments: str, expected: set[str]) -> None:
    """A client made of arguments reads no file, opens no socket, and loads its provider and its plugins only."""
    told = run(
        f"""
        from qonduit import Client
        Client(api_key="sk-test", {arguments})
        print(json.dumps([seen, [m for m in sys.modules if m not in before]]))
        """,
        tmp_path,
    )
    assert told[0] == []
    found = loaded(told[1])
    assert {name for name in found if name.startswith("qonduit_")} == expected
    assert not found & {"typer", "rich", "starlette", "uvicorn", "stamina", "keyring", "dotenv"}


def test_importing_changes_no_logging(tmp_path: Path) -> None:
    """Neither importing qonduit nor building a client adds a log handler or sets a level."""
    told = run(
        """
        import logging
        from qonduit import Client
        Client(provider="qwen", api_key="sk-test", plugins=["logging"])
        loggers = [logging.getLogger(name) for name in (None, "qonduit", "qonduit.middleware")]
        print(json.dumps([[len(found.handlers), found.level] for found in loggers]))
        """,
        tmp_path,
    )
    assert told == [[0, 30], [0, 0], [0, 0]]


def test_an_unknown_public_name() -> None:
    """A name that qonduit does not have is an AttributeError, as of any module."""
    import qonduit

    with pytest.raises(AttributeError, match="has no attribute 'Clint'"):
        qonduit.Clint  # noqa: B018  # the access is the test
    assert "Client" in dir(qonduit)
    assert len(set(qonduit.__all__)) == len(qonduit.__all__)
