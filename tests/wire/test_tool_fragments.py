"""Tool calls whose fragments were split, mixed and stripped of ids: the calls that were meant, or nothing to run."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from tests.parts import chat, decode_stream, normalizer, wire_response
from tests.wires import WIRES, Wire, dumps

from qonduit import Message, ProtocolError, StreamInterruptedError, ToolCall, run_tools, tool
from qonduit._accumulate import Accumulator
from qonduit._tool_fragments import marked
from qonduit.messages import INCOMPLETE

Fragment = dict[str, Any]
Call = tuple[str | None, str, str]


def stream_of(wire: Wire, fragments: list[Fragment], reason: str | None = "tool_calls") -> list[bytes]:
    """A stream whose events bring one fragment each, ended by `reason`; None: not ended at all."""
    events = []
    for fragment in fragments:
        said = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", **fragment}]}
        choice: dict[str, Any] = {"index": 0, "finish_reason": None}
        native = {"output": {"choices": [{**choice, "message": said}]}}
        events.append(wire.event(native if wire.native else {"choices": [{**choice, "delta": said}]}))
    return events if reason is None else events + wire.events([""], finish_reason=reason)


def calls_of(provider: str, fragments: list[Fragment], reason: str = "tool_calls") -> list[ToolCall]:
    calls = (
        decode_stream(provider, stream_of(WIRES[provider], fragments, reason)).response.choices[0].message.tool_calls
    )
    return list(calls or ())


def said(calls: list[ToolCall]) -> list[Call]:
    return [(call.id, call.function.name, call.function.arguments) for call in calls]


def fragment(arguments: str | None = None, name: str | None = None, **more: Any) -> Fragment:
    function = {} if name is None else {"name": name}
    return {**more, "function": function if arguments is None else {**function, "arguments": arguments}}


# What is not joined

NEVER_JOINED: dict[str, tuple[list[Fragment], list[Call] | None]] = {
    "another name on a used index, without ids": (
        [fragment("{}", "f", index=0), fragment('{"b":1}', "g", index=0)],
        [(None, "f", "{}"), (None, "g", '{"b":1}')],
    ),
    "the same name on a used index, without ids": (
        [fragment('{"a":1}', "f", index=0), fragment('{"b":1}', "f", index=0)],
        [(None, "f", '{"a":1}'), (None, "f", '{"b":1}')],
    ),
    "another name before any arguments": (
        [fragment("", "f"), fragment("", "g"), fragment("{}")],
        None,
    ),
    "the same name, neither ids nor indices": (
        [fragment('{"a":1}', "f"), fragment('{"b":', "f"), fragment("1}")],
        [(None, "f", '{"a":1}'), (None, "f", '{"b":1}')],
    ),
    "whole arguments, then an object without a name": (
        [fragment('{"a":1}', "f", id="a", index=0), fragment('{"b":1}', index=0)],
        None,
    ),
    "whole arguments, then an object under the same id": (
        [fragment('{"a":1}', "f", id="a", index=0), fragment('{"b":1}', "f", id="a", index=1)],
        None,
    ),
    "another name under the same id": (
        [fragment('{"a":1}', "f", id="a", index=0), fragment('{"b":1}', "g", id="a", index=1)],
        None,
    ),
    "a name that comes again, and then does not": (
        [fragment('{"a":[', "f", index=0), fragment('{"b":[', "f", index=0), fragment("]}", index=0)],
        None,
    ),
    "a name in every fragment, neither ids nor indices": (
        [fragment('{"a":[', "f"), fragment('{"b":[', "f"), fragment("]}", "f"), fragment("]}", "f")],
        None,
    ),
    "a name in every fragment, and arguments that are no JSON": (
        [fragment('{"a":', "f", index=0), fragment('{"b":1}', "f", index=0)],
        None,
    ),
    "a name in every fragment": (
        [fragment('{"a":', "f", index=0), fragment('{"b":1}', "f", index=0), fragment("}", "f", index=0)],
        [(None, "f", '{"a":{"b":1}}')],
    ),
    "an object within an object": (
        [fragment('{"a":[{"b":1},', "f", index=0), fragment('{"b":2}', index=0), fragment("]}", index=0)],
        [(None, "f", '{"a":[{"b":1},{"b":2}]}')],
    ),
    "an id that comes with a second call on a used index": (
        [fragment('{"a":1}', "f", index=0), fragment('{"b":1}', "f", index=0, id="b")],
        [(None, "f", '{"a":1}'), ("b", "f", '{"b":1}')],
    ),
    "white space after whole arguments": (
        [fragment('{"a":1}', "f", index=0), fragment(" \n", index=0)],
        [(None, "f", '{"a":1} \n')],
    ),
}


@pytest.mark.F69
@pytest.mark.parametrize(("fragments", "expected"), NEVER_JOINED.values(), ids=list(NEVER_JOINED))
def test_two_calls_are_never_joined(provider: str, fragments: list[Fragment], expected: list[Call] | None) -> None:
    """Arguments that are whole are not gone on with: another call begins, or the stream cannot be relied on."""
    if expected is None:
        try:
            calls = calls_of(provider, fragments)
        except ProtocolError as error:
            assert "fragment of a tool call" in str(error)  # noqa: PT017
        else:
            assert {call.type for call in calls} == {INCOMPLETE}
        return
    calls = calls_of(provider, fragments)
    assert said(calls) == expected
    assert {call.type for call in calls} == {"function"}


# Any split, any loss

NAMES = st.sampled_from(["f", "g"])
PLAIN = st.text(alphabet='ab{}[]": \\é', max_size=4) | st.integers(0, 99)
ARGUMENTS = st.dictionaries(
    st.text(alphabet="ab{", max_size=2),
    st.recursive(
        PLAIN,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
        max_leaves=4,
    ),
    max_size=2,
).map(json.dumps)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Call], list[Fragment]]:
    """Calls, and their fragments as a server might send them: split and mixed at random, with ids and indices lost."""
    calls = [(f"call_{number}", draw(NAMES), draw(ARGUMENTS)) for number in range(draw(st.integers(1, 3)))]
    indices = draw(st.sampled_from(["kept", "lost", "all zero"]))
    ids = draw(st.sampled_from(["in all", "in the first", "empty after the first", "lost"]))
    names_again = draw(st.booleans())
    queues: list[list[Fragment]] = []
    for number, (identifier, name, arguments) in enumerate(calls):
        cuts = sorted(draw(st.lists(st.integers(0, len(arguments)), max_size=3)))
        pieces = [arguments[start:end] for start, end in itertools.pairwise([0, *cuts, len(arguments)])]
        queue = []
        for position, piece in enumerate(pieces):
            more: Fragment = {} if indices == "lost" else {"index": number if indices == "kept" else 0}
            if ids == "in all" or (position == 0 and ids != "lost"):
                more["id"] = identifier
            elif ids == "empty after the first":
                more["id"] = ""
            queue.append(fragment(piece, name if position == 0 or names_again else None, **more))
        queues.append(queue)
    mixed = []
    # One index for all, no ids, and the name in every fragment: mixed, they are the pieces of one call.
    if draw(st.booleans()) and not (indices == "all zero" and ids == "lost" and names_again):
        while queues := [queue for queue in queues if queue]:
            mixed.append(draw(st.sampled_from(queues)).pop(0))
    else:
        mixed = [each for queue in queues for each in queue]
    meant = [(None if ids == "lost" else identifier, name, arguments) for identifier, name, arguments in calls]
    return meant, mixed


@pytest.mark.F69
@pytest.mark.F70
@pytest.mark.F71
@settings(max_examples=200, deadline=None)
@given(streams())
@pytest.mark.parametrize("provider", ["qwen", "dashscope"])
def test_the_calls_that_were_meant_or_none(provider: str, stream: tuple[list[Call], list[Fragment]]) -> None:
    """Whatever a server does to its fragments: its calls come out as it meant them, or none of them is to be run."""
    meant, fragments = stream
    try:
        calls = calls_of(provider, fragments)
    except ProtocolError:
        event("refused")
        return
    if {call.type for call in calls} == {INCOMPLETE}:
        event("incomplete")
        return
    event("as meant")
    assert sorted(said(calls), key=repr) == sorted(meant, key=repr)


@pytest.mark.F69
@settings(max_examples=200, deadline=None)
@given(streams())
def test_what_can_be_told_is_told(stream: tuple[list[Call], list[Fragment]]) -> None:
    """With an id or an index of its own in every fragment, calls always come out as they were meant."""
    meant, fragments = stream
    known = (
        all(each.get("id") for each in fragments) or len({each.get("index") for each in fragments}) == len(meant) > 1
    )
    if known:
        assert sorted(said(calls_of("qwen", fragments)), key=repr) == sorted(meant, key=repr)


# What was cut


@tool
def erase(folder: str = "/") -> str:
    """Erase a folder."""
    raise AssertionError(f"erased {folder}")


CUT = {
    "nothing of the arguments": "",
    "the beginning": '{"fol',
    "all but the end": '{"folder": "/tmp"',
}


@pytest.mark.F71
@pytest.mark.parametrize("arguments", CUT.values(), ids=list(CUT))
@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_a_call_cut_by_a_limit_is_not_run(provider: str, wire: Wire, arguments: str, reason: str) -> None:
    """A call whose arguments a limit cut is incomplete, plain or streamed, and answered in place of being run."""
    whole = {"id": "a", "type": "function", "function": {"name": "erase", "arguments": '{"folder": "/tmp"}'}}
    cut = {**whole, "id": "b", "function": {"name": "erase", "arguments": arguments}}
    body = wire.answer("", finish_reason=reason, tool_calls=[whole, cut])
    plain = marked(normalizer(provider).normalize(chat(), wire_response(dumps(body))))
    fragments = [
        fragment(call["function"]["arguments"], "erase", index=index, id=call["id"])
        for index, call in enumerate((whole, cut))
    ]
    streamed = decode_stream(provider, stream_of(wire, fragments, reason)).response
    for response in (plain, streamed):
        message = response.choices[0].message
        assert [call.type for call in message.tool_calls] == ["function", INCOMPLETE]
        assert message.tool_calls[1].function.arguments == arguments
        only_cut = message.model_copy(update={"tool_calls": message.tool_calls[1:]})
        (answer,) = run_tools(only_cut, [erase])
        assert "was not run: the call broke off" in answer.text
        assert answer.tool_call_id == "b"


@pytest.mark.F71
@pytest.mark.parametrize("arguments", CUT.values(), ids=list(CUT))
def test_a_call_in_a_stream_that_broke_off_is_not_run(provider: str, wire: Wire, arguments: str) -> None:
    """What a broken stream leaves of a call is incomplete."""
    events = stream_of(wire, [fragment(arguments, "erase", index=0, id="a")], reason=None)
    with pytest.raises(StreamInterruptedError):
        decode_stream(provider, events)
    decoder = normalizer(provider).decoder(chat(stream=True), wire_response(headers={}))
    accumulator = Accumulator()  # as the core does
    accumulator.add(chunk for data in events for chunk in decoder.feed(data))
    (call,) = accumulator.response(complete=False).choices[0].message.tool_calls
    assert call.type == INCOMPLETE
    (answer,) = run_tools(Message(role="assistant", tool_calls=(call,)), [erase])
    assert "was not run" in answer.text


@pytest.mark.F71
def test_a_models_own_mistake_is_not_a_cut(provider: str, wire: Wire) -> None:
    """Arguments that are no JSON in an answer that ended by itself stay a call: the model is told what is wrong."""
    (call,) = calls_of(provider, [fragment('{"folder"', "erase", index=0, id="a")])
    assert call.type == "function"
    (answer,) = run_tools(Message(role="assistant", tool_calls=(call,)), [erase])
    assert "no JSON that can be read" in answer.text


# How it ended


@pytest.mark.F70
@pytest.mark.parametrize("first", ["stop", "tool_calls"])
def test_calls_after_a_finish_reason(first: str) -> None:
    """`stop` with tool calls is tool_calls, wherever the calls came; the first reason wins."""
    wire = WIRES["qwen"]
    call = fragment("{}", "erase", index=0, id="a")
    ended = wire.events([""], finish_reason=first)[2]
    again = wire.events([""], finish_reason="length")[2]
    assert json.loads(ended[6:])["choices"][0]["finish_reason"] == first
    for events in ([ended, *stream_of(wire, [call], None)], [*stream_of(wire, [call], None), ended, again]):
        decoded = decode_stream("qwen", [*events, b"data: [DONE]\n\n"])
        assert decoded.response.choices[0].finish_reason == "tool_calls"
        assert len(decoded.response.choices[0].message.tool_calls) == 1


@pytest.mark.F12
@pytest.mark.F70
def test_calls_without_a_finish_reason(provider: str, wire: Wire) -> None:
    """Calls that were closed by [DONE] only are whole, and a warning says that no reason came."""
    events = [*stream_of(wire, [fragment("{}", "erase", index=0, id="a")], None), b"data: [DONE]\n\n"]
    response = decode_stream(provider, events).response
    assert said(list(response.choices[0].message.tool_calls)) == [("a", "erase", "{}")]
    assert response.choices[0].finish_reason is None
    assert "without a finish_reason" in response.warnings[0]
