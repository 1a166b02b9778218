"""The data of the model tables: every row has an origin, names what exists, and says what the emulator's table says."""

from __future__ import annotations

import datetime
import tomllib
from importlib import resources
from typing import Any, Literal

import pytest
from tests.docs.pages import DOCS, rows

from qonduit.models import Model, ModelRow, ModelTable
from qonduit.request import ChatRequest
from qonduit_emulator._models import default_catalogue

PACKAGES = ("qonduit_model_studio", "qonduit_openai")
PROVIDERS = {"qonduit_model_studio": {"qwen", "dashscope"}, "qonduit_openai": {"openai"}}
ROWS = [(package, name) for package in PACKAGES for name in ModelTable.of_package(package)]
STUDIO = ModelTable.of_package("qonduit_model_studio")


def document(package: str) -> dict[str, Any]:
    """A package's `models.toml`."""
    return tomllib.loads(resources.files(package).joinpath("models.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("package", "name"), ROWS)
def test_every_row_has_an_origin_and_names_what_exists(package: str, name: str) -> None:
    """A row has source and date; its providers and refused parameters exist, and its sizes fit into each other."""
    model = ModelTable.of_package(package)[name]
    assert model.known
    assert model.source is not None
    assert model.source.startswith("https://")
    assert model.date is not None
    assert datetime.date(2026, 1, 1) <= model.date <= datetime.date(2026, 12, 31)
    assert set(model.providers or ()) <= PROVIDERS[package]
    assert set(model.refuses) <= set(ChatRequest.model_fields)
    assert model.path in (None, "text", "multimodal")
    assert (model.max_output or 0) <= (model.context or 10**9)
    assert len(set(model.dimensions or ())) == len(model.dimensions or ())


@pytest.mark.parametrize(("package", "name"), ROWS)
def test_a_row_is_consistent(package: str, name: str) -> None:
    """What only reasons does so by default, what never does has no such limits; chat columns are of chat models."""
    model = ModelTable.of_package(package)[name]
    if model.thinking == "only":
        assert model.thinking_default
    if model.thinking == "off":
        assert not model.thinking_default
        assert model.max_thinking is None
        assert not model.efforts
    if "chat" not in model.operations:
        assert (model.thinking, model.tools, model.efforts, model.max_output) == (None, None, None, None)
    if "embeddings" not in model.operations:
        assert model.dimensions is None


@pytest.mark.parametrize("package", PACKAGES)
def test_successors_exist_and_live(package: str) -> None:
    """A successor has a row, can be asked for the same by the same providers, and is not retired itself."""
    table = ModelTable.of_package(package)
    for model in (table[name] for name in table):
        if model.successor is None:
            continue
        assert model.retired is not None, model.name
        assert model.successor in table, model.name
        successor = table[model.successor]
        assert successor.retired is None, model.name
        assert set(model.operations) <= set(successor.operations)
        assert model.providers is None or set(model.providers) <= set(successor.providers or model.providers)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_pattern_holds_and_is_reached(package: str) -> None:
    """A pattern is checked like a row, says something, and is not hidden by an equal one before it."""
    patterns = document(package)["patterns"]
    for pattern, columns in patterns.items():
        assert ModelRow.model_validate(columns).model_fields_set, pattern
        assert "retired" not in columns, pattern


@pytest.mark.parametrize("package", PACKAGES)
def test_a_row_and_its_pattern_agree(package: str) -> None:
    """What the patterns would say of a name with a row is not against the row: else they guess badly for its kin."""
    columns = document(package)
    table = ModelTable.of_package(package)
    for name in table:
        row = table[name]
        guess = _by_patterns(columns["patterns"], name)
        for column in ("operations", "path", "limit_name"):
            said, known = guess.get(column), getattr(row, column)
            if said is not None and known is not None:
                assert (tuple(said) if isinstance(said, list) else said) == known, (name, column)


def _by_patterns(patterns: dict[str, Any], name: str) -> dict[str, Any]:
    from fnmatch import fnmatchcase

    return next((columns for pattern, columns in patterns.items() if fnmatchcase(name, pattern)), {})


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("qwen-vl-plus-2025-01-02", "multimodal"),
        ("qwen2-vl-72b-instruct", "multimodal"),
        ("qwen2.5-vl-7b-instruct", "multimodal"),
        ("qwenvl-max", "multimodal"),
        ("qwen3-vl-4b-instruct", "multimodal"),
        ("qwen9-omni-flash", "multimodal"),
        ("qwen-omni-turbo-2025-03-26", "multimodal"),
        ("qwen-vl-ocr-2025-11-20", "multimodal"),
        ("qwen-audio-turbo", "multimodal"),
        ("qwen3-asr-flash", "multimodal"),
        ("qwen4-captioner", "multimodal"),
        ("qvq-72b-preview", "multimodal"),
        ("qwen3.5-plus-2026-04-20", "multimodal"),
        ("qwen3.5-flash-2026-02-23", "multimodal"),
        ("qwen3.6-flash-2026-04-16", "multimodal"),
        ("qwen3.7-plus-2026-06-02", "multimodal"),
        ("qwen3.8-max-0902", "multimodal"),
        ("qwen3.8-anything", "multimodal"),
        ("qwen-plus-2025-07-28", "text"),
        ("qwen3-max-2026-01-23", "text"),
        ("qwen3.7-max-2026-05-20", "text"),
        ("qwen3-4b", "text"),
        ("qwen2.5-7b-instruct", "text"),
        ("qwq-32b", "text"),
        ("deepseek-v9", "text"),
        ("glm-9", "text"),
        ("somebody-elses", None),
    ],
)
def test_the_path_of_names_without_a_row(name: str, path: str | None) -> None:
    """A name that has no row is guessed by its kind."""
    assert STUDIO[name].path == path


