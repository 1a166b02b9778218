"""Model: what is known of one model; ModelTable: models by name, read from the data of a provider's package."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from qonduit._mistakes import describe_mistakes, nearest
from qonduit.errors import ConfigurationError
from qonduit.value import Value, trusted

Tokens = Annotated[int, Field(strict=True, ge=1)]

MAX_REMEMBERED = 4096
"""Names of which a table remembers what it found; a server that passes its callers' names on does not grow for ever."""


class ModelRow(Value):
    """The columns of a model table. None is: not known, and then nothing is checked or changed because of it."""

    model_config = ConfigDict(extra="forbid")

    source: str | None = None
    """Where the row is from: a page's address, or a public repository."""
    date: datetime.date | None = None
    """When the row was checked against its source."""
    operations: tuple[Literal["chat", "embeddings", "rerank"], ...] = ("chat",)
    """What the model can be asked for."""
    providers: tuple[str, ...] | None = None
    """Names of the providers that serve it; None: every one whose table it is in."""
    path: str | None = None
    """Which of a provider's endpoints serves it, in the provider's own word."""
    thinking: Literal["off", "optional", "only"] | None = None
    """Whether it reasons before it answers: never, when asked to, or always."""
    thinking_default: bool = False
    """Whether it reasons when the caller does not say."""
    efforts: tuple[str, ...] | None = None
    """The values of an effort setting that it takes; empty: it has no such setting."""
    max_thinking: Tokens | None = None
    """The most tokens of reasoning."""
    stream_only: Literal["never", "thinking", "always"] = "never"
    """When the server refuses a plain (not streamed) call: never, when the model reasons, or always."""
    tools: bool | None = None
    """Whether it calls functions."""
    inputs: tuple[Literal["text", "image", "video", "audio"], ...] | None = None
    """What a message may hold."""
    structured: Literal["schema", "object", "none"] | None = None
    """Structured output: by a JSON schema, only `json_object`, or none."""
    search: bool | None = None
    """Whether it can search the web."""
    context: Tokens | None = None
    """Tokens of input and output together; of a rerank, of the whole request."""
    max_input: Tokens | None = None
    """The most tokens of input; of an embedding or a rerank, of one text."""
    max_output: Tokens | None = None
    """The most tokens of an answer."""
    max_batch: Tokens | None = None
    """The most texts of one embeddings call, or documents of one rerank."""
    dimensions: tuple[Tokens, ...] | None = None
    """The lengths that an embedding can have, the default first; None also where any length up to the default goes."""
    retired: datetime.date | None = None
    """When the vendor took it offline, or has announced to."""
    successor: str | None = None
    """The model to use instead of a retired one."""
    refuses: tuple[str, ...] = ()
    """Names of parameters of `ChatRequest` that it does not take."""
    limit_name: Literal["max_tokens", "max_completion_tokens"] | None = None
    """The one name of the output limit that it takes; None: both."""


class Model(ModelRow):
    """What is known of one model, under the name that was asked for."""

    name: str
    """The name that was asked for: a snapshot has its own, not its family's."""
    known: bool = False
    """Whether the table has a row or a pattern for it."""

    @property
    def retirement(self) -> str | None:
        """One sentence for a warning, of past and future alike: a table has no clock. None when no end is known."""
        if self.retired is None:
            return None
        mend = f"; use '{self.successor}'" if self.successor else ""
        return f"Model '{self.name}' was announced to be taken offline on {self.retired}{mend}."


Rows = Mapping[str, Mapping[str, Any]]


