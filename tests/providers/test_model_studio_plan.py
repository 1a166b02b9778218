"""What both wires of Model Studio decide alike about a chat request, by what is known of its model."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from tests.parts import builder, chat

from qonduit import BadRequestError
from qonduit.models import Model, ModelTable
from qonduit_model_studio.plan import Plan, plan

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"sky": {"type": "string"}}}
BY_SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}
OBJECT = {"type": "json_object"}
THINKER = {"thinking": "optional", "max_thinking": 1000, "efforts": []}


def model(**columns: Any) -> Model:
    return ModelTable.empty().overlaid({"m": columns}).get("m") if columns else ModelTable.empty().get("m")


def planned(columns: dict[str, Any], *, search_results: bool = False, **fields: Any) -> Plan:
    return plan(chat(model="m", **fields), model(**columns), provider="qwen", search_results=search_results)


class Case(NamedTuple):
    """Columns of the model, fields of the request, and what the plan says beyond nothing at all."""

    columns: dict[str, Any]
    request: dict[str, Any]
    fields: dict[str, Any] = {}  # noqa: RUF012  # read only
    unsupported: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """A word or two of each."""


CASES: dict[str, Case] = {
    "nothing, of an unknown model": Case({}, {}),
    "nothing, of a known one": Case({"thinking": "optional"}, {}),
    # reasoning
    "on": Case({}, {"reasoning": True}, {"enable_thinking": True}),
    "off": Case({}, {"reasoning": False}, {"enable_thinking": False}),
    "off, where it never reasons": Case({"thinking": "off"}, {"reasoning": False}),
    "on, where it never reasons: the server says so": Case(
        {"thinking": "off"}, {"reasoning": True}, {"enable_thinking": True}
    ),
    "a budget": Case({}, {"reasoning": 100}, {"enable_thinking": True, "thinking_budget": 100}),
    "an effort, of an unknown model": Case(
        {}, {"reasoning": "high"}, {"enable_thinking": True, "reasoning_effort": "high"}
    ),
    "an effort that the model has": Case(
        {"efforts": ["low", "high"]}, {"reasoning": "high"}, {"enable_thinking": True, "reasoning_effort": "high"}
    ),
    "an effort as a share: minimal": Case(
        THINKER, {"reasoning": "minimal"}, {"enable_thinking": True, "thinking_budget": 100}, (), ("budget of 100 ",)
    ),
    "an effort as a share: low": Case(
        THINKER, {"reasoning": "low"}, {"enable_thinking": True, "thinking_budget": 200}, (), ("budget of 200 ",)
    ),
    "an effort as a share: medium": Case(
        THINKER, {"reasoning": "medium"}, {"enable_thinking": True, "thinking_budget": 500}, (), ("budget of 500 ",)
    ),
    "an effort as a share: high": Case(
        THINKER, {"reasoning": "high"}, {"enable_thinking": True, "thinking_budget": 800}, (), ("budget of 800 ",)
    ),
    "an effort without a bound: xhigh": Case(
        THINKER, {"reasoning": "xhigh"}, {"enable_thinking": True}, (), ("'xhigh' became reasoning without a bound",)
    ),
    "an effort without a bound: max": Case(
        THINKER, {"reasoning": "max"}, {"enable_thinking": True}, (), ("'max' became reasoning without a bound",)
    ),
    "an effort that the model lacks beside others": Case(
        {**THINKER, "efforts": ["high"]},
        {"reasoning": "low"},
        {"enable_thinking": True, "thinking_budget": 200},
        (),
        ("budget of 200 ",),
    ),
    "the share of little is something": Case(
        {**THINKER, "max_thinking": 3},
        {"reasoning": "minimal"},
        {"enable_thinking": True, "thinking_budget": 1},
        (),
        ("budget of 1 ",),
    ),
    "a bare effort switches reasoning on": Case(
        THINKER,
        {"reasoning": {"effort": "low"}},
        {"enable_thinking": True, "thinking_budget": 200},
        (),
        ("budget of 200 ",),
    ),
    "an effort of which nothing is known": Case(
        {"thinking": "optional"}, {"reasoning": "low"}, {"enable_thinking": True}, ("reasoning effort of this model",)
    ),
    "an effort by a strange name": Case(
        THINKER, {"reasoning": "silly"}, {"enable_thinking": True}, ("reasoning effort of this model",)
    ),
    "an effort beside a budget, of an unknown model": Case(
        {},
        {"reasoning": {"effort": "low", "budget": 5}},
        {"enable_thinking": True, "thinking_budget": 5, "reasoning_effort": "low"},
    ),
    "an effort beside a budget, where one excludes the other": Case(
        {"efforts": ["low"]},
        {"reasoning": {"effort": "low", "budget": 5}},
        {"enable_thinking": True, "thinking_budget": 5},
        ("reasoning effort beside a budget",),
    ),
    "a budget says more than an effort does": Case(
        THINKER,
        {"reasoning": {"effort": "low", "budget": 5}},
        {"enable_thinking": True, "thinking_budget": 5},
    ),
    "off, whatever else is said": Case(
        THINKER, {"reasoning": {"enabled": False, "effort": "low", "budget": 5}}, {"enable_thinking": False}
    ),
    # search
    "search": Case({}, {"search": True}, {"enable_search": True}),
    "no search": Case({}, {"search": False}, {"enable_search": False}),
    "search with options": Case(
        {}, {"search": {"forced_search": True}}, {"enable_search": True, "search_options": {"forced_search": True}}
    ),
    "search without options": Case({}, {"search": {}}, {"enable_search": True}),
    "search results": Case(
        {},
        {"search": {"enable_source": True}},
        {"enable_search": True, "search_options": {"enable_source": True}},
        ("search results (only the native API has them)",),
    ),
    "what a search extension finds": Case(
        {},
        {"search": {"enable_search_extension": True}},
        {"enable_search": True, "search_options": {"enable_search_extension": True}},
        ("search results (only the native API has them)",),
    ),
    # structured output
    "a schema": Case({"structured": "schema"}, {"response_format": BY_SCHEMA}),
    "a schema, of an unknown model": Case({}, {"response_format": BY_SCHEMA}),
    "no structured output at all": Case(
        {"structured": "none"}, {"response_format": BY_SCHEMA}, {}, ("response_format of this model",)
    ),
    "an object, where there is no structured output": Case(
        {"structured": "none"}, {"response_format": OBJECT}, {}, ("response_format of this model",)
    ),
    "plain text, where there is no structured output": Case(
        {"structured": "none"}, {"response_format": {"type": "text"}}
    ),
    "an object that the messages speak of": Case(
        {}, {"response_format": OBJECT, "messages": [{"role": "user", "content": "As Json, please."}]}
    ),
    "an object that a part speaks of": Case(
        {},
        {
            "response_format": OBJECT,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "JSON!"}]}],
        },
    ),
    # the rest
    "what neither wire has": Case({}, {"frequency_penalty": 0.5, "user": "u"}, {}, ("frequency_penalty", "user")),
    "what the model refuses": Case(
        {"refuses": ["temperature", "seed"]}, {"temperature": 0.5, "top_p": 0.5}, {}, ("temperature of this model",)
    ),
    "what has a form of its own, refused": Case(
        {**THINKER, "structured": "object", "refuses": ["reasoning", "search", "response_format"]},
        {"reasoning": "low", "search": True, "response_format": BY_SCHEMA},
        {},
        ("reasoning of this model", "response_format of this model", "search of this model"),
    ),
    "a model that goes": Case(
        {"retired": "2026-07-13", "successor": "n"}, {}, {}, (), ("taken offline on 2026-07-13; use 'n'",)
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_plans(case: Case) -> None:
    """A request and its model give exactly these fields, these names of what is left out, and these warnings."""
    made = planned(case.columns, **case.request)
    assert made.fields == case.fields
    assert made.unsupported == case.unsupported
    assert len(made.warnings) == len(case.warnings)
    for warning, words in zip(made.warnings, case.warnings, strict=True):
        assert words in warning
    left_out = {name.removesuffix(" of this model") for name in case.unsupported}
    assert made.left_out >= left_out & {"frequency_penalty", "user", "temperature", "response_format"}
    assert not made.stream


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_both_wires_send_the_plan(case: Case) -> None:
    """Compatible mode and the native API send the same fields, and leave out the same ones."""
    sent = []
    for provider in ("qwen", "dashscope"):
        table = ModelTable.empty().overlaid({"m": case.columns} if case.columns else {})
        wire = builder(provider, models=table).build(chat(model="m", **case.request))
        body = json.loads(wire.content)
        body = body.get("parameters", body)
        ours = {"model", "messages", "result_format", "incremental_output"}
        sent.append(({name: value for name, value in body.items() if name not in ours}, wire.stream, wire.warnings))
    assert sent[0] == sent[1]


def test_search_results_where_the_wire_has_them() -> None:
    """The pages that were found are no lack of a wire that brings them."""
    made = planned({}, search_results=True, search={"enable_source": True})
    assert made.unsupported == ()
    assert made.fields == {"enable_search": True, "search_options": {"enable_source": True}}


THINKING = {"thinking": "optional", "thinking_default": True, "stream_only": "thinking"}
STREAMS: dict[str, tuple[dict[str, Any], dict[str, Any], bool, bool]] = {
    # columns, request, whether it is streamed, whether that is said
    "never": ({"stream_only": "never", "thinking_default": True}, {"reasoning": True}, False, False),
    "always": ({"stream_only": "always"}, {}, True, False),
    "when it reasons by itself": (THINKING, {}, True, True),
    "when it is told to reason": (THINKING, {"reasoning": True}, True, False),
    "when it is given a budget": ({**THINKING, "thinking_default": False}, {"reasoning": {"budget": 5}}, True, False),
    "when it cannot but reason": ({**THINKING, "thinking": "only"}, {}, True, False),
    "not when it is told not to": (THINKING, {"reasoning": False}, False, False),
    "not when it is told not to, with a bound": (
        THINKING,
        {"reasoning": {"enabled": False, "budget": 5}},
        False,
        False,
    ),
    "not when it does not by itself": ({**THINKING, "thinking_default": False}, {}, False, False),
    "the caller's own stream": (THINKING, {"stream": True}, True, False),
}


@pytest.mark.parametrize(("columns", "request_", "stream", "said"), STREAMS.values(), ids=list(STREAMS))
def test_models_that_answer_in_streams_only(
    columns: dict[str, Any], request_: dict[str, Any], stream: bool, said: bool
) -> None:
    """What the server takes as a stream only is streamed; who did not choose to reason is told how not to."""
    made = planned(columns, **request_)
    assert made.stream is stream
    assert [("reasoning=False" in warning) for warning in made.warnings] == ([True] if said else [])


@pytest.mark.parametrize("provider", ["qwen", "dashscope"])
def test_a_model_that_answers_in_streams_only_is_asked_for_one(provider: str) -> None:
    """The request on the wire is a stream's, headers and body, though the caller wants the answer whole."""
    wire = builder(provider).build(chat(model="qwq-plus"))
    assert wire.stream
    assert wire.headers["accept"] == "text/event-stream"
    body = json.loads(wire.content)
    if provider == "qwen":
        assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    else:
        assert body["parameters"]["incremental_output"] is True


