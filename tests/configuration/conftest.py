"""A working folder, a home and an environment of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.plugins.conftest import stranger  # noqa: F401  # a fixture of both folders

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, empty; the home is beside it."""
    home = tmp_path / "home"
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(home))
    working = tmp_path / "work"
    working.mkdir()
    monkeypatch.chdir(working)
    return working


@pytest.fixture
def write(folder: Path) -> Write:
    """Write a profile `p` of the provider qwen, with further lines, to a file of the working folder."""

    def write(*lines: str, name: str = "qonduit.toml", provider: str = "qwen") -> Path:
        path = folder / name
        head = ["[profiles.p]", f'provider = "{provider}"', 'model = "qwen-plus"']
        path.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    """A key in DASHSCOPE_API_KEY."""
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-environment")
    return "sk-environment"