@pytest.mark.parametrize(
    ("name", "thinking", "default", "stream_only"),
    [
        ("qwen3-32b", "optional", True, "thinking"),
        ("qwen3-4b", "optional", True, "thinking"),
        ("qwen3-1.7b", "optional", True, "thinking"),
        ("qwen3-235b-a22b-thinking-2507", "only", True, "thinking"),
        ("qwen3-4b-thinking-2507", "only", True, "thinking"),
        ("qwen3-4b-instruct-2507", "off", False, "never"),
        ("qwq-32b", "only", True, "always"),
        ("qvq-max-latest", "only", True, "always"),
        ("qwen3-omni-flash-2025-09-15", "optional", False, "always"),
        ("qwen3.5-plus", "optional", True, "never"),
        ("qwen3.7-max", "optional", True, "never"),
        ("qwen-plus", "optional", False, "never"),
        ("qwen-plus-2025-01-25", "off", False, "never"),
        ("qwen3-max-2025-09-23", "off", False, "never"),
        ("qwen3-max-2026-01-23", "optional", False, "never"),
        ("qwen-max", "off", False, "never"),
        ("qwen3-coder-plus", "off", False, "never"),
    ],
)
def test_how_models_reason(
    name: str,
    thinking: Literal["off", "optional", "only"],
    default: bool,
    stream_only: Literal["never", "thinking", "always"],
) -> None:
    """Whether a model reasons, unasked too, and whether it then has to be streamed."""
    model = STUDIO[name]
    assert (model.thinking, model.thinking_default, model.stream_only) == (thinking, default, stream_only)


@pytest.mark.parametrize(
    ("name", "limit_name", "refuses_temperature"),
    [
        ("gpt-4o", None, False),
        ("gpt-4o-2024-08-06", None, False),
        ("gpt-4.1-mini", None, False),
        ("gpt-5", "max_completion_tokens", True),
        ("gpt-5-mini-2025-08-07", "max_completion_tokens", True),
        ("gpt-5-pro", "max_completion_tokens", True),
        ("gpt-5-chat-latest", None, False),
        ("gpt-5.1", "max_completion_tokens", False),
        ("gpt-5.9", "max_completion_tokens", False),
        ("gpt-6-luna", "max_completion_tokens", False),
        ("o1", "max_completion_tokens", True),
        ("o3-pro", "max_completion_tokens", True),
        ("o4-mini-2025-04-16", "max_completion_tokens", True),
        ("llama-3", None, False),
    ],
)
def test_what_openai_models_refuse(name: str, limit_name: str | None, refuses_temperature: bool) -> None:
    """Reasoning models take one name of the limit; those that cannot stop reasoning take no sampling parameters."""
    model = ModelTable.of_package("qonduit_openai")[name]
    assert model.limit_name == limit_name
    assert ("temperature" in model.refuses) is refuses_temperature


SHARED = {
    "generation_path": "path",
    "thinking": "thinking",
    "thinking_default": "thinking_default",
    "stream_only": "stream_only",
    "tools": "tools",
    "context": "context",
    "max_input": "max_input",
    "max_output": "max_output",
    "max_thinking": "max_thinking",
    "dimensions": "dimensions",
    "max_batch": "max_batch",
}


@pytest.mark.parametrize("name", list(default_catalogue()))
def test_the_emulator_says_the_same(name: str) -> None:
    """The emulator's table and a provider's do not contradict each other where both know a column of a model."""
    theirs = default_catalogue()[name]
    table = ModelTable.of_package("qonduit_openai" if theirs.owner == "openai" else "qonduit_model_studio")
    assert name in table
    ours: Model = table[name]
    assert {"embedding": "embeddings"}.get(theirs.kind, theirs.kind) in ours.operations
    compared = {} if theirs.owner == "openai" else SHARED
    for column, own in {**compared, "context": "context", "max_output": "max_output"}.items():
        left, right = getattr(theirs, column), getattr(ours, own)
        if left not in (None, ()) and right is not None:
            assert left == right, (name, column)


def test_facts_that_are_looked_up_by_number() -> None:
    """Batches and dimensions as the vendor's pages have them."""
    assert STUDIO["text-embedding-v4"].dimensions == (1024, 2048, 1536, 768, 512, 256, 128, 64)
    assert [STUDIO[f"text-embedding-v{number}"].max_batch for number in (1, 2, 3, 4)] == [25, 25, 10, 10]
    assert STUDIO["qwen3.7-text-embedding"].max_batch == 20
    assert STUDIO["qwen3-rerank"].max_batch == 500
    assert STUDIO["qwen3-vl-rerank"].providers == ("dashscope",)
    assert ModelTable.of_package("qonduit_openai")["text-embedding-3-small"].max_batch == 2048


def test_the_page_has_every_column() -> None:
    """The reference lists the columns of the table in their order, with their defaults."""
    shown = [(row[0].strip("`"), row[2].strip("`")) for row in rows(DOCS / "reference" / "models.md", "## Columns")]
    assert shown == [(name, _spelt(field.default)) for name, field in ModelRow.model_fields.items()]


def _spelt(default: object) -> str:
    match default:
        case None:
            return "none"
        case bool(value):
            return str(value).lower()
        case str(value):
            return f'"{value}"'
        case tuple(values):
            return str(list(values)).replace("'", '"')
        case _:
            raise AssertionError(default)
