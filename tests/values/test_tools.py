"""Tools made of functions: what a model reads of them, and what it gets back."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from qonduit import ConfigurationError, Message, ToolCall
from qonduit.tools import Tool, arun_tools, run_tools, tool


class Place(BaseModel):
    city: str
    country: Literal["cn", "fr"] = "cn"


@dataclass
class Weather:
    day: date
    degrees: float


def call(arguments: str, name: str = "x", id: str | None = "call_1") -> ToolCall:  # noqa: A002
    return ToolCall.model_validate({"id": id, "function": {"name": name, "arguments": arguments}})


def asking(*calls: ToolCall) -> Message:
    return Message(role="assistant", tool_calls=calls)


@tool
def forecast(
    place: Place,
    days: Annotated[int, Field(ge=1, le=7, description="How many days")] = 1,
    *,
    unit: Literal["C", "F"] = "C",
    note: str | None = None,
) -> Weather:
    """The weather of a place,
    as far as it is known.

    It is not looked up.

    Args:
        place: where;
            only: cities
        days: not this text
        unit (str): of the degrees
        other: of no parameter

    Returns:
        note: not a parameter
    """
    assert isinstance(place, Place)
    return Weather(date(2026, 1, days), 20.5 if unit == "C" else 68.9)


def test_what_a_model_reads() -> None:
    """Name, description and schema come from the function: types, defaults, Field descriptions, lines of `Args:`."""
    assert forecast.definition == {
        "type": "function",
        "function": {
            "name": "forecast",
            "description": "The weather of a place, as far as it is known.",
            "parameters": {
                "$defs": {
                    "Place": {
                        "properties": {
                            "city": {"type": "string"},
                            "country": {"default": "cn", "enum": ["cn", "fr"], "type": "string"},
                        },
                        "required": ["city"],
                        "title": "Place",
                        "type": "object",
                    }
                },
                "additionalProperties": False,
                "properties": {
                    "place": {"$ref": "#/$defs/Place", "description": "where; only: cities"},
                    "days": {
                        "default": 1,
                        "description": "How many days",
                        "maximum": 7,
                        "minimum": 1,
                        "type": "integer",
                    },
                    "unit": {
                        "default": "C",
                        "description": "of the degrees",
                        "enum": ["C", "F"],
                        "type": "string",
                    },
                    "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
                },
                "required": ["place"],
                "type": "object",
            },
        },
    }


def test_a_name_and_a_description_of_ones_own() -> None:
    """`name` and `description` win over the function's; a function that says nothing has no description."""

    @tool(name="now", description="The time")
    def clock() -> str:
        """Not this."""
        return "12:00"

    def silent() -> str:
        return ""

    assert (clock.name, clock.description) == ("now", "The time")
    assert tool(silent).definition == {
        "type": "function",
        "function": {
            "name": "silent",
            "parameters": {"additionalProperties": False, "properties": {}, "type": "object"},
        },
    }


def test_a_tool_is_still_the_function() -> None:
    """A tool is called like its function; nothing is checked then."""
    assert forecast(Place(city="Paris"), unit="F").degrees == 68.9
    with pytest.raises(AttributeError):
        forecast.name = "other"  # type: ignore[misc]
    assert {forecast: 1}[forecast] == 1


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def add(self, number: int) -> int:
        """Add to the count."""
        self.count += number
        return self.count


def test_a_bound_method() -> None:
    """A bound method is a tool of its object."""
    counter = Counter()
    assert tool(counter.add).run(call('{"number": 3}')).content == "3"
    assert counter.count == 3


def test_parameters_may_be_named_like_anything() -> None:
    """Names that pydantic keeps for itself, and names with an underscore, are parameters like others."""

    @tool
    def odd(
        schema: int, copy: int, model_config: int, _hidden: int, argument_0: int, self: Annotated[int, Field(alias="x")]
    ) -> list[int]:
        return [schema, copy, model_config, _hidden, argument_0, self]

    names = ["schema", "copy", "model_config", "_hidden", "argument_0", "self"]
    assert list(odd.parameters["properties"]) == names
    arguments = {name: number for number, name in enumerate(names)}
    assert odd.run(call(json.dumps(arguments))).content == "[0,1,2,3,4,5]"


