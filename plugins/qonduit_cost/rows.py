"""Price rows: what one model costs in one place, on one day, for inputs of one range of lengths."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Price = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[Decimal, Field(ge=0, le=10, allow_inf_nan=False)]
Tokens = Annotated[int, Field(strict=True, ge=1)]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]


class Prices(BaseModel):
    """The columns of one line of a price list, per million tokens unless the list says otherwise.

    A column that is left out is a price that the source does not have.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    model: str | None = None
    """The model, by the exact name that is sent."""
    models: tuple[str, ...] = ()
    """Or several models of the same prices."""
    up_to: Tokens | None = None
    """The line is for inputs of at most so many tokens, and then for the whole request, output included."""
    input: Price
    """Input; of a model with prices for pictures or sound, its text."""
    output: Price | None = None
    """Output."""
    thinking_output: Price | None = None
    """All of the output of a request that ran in thinking mode, where that has a price of its own."""
    cached_input: Price | None = None
    """Input that was read from the provider's implicit cache."""
    explicit_cached_input: Price | None = None
    """Input that was read from a cache that the request had marked."""
    cache_write: Price | None = None
    """Input that was written to a marked cache."""
    image_input: Price | None = None
    """Pictures and films, where they are priced apart."""
    audio_input: Price | None = None
    """Sound, where it is priced apart."""
    multimodal_output: Price | None = None
    """Output text of a request with pictures, films or sound, where that is priced apart."""
    audio_output: Price | None = None
    """Spoken output; the text beside it is free then."""
    batch_input: Price | None = None
    """Input through the batch interface. Shown, not used: qonduit sends no batches."""
    batch_output: Price | None = None
    """Output through the batch interface."""
    batch_thinking_output: Price | None = None
    """Output in thinking mode through the batch interface."""
    note: str | None = None
    """What else is to be known, such as a promotion that was on; promotions are never applied."""

    @model_validator(mode="after")
    def _named(self) -> Prices:
        if (self.model is None) == (not self.models):
            raise ValueError("expected either model or models")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The models of the line."""
        return self.models if self.model is None else (self.model,)


class ListHead(BaseModel):
    """What the lines of a price list have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    source: str | None = None
    """Where the prices are from: a page's address, or a public repository. Of an overlay: its file by default."""
    date: datetime.date | None = None
    """The day on which they were read there."""
    currency: Currency
    """The currency of all of them, by ISO 4217: "CNY"."""
    per: Tokens = 1_000_000
    """So many tokens cost the price."""
    providers: tuple[str, ...] | None = None
    """Names of the providers that sell at these prices; None: any."""
    regions: tuple[str, ...] | None = None
    """The regions that they hold in; None: any."""
    community: bool = False
    """Whether it is kept by others than the vendor; the vendor's own prices go before it, whatever their dates."""
    cached_input_share: Share | None = None
    """The part of the input price that stands in for a missing `cached_input`; a cost made with it is "estimated"."""
    explicit_cached_input_share: Share | None = None
    """The same for `explicit_cached_input`."""
    cache_write_share: Share | None = None
    """The same for `cache_write`."""


class Server(BaseModel):
    """An address whose owner is known."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    host: str
    """The host; `*` stands for any part of it."""
    provider: str
    """The provider whose lists hold there."""
    region: str
    """The region whose lists hold there."""


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One line of a list, for one model. Prices are per million tokens."""

    model: str
    head: ListHead
    prices: Prices
    cite: str
    """The source with its date, as `Cost.source` has it."""
    tier: str | None
    """For which lengths of the input it holds, in words; None: for all."""
    overlay: bool = False
    """Whether it is the user's own."""

    @property
    def currency(self) -> str:
        """The currency of the prices."""
        return self.head.currency

    @property
    def date(self) -> datetime.date:
        """The day of the list; an undated one is as old as can be."""
        return self.head.date or datetime.date.min


def row_of(model: str, head: ListHead, prices: Prices, above: int | None, *, overlay: bool = False) -> PriceRow:
    """A row; `above` is the border of the tier below it."""
    cite = f"{head.source}, {head.date}" if head.date else str(head.source)
    return PriceRow(model, head, _per_million(prices, head.per), cite, _tier(above, prices.up_to), overlay)


def _tier(above: int | None, up_to: int | None) -> str | None:
    match above, up_to:
        case None, None:
            return None
        case None, _:
            return f"input <= {up_to}"
        case _, None:
            return f"{above} < input"
        case _:
            return f"{above} < input <= {up_to}"


def _per_million(prices: Prices, per: int) -> Prices:
    if per == 1_000_000:
        return prices
    factor = Decimal(1_000_000) / per
    changed: dict[str, Any] = {
        name: value * factor for name, value in prices.__dict__.items() if isinstance(value, Decimal)
    }
    return prices.model_copy(update=changed)


__all__ = ["Currency", "ListHead", "PriceRow", "Prices", "Server", "row_of"]