class ModelTable:
    """Models by name. Every name gives a `Model`; one that nothing is known of has `known=False`.

    A name is looked for among the rows; then, without its snapshot suffix (`-2025-07-28`, `-latest`), among the rows
    again; then among the patterns, in the order of the file. A snapshot has the facts of its family but not its
    retirement: the two go offline on days of their own. `in`, iteration and `len` are about rows only.

    Nothing is read before the first lookup. What was found is remembered, so that a repetition costs a dict access.
    Tables are equal when they are of the same package with the same rows over it.
    """

    def __init__(self, package: str | None = None, rows: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """A table of `package`'s `models.toml` with checked `rows` over it; see `of_package` and `overlaid`."""
        self._package = package
        self._rows = rows or {}
        self._found: dict[str, Model] = {}

    @staticmethod
    def of_package(package: str) -> ModelTable:
        """The table in `models.toml` of a package: one object for each package."""
        return _of_package(package)

    @staticmethod
    def empty() -> ModelTable:
        """A table without rows: nothing is known of any model."""
        return ModelTable()

    def overlaid(self, rows: Rows) -> ModelTable:
        """This table with `rows` over it, field by field; a row under a new name is a new model.

        Raises: ConfigurationError that names `models."NAME".COLUMN`, what was expected and the nearest column.
        """
        if not rows:
            return self
        checked = {name: _checked(columns, f'models."{name}"') for name, columns in rows.items()}
        return ModelTable(
            self._package, {**self._rows, **{name: {**self._rows.get(name, {}), **checked[name]} for name in checked}}
        )

    def __getitem__(self, name: str) -> Model:
        try:
            return self._found[name]
        except KeyError:
            return self._remember(name)

    def get(self, name: str) -> Model:
        """The same as `table[name]`: there is always a model."""
        return self[name]

    def __contains__(self, name: object) -> bool:
        """Whether `name` has a row of its own."""
        return name in self._rows or name in self._file.rows

    def __iter__(self) -> Iterator[str]:
        """The names of the rows, in the order of the file, then the overlaid ones that are new."""
        return iter({**self._file.rows, **self._rows})

    def __len__(self) -> int:
        return len({**self._file.rows, **self._rows})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ModelTable):
            return NotImplemented
        return self._package == other._package and self._rows == other._rows

    __hash__ = None  # type: ignore[assignment]  # like a value, it is compared

    def __repr__(self) -> str:
        over = f", {len(self._rows)} rows over it" if self._rows else ""
        return f"ModelTable({self._package!r}{over})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by origin: the file is read again where it is needed."""
        if self._package is not None and not self._rows:
            return _of_package, (self._package,)
        return ModelTable, (self._package, self._rows)

    @cached_property
    def _file(self) -> _File:
        return _NO_FILE if self._package is None else _read(self._package)

    def _remember(self, name: str) -> Model:
        if len(self._found) >= MAX_REMEMBERED:
            self._found.clear()
        facts = self._facts(name)
        model = trusted(Model, {**_UNKNOWN, **(facts or {}), "name": name, "known": facts is not None})
        self._found[name] = model
        return model

    def _facts(self, name: str) -> Mapping[str, Any] | None:
        """The columns that are known of a name, checked; None when nothing is."""
        facts = self._file.row(name)
        if facts is None:
            family = self._file.snapshot.sub("", name)
            if family != name and family in self:
                facts = {**(self._facts(family) or {}), "retired": None, "successor": None}
            else:
                facts = self._file.matching(name)
        over = self._rows.get(name)
        return facts if over is None else {**(facts or {}), **over}


class _File:
    """One `models.toml`, parsed."""

    def __init__(self, package: str, document: Mapping[str, Any]) -> None:
        self._package = package
        self._defaults: Mapping[str, Any] = document.get("defaults", {})
        self.rows: Mapping[str, Any] = document.get("models", {})
        self._patterns: Mapping[str, Any] = document.get("patterns", {})
        self.snapshot = re.compile(document.get("snapshot") or "(?!)")

    def row(self, name: str) -> Mapping[str, Any] | None:
        columns = self.rows.get(name)
        return None if columns is None else self._columns(f'models."{name}"', columns)

    def matching(self, name: str) -> Mapping[str, Any] | None:
        """The columns of the first pattern that fits."""
        from fnmatch import fnmatchcase  # noqa: PLC0415  # known models need no pattern

        for pattern, columns in self._patterns.items():
            if fnmatchcase(name, pattern):
                return self._columns(f'patterns."{pattern}"', columns)
        return None

    def _columns(self, place: str, columns: Mapping[str, Any]) -> dict[str, Any]:
        """The columns as the fields of a `Model` hold them. Their values are the package's own tests' matter.

        Raises: ConfigurationError for a column that there is not.
        """
        whole = {**self._defaults, **columns}
        if unknown := sorted(whole.keys() - _UNKNOWN.keys()):
            hint = nearest(unknown[0], _UNKNOWN)
            raise ConfigurationError(f"models.toml of {self._package}: {place}.{unknown[0]}: is not known{hint}.")
        return {name: tuple(value) if isinstance(value, list) else value for name, value in whole.items()}


_UNKNOWN: dict[str, Any] = {name: field.default for name, field in ModelRow.model_fields.items()}
_NO_FILE = _File("", {})


def _checked(columns: object, place: str) -> dict[str, Any]:
    """The named columns of a row, as the fields of a `Model` hold them. Raises: ConfigurationError."""
    if not isinstance(columns, Mapping):
        raise ConfigurationError(f"{place}: expected a table of columns.")
    try:
        row = ModelRow.model_validate(columns)
    except ValidationError as error:
        mistakes = describe_mistakes(error, ModelRow, prefix=f"{place}.")
    else:
        return {name: row.__dict__[name] for name in row.model_fields_set}
    raise ConfigurationError("; ".join(mistakes) + ".")


@cache
def _of_package(package: str) -> ModelTable:
    return ModelTable(package)


@cache
def _read(package: str) -> _File:
    import tomllib  # noqa: PLC0415  # a table that nobody asks needs neither
    from importlib import resources  # noqa: PLC0415

    text = resources.files(package).joinpath("models.toml").read_text(encoding="utf-8")
    return _File(package, tomllib.loads(text))
