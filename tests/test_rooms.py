"""The rooms of the repository: what lies where."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("room", ["core", "providers", "plugins"])
def test_a_room_holds_packages_and_a_readme(room: str) -> None:
    """A source root holds nothing but `qonduit*` packages and a README: what else lies there would be importable."""
    names = {path.name for path in (ROOT / room).iterdir() if path.name not in {"__pycache__", ".DS_Store"}}
    assert names - {"README.md"} == {name for name in names if name.startswith("qonduit")}
    assert all((ROOT / room / name / "py.typed").is_file() for name in names - {"README.md"})


def test_core_knows_no_vendor() -> None:
    """No module of the core imports a provider or a plugin, not even late: entry points are the only way to them."""
    for path in (ROOT / "core").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for word in ("import qonduit_", "from qonduit_", "aliyun", "openai.com"):
            assert word not in text.lower(), f"{path} says {word!r}"
