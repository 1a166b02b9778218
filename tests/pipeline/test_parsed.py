"""`response.parsed`: the answer in the type that was asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import BaseModel
from tests.pipeline.memory import MemoryTransport, Reply, body, event, said
from tests.pipeline.modes import MODES, Mode

from qonduit import ProtocolError, middleware, tool

modes = pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)


class City(BaseModel):
    """A city."""

    name: str
    people: int


@dataclass
class Point:
    x: int
    y: int


SCHEMA = {"type": "json_schema", "json_schema": {"name": "any", "schema": {"type": "object"}}}


@modes
@pytest.mark.parametrize(
    ("wanted", "text", "parsed"),
    [
        (City, '{"name": "杭州", "people": 12}', City(name="杭州", people=12)),
        (Point, '{"x": 1, "y": 2}', Point(1, 2)),
        (SCHEMA, '{"a": [1]}', {"a": [1]}),
        ({"type": "json_object"}, '{"a": 1.5}', {"a": 1.5}),
        (MappingProxyType({"type": "json_object"}), '{"a": 1}', {"a": 1}),
        ({"type": "text"}, '{"a": 1}', None),
        (None, '{"a": 1}', None),
    ],
)
async def test_the_answer_is_read_in_the_type_that_was_asked_for(
    mode: Mode, wanted: Any, text: str, parsed: Any
) -> None:
    """A type gives a value of it, a schema plain data, nothing asked for gives nothing."""
    transport = MemoryTransport(said(text[:5], text[5:]))
    told = await mode.ask(mode.client(transport), response_format=wanted)
    assert told.response.parsed == parsed
    assert told.response.text == text
    if isinstance(wanted, type):
        asked = json.loads(transport.sent[0].content)["response_format"]
        assert asked["type"] == "json_schema"
        assert set(asked["json_schema"]["schema"]["properties"]) == set(
            wanted.__annotations__  # what the type has is what the model is told
        )


@modes
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"name": "x", "people": "many"}', "people"),
        ('{"name": "x"}', "people"),
        ("I would rather not.", "response_format"),
    ],
)
async def test_an_answer_that_does_not_fit_says_where(mode: Mode, text: str, complaint: str) -> None:
    """The call itself succeeds, and its text is kept: only reading it as the type fails, with the place."""
    told = await mode.ask(mode.client(MemoryTransport(said(text))), response_format=City)
    assert told.response.text == text
    with pytest.raises(ProtocolError, match=complaint) as caught:
        told.response.parsed  # noqa: B018  # reading is what is tested
    assert "many" not in str(caught.value)


async def test_an_answer_that_was_cut_says_so() -> None:
    """A JSON that the output limit cut is mended by a higher limit."""
    reply = json.loads(body('{"name": "x'))
    reply["choices"][0]["finish_reason"] = "length"
    mode = MODES[0]
    told = await mode.ask(
        mode.client(MemoryTransport(Reply().with_parts(json.dumps(reply).encode()))), response_format=City
    )
    with pytest.raises(ProtocolError, match="raise max_tokens"):
        told.response.parsed  # noqa: B018


@modes
async def test_calls_of_tools_are_no_answer_to_read(mode: Mode) -> None:
    """A model that calls a tool first has given nothing to parse."""
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    plain = {"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    transport = MemoryTransport(
        Reply(
            200,
            {"content-type": "text/event-stream"},
            (json.dumps(plain).encode(),),
            (event({"tool_calls": [call]}), event({}, finish="tool_calls"), b"data: [DONE]\n\n"),
        )
    )
    told = await mode.ask(mode.client(transport), response_format=City)
    assert told.response.parsed is None


@modes
async def test_a_layer_that_answers_itself_is_parsed_too(mode: Mode) -> None:
    """A cache's answer is read in the type of this call, whatever the call that filled it asked for."""
    kept: list[Any] = []

    @middleware("memory")
    def memory(call: Any) -> Any:
        if kept:
            return kept[0]
        response = yield call.request
        kept.append(response)
        return response

    client = mode.client(MemoryTransport(said('{"name": "x", "people": 1}')), memory)
    first = await mode.ask(client)
    second = await mode.ask(client, response_format=City)
    assert (first.response.parsed, second.response.parsed) == (None, City(name="x", people=1))
    assert first.response == second.response


@modes
async def test_tools_made_of_functions_are_sent_by_their_definition(mode: Mode) -> None:
    """`tools=[function]` of `qonduit.tool` reaches the wire as OpenAI writes tools."""

    @tool
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"Sun in {city}"

    transport = MemoryTransport(said("Hello"))
    await mode.ask(mode.client(transport), tools=[weather])
    assert json.loads(transport.sent[0].content)["tools"] == [weather.definition]
