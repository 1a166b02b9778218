"""The price catalogue: which row holds for a model, where it is served, and how old it is.

The rows of the package are data (`prices.toml`); a user's own file, of the same form, goes over them. For OpenAI and
other vendors' servers the package `genai-prices` is asked, where it is installed (the extra of that name).
"""

from __future__ import annotations

import re
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from pydantic import ValidationError

from qonduit import ConfigurationError
from qonduit._mistakes import describe_mistakes
from qonduit.value import ModelT
from qonduit_cost.currency import Display, Rates
from qonduit_cost.rows import ListHead, PriceRow, Prices, Server, row_of

_SNAPSHOT = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{4}|latest)(?=-us$|$)")
"""What a dated version of a model has after its family's name; `-us` says where it runs, and stays."""

MAX_REMEMBERED = 1024
"""Questions of which a catalogue remembers the answer."""


class PriceOptions(Protocol):
    """What of the plugin's options a catalogue is made from."""

    @property
    def prices(self) -> str | None:
        """The path of a file with the user's own prices."""

    @property
    def currency(self) -> str | None:
        """The currency that the account is billed in, where lists are in several."""

    @property
    def display_currency(self) -> str | None:
        """The currency that costs are shown in besides their own."""

    @property
    def rates(self) -> Rates | None:
        """What currencies are worth, on a day."""


class Catalogue:
    """Price rows by model, provider and region. Nothing is read before the first question."""

    def __init__(
        self, overlay: str | Path | None = None, currency: str | None = None, display: Display | None = None
    ) -> None:
        """A catalogue; `overlay` is a TOML file whose rows win, `currency` the one that the account is billed in."""
        self.display = display
        self._overlay = None if overlay is None else Path(overlay).expanduser().absolute()
        self._currency = currency
        self._find = lru_cache(maxsize=MAX_REMEMBERED)(self._look_up)

    @classmethod
    def of(cls, options: PriceOptions) -> Catalogue:
        """The catalogue that options describe. Raises: ConfigurationError for a display currency without its rate."""
        return cls(options.prices, options.currency, Display.of(options.display_currency, options.rates))

    def price(
        self, provider: str, model: str, region: str | None, input_tokens: int, base_url: str | None = None
    ) -> PriceRow | str:
        """The row for an input of this length, or the sentence that says why there is none.

        The row is of the exact model; failing that, of its family (`row.model` is then another name). Rows of another
        region are never taken. Where `base_url` is a vendor's known address, that tells provider and region.
        Raises: ConfigurationError for an overlay file that cannot be read, at the first question.
        """
        rows = self._find(provider, model, region, base_url)
        if isinstance(rows, str):
            return rows
        for row in rows:
            if row.prices.up_to is None or input_tokens <= row.prices.up_to:
                return row
        return f"no price of model '{model}' is known for an input of {input_tokens} tokens"

    def tiers(self, provider: str, model: str, region: str | None, base_url: str | None = None) -> tuple[PriceRow, ...]:
        """The rows that hold today, the tier of the smallest inputs first; none where none is known."""
        rows = self._find(provider, model, region, base_url)
        return () if isinstance(rows, str) else rows

    def history(self, model: str) -> tuple[PriceRow, ...]:
        """Every row of a model, of all regions and days, the newest list first and its tiers in order."""
        lists: list[tuple[PriceRow, ...]] = [*self._lists(model)]
        return tuple(row for rows in sorted(lists, key=lambda rows: rows[0].date, reverse=True) for row in rows)

    def models(self) -> tuple[str, ...]:
        """The names that have rows, the user's own first."""
        return tuple(dict.fromkeys(name for file in self._files for name in file.names()))

    def _look_up(
        self, provider: str, model: str, region: str | None, base_url: str | None
    ) -> tuple[PriceRow, ...] | str:
        provider, region = _server(provider, region, base_url)
        family = family_of(model)
        for name in dict.fromkeys((model, family)):
            if rows := self._choose([rows for rows in self._lists(name) if _is_sold(rows[0].head, provider, region)]):
                return rows
        known = [rows[0].head for name in dict.fromkeys((model, family)) for rows in self._lists(name)]
        known = [head for head in known if head.providers is None or provider in head.providers]
        if not known:
            return _elsewhere(provider, model, base_url)
        if any(_is_sold(head, provider, region) for head in known):
            return f"no price of model '{model}' in {self._currency} is known for region '{region}'"
        regions = sorted({name for head in known for name in head.regions or ()})
        return f"no price of model '{model}' is known for region '{region}', only for: {', '.join(regions)}"

    def _choose(self, lists: list[tuple[PriceRow, ...]]) -> tuple[PriceRow, ...] | None:
        """The list to go by: the user's own before others, the vendor's before a community's, then the newest."""
        if self._currency is not None:
            lists = [rows for rows in lists if rows[0].currency == self._currency]
        return max(lists, key=_rank, default=None)

    def _lists(self, model: str) -> list[tuple[PriceRow, ...]]:
        return [rows for file in self._files for rows in file.lists(model)]

    @cached_property
    def _files(self) -> tuple[_File, ...]:
        package = _package_file()
        return (package,) if self._overlay is None else (_overlay_file(self._overlay), package)


