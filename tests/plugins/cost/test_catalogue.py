"""The catalogue: which row holds, and what is said where none does."""

from __future__ import annotations

import datetime
import itertools
from decimal import Decimal
from pathlib import Path

import pytest

from qonduit import ConfigurationError
from qonduit_cost.catalogue import Catalogue, _package_file
from qonduit_cost.rows import PriceRow

CATALOGUE = Catalogue()


def rows() -> list[PriceRow]:
    """Every row of the package."""
    return [row for model in CATALOGUE.models() for row in CATALOGUE.history(model)]


def found(model: str, region: str | None = "cn-beijing", tokens: int = 1, catalogue: Catalogue = CATALOGUE) -> PriceRow:
    """The row that holds."""
    row = catalogue.price("qwen", model, region, tokens)
    assert isinstance(row, PriceRow), row
    return row


def overlay(folder: Path, text: str) -> Catalogue:
    """A catalogue with a file of the user's own."""
    path = folder / "prices.toml"
    path.write_text(text, encoding="utf-8")
    return Catalogue(path)


OWN = """
[[list]]
currency = "CNY"
prices = [ { model = "qwen-plus", input = 0.5, output = 1 }, { model = "my-model", input = 1 } ]
"""


def test_the_data_is_whole() -> None:
    """Every line passes its check; every list has source, day and region; tiers are in order."""
    file = _package_file()
    file.check()
    for head in file.heads:
        assert head.source
        assert head.date
        assert head.regions
        assert head.providers == ("qwen", "dashscope", "auto")
    for model in CATALOGUE.models():
        for lists in file.lists(model):
            borders = [row.prices.up_to for row in lists]
            assert len(set(borders)) == len(borders), model
            assert None not in borders[:-1], model


def test_no_model_has_two_lists_of_one_day() -> None:
    """Which list holds is never a matter of chance."""
    for model in CATALOGUE.models():
        seen = [
            (region, lists[0].currency, lists[0].date)
            for lists in _package_file().lists(model)
            for region in lists[0].head.regions or ()
        ]
        assert len(set(seen)) == len(seen), model


def test_longer_input_is_never_cheaper() -> None:
    """In no list does a price fall from one tier to the next: an estimate by a higher tier is an upper bound."""
    for model in CATALOGUE.models():
        for lists in _package_file().lists(model):
            for lower, higher in itertools.pairwise(lists):
                for column in ("input", "output", "thinking_output", "cached_input", "cache_write"):
                    before, after = getattr(lower.prices, column), getattr(higher.prices, column)
                    assert (before is None) == (after is None), (model, column)
                    assert before is None or before <= after, (model, column)


def test_the_prices_of_the_beginning_are_kept() -> None:
    """The three prices that the project began with are dated rows; newer ones hold."""
    old = {row.model: row for row in rows() if row.date == datetime.date(2024, 9, 19)}
    assert {model: row.prices.input for model, row in old.items()} == {
        "qwen-turbo": Decimal("0.3"),
        "qwen-plus": Decimal("0.8"),
        "qwen-max": Decimal(20),
    }
    assert found("qwen-max").prices.input == Decimal("2.4")


@pytest.mark.parametrize(
    ("tokens", "price"),
    [(0, "0.8"), (131_072, "0.8"), (131_073, "2.4"), (262_144, "2.4"), (262_145, "4.8"), (1_000_000, "4.8")],
)
def test_a_tier_holds_up_to_its_border(tokens: int, price: str) -> None:
    """The border itself belongs to the lower tier."""
    assert found("qwen-plus", tokens=tokens).prices.input == Decimal(price)


def test_an_input_above_every_tier_has_no_price() -> None:
    """It is not extrapolated."""
    reason = CATALOGUE.price("qwen", "qwen-plus", "cn-beijing", 1_000_001)
    assert reason == "no price of model 'qwen-plus' is known for an input of 1000001 tokens"


def test_a_region_without_prices_says_so() -> None:
    """The prices of another region are not taken; the reason names the ones that there are."""
    reason = CATALOGUE.price("qwen", "qwen-plus", "ap-northeast-1", 1)
    assert isinstance(reason, str)
    assert "'ap-northeast-1'" in reason
    assert "cn-beijing" in reason


