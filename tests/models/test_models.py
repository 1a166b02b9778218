"""The model table: how a name is found, what a user's rows change, and that nothing is read too early."""

from __future__ import annotations

import copy
import datetime
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.models.conftest import TableMaker

from qonduit.errors import ConfigurationError
from qonduit.models import MAX_REMEMBERED, Model, ModelTable

TEXT = r"""
snapshot = '(?:-(?:\d{4}-\d{2}-\d{2}|\d{4}|latest|us))+$'

[defaults]
source = "https://example.com/models"
date = 2026-05-01

[models."star"]
path = "text"
tools = true
thinking = "optional"
context = 1000
retired = 2026-07-13
successor = "star-2"

[models."star-0112"]
tools = false

[models."star-2"]
path = "multimodal"
date = 2026-11-21

[models."star-embedding"]
operations = ["embeddings"]
max_batch = 10
dimensions = [1024, 512]

[patterns."*-vl-*"]
path = "multimodal"

[patterns."star*"]
path = "text"
thinking = "off"
"""


@pytest.fixture
def table(table_of: TableMaker) -> ModelTable:
    """A small table with a row of each kind."""
    return table_of(TEXT)


def test_a_row(table: ModelTable) -> None:
    """A row gives its columns, over the defaults of the file; columns that it leaves out are not known."""
    model = table["star"]
    assert model == Model(
        name="star",
        known=True,
        source="https://example.com/models",
        date=datetime.date(2026, 5, 1),
        path="text",
        tools=True,
        thinking="optional",
        context=1000,
        retired=datetime.date(2026, 7, 13),
        successor="star-2",
    )
    assert table["star-2"].date == datetime.date(2026, 11, 21)
    assert (model.search, model.inputs, model.stream_only, model.refuses) == (None, None, "never", ())


@pytest.mark.parametrize(
    ("name", "known", "path", "tools", "context"),
    [
        ("star", True, "text", True, 1000),
        ("star-2025-07-28", True, "text", True, 1000),
        ("star-0728", True, "text", True, 1000),
        ("star-latest", True, "text", True, 1000),
        ("star-us", True, "text", True, 1000),
        ("star-2025-07-28-us", True, "text", True, 1000),
        ("star-0112", True, None, False, None),  # a snapshot with a row of its own
        ("star-vl-plus", True, "multimodal", None, None),  # the first pattern that fits
        ("star-vl-plus-0728", True, "multimodal", None, None),  # a snapshot of no row: the patterns see all of it
        ("star-turbo", True, "text", None, None),
        ("starling", True, "text", None, None),
        ("STAR", False, None, None, None),
        ("my-star", False, None, None, None),
        ("-latest", False, None, None, None),
        ("", False, None, None, None),
    ],
)
def test_how_a_name_is_found(
    table: ModelTable, name: str, known: bool, path: str | None, tools: bool | None, context: int | None
) -> None:
    """The row; else the family's row without the snapshot suffix; else the first pattern; else nothing is known."""
    model = table[name]
    assert model is table.get(name)
    assert (model.name, model.known, model.path, model.tools, model.context) == (name, known, path, tools, context)


def test_a_snapshot_does_not_retire_with_its_family(table: ModelTable) -> None:
    """The retirement is said of a name; a snapshot goes offline on another day."""
    assert table["star"].retired is not None
    assert (table["star-2025-07-28"].retired, table["star-2025-07-28"].successor) == (None, None)


@given(st.text())
def test_every_name_gives_a_model(name: str) -> None:
    """No name is an error, with or without data."""
    for table in (ModelTable.empty(), ModelTable.of_package("qonduit_model_studio")):
        assert table[name].name == name
        assert table[name] is table[name]


def test_an_empty_table() -> None:
    """Without data nothing is known of a model, and there are no rows."""
    table = ModelTable.empty()
    assert table["star"] == Model(name="star")
    assert (list(table), len(table), "star" in table) == ([], 0, False)
    assert table == ModelTable()