def positional(a: int, /) -> None: ...
def many(*numbers: int) -> None: ...
def named(**numbers: int) -> None: ...
def bare(a) -> None: ...  # type: ignore[no-untyped-def]
def unknown(a: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def unfit(a: threading.Lock) -> None: ...
def callback(a: type[int]) -> None: ...
def field_default(a: int = Field(3)) -> None: ...
def fine(a: int) -> None: ...


UNSUITABLE = [
    (positional, {}, "parameter 'a' cannot be given by name"),
    (many, {}, "parameter '*numbers' cannot be given by name"),
    (named, {}, "parameter '**numbers' cannot be given by name"),
    (bare, {}, "parameter 'a' has no annotation"),
    (Counter.add, {}, "parameter 'self' has no annotation"),
    (unknown, {}, "'Missing' is not defined"),
    (unfit, {}, "an annotation has no JSON schema"),
    (field_default, {}, "Write Annotated"),
    (functools.partial(fine, 1), {}, "expected a function or a bound method, got partial"),
    (Counter, {}, "expected a function or a bound method, got type"),
    (lambda: 1, {}, "name=…"),
    (fine, {"name": "get weather"}, "name=…"),
    (fine, {"name": ""}, "name=…"),
    (fine, {"name": "x" * 65}, "name=…"),
    (fine, {"name": "天气"}, "name=…"),
    (fine, {"name": "x\n"}, "name=…"),
]


@pytest.mark.parametrize(("function", "options", "part"), UNSUITABLE)
def test_an_unsuitable_function_is_refused_at_once(function: Any, options: dict[str, Any], part: str) -> None:
    """What a model could not call is refused where the tool is made, and the message says why."""
    with pytest.raises(ConfigurationError) as caught:
        tool(function, **options)
    assert part in str(caught.value)


def test_the_answer_to_a_call() -> None:
    """Arguments come in the signature's types; the result is JSON as pydantic writes it, tied to the call."""
    message = forecast.run(call('{"place": {"city": "Paris"}, "days": "2"}'))
    assert message == Message(role="tool", tool_call_id="call_1", content='{"day":"2026-01-02","degrees":20.5}')


@pytest.mark.parametrize(
    ("result", "content"),
    [
        ("as it is", "as it is"),
        ("", ""),
        (None, "null"),
        ({"城市": 1}, '{"城市":1}'),
        ([Place(city="a")], '[{"city":"a","country":"cn"}]'),
        (date(2026, 1, 1), '"2026-01-01"'),
    ],
)
async def test_how_results_are_written(result: Any, content: str) -> None:
    """Text is the content as it is; everything else is JSON. Sync and async alike."""

    @tool
    def plain() -> Any:
        return result

    @tool
    async def asynchronous() -> Any:
        return result

    assert plain.run(call("{}")).content == content
    assert (await plain.arun(call("{}"))).content == content
    assert (await asynchronous.arun(call("{}"))).content == content


def test_a_result_that_is_no_json() -> None:
    """A result that JSON cannot carry is the function's mistake: the error names tool and type, not the value."""
    made = tool(lambda: {"key": object()}, name="broken")
    with pytest.raises(ConfigurationError, match="Tool 'broken' gave a dict that cannot be written") as caught:
        made.run(call("{}"))
    assert caught.value.__cause__ is None


MISTAKES = [
    ("", ["place: is missing"]),
    ("{", ["no JSON that can be read"]),
    ("place=Paris", ["no JSON that can be read"]),
    ('{"place": "\ud800"}', ["no JSON that can be read"]),
    ('{"place": "\\ud800"}', ["no JSON that can be read"]),
    ("[" * 100_000, ["no JSON that can be read"]),
    ('{"place": {"city": "a"}, "days": ' + "1" * 5000 + "}", ["no JSON that can be read"]),
    ('{"place": {"city": "a"}, "days": 1, "days": 2}', ["no JSON that can be read", "stands twice"]),
    ('{"place": {"city": "a"}, "days": NaN}', ["days: expected"]),
    ("null", ["expected a mapping"]),
    ("[1]", ["expected a mapping"]),
    ('{"place": "Paris"}', ["place: expected"]),
    ('{"place": {"town": "Paris"}}', ["place.city: is missing"]),
    ('{"place": {"city": "Paris", "country": "xx"}}', ["place.country: expected 'cn' or 'fr'"]),
    ('{"place": {"city": "Paris"}, "days": 9}', ["days: expected at most 7"]),
    ('{"place": {"city": "Paris"}, "days": "many"}', ["days: expected a whole number"]),
    (
        '{"place": {"city": "Paris"}, "unit": null, "days": 0}',
        ["unit: expected 'C' or 'F'", "days: expected at least 1"],
    ),
    ('{"place": {"city": "Paris"}, "dys": 1}', ["dys: is not known (did you mean 'days'?)"]),
    ('{"argument_0": {"city": "Paris"}}', ["place: is missing", "argument_0: is not known"]),
]


@pytest.mark.F25
@pytest.mark.F26
@pytest.mark.parametrize(("arguments", "parts"), MISTAKES)
async def test_wrong_arguments_are_told_to_the_model(arguments: str, parts: list[str]) -> None:
    """Arguments that do not fit are no exception: the model is told field and expectation, and the function not run."""
    message = forecast.run(call(arguments))
    assert await forecast.arun(call(arguments)) == message
    assert (message.role, message.tool_call_id) == ("tool", "call_1")
    assert message.text.startswith("The tool 'forecast' was not run: ")
    assert not [part for part in parts if part not in message.text], message.text
    assert "Traceback" not in message.text
    assert "pydantic" not in message.text


@pytest.mark.F25
@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", '"NaN"', '"inf"'])
async def test_a_number_that_is_none_is_not_passed_on(number: str) -> None:
    """What pydantic would let pass as a float does not reach the function, alone or in a mapping."""

    def pay(amount: float) -> None:
        raise AssertionError(f"paid {amount}")

    def note(amounts: dict[str, Any]) -> None:
        assert amounts == {"amount": "NaN"} or amounts == {"amount": "inf"}

    message = tool(pay).run(call(f'{{"amount": {number}}}'))
    assert await tool(pay).arun(call(f'{{"amount": {number}}}')) == message
    assert "'pay' was not run" in message.text
    noted = tool(note).run(call(f'{{"amounts": {{"amount": {number}}}}}'))
    assert ("'note' was not run" in noted.text) == ('"' not in number)


KEYS = st.sampled_from(["place", "days", "unit", "note", "city", "country"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | KEYS, inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.F26
@given(st.text() | JSON.map(json.dumps) | st.dictionaries(KEYS, JSON).map(json.dumps))
def test_no_arguments_raise(arguments: str) -> None:
    """Whatever a model writes is answered with a message: JSON or not, fitting or not."""
    message = forecast.run(call(arguments))
    assert message.text.startswith(("{", "The tool 'forecast' was not run: "))


class OwnError(Exception):
    pass


async def test_the_functions_own_error_is_raised() -> None:
    """An exception of the function is raised as it is, even where pydantic would take it for a mistake."""
    for error in (OwnError("mine"), ValueError("mine"), TypeError("mine"), AssertionError("mine")):

        @tool
        def failing(raising: Any = error) -> None:
            raise raising

        with pytest.raises(type(error)) as caught:
            failing.run(call("{}"))
        assert caught.value is error
        with pytest.raises(type(error)):
            await failing.arun(call("{}"))
        with pytest.raises(type(error)):
            run_tools(asking(call("{}", "failing")), [failing])


async def test_where_functions_run() -> None:
    """`arun` awaits a coroutine function on the loop, and runs any other in a thread; `run` refuses the first."""

    @tool
    def plain() -> bool:
        return threading.current_thread() is threading.main_thread()

    @tool
    async def asynchronous() -> bool:
        return threading.current_thread() is threading.main_thread()

    assert plain.run(call("{}")).content == "true"
    assert (await plain.arun(call("{}"))).content == "false"
    assert (await asynchronous.arun(call("{}"))).content == "true"
    with pytest.raises(ConfigurationError, match="async: use"):
        asynchronous.run(call("{}"))


@tool
def double(number: int) -> int:
    return number * 2


async def test_every_call_of_a_message_is_answered_in_order() -> None:
    """One message for each call, in order; a tool that is not there is answered with the names that are."""
    message = asking(
        call('{"number": 1}', "double", "a"),
        call("{}", "dubble", "b"),
        call("{}", "double", "c"),
        call("{}", "forecast", None),
    )
    answers = run_tools(message, [double, forecast])
    assert await arun_tools(message, [double, forecast]) == answers
    assert [answer.tool_call_id for answer in answers] == ["a", "b", "c", None]
    assert answers[0].content == "2"
    assert answers[1].content == "There is no tool 'dubble'. Known tools: double, forecast."
    assert "number: is missing" in answers[2].text
    assert run_tools(message, iter([]))[1].content == "There is no tool 'dubble'. Known tools: none."


async def test_a_message_without_calls() -> None:
    """A message that calls nothing is answered with nothing."""
    for message in (Message(role="assistant", content="Hi"), asking()):
        assert run_tools(message, [double]) == []
        assert await arun_tools(message, [double]) == []


async def test_two_tools_of_one_name() -> None:
    """Two tools of the same name are a mistake of the set-up."""
    with pytest.raises(ConfigurationError, match="Two tools are named 'double'"):
        run_tools(asking(), [double, double])
    with pytest.raises(ConfigurationError, match="Two tools are named 'double'"):
        await arun_tools(asking(), [double, double])


async def test_async_calls_run_at_the_same_time() -> None:
    """Calls that wait for each other come to an end: none waits for its turn."""
    met = asyncio.Barrier(3)

    @tool
    async def meet(number: int) -> int:
        async with asyncio.timeout(5):
            await met.wait()
        return number

    message = asking(*[call(f'{{"number": {number}}}', "meet") for number in range(3)])
    assert [answer.content for answer in await arun_tools(message, [meet])] == ["0", "1", "2"]


async def test_a_failing_call_leaves_none_running() -> None:
    """When one call fails its error is raised as it is, and the others have been cancelled."""
    ended: list[str] = []
    waiting = asyncio.Event()

    @tool
    async def wait() -> None:
        try:
            waiting.set()
            await asyncio.Event().wait()
        finally:
            ended.append("wait")

    @tool
    async def fail() -> None:
        await waiting.wait()
        raise OwnError

    with pytest.raises(OwnError):
        await arun_tools(asking(call("{}", "wait"), call("{}", "fail")), [wait, fail])
    assert ended == ["wait"]


def test_a_tool_is_recognised() -> None:
    """A tool says what it is, and shows no inner things."""
    assert isinstance(double, Tool)
    assert "_model" not in repr(double)