def system_messages(**fields: Any) -> list[Any]:
    made = planned(fields.pop("columns", {}), **fields)
    return [message.content for message in made.messages if message.role == "system"]


def test_a_schema_for_a_model_that_knows_objects_only() -> None:
    """The schema goes into the system message, and an object is asked for; a warning says both."""
    made = planned({"structured": "object"}, response_format=BY_SCHEMA)
    assert made.fields == {"response_format": OBJECT}
    (system, user) = made.messages
    assert (system.role, user.role) == ("system", "user")
    assert json.dumps(SCHEMA, separators=(",", ":")) in system.text
    assert "JSON" in system.text
    assert ["JSON schema" in warning for warning in made.warnings] == [True]


@pytest.mark.parametrize(
    "content", ["Be brief.", [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]]
)
def test_an_instruction_joins_the_system_message(content: Any) -> None:
    """There stays one system message: the caller's, unchanged, with the instruction behind it."""
    messages = [{"role": "system", "content": content}, {"role": "user", "content": "hi"}]
    (system,) = system_messages(response_format=OBJECT, messages=messages)
    if isinstance(content, str):
        assert system == "Be brief.\n\nAnswer with one JSON object."
    else:
        assert system == (*content, {"type": "text", "text": "Answer with one JSON object."})


def test_an_object_that_nobody_spoke_of() -> None:
    """The server wants the word JSON in the messages: it is put there, and said."""
    assert system_messages(response_format=OBJECT) == ["Answer with one JSON object."]
    assert ["word JSON" in warning for warning in planned({}, response_format=OBJECT).warnings] == [True]