def test_rows_are_counted_exactly(table: ModelTable) -> None:
    """`in`, iteration and `len` are about rows, in the order of the file: not about snapshots and patterns."""
    assert list(table) == ["star", "star-0112", "star-2", "star-embedding"]
    assert len(table) == 4
    assert "star" in table
    assert "star-latest" not in table
    assert "star-turbo" not in table
    assert 3 not in table


def test_what_was_found_is_remembered_but_not_for_ever(table: ModelTable) -> None:
    """A repetition gives the same object; names without end do not fill the memory."""
    first = table["star-latest"]
    assert table["star-latest"] is first
    for number in range(MAX_REMEMBERED):
        table[f"other-{number}"]
    assert table["star-latest"] == first
    assert table["star-latest"] is not first


def test_overlaid_rows_change_the_named_columns_only(table: ModelTable) -> None:
    """A user's row for a known model leaves its other columns; the table it is laid over stays as it was."""
    changed = table.overlaid({"star": {"tools": False, "context": 2000}})
    assert changed["star"] == table["star"].replace(tools=False, context=2000)
    assert table["star"].tools is True
    assert changed["star-2"] == table["star-2"]


def test_an_overlaid_row_holds_for_the_snapshots(table: ModelTable) -> None:
    """A snapshot has the facts of its family, the user's among them; a row for a snapshot is laid over those."""
    changed = table.overlaid({"star": {"tools": False}, "star-latest": {"search": True}})
    assert changed["star-0728"].tools is False
    assert (changed["star-latest"].tools, changed["star-latest"].search) == (False, True)
    assert changed["star-latest"].context == 1000


def test_an_overlaid_row_lies_over_a_pattern(table: ModelTable) -> None:
    """A row for a name that only a pattern knows keeps what the pattern says."""
    changed = table.overlaid({"star-vl-plus": {"tools": True}})
    assert (changed["star-vl-plus"].path, changed["star-vl-plus"].tools) == ("multimodal", True)
    assert "star-vl-plus" in changed


def test_an_overlaid_row_under_a_new_name(table: ModelTable) -> None:
    """A row under a name that nobody knows is a new, known model: also over no data at all."""
    for under in (table, ModelTable.empty()):
        changed = under.overlaid({"mine": {"operations": ["embeddings"], "dimensions": [64]}})
        assert changed["mine"] == Model(name="mine", known=True, operations=("embeddings",), dimensions=(64,))
        assert list(changed) == [*under, "mine"]
        assert len(changed) == len(under) + 1


def test_overlaid_twice(table: ModelTable) -> None:
    """Rows over rows are merged column by column; the order in which columns were given does not matter."""
    twice = table.overlaid({"star": {"tools": False}}).overlaid({"star": {"context": 9}, "mine": {}})
    assert (twice["star"].tools, twice["star"].context, twice["mine"].known) == (False, 9, True)
    assert twice == table.overlaid({"star": {"context": 9, "tools": False}, "mine": {}})


def test_a_default_value_can_be_overlaid(table: ModelTable) -> None:
    """A column that is set to its default counts as set."""
    changed = table.overlaid({"star-embedding": {"operations": ["chat"]}, "star": {"retired": "2030-01-01"}})
    assert changed["star-embedding"].operations == ("chat",)
    assert changed["star"].retired == datetime.date(2030, 1, 1)


def test_no_rows_change_nothing(table: ModelTable) -> None:
    """Empty rows give the same table."""
    assert table.overlaid({}) is table


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"tool": True}, """models."star".tool: is not known (did you mean 'tools'?)."""),
        ({"name": "other"}, """models."star".name: is not known"""),
        ({"known": False}, """models."star".known: is not known"""),
        ({"thinking": "maybe"}, """models."star".thinking: expected 'off', 'optional' or 'only'."""),
        ({"tools": "often"}, """models."star".tools: expected true or false."""),
        ({"context": "long"}, """models."star".context: expected a whole number."""),
        ({"context": 0}, """models."star".context: expected at least 1."""),
        ({"efforts": "high"}, """models."star".efforts: expected a list."""),
        ({"inputs": ["smell"]}, """models."star".inputs[0]: expected 'text', 'image', 'video' or 'audio'."""),
        ({"retired": "soon"}, """models."star".retired: input should be a valid date"""),
        ({"tool": 1, "context": 0}, """models."star".context: expected at least 1; models."star".tool: is not known"""),
        (3, """models."star": expected a table of columns."""),
    ],
)
def test_a_wrong_row_is_refused(table: ModelTable, columns: object, message: str) -> None:
    """The error names the row, the column, what was expected and the nearest column."""
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        table.overlaid({"fine": {}, "star": columns})  # type: ignore[dict-item]  # that is the mistake


