"""Schemas of types: strict where that is possible, honest where it is not."""

from __future__ import annotations

import copy
import enum
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib._parsing import type_to_response_format_param
from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model
from typing_extensions import TypedDict

from qonduit import BadRequestError
from qonduit.schema import json_schema, response_format

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Item(BaseModel):
    """A thing."""

    name: str = Field(description="Its name")
    amount: int


class Plain(BaseModel):
    text: str
    number: float
    flag: bool
    day: date
    colour: Colour
    size: Literal["s", "m"]


class Empty(BaseModel):
    pass


class Nested(BaseModel):
    item: Item
    items: list[Item]
    deep: list[list[Item]]


class Optional(BaseModel):
    item: Item | None = None
    text: str | None = None
    choice: int | str


class Sibling(BaseModel):
    item: Item = Field(description="The first one")
    plain: Plain = Field(description="The second one")


class Node(BaseModel):
    value: int
    children: list[Node]
    parent: Node | None = None


class Left(BaseModel):
    right: Right | None = None


class Right(BaseModel):
    left: Left | None = None


class Limits(BaseModel):
    number: Annotated[int, Field(ge=1, le=10)]
    code: Annotated[str, Field(pattern="^[a-z]+$")]
    some: Annotated[list[int], Field(min_length=1, max_length=3)]


class Alias(BaseModel):
    from_: str = Field(alias="from")
    default: int
    properties: str


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str


SAME = [Plain, Empty, Nested, Optional, Sibling, Node, Left, Limits, Alias, Closed, Item]


@pytest.mark.parametrize("model", SAME, ids=lambda model: model.__name__)
def test_the_openai_sdk_says_the_same(model: type[BaseModel]) -> None:
    """Of these models the schema, the name and strictness are those of OpenAI's own SDK."""
    theirs: Any = type_to_response_format_param(model)
    ours = response_format(model)
    ours["json_schema"].pop("description", None)
    assert ours == theirs


