"""`qonduit` before any command: help, version, what is imported, what is missing."""

from __future__ import annotations

import importlib.metadata

from qonduit_cli.selection import DEFAULT_MODELS, PROVIDER_OF_KEY

from .conftest import Command


def test_alone_it_shows_help(command: Command) -> None:
    """`qonduit` is `qonduit --help`: every command in one line, exit code 0."""
    alone, asked = command.run(), command.run("--help")
    assert alone.stdout == asked.stdout
    assert alone.returncode == asked.returncode == 0
    for name in ("chat", "profiles", "trust", "plugins", "emulator", "doctor", "cost"):
        assert f"\n  {name} " in alone.stdout
    assert "..." not in alone.stdout.partition("Commands:")[2]


def test_the_version(command: Command) -> None:
    """--version prints the distribution's."""
    assert command.run("--version").stdout == f"qonduit {importlib.metadata.version('qonduit')}\n"


def test_help_imports_little(command: Command) -> None:
    """Reading the help loads neither the client, its libraries, rich nor the emulator's."""
    heavy = {"pydantic", "httpx", "rich", "starlette", "uvicorn", "stamina", "qonduit.client"}
    done = command.python(
        "import sys; from qonduit_cli import main; main(['--help']); sys.stderr.write(' '.join(sys.modules))"
    )
    loaded = set(done.stderr.split())
    assert "typer" in loaded
    assert heavy & loaded == set()


def test_without_typer_it_says_what_to_install(command: Command) -> None:
    """Without the extra it is one line and exit code 2."""
    missing = "import sys; sys.modules['typer'] = None\n"
    done = command.python(f"{missing}from qonduit_cli import main; sys.exit(main(['chat', 'hi']))")
    assert done.stderr == 'The command qonduit needs typer: pip install "qonduit[cli]"\n'
    assert done.returncode == 2


def test_the_keys_are_those_of_the_providers() -> None:
    """The variables that choose a provider are the providers' own, and each has a default model."""
    points = {point.name: point for point in importlib.metadata.entry_points(group="qonduit.providers")}
    for variable, name in PROVIDER_OF_KEY.items():
        assert variable in points[name].load().info.key_variables
        assert name in DEFAULT_MODELS
