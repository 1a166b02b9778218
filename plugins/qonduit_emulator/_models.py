"""The catalogue of models: data in `models.toml`, read once per catalogue."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from qonduit_emulator._exchange import GenerationPath

ASSUMED_CONTEXT = 131_072
"""The context of a model whose context is not known."""

ModelKind = Literal["chat", "embedding", "rerank"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What one model can do; the columns are explained in `models.toml`. Sizes are in tokens.

    What is not known is `None`, and then not checked.
    """

    name: str
    owner: str
    kind: ModelKind = "chat"
    generation_path: GenerationPath | None = None
    thinking: Literal["off", "optional", "only"] = "off"
    thinking_default: bool = False
    stream_only: Literal["never", "thinking", "always"] = "never"
    tools: bool = False
    vision: bool = False
    result_format: Literal["text", "message"] = "message"
    incremental_output: bool = False
    total_tokens: bool = True
    context: int | None = None
    max_input: int | None = None
    max_output: int | None = None
    max_thinking: int | None = None
    dimensions: tuple[int, ...] = ()
    max_batch: int | None = None

    @property
    def most_output(self) -> int:
        """What an answer can be at most, for those who have to reckon with it even where it is not known."""
        return self.max_output or self.context or ASSUMED_CONTEXT

    @property
    def most_thinking(self) -> int:
        """The same for reasoning; 0 for a model that does not think."""
        return 0 if self.thinking == "off" else self.max_thinking or self.context or ASSUMED_CONTEXT

    def thinks(self, enable_thinking: bool | None) -> bool:
        """Whether a call thinks, given what the caller asked for (`None`: nothing)."""
        match self.thinking:
            case "off":
                return False
            case "only":
                return True
            case "optional":
                return self.thinking_default if enable_thinking is None else enable_thinking


class Catalogue(Mapping[str, Model]):
    """Models by name, in the order of the file."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = dict(models)

    def __getitem__(self, name: str) -> Model:
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)


def parse_catalogue(text: str) -> Catalogue:
    """Read a catalogue from TOML: a table `defaults` and one table per model under `models`.

    Raises:
        tomllib.TOMLDecodeError: the text is not TOML.
        TypeError: a column is missing or unknown.
    """
    document = tomllib.loads(text)
    defaults = document["defaults"]
    return Catalogue({name: _parse_model(name, {**defaults, **row}) for name, row in document["models"].items()})


def _parse_model(name: str, columns: Mapping[str, Any]) -> Model:
    return Model(name=name, **{**columns, "dimensions": tuple(columns.get("dimensions", ()))})


@cache
def default_catalogue() -> Catalogue:
    """The catalogue shipped in this package."""
    file = resources.files("qonduit_emulator").joinpath("models.toml")
    return parse_catalogue(file.read_text(encoding="utf-8"))
