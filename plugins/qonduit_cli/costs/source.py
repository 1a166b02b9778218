"""Source: which ledger is read, and by which rates; both are options of the plugin `cost`.

A configuration that was found and is not trusted may name them: nothing is sent, and nothing written but into a ledger
that is there, and there only what the next call would.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from qonduit import configuration
from qonduit._mistakes import describe_mistakes
from qonduit.configuration import Configuration
from qonduit.errors import ConfigurationError
from qonduit_cost.currency import Rates
from qonduit_cost.options import CostOptions

HOW_TO = (
    'To have one, set plugins = ["cost"] in a profile, and ledger = "costs.sqlite3" in [profiles.NAME.plugin.cost]. '
    "To read another, name it with --ledger FILE."
)


@dataclass(frozen=True, slots=True)
class Source:
    """A ledger's file, and the rates of a profile that has it; None when no profile has any."""

    path: Path
    rates: Rates | None


def find(ledger: Path | None, profile: str | None, config: Path | None) -> Source:
    """The ledger that is named, else the profile's, else the only one of the configuration.

    `profile` may be one that the configuration does not have: ledgers keep the names of profiles that are gone.
    Raises: ConfigurationError when there is none, or there are several.
    """
    found = configuration.load(config)
    options = _options(found)
    ledgers = {name: _path(option.ledger) for name, option in options.items() if option.ledger is not None}
    if ledger is not None:
        path = ledger.expanduser()
        named = [name for name, other in ledgers.items() if other.absolute() == path.absolute()]
        return Source(path, _rates(options, [profile, *named, *options]))
    if not ledgers:
        place = f"{found.path}: no profile has a ledger" if found.path else "There is no configuration with a ledger"
        raise ConfigurationError(f"{place}. {HOW_TO}")
    if profile not in ledgers and len(set(ledgers.values())) > 1:
        profile = profile if profile in options else _default(found)
        if profile not in ledgers:
            several = ", ".join(f"{name}: {path}" for name, path in ledgers.items())
            raise ConfigurationError(f"{found.path}: there are several ledgers ({several}). Choose with --ledger.")
    name = profile if profile in ledgers else next(iter(ledgers))
    return Source(ledgers[name], _rates(options, [name]))


def _options(found: Configuration) -> dict[str, CostOptions]:
    """The options of the plugin, of each profile that uses it. Raises: ConfigurationError."""
    options: dict[str, CostOptions] = {}
    for name, table in found.file.profiles.items():
        if "cost" not in table.plugins:
            continue
        try:
            options[name] = CostOptions.model_validate(table.plugin.get("cost", {}))
        except ValidationError as error:
            mistakes = "; ".join(describe_mistakes(error, CostOptions))
            raise ConfigurationError(f"{found.path}: profiles.{name}.plugin.cost: {mistakes}.") from None
    return options


def _path(ledger: str) -> Path:
    if ledger == ":memory:":
        raise ConfigurationError("The ledger ':memory:' lives in the process that calls. Name a file to have reports.")
    return Path(ledger).expanduser()


def _default(found: Configuration) -> str | None:
    try:
        return found.profile_name(None)
    except ConfigurationError:
        return None


def _rates(options: dict[str, CostOptions], names: list[str | None]) -> Rates | None:
    """The first rates of these profiles."""
    return next((options[name].rates for name in names if name in options and options[name].rates), None)