@pytest.mark.parametrize("wanted", [BY_SCHEMA, OBJECT], ids=["schema", "object"])
@pytest.mark.parametrize(
    ("columns", "reasoning", "quiet"),
    [
        ({"thinking_default": True}, None, True),
        ({"thinking_default": True}, True, False),
        ({"thinking_default": True}, False, True),
        ({"thinking_default": False}, None, False),
        ({"thinking": "only", "thinking_default": True}, None, False),
    ],
)
def test_reasoning_that_nobody_asked_for_is_switched_off_for_a_json_form(
    wanted: Any, columns: dict[str, Any], reasoning: Any, quiet: bool
) -> None:
    """The server refuses a JSON form while a model reasons: what a caller asked for stands, a default does not."""
    asked = {} if reasoning is None else {"reasoning": reasoning}
    row = {"thinking": "optional", "stream_only": "thinking", **columns}
    made = planned(row, response_format=wanted, messages=[{"role": "user", "content": "JSON"}], **asked)
    assert (made.fields.get("enable_thinking") is False) is quiet
    assert any("switched off" in warning for warning in made.warnings) is (quiet and reasoning is None)
    assert made.stream is not quiet or not (reasoning or columns["thinking_default"])


def test_messages_as_the_vendor_takes_them() -> None:
    """A developer is the system; an assistant has text and no empty list of calls. What is partial stays so."""
    given = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "assistant", "content": "Well", "partial": True},
    ]
    assert [message.model_dump(exclude_none=True) for message in planned({}, messages=given).messages] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": "Well", "partial": True},
    ]


