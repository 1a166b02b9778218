"""The options of the plugin `logging`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Content: TypeAlias = Literal["metadata", "truncated", "full"]
Form: TypeAlias = Literal["console", "json"]


class LoggingOptions(BaseModel):
    """`[profiles.NAME.plugin.logging]`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    logger: str = "qonduit"
    """The logger that records go to."""
    library: Literal["logging", "structlog"] = "logging"
    """Whose logger that is; "structlog" needs the extra of that name."""
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The level of records of calls that were answered; of failed ones it is WARNING at least."""
    attempts: bool = True
    """Whether each attempt has a record of its own, at DEBUG when it was answered."""
    format: Form = "console"
    """The form of a record's message: one readable line, or one JSON object."""
    file: Path | None = None
    """A file that gets every record as a line of JSON, whatever the logger's level; its folder must exist."""
    max_bytes: Annotated[int, Field(ge=1024)] = 10_000_000
    """How large the file may grow before it is moved aside, to FILE.1, and a new one is begun."""
    backups: Annotated[int, Field(ge=0)] = 5
    """How many files that were moved aside are kept; with 0 the full file is thrown away."""
    content: Content = "metadata"
    """Whether prompts, answers and tools are logged: not at all, cut, or in full; always redacted."""
    max_characters: Annotated[int, Field(ge=16)] = 1000
    """How long a text of a prompt or an answer may be with `content = "truncated"`."""
    redact: tuple[SecretStr, ...] = ()
    """Secrets to remove besides the key and the known patterns: "env:NAME", "regex:PATTERN", or the text itself."""
    traces: bool = False
    """Whether calls and attempts are spans of OpenTelemetry; needs the extra "otel"."""