class Defaults(BaseModel):
    text: str = "a"
    items: list[Item] = []


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Tagged(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


class Narrow(BaseModel):
    name: Annotated[str, Field(min_length=2)] = Field(description="Its name")
    tags: set[str]
    link: Annotated[str, Field(json_schema_extra={"format": "uri"})]
    code: Annotated[str, Field(json_schema_extra={"pattern": "^(?!x)"})]


class Mixed(BaseModel):
    choice: Literal["a", None, 1]


class Loop(BaseModel):
    other: Loop = Field(description="The other one")


DIFFERENT: list[tuple[type[BaseModel], str, dict[str, Any]]] = [
    # A default is no part of the subset: every field is answered.
    (Defaults, "text", {"title": "Text", "type": "string"}),
    # The subset has no oneOf; the literal already tells the branches apart.
    (Tagged, "pet", {"title": "Pet", "anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]}),
    # Words outside of the subset are refused, so they are told.
    (Narrow, "name", {"title": "Name", "type": "string", "description": "Its name (minLength: 2)"}),
    (
        Narrow,
        "tags",
        {"title": "Tags", "type": "array", "items": {"type": "string"}, "description": "uniqueItems: true"},
    ),
    (Narrow, "link", {"title": "Link", "type": "string", "description": 'format: "uri"'}),
    (Narrow, "code", {"title": "Code", "type": "string", "description": 'pattern: "^(?!x)"'}),
    # Each place has a type.
    (Mixed, "choice", {"title": "Choice", "enum": ["a", None, 1], "type": ["string", "null", "integer"]}),
]


@pytest.mark.parametrize(("model", "name", "expected"), DIFFERENT)
def test_where_the_openai_sdk_says_otherwise(model: type[BaseModel], name: str, expected: dict[str, Any]) -> None:
    """Of these the SDK's schema has words that the strict subset has not; ours says the same without them."""
    theirs: Any = type_to_response_format_param(model)
    ours = response_format(model)["json_schema"]
    assert ours["strict"]
    assert ours["schema"]["properties"][name] == expected
    assert theirs["json_schema"]["schema"]["properties"][name] != expected


def test_a_described_place_that_refers_to_itself() -> None:
    """A model that refers to itself beside a description, over which the SDK's recursion has no end, has a schema."""
    with pytest.raises(RecursionError):
        type_to_response_format_param(Loop)
    found = response_format(Loop)["json_schema"]
    assert found["strict"]
    inner = found["schema"]["$defs"]["Loop"]["properties"]["other"]
    assert inner == {"anyOf": [{"$ref": "#/$defs/Loop"}], "description": "The other one"}
    assert flaws(found["schema"]) == []


@dataclass
class Point:
    x: int
    y: int = 0


class Typed(TypedDict, total=False):
    x: int


class Page(BaseModel, Generic[T]):
    items: list[T]


class Generated(BaseModel):
    """Of a default that JSON cannot say."""

    value: int = Field(default_factory=lambda: 3)
    other: Any = Field(default=object(), json_schema_extra={"type": "string"})


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Anything(BaseModel):
    value: Any


class Mapped(BaseModel):
    counts: dict[str, int]


class Paired(BaseModel):
    pair: tuple[int, str]


class Deep(BaseModel):
    items: list[Mapped]


class Numbers(RootModel[list[int]]):
    pass


class Several(BaseModel):
    value: Annotated[int, Field(json_schema_extra={"type": ["object", "null"]})]


class Listed(BaseModel):
    value: Annotated[Any, Field(json_schema_extra={"enum": [[1], 2]})]


class Bare(BaseModel):
    value: Annotated[int, Field(json_schema_extra={"type": "object"})]


STRICT = [
    (Point, "Point"),
    (Typed, "Typed"),
    (Page[Item], "Page_Item"),
    (Page[list[Item]], "Page_list_Item"),
    (Annotated[Item, Field(description="my secret")], "Item"),
    (Generated, "Generated"),
    (create_model("天气", x=(int, ...)), "answer"),
    (create_model("a.b c!", x=(int, ...)), "a_b_c"),
    (create_model("N" * 99, x=(int, ...)), "N" * 64),
]
OPEN = [
    (dict[str, int], "dict_str_int", "the root is an open mapping"),
    (list[Item], "list_Item", "the root is no object"),
    (int, "int", "the root is no object"),
    (Item | Empty, "Item_Empty", "the root is no object"),
    (Numbers, "Numbers", "the root is no object"),
    (Any, "Any", "the root allows anything"),
    (Open, "Open", "the root is an open mapping"),
    (Anything, "Anything", "value allows anything"),
    (Mapped, "Mapped", "counts is an open mapping"),
    (Paired, "Paired", "pair needs prefixItems"),
    (Deep, "Deep", "Mapped.counts is an open mapping"),
    (Bare, "Bare", "value is an open mapping"),
    (Several, "Several", "value has several types"),
    (Listed, "Listed", "value has several types"),
]


@pytest.mark.parametrize(("of", "name"), STRICT)
def test_a_strict_type(of: Any, name: str) -> None:
    """Models, dataclasses, typed mappings and generics are strict, under a clean name of at most 64 characters."""
    found = response_format(of)["json_schema"]
    assert (found["name"], found["strict"], flaws(found["schema"])) == (name, True, [])
    assert json_schema(of) == found["schema"]


@pytest.mark.parametrize(("of", "name", "reason"), OPEN)
def test_what_cannot_be_strict_is_not_called_so(of: Any, name: str, reason: str) -> None:
    """A type without a strict schema is sent as pydantic describes it; who insists on strict is told the place."""
    found = response_format(of)["json_schema"]
    assert (found["name"], found["strict"]) == (name, False)
    assert found["schema"] == json_schema(of, strict=False)
    with pytest.raises(BadRequestError, match=re.escape(reason)):
        json_schema(of)


def test_the_description_is_the_types_own() -> None:
    """A docstring is the description; a type without one has none."""
    assert response_format(Item)["json_schema"]["description"] == "A thing."
    assert "description" not in response_format(Empty)["json_schema"]


@pytest.mark.parametrize("of", [Callable[[int], int], 3, "Item", {"type": "object"}, object()])
def test_a_type_without_schema_is_refused(of: Any) -> None:
    """What has no JSON schema is refused on this side; the message names the field and the mend."""
    for make in (response_format, json_schema):
        with pytest.raises(BadRequestError, match="response_format: ") as caught:
            make(of)
        assert (caught.value.outcome, caught.value.attempts, caught.value.status_code) == ("not_sent", 0, None)


def test_a_default_that_json_cannot_say_is_no_warning() -> None:
    """A default that JSON cannot say is left out without a warning, as it is never sent."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        json_schema(Generated, strict=False)


_FORBIDDEN = {"default", "oneOf", "allOf", "discriminator", "minLength", "maxLength", "uniqueItems", "prefixItems"}


def flaws(schema: Any, place: str = "") -> list[str]:
    """What is not strict of a schema, by a reading of the rules of its own."""
    if "$ref" in schema:
        return [] if set(schema) == {"$ref"} else [f"{place}: $ref has siblings"]
    found = [f"{place}: {word}" for word in _FORBIDDEN & set(schema)]
    if not {"type", "anyOf"} & set(schema):
        found.append(f"{place}: no type")
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            found.append(f"{place}: open")
        if schema["required"] != list(schema["properties"]):
            found.append(f"{place}: not all required")
    if schema.get("type") == "array" and "items" not in schema:
        found.append(f"{place}: no items")
    inner = [*schema.get("properties", {}).items(), *schema.get("$defs", {}).items()]
    inner += [(str(index), branch) for index, branch in enumerate(schema.get("anyOf", ()))]
    inner += [("items", schema["items"])] if "items" in schema else []
    return found + [flaw for name, item in inner for flaw in flaws(item, f"{place}.{name}")]


LEAVES: list[Any] = [int, str, bool, float, date, Colour, Item, Node, Point, Tagged, Narrow, Literal["a", 1], None]
FIELD_NAMES = st.sampled_from(["a", "b", "default", "type", "properties", "required", "items", "ref"])


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    models = st.dictionaries(FIELD_NAMES, st.tuples(inner, st.booleans(), st.booleans()), max_size=3)
    return (
        inner.map(lambda of: list[of])
        | inner.map(lambda of: set[of])
        | st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1] if None not in pair else pair[0])
        | models.map(_model)
    )


def _model(fields: dict[str, tuple[Any, bool, bool]]) -> Any:
    made: dict[str, Any] = {}
    for name, (of, has_default, described) in fields.items():
        made[name] = (of, Field(None if has_default else ..., description="d" if described else None))
    return create_model("Made", **made)


@given(
    st.dictionaries(
        FIELD_NAMES,
        st.tuples(st.recursive(st.sampled_from(LEAVES), _containers, max_leaves=6), st.booleans(), st.booleans()),
    )
)
def test_every_closed_model_is_strict(fields: dict[str, tuple[Any, bool, bool]]) -> None:
    """Whatever closed types a model is made of, every object of its schema is closed and requires everything."""
    model = _model(fields)
    before = copy.deepcopy(json_schema(model, strict=False))
    assert flaws(json_schema(model)) == []
    assert json_schema(model, strict=False) == before