def test_a_developer_among_users() -> None:
    """A developer is the system in messages without a history, too."""
    given = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    assert [message.role for message in planned({}, messages=given).messages] == ["system", "user"]


def test_messages_that_are_right_are_not_copied() -> None:
    """Where nothing is to be changed the request's own messages are sent."""
    asked = chat(model="m", messages=[{"role": "system", "content": "a"}, {"role": "user", "content": "b"}])
    assert plan(asked, model(), provider="qwen", search_results=False).messages is asked.messages


@pytest.mark.parametrize("fields", [{}, {"reasoning": False}], ids=["plain", "with more"])
def test_a_model_of_another_provider(fields: dict[str, Any]) -> None:
    """A model that this way does not serve is refused before it is sent, with the way that does and how to overrule."""
    with pytest.raises(BadRequestError, match=r'provider = "dashscope", or "auto".*\[models."m"\]') as caught:
        planned({"providers": ["dashscope"]}, **fields)
    assert (caught.value.outcome, caught.value.status_code) == ("not_sent", None)


def test_a_plan_changes_nothing_of_the_request() -> None:
    """Planning leaves the request as it was, and gives the same plan again."""
    asked = chat(model="m", response_format=OBJECT, reasoning="low", search={"enable_source": True})
    before = asked.model_dump_json()
    known = model(**THINKER)
    first = plan(asked, known, provider="qwen", search_results=False)
    assert plan(asked, known, provider="qwen", search_results=False) == first
    assert asked.model_dump_json() == before
