"""Currencies: never mixed, and converted only by a table that has a date."""

from __future__ import annotations

import datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from qonduit import ConfigurationError
from qonduit_cost.arithmetic import cost_of
from qonduit_cost.catalogue import Catalogue
from qonduit_cost.currency import Rates

from .prices import answer, profile

RATES = Rates(base="CNY", date=datetime.date(2026, 11, 20), source="a bank", rates={"USD": "7.2", "EUR": 8.4})
USAGE = {"input_tokens": 1000, "output_tokens": 100}


def catalogue(display: str | None, rates: Rates | None = RATES) -> Catalogue:
    """The catalogue that these options make."""
    options = SimpleNamespace(prices=None, currency=None, display_currency=display, rates=rates)
    return Catalogue.of(options)


def test_nothing_is_converted_unasked() -> None:
    """A table of rates alone does nothing."""
    assert cost_of(catalogue(None), answer(usage=USAGE), profile(), "chat").converted is None


def test_a_display_currency_stands_beside_the_original() -> None:
    """The amount stays; the other one says its rate, day and source."""
    cost = cost_of(catalogue("USD"), answer(usage=USAGE), profile(), "chat")
    assert (cost.amount, cost.currency) == (Decimal("0.001"), "CNY")
    assert cost.converted is not None
    assert cost.converted.currency == "USD"
    assert cost.converted.rate == Decimal("0.138888888889")
    assert cost.converted.amount == Decimal("0.001") * Decimal("0.138888888889")
    assert (cost.converted.date, cost.converted.source) == (datetime.date(2026, 11, 20), "a bank")


@pytest.mark.parametrize(
    ("currency", "into", "rate"),
    [("USD", "CNY", "7.2"), ("CNY", "CNY", "1"), ("EUR", "USD", "1.16666666667"), ("GBP", "CNY", None)],
)
def test_rates(currency: str, into: str, rate: str | None) -> None:
    """Each way, and across two that are not the base; None for one that the table does not have."""
    assert RATES.rate(currency, into) == (None if rate is None else Decimal(rate))


def test_a_float_is_taken_as_it_was_written() -> None:
    """8.4 in a file is 8.4, not the binary number near it."""
    assert RATES.rates["EUR"] == Decimal("8.4")


@pytest.mark.parametrize("rates", [None, Rates(base="CNY", date=datetime.date(2026, 11, 20), rates={"EUR": "8"})])
def test_a_display_currency_needs_its_rate(rates: Rates | None) -> None:
    """Said when the client is made."""
    with pytest.raises(ConfigurationError, match=r"display_currency: .*USD"):
        catalogue("USD", rates)


@pytest.mark.parametrize(
    "wrong", [{"date": None}, {"rates": {"USD": 0}}, {"rates": {"USD": "much"}}, {"rates": {"dollars": 7}}]
)
def test_a_table_without_a_day_or_with_nonsense_is_refused(wrong: dict[str, object]) -> None:
    """A rate without a day is no rate."""
    with pytest.raises(ValidationError):
        Rates.model_validate({"base": "CNY", "date": "2026-11-20", "rates": {"USD": 7}} | wrong)


def test_a_currency_without_a_rate_is_said() -> None:
    """The cost stays what it is; the reason says why it is not shown in the other currency."""
    rates = Rates(base="EUR", date=datetime.date(2026, 11, 20), rates={"USD": "1.1"})
    cost = cost_of(catalogue("EUR", rates), answer(usage=USAGE), profile(), "chat")
    assert cost.converted is None
    assert (cost.amount, cost.reason) == (Decimal("0.001"), "not shown in EUR: the rates have no CNY")


def test_an_unknown_amount_stays_unknown() -> None:
    """There is nothing to convert."""
    assert cost_of(catalogue("USD"), answer(), profile(), "chat").converted is None
