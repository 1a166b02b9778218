"""The catalogue of models: data in `models.toml`, read once per catalogue."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from qonduit_emulator._exchange import GenerationPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What one model can do; the columns are explained in `models.toml`. Sizes are in tokens."""

    name: str
    owner: str
    generation_path: GenerationPath
    thinking: Literal["off", "optional", "only"]
    thinking_default: bool
    stream_only: Literal["never", "thinking", "always"]
    tools: bool
    vision: bool
    result_format: Literal["text", "message"]
    incremental_output: bool
    total_tokens: bool
    context: int
    max_input: int
    max_output: int
    max_thinking: int

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
    return Catalogue(
        {name: Model(name=name, **{**defaults, **columns}) for name, columns in document["models"].items()}
    )


@cache
def default_catalogue() -> Catalogue:
    """The catalogue shipped in this package."""
    file = resources.files("qonduit_emulator").joinpath("models.toml")
    return parse_catalogue(file.read_text(encoding="utf-8"))