@pytest.mark.parametrize("region", ["cn-beijing", "ap-southeast-1", "us-east-1", "eu-central-1"])
def test_regions_have_prices_of_their_own(region: str) -> None:
    """A row is of the region that was asked for."""
    assert region in (found("qwen-plus", region).head.regions or ())


@pytest.mark.parametrize(
    ("address", "price"),
    [
        ("https://dashscope.aliyuncs.com/compatible-mode/v1", "0.8"),
        ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "2.936"),
        ("https://ws-1.eu-central-1.maas.aliyuncs.com/compatible-mode/v1", "2.998"),
        ("http://127.0.0.1:8000/compatible-mode/v1", "0.8"),
    ],
)
def test_an_address_goes_before_the_region(address: str, price: str) -> None:
    """A base URL of another region with the default region beside it is priced where it is sent to."""
    row = CATALOGUE.price("qwen", "qwen-plus", "cn-beijing", 1, address)
    assert isinstance(row, PriceRow)
    assert row.prices.input == Decimal(price)


def test_an_address_tells_the_vendor_too() -> None:
    """Model Studio by OpenAI's provider has Model Studio's prices."""
    row = CATALOGUE.price("openai", "qwen-plus", None, 1, "https://dashscope.aliyuncs.com/compatible-mode/v1")
    assert isinstance(row, PriceRow)
    assert row.prices.input == Decimal("0.8")


@pytest.mark.parametrize(
    "host", ["batch.dashscope", "coding.dashscope", "token-plan.cn-beijing.maas", "dashscope-finance", "a-new-one"]
)
def test_hosts_with_other_prices_have_none(host: str) -> None:
    """Plans and batches are not paid for by the list."""
    assert isinstance(CATALOGUE.price("qwen", "qwen-plus", "cn-beijing", 1, f"https://{host}.aliyuncs.com/v1"), str)


def test_a_snapshot_has_its_own_price_or_its_familys() -> None:
    """A dated model with a row goes by it, one without by its family's; `-us` is not cut off."""
    assert found("qwen-max-2024-04-28").prices.input == 40
    unlisted = found("qwen-plus-2031-01-01")
    assert (unlisted.model, unlisted.prices.input) == ("qwen-plus", Decimal("0.8"))
    assert found("qwen-plus-2031-01-01-us", "us-east-1").model == "qwen-plus-us"
    assert isinstance(CATALOGUE.price("qwen", "qwen-nothing-2031-01-01", "cn-beijing", 1), str)


def test_the_vendors_own_list_goes_before_a_newer_one_of_a_community() -> None:
    """models.dev is newer, the vendor's page holds; where only the community has a model, that is taken."""
    assert found("qwen-plus", "ap-southeast-1").currency == "CNY"
    only = found("qwen3.8-max", "ap-southeast-1")
    assert (only.currency, only.head.community) == ("USD", True)


def test_an_account_billed_in_dollars() -> None:
    """A billing currency chooses among lists; where none is in it, nothing is converted."""
    dollars = Catalogue(currency="USD")
    assert found("qwen-plus", "ap-southeast-1", catalogue=dollars).prices.input == Decimal("0.4")
    reason = dollars.price("qwen", "qwen-plus", "cn-beijing", 1)
    assert reason == "no price of model 'qwen-plus' in USD is known for region 'cn-beijing'"


def test_both_providers_of_model_studio_have_the_prices() -> None:
    """The wire makes no difference to the price."""
    assert CATALOGUE.price("dashscope", "qwen-plus", "cn-beijing", 1) == found("qwen-plus")


def test_an_overlay_wins(tmp_path: Path) -> None:
    """A file of one's own goes before the package, in every region, for models known and unknown."""
    catalogue = overlay(tmp_path, OWN)
    row = found("qwen-plus", catalogue=catalogue)
    assert (row.prices.input, row.cite) == (Decimal("0.5"), str(tmp_path / "prices.toml"))
    assert found("qwen-plus", "mars", catalogue=catalogue).prices.input == Decimal("0.5")
    assert isinstance(catalogue.price("openai", "my-model", None, 1, "http://localhost/v1"), PriceRow)
    assert found("qwen-max", catalogue=catalogue).prices.input == Decimal("2.4")
    assert found("qwen-plus-2025-12-01", catalogue=catalogue).cite.startswith("https://help.aliyun.com")


