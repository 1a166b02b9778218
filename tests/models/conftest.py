"""Packages with a model table, made for one test."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qonduit.models import ModelTable

_numbers = itertools.count()
TableMaker = Callable[[str], ModelTable]


@pytest.fixture
def table_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TableMaker]:
    """Makes the table of a package that holds a `models.toml` of the given text."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[str] = []

    def make(text: str) -> ModelTable:
        name = f"made_for_a_test_{next(_numbers)}"
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / "models.toml").write_text(text, encoding="utf-8")
        made.append(name)
        return ModelTable.of_package(name)

    yield make
    for name in made:
        sys.modules.pop(name, None)
