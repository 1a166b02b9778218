"""What the product is made of: few distributions, no code that runs from data, nothing loaded that nobody named."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [path for folder in ("core", "plugins", "providers") for path in sorted((ROOT / folder).rglob("*.py"))]
RUNS_DATA = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle"}
RUNS_TEXT = {"eval", "exec", "compile", "__import__"}


@pytest.mark.F65
def test_no_module_runs_what_it_reads() -> None:
    """No source imports a module that runs code of its data, nor turns text into code."""
    assert len(SOURCES) > 100
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    modules = {name.name.partition(".")[0] for name in names}
                case ast.ImportFrom(module=str(module), level=0):
                    modules = {module.partition(".")[0]}
                case ast.Call(func=ast.Name(id=name)) if name in RUNS_TEXT:
                    modules = {name}
                case _:
                    continue
            found += [f"{path.relative_to(ROOT)}: {module}" for module in modules & (RUNS_DATA | RUNS_TEXT)]
    assert found == []


@pytest.mark.F68
def test_few_distributions_are_needed() -> None:
    """Each dependency is one more whose release may be another's; none runs code when Python starts (no `.pth`)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {text.partition(">")[0].partition("[")[0] for text in project["dependencies"]}
    assert names == {
        "certifi",
        "httpcore",
        "httpx",
        "platformdirs",
        "pluggy",
        "pydantic",
        "python-dotenv",
        "stamina",
    }
    unbound = {text for text in project["dependencies"] if ">=" not in text}
    assert unbound == {"certifi"}  # the newest authorities are the right ones