def test_a_wrong_row_of_a_package_is_refused_when_it_is_asked_for(table_of: TableMaker) -> None:
    """A mistake in a provider's data names the package, and spoils no other row."""
    table = table_of('[models."a"]\ntoolz = true\n[models."b"]\ntools = true\n[patterns."c*"]\nsaerch = 3\n')
    assert table["b"].tools is True
    with pytest.raises(ConfigurationError, match=r"of made_for_a_test_\d+: models.\"a\".toolz: is not known"):
        table["a"]
    with pytest.raises(ConfigurationError, match=r"patterns.\"c\*\".saerch: is not known"):
        table["cat"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, None),
        ({"successor": "y"}, None),
        ({"retired": datetime.date(2026, 7, 13)}, "Model 'x' was announced to be taken offline on 2026-07-13."),
        (
            {"retired": datetime.date(2026, 7, 13), "successor": "y"},
            "Model 'x' was announced to be taken offline on 2026-07-13; use 'y'.",
        ),
    ],
)
def test_the_sentence_on_a_retirement(fields: dict[str, object], sentence: str | None) -> None:
    """It says the day and what to use instead, and nothing where no end is known."""
    assert Model.model_validate({"name": "x", **fields}).retirement == sentence


def test_a_model_takes_no_unknown_field() -> None:
    """A model is checked like its row."""
    with pytest.raises(ValidationError):
        Model.model_validate({"name": "x", "tool": True})


def test_one_table_for_each_package(table_of: TableMaker) -> None:
    """A package has one table; tables of two packages, or with other rows over them, are not equal."""
    first, second = table_of(TEXT), table_of(TEXT)
    assert ModelTable.of_package(first.__reduce__()[1][0]) is first
    assert first != second
    assert first != first.overlaid({"star": {"tools": False}})
    assert first.overlaid({"star": {"tools": False}}) == first.overlaid({"star": {"tools": False}})
    assert first != "star"


def test_a_table_can_be_pickled_and_copied(table: ModelTable) -> None:
    """A copy is equal and finds the same; that of a package's own table is the very object."""
    changed = table.overlaid({"star": {"tools": False}})
    for made in (pickle.loads(pickle.dumps(changed)), copy.deepcopy(changed), copy.copy(changed)):
        assert made == changed
        assert made["star"] == changed["star"]
    assert pickle.loads(pickle.dumps(table)) is table
    assert pickle.loads(pickle.dumps(ModelTable.empty())) == ModelTable.empty()


def test_nothing_is_read_before_the_first_lookup(tmp_path: Path) -> None:
    """A table can be made, overlaid, compared and shown without its file: only a lookup opens it."""
    program = """
import sys
from qonduit.models import ModelTable
opened = []
sys.addaudithook(lambda event, details: opened.append(str(details[0])) if event == "open" else None)
table = ModelTable.of_package("qonduit_model_studio")
changed = table.overlaid({"mine": {"tools": True}})
assert table == ModelTable.of_package("qonduit_model_studio") != changed
repr(changed)
assert not [path for path in opened if path.endswith("models.toml")], opened
assert "qonduit_model_studio" not in sys.modules
assert changed["mine"].tools
assert [path for path in opened if path.endswith("models.toml")]
table["qwen-plus"], changed["qwen-max"]
assert len([path for path in opened if path.endswith("models.toml")]) == 1, opened
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)


def test_a_table_shows_its_origin(table: ModelTable) -> None:
    """Its repr names the package and the rows over it, and reads nothing."""
    assert repr(ModelTable.of_package("qonduit_openai")) == "ModelTable('qonduit_openai')"
    assert repr(ModelTable().overlaid({"mine": {}})) == "ModelTable(None, 1 rows over it)"
