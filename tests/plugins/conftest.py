"""A distribution of a stranger's, to be found by its entry points."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from tests.pipeline.conftest import mode, plain, streaming  # noqa: F401  # fixtures

Stranger = Callable[..., Path]


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stranger]:
    """Install a distribution: its name, entry points by group, and modules by name."""
    before = set(sys.modules)

    def install(name: str, points: Mapping[str, Mapping[str, str]], **modules: str) -> Path:
        folder = tmp_path / name
        information = folder / f"{name}-2.5.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.5\n")
        lines: list[str] = []
        for group, found in points.items():
            lines += [f"[{group}]", *(f"{point} = {target}" for point, target in found.items())]
        (information / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for module, source in modules.items():
            (folder / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(str(folder))
        return folder

    yield install
    for module in set(sys.modules) - before:
        if module.startswith("stranger"):
            del sys.modules[module]
