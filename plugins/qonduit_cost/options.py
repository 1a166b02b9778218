"""Options: `[profiles.NAME.plugin.cost]`."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from qonduit_cost.currency import Rates
from qonduit_cost.rows import Currency, Price


def _decimal(value: Any) -> Any:
    """A float as it was written: the configuration's parser makes floats of amounts."""
    return str(value) if isinstance(value, float) else value


def _zone(name: str) -> str:
    if name != "UTC":
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("expected the name of a time zone, such as Asia/Shanghai or UTC") from None
    return name


class BudgetOptions(BaseModel):
    """One budget: how much may be spent in a period, in all or for one profile or tag."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: Annotated[str, Field(min_length=1, max_length=64)]
    """What it is called in errors and in the ledger; budgets of one name in one ledger are one."""
    limit: Annotated[Price, BeforeValidator(_decimal)]
    """How much may be spent."""
    currency: Currency
    """The currency of `limit`; costs in another are converted by `rates`, and refused without."""
    period: Literal["call", "day", "month", "total"] = "month"
    """What the limit is for: one call with its retries, a day, a month, or all time."""
    profile: str | None = None
    """Only calls of this profile count; by default those of all that have the budget."""
    tag: Annotated[str, Field(pattern=r"^[^=]+(=.*)?$")] | None = None
    """Only calls with this tag count: "team=search"; with a name alone, "team", each of its values has a budget."""
    action: Literal["block", "warn"] = "block"
    """What a call gets that does not fit: BudgetExceededError before it is sent, or a warning in its answer."""
    unknown: Literal["block", "allow"] = "block"
    """What a call gets of which nobody knows what it can cost; one that is let through counts when that is known."""
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    """Where days and months begin."""


class CostOptions(BaseModel):
    """`[profiles.NAME.plugin.cost]`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    prices: str | None = None
    """The path of a TOML file with your own prices, which go before those of the package."""
    currency: Currency | None = None
    """The currency that the account is billed in, where a region has lists in several."""
    display_currency: Currency | None = None
    """The currency that costs are shown in besides their own; needs `rates`."""
    rates: Rates | None = None
    """What currencies are worth, with the day."""
    ledger: Annotated[str, Field(min_length=1)] | None = None
    """The path of the SQLite file that every attempt is written to; ":memory:" keeps it in memory; by default none."""
    durability: Literal["process", "power"] = "process"
    """What a written row survives: the death of the process, or also a power cut, at the price of waiting for the
    disk twice a call."""
    mode: Literal["strict", "lenient"] | None = None
    """Whether a call is refused that the ledger cannot take down, or goes on and is caught up on later; by default
    strict with budgets and lenient without."""
    budgets: tuple[BudgetOptions, ...] = ()
    """How much may be spent; budgets need a ledger."""

    @model_validator(mode="after")
    def _counted(self) -> CostOptions:
        if self.budgets and self.ledger is None:
            raise ValueError('budgets need a ledger to count in: set ledger = "costs.sqlite3"')
        names = [budget.name for budget in self.budgets]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two budgets are named '{name}'; give each a name of its own")
        return self

    @property
    def strict(self) -> bool:
        """Whether a call is refused whose intent cannot be written."""
        return self.mode == "strict" or (self.mode is None and bool(self.budgets))