def test_an_overlay_may_be_for_one_provider_and_region(tmp_path: Path) -> None:
    """It goes before the package only there."""
    head = 'providers = ["qwen"]\nregions = ["cn-beijing"]\ncurrency = "CNY"\nper = 100\n'
    catalogue = overlay(tmp_path, f'[[list]]\n{head}prices = [ {{ model = "qwen-plus", input = 0.00004 }} ]\n')
    assert found("qwen-plus", catalogue=catalogue).prices.input == Decimal("0.4")
    assert found("qwen-plus", "eu-central-1", catalogue=catalogue).prices.input == Decimal("2.998")
    assert isinstance(catalogue.price("dashscope", "qwen-plus", "cn-beijing", 1), PriceRow)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[list", "is no TOML"),
        ("[prices]\nqwen-plus = 1", "prices: is not known; expected only [[list]] tables"),
        ("list = 7", "list: expected a list of tables"),
        ("list = [ 7 ]", "list 1: prices: expected a list of tables"),
        ('[[list]]\ncurrency = "CNY"', "list 1: prices: expected a list of tables"),
        ('[[list]]\ncurrency = "CNY"\nprices = 7', "list 1: prices: expected a list of tables"),
        (
            '[[list]]\ncurrency = "CNY"\nprices = [ { model = "a", input = 1 }, { model = "a", input = 2 } ]',
            "line 2: model 'a' has two lines for the same length of input",
        ),
        ('[[list]]\ncurrency = "yuan"\nprices = []', "list 1: currency"),
        ("[[list]]\nprices = []", "list 1: currency: is missing"),
        ('[[list]]\ncurrency = "CNY"\nprices = [ { model = "a", input = -1 } ]', "line 1: input"),
        (
            '[[list]]\ncurrency = "CNY"\nprices = [ { model = "a", inptu = 1, input = 1 } ]',
            "line 1: inptu: is not known",
        ),
        ('[[list]]\ncurrency = "CNY"\nprices = [ { input = 1 } ]', "expected either model or models"),
        ('[[list]]\ncurrency = "CNY"\nprices = [ { model = "a", input = 1, up_to = 1.5 } ]', "line 1: up_to"),
        ('[[list]]\ncurrency = "CNY"\nprices = [ 7 ]', "line 1"),
    ],
)
def test_a_mistake_in_an_overlay_is_named(tmp_path: Path, text: str, expected: str) -> None:
    """The file, the list, the line and the column, at the first question, whichever model it is about."""
    with pytest.raises(ConfigurationError) as caught:
        overlay(tmp_path, text).price("qwen", "qwen-max", "cn-beijing", 1)
    assert expected in str(caught.value)
    assert str(tmp_path / "prices.toml") in str(caught.value)


def test_each_catalogue_reads_its_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is of the folder in which the catalogue was made, and a changed file is read by a new one."""
    for name, price in (("a", "1"), ("b", "2")):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        Path("prices.toml").write_text(f'[[list]]\ncurrency = "CNY"\nprices = [{{ model = "m", input = {price} }}]\n')
        catalogue = Catalogue("prices.toml")
        monkeypatch.chdir(tmp_path)
        assert found("m", catalogue=catalogue).prices.input == Decimal(price)


def test_an_overlay_that_is_missing_is_named(tmp_path: Path) -> None:
    """A path that is wrong is no silent fallback to the package."""
    with pytest.raises(ConfigurationError, match=r"prices: the file .*nowhere\.toml cannot be read"):
        Catalogue(tmp_path / "nowhere.toml").price("qwen", "qwen-max", "cn-beijing", 1)


def test_history_has_every_list_the_newest_first() -> None:
    """Superseded rows stay for explanation."""
    dates = [row.date for row in CATALOGUE.history("qwen-max")]
    assert dates == sorted(dates, reverse=True)
    assert len(dates) == 4