def family_of(model: str) -> str:
    """The name of a snapshot's family; a name without a date is its own."""
    return _SNAPSHOT.sub("", model)


def _rank(rows: tuple[PriceRow, ...]) -> tuple[bool, bool, Any]:
    return rows[0].overlay, not rows[0].head.community, rows[0].date


def _is_sold(head: ListHead, provider: str, region: str | None) -> bool:
    return (head.providers is None or provider in head.providers) and (head.regions is None or region in head.regions)


def _server(provider: str, region: str | None, base_url: str | None) -> tuple[str, str | None]:
    """Whose server it is and where, by its address; by the profile where the address is nobody's."""
    host = urlsplit(base_url or "").hostname or ""
    for server in _package_file().servers:
        if fnmatchcase(host, server.host):
            return server.provider, server.region
    return provider, region


def _elsewhere(provider: str, model: str, base_url: str | None) -> tuple[PriceRow, ...] | str:
    if base_url is None or any(provider in (head.providers or ()) for head in _package_file().heads):
        return f"no price of model '{model}' is known"
    from qonduit_cost.genai import rows_of  # noqa: PLC0415  # only servers that the lists do not know need it

    return rows_of(provider, model, base_url)


class _File:
    """One price file, parsed. Its lines are checked when they are asked for."""

    def __init__(self, name: str, document: dict[str, Any], *, overlay: bool) -> None:
        self._name = name
        self._overlay = overlay
        if unknown := document.keys() - ({"list"} if overlay else {"list", "servers"}):
            raise ConfigurationError(f"{name}: {min(unknown)}: is not known; expected only [[list]] tables.")
        self.servers = tuple(_checked(Server, server, name) for server in document.get("servers", ()))
        self.heads: list[ListHead] = []
        self._lines: dict[str, list[tuple[ListHead, str, Any]]] = {}
        for number, table in enumerate(_list_of(document, "list", name), 1):
            place = f"{name}: list {number}"
            lines = _list_of(table, "prices", place)
            head = {key: value for key, value in table.items() if key != "prices"}
            checked = _checked(ListHead, {"source": name, **head} if overlay else head, place)
            self.heads.append(checked)
            for row, line in enumerate(lines, 1):
                for model in _names(line):
                    self._lines.setdefault(model, []).append((checked, f"{place}: line {row}", line))

    def check(self) -> None:
        """Check every line. Raises: ConfigurationError that names the list, the line and the column."""
        for model in self._lines:
            self.lists(model)

    def names(self) -> tuple[str, ...]:
        """The models of the file."""
        return tuple(self._lines)

    def lists(self, model: str) -> list[tuple[PriceRow, ...]]:
        """The rows of a model, those of each list together, the tier of the smallest inputs first."""
        by_list: dict[int, list[tuple[ListHead, Prices, str]]] = {}
        for head, place, line in self._lines.get(model, ()):
            by_list.setdefault(id(head), []).append((head, _checked(Prices, line, place), place))
        return [self._tiers(model, lines) for lines in by_list.values()]

    def _tiers(self, model: str, lines: list[tuple[ListHead, Prices, str]]) -> tuple[PriceRow, ...]:
        lines.sort(key=lambda line: line[1].up_to or 1 << 60)
        rows: list[PriceRow] = []
        above: int | None = None
        for head, prices, place in lines:
            if rows and above in (None, prices.up_to):
                raise ConfigurationError(f"{place}: model '{model}' has two lines for the same length of input.")
            rows.append(row_of(model, head, prices, above, overlay=self._overlay))
            above = prices.up_to
        return tuple(rows)


def _list_of(table: Any, key: str, place: str) -> list[Any]:
    """The list under a key. Raises: ConfigurationError when there is none."""
    found = table.get(key) if isinstance(table, dict) else None
    if not isinstance(found, list):
        raise ConfigurationError(f"{place}: {key}: expected a list of tables.")
    return found


def _names(line: Any) -> tuple[str, ...]:
    """The models of a line as it stands in the file; what is wrong with it is said when it is checked."""
    if not isinstance(line, dict):
        return ("?",)
    names = line.get("models") or [line.get("model")]
    return tuple(str(name) for name in names) if isinstance(names, list) else ("?",)


def _checked(model: type[ModelT], data: Any, place: str) -> ModelT:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        mistakes = describe_mistakes(error, model, prefix=f"{place}: ")
    raise ConfigurationError("; ".join(mistakes) + ".")


@cache
def _package_file() -> _File:
    import tomllib  # noqa: PLC0415  # who imports the plugin reads no prices yet
    from importlib.resources import files  # noqa: PLC0415

    text = (files("qonduit_cost") / "prices.toml").read_text(encoding="utf-8")
    return _File("prices.toml of qonduit_cost", tomllib.loads(text, parse_float=Decimal), overlay=False)


def _overlay_file(path: Path) -> _File:
    """The user's own file, checked whole: a mistake in it must not wait for the model that it concerns."""
    import tomllib  # noqa: PLC0415

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise ConfigurationError(f"prices: the file {path} cannot be read: {error.strerror or error}.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"prices: the file {path} is no TOML: {error}.") from None
    file = _File(str(path), document, overlay=True)
    file.check()
    return file
