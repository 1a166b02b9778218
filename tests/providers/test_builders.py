"""What each provider puts on the wire for a request."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from tests.parts import BASE_URL, builder, chat, normalizer, wire_response
from tests.wires import WIRES, dumps

from qonduit import BadRequestError, ChatResponse

UNKNOWN = "a-model-that-nobody-knows"
TEXT_PATH = "/services/aigc/text-generation/generation"
MULTIMODAL_PATH = "/services/aigc/multimodal-generation/generation"
NATIVE_ALWAYS = {"result_format": "message", "incremental_output": False}
HI = [{"role": "user", "content": "hi"}]
JSON_PLEASE = [{"role": "user", "content": "Answer in JSON."}]
TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": True},
}
CALL = {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "北京"}'}}
CHOICE = {"type": "function", "function": {"name": "weather"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": True}}
IMAGE = "https://example.test/a.png"


class Case(NamedTuple):
    """Fields of a request, and the body of each wire beyond model and messages; None where all are the same.

    A model that no table knows gets what it is asked, so that the table's own rules do not come into it here.
    """

    request: dict[str, Any]
    openai: dict[str, Any]
    qwen: dict[str, Any] | None = None
    parameters: dict[str, Any] | None = None
    """The native `parameters` beyond those that are always there; as `openai` when None."""


SAMPLING = {
    "temperature": 0.5,
    "top_p": 0.25,
    "max_tokens": 10,
    "max_completion_tokens": 20,
    "seed": 7,
    "n": 2,
    "logprobs": True,
    "top_logprobs": 3,
    "presence_penalty": -1.5,
}

CASES: dict[str, Case] = {
    "nothing": Case({}, {}),
    "sampling": Case(SAMPLING, SAMPLING),
    "zeros are sent": Case(
        {"temperature": 0, "seed": 0, "logprobs": False, "presence_penalty": 0.0},
        {"temperature": 0.0, "seed": 0, "logprobs": False, "presence_penalty": 0.0},
    ),
    "a stop text": Case({"stop": "END"}, {"stop": "END"}),
    "stop texts": Case({"stop": ["a", "b"]}, {"stop": ["a", "b"]}),
    "stop tokens": Case({"stop": [1, 2]}, {"stop": [1, 2]}),
    "tools": Case(
        {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": True},
        {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": True},
    ),
    "a forced tool": Case(
        {"tools": [TOOL], "tool_choice": CHOICE, "parallel_tool_calls": False},
        {"tools": [TOOL], "tool_choice": CHOICE, "parallel_tool_calls": False},
    ),
    "empty tools are left out": Case({"tools": []}, {}),
    "JSON mode": Case(
        {"response_format": {"type": "json_object"}, "messages": JSON_PLEASE},
        {"response_format": {"type": "json_object"}},
    ),
    "a schema": Case({"response_format": SCHEMA}, {"response_format": SCHEMA}),
    "reasoning on": Case({"reasoning": True}, {}, qwen={"enable_thinking": True}, parameters={"enable_thinking": True}),
    "reasoning off": Case(
        {"reasoning": False},
        {"reasoning_effort": "none"},
        qwen={"enable_thinking": False},
        parameters={"enable_thinking": False},
    ),
    "a reasoning effort": Case(
        {"reasoning": "high", "model": UNKNOWN},
        {"reasoning_effort": "high"},
        qwen={"enable_thinking": True, "reasoning_effort": "high"},
        parameters={"enable_thinking": True, "reasoning_effort": "high"},
    ),
    "a reasoning budget": Case(
        {"reasoning": 100},
        {},
        qwen={"enable_thinking": True, "thinking_budget": 100},
        parameters={"enable_thinking": True, "thinking_budget": 100},
    ),
    "a bare reasoning budget": Case(
        {"reasoning": {"budget": 100}},
        {},
        qwen={"enable_thinking": True, "thinking_budget": 100},
        parameters={"enable_thinking": True, "thinking_budget": 100},
    ),
    "search": Case({"search": True}, {}, qwen={"enable_search": True}, parameters={"enable_search": True}),
    "no search": Case({"search": False}, {}, qwen={"enable_search": False}, parameters={"enable_search": False}),
    "search options": Case(
        {"search": {"forced_search": True}},
        {},
        qwen={"enable_search": True, "search_options": {"forced_search": True}},
        parameters={"enable_search": True, "search_options": {"forced_search": True}},
    ),
    "empty search options": Case(
        {"search": {}},
        {},
        qwen={"enable_search": True},
        parameters={"enable_search": True},
    ),
    "what only Qwen takes": Case(
        {"top_k": 20, "repetition_penalty": 1.1},
        {},
        qwen={"top_k": 20, "repetition_penalty": 1.1},
        parameters={"top_k": 20, "repetition_penalty": 1.1},
    ),
    "what only OpenAI takes": Case(
        {"frequency_penalty": 0.5, "user": "u-1"},
        {"frequency_penalty": 0.5, "user": "u-1"},
        qwen={},
        parameters={},
    ),
    "extra_body is passed on": Case(
        {"extra_body": {"vl_high_resolution_images": True, "x": None}},
        {"vl_high_resolution_images": True, "x": None},
    ),
    "extra_body wins": Case(
        {"temperature": 0.5, "extra_body": {"temperature": 0.75}},
        {"temperature": 0.75},
    ),
    "what is ours is never sent": Case(
        {"timeout": 5, "deadline": 9, "tags": {"team": "a"}, "extra_headers": {"X-Trace": "1"}}, {}
    ),
}


def body_of(provider: str, settings: dict[str, Any] | None = None, **fields: Any) -> Any:
    return json.loads(builder(provider, **(settings or {})).build(chat(**fields)).content)


def expected_body(provider: str, case: Case) -> dict[str, Any]:
    model, messages = case.request.get("model", "qwen-plus"), case.request.get("messages", HI)
    if provider == "openai":
        return {"model": model, "messages": messages, **case.openai}
    if provider == "qwen":
        more = case.openai if case.qwen is None else case.qwen
        return {"model": model, "messages": messages, **more}
    more = case.openai if case.parameters is None else case.parameters
    return {"model": model, "input": {"messages": messages}, "parameters": {**NATIVE_ALWAYS, **more}}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_bodies(provider: str, case: Case) -> None:
    """A request becomes exactly this body."""
    assert body_of(provider, **case.request) == expected_body(provider, case)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_streamed_bodies(provider: str, case: Case) -> None:
    """A streamed request is the same body, and asks for the stream and its usage."""
    expected = expected_body(provider, case)
    if provider == "dashscope":
        expected["parameters"]["incremental_output"] = True
    else:
        expected |= {"stream": True, "stream_options": {"include_usage": True}}
    assert body_of(provider, stream=True, **case.request) == expected


MESSAGES: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]] | None]] = {
    # what is given, what the compatible wire carries, what the native text path carries (None: as given)
    "system and user": (
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "你好"}],
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "你好"}],
        None,
    ),
    "text parts": (
        [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
        [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
        [{"role": "user", "content": "ab"}],
    ),
    "fields of the caller's own": (
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "mood": "calm"}],
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "mood": "calm"}],
        None,
    ),
    "a name": (
        [{"role": "user", "content": "a", "name": "ann"}],
        [{"role": "user", "content": "a", "name": "ann"}],
        None,
    ),
}


@pytest.mark.parametrize(("given", "compatible", "native"), MESSAGES.values(), ids=list(MESSAGES))
def test_messages(
    provider: str,
    given: list[dict[str, Any]],
    compatible: list[dict[str, Any]],
    native: list[dict[str, Any]] | None,
) -> None:
    """Messages are carried in the form that the wire has for them."""
    body = body_of(provider, messages=given)
    if provider == "dashscope":
        assert body["input"]["messages"] == (given if native is None else native)
    else:
        assert body["messages"] == compatible


def test_tool_results_in_the_history(provider: str) -> None:
    """A tool call and its result go back as history: an assistant's content is null for OpenAI and "" for Qwen."""
    history = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_a", "content": '{"sky": "clear"}'},
    ]
    body = body_of(provider, messages=history)
    user, assistant, tool = body["messages"] if provider != "dashscope" else body["input"]["messages"]
    assert user == history[0]
    assert tool == history[2]
    assert assistant.pop("content", None) == (None if provider == "openai" else "")
    assert assistant == {"role": "assistant", "tool_calls": [CALL]}


def test_an_empty_list_of_calls_is_left_out(provider: str) -> None:
    """An assistant's empty tool_calls, which servers refuse, are not sent."""
    history = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "tool_calls": []},
        {"role": "user", "content": "c"},
    ]
    body = body_of(provider, messages=history)
    messages = body["messages"] if provider != "dashscope" else body["input"]["messages"]
    assert messages[1] == {"role": "assistant", "content": "b"}


def test_an_answer_goes_back_as_history(provider: str) -> None:
    """The message of an answer, thinking and tool calls included, can be sent as it is."""
    wire = WIRES[provider]
    content = wire.answer(
        "",
        finish_reason="tool_calls",
        reasoning_content="Let me see.",
        tool_calls=[{**CALL, "index": 0}],
        some_new_field="kept",
    )
    answer: ChatResponse = normalizer(provider).normalize(chat(), wire_response(dumps(content)))
    history = [*HI, answer.choices[0].message, {"role": "tool", "tool_call_id": "call_a", "content": "{}"}]
    body = body_of(provider, messages=history)
    sent = (body["messages"] if provider != "dashscope" else body["input"]["messages"])[1]
    assert sent.pop("content", None) == (None if provider == "openai" else "")
    if provider == "openai":
        assert sent == {"role": "assistant", "tool_calls": [CALL], "some_new_field": "kept"}
    else:
        assert sent == {
            "role": "assistant",
            "reasoning_content": "Let me see.",
            "tool_calls": [{**CALL, "index": 0}],
            "some_new_field": "kept",
        }


IMAGE_MESSAGE = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": IMAGE, "detail": "low", "min_pixels": 3136}},
        ],
    }
]


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        ("AAAA", "data:;base64,AAAA"),
        ("data:audio/wav;base64,AAAA", "data:audio/wav;base64,AAAA"),
        ("https://example.test/a.wav", "https://example.test/a.wav"),
        ("HTTP://example.test/a.wav", "HTTP://example.test/a.wav"),
        ("oss://a.wav", "oss://a.wav"),
    ],
)
def test_sounds_on_the_compatible_wire(data: str, sent: str) -> None:
    """Bare base64, OpenAI's form of a sound, is a data URL for Qwen; a URL is one already. OpenAI gets its own form."""
    part = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    messages = [{"role": "system", "content": "Listen."}, {"role": "user", "content": [part]}]
    assert body_of("openai", messages=messages)["messages"] == messages
    (audio,) = body_of("qwen", messages=messages)["messages"][1]["content"]
    assert audio == {"type": "input_audio", "input_audio": {"data": sent, "format": "wav"}}


def test_images_on_the_compatible_wire() -> None:
    """OpenAI's parts are the compatible wire's own."""
    for provider in ("openai", "qwen"):
        assert body_of(provider, messages=IMAGE_MESSAGE)["messages"] == IMAGE_MESSAGE


@pytest.mark.parametrize(
    ("part", "native"),
    [
        ({"type": "text", "text": "a"}, {"text": "a"}),
        (
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
            {"text": "a", "cache_control": {"type": "ephemeral"}},
        ),
        ({"type": "image_url", "image_url": {"url": IMAGE}}, {"image": IMAGE}),
        ({"type": "image_url", "image_url": IMAGE}, {"image": IMAGE}),
        (
            {"type": "image_url", "image_url": {"url": IMAGE, "detail": "low", "min_pixels": 3136}},
            {"image": IMAGE, "min_pixels": 3136},
        ),
        (
            {"type": "image_url", "image_url": {"url": IMAGE}, "max_pixels": 9},
            {"image": IMAGE, "max_pixels": 9},
        ),
        ({"type": "video_url", "video_url": {"url": "https://v"}, "fps": 2}, {"video": "https://v", "fps": 2}),
        ({"type": "video", "video": ["https://1", "https://2"]}, {"video": ["https://1", "https://2"]}),
        (
            {"type": "input_audio", "input_audio": {"data": "https://a.mp3", "format": "mp3"}},
            {"audio": "https://a.mp3"},
        ),
        ({"image": IMAGE}, {"image": IMAGE}),
    ],
)
def test_parts_on_the_native_wire(part: dict[str, Any], native: dict[str, Any]) -> None:
    """OpenAI's parts become native ones, with one key for the kind, their settings kept."""
    messages = [
        {"role": "system", "content": "Look."},
        {"role": "user", "content": [part, *IMAGE_MESSAGE[0]["content"][1:]]},
    ]
    wire = builder("dashscope").build(chat(messages=messages))
    sent = json.loads(wire.content)["input"]["messages"]
    assert sent == [
        {"role": "system", "content": [{"text": "Look."}]},
        {"role": "user", "content": [native, {"image": IMAGE, "min_pixels": 3136}]},
    ]


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ({"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}, ("cache_control of a text model",)),
        ({"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}}, ("detail of a picture",)),
        ({"type": "image_url", "image_url": {"url": IMAGE, "detail": "auto"}}, ()),
        ({"type": "text", "text": "hi"}, ()),
    ],
)
def test_what_native_parts_lose_is_said(message: dict[str, Any], names: tuple[str, ...]) -> None:
    """A mark or a setting of a part that the native wire has no place for is left out and named."""
    asked = chat(messages=[{"role": "user", "content": [message]}])
    assert builder("dashscope").build(asked).unsupported == names


def test_an_unknown_part_is_refused_before_it_is_sent() -> None:
    """A part that the native wire has no name for is an error that names it and the known ones."""
    messages = [{"role": "user", "content": [{"type": "smell", "smell": "rose"}]}]
    with pytest.raises(BadRequestError, match=r"'smell'.*image_url") as caught:
        builder("dashscope").build(chat(messages=messages))
    assert caught.value.status_code is None


@pytest.mark.parametrize(
    ("model", "messages", "path"),
    [
        ("qwen-plus", HI, TEXT_PATH),
        ("qwen3-max", HI, TEXT_PATH),
        ("qwen-vl-max", HI, MULTIMODAL_PATH),
        ("qwen3-vl-plus", HI, MULTIMODAL_PATH),
        ("qwen3-omni-flash", HI, MULTIMODAL_PATH),
        ("qvq-max", HI, MULTIMODAL_PATH),
        ("deepseek-v3", HI, TEXT_PATH),
        ("a-model-that-nobody-knows", HI, TEXT_PATH),
        ("a-model-that-nobody-knows", IMAGE_MESSAGE, MULTIMODAL_PATH),
    ],
)
def test_native_paths(model: str, messages: list[dict[str, Any]], path: str) -> None:
    """A native request goes to the path of its model, or of its parts."""
    wire = builder("dashscope").build(chat(model=model, messages=messages))
    assert wire.url == BASE_URL + path
    content = json.loads(wire.content)["input"]["messages"][0]["content"]
    assert isinstance(content, list) == (path == MULTIMODAL_PATH)


def test_compatible_url(provider: str) -> None:
    """A request is a POST below the base URL, for the operation "chat"."""
    wire = builder(provider).build(chat())
    assert (wire.method, wire.operation, wire.stream) == ("POST", "chat", False)
    if provider != "dashscope":
        assert wire.url == f"{BASE_URL}/chat/completions"


@pytest.mark.parametrize("stream", [False, True])
def test_headers(provider: str, stream: bool) -> None:
    """A stream is accepted only where it was asked for, and a native one asked for by both headers. No key is there."""
    expected = {"content-type": "application/json"}
    if stream:
        expected["accept"] = "text/event-stream"
    if stream and provider == "dashscope":
        expected["x-dashscope-sse"] = "enable"
    wire = builder(provider).build(chat(stream=stream))
    assert wire.headers == expected
    assert wire.stream is stream


def test_extra_headers_win(provider: str) -> None:
    """A call's own headers are added in lower case, and win; the next call does not have them."""
    made = builder(provider)
    headers = made.build(chat(extra_headers={"X-Trace": "1", "Accept": "x/y"})).headers
    assert (headers["x-trace"], headers["accept"]) == ("1", "x/y")
    assert "X-Trace" not in headers
    assert "x-trace" not in made.build(chat()).headers


@pytest.mark.parametrize(
    ("name", "settings", "header"),
    [
        ("openai", {"organization": "org-1"}, {"openai-organization": "org-1"}),
        ("qwen", {"workspace": "ws-1"}, {"x-dashscope-workspace": "ws-1"}),
        ("dashscope", {"workspace": "ws-1"}, {"x-dashscope-workspace": "ws-1"}),
    ],
)
def test_headers_of_a_profile(name: str, settings: dict[str, str], header: dict[str, str]) -> None:
    """Organization and workspace are headers of every request, plain and streamed."""
    for stream in (False, True):
        headers = builder(name, **settings).build(chat(stream=stream)).headers
        assert header.items() <= headers.items()


@pytest.mark.F10
def test_stream_options_of_the_caller_are_kept() -> None:
    """The caller's stream options are kept, and usage is asked for even where he said no."""
    for provider in ("openai", "qwen"):
        body = body_of(provider, stream=True, stream_options={"include_usage": False, "x": 1})
        assert body["stream_options"] == {"include_usage": True, "x": 1}


@pytest.mark.parametrize(
    "extra",
    [
        {"result_format": "text"},
        {"parameters": {"result_format": "text"}},
        {"parameters": {"result_format": "text"}, "input": {"x": 1}},
    ],
)
def test_extra_body_of_the_native_wire(extra: dict[str, Any]) -> None:
    """Extra fields go to `parameters`, or into the top-level objects that they name."""
    body = body_of("dashscope", extra_body=extra)
    assert body["parameters"] == {"result_format": "text", "incremental_output": False}
    assert body["input"] == {"messages": HI, **extra.get("input", {})}


UNSUPPORTED = {
    "openai": {"top_k": 5, "repetition_penalty": 1.5, "search": True},
    "qwen": {"frequency_penalty": 0.5, "user": "u"},
    "dashscope": {"frequency_penalty": 0.5, "user": "u"},
}


def test_unsupported_parameters(provider: str) -> None:
    """What a provider cannot take is left out, and named for the core to warn of or to refuse."""
    for name, value in UNSUPPORTED[provider].items():
        made = builder(provider).build(chat(**{name: value}))
        assert made.content == builder(provider).build(chat()).content
        assert made.unsupported == (name,)


def test_none_is_not_a_parameter(provider: str) -> None:
    """A parameter given as None counts as not given."""
    request = chat(**dict.fromkeys(UNSUPPORTED[provider]), temperature=None, tools=None)
    assert builder(provider).build(request) == builder(provider).build(chat())


def test_building_changes_nothing(provider: str) -> None:
    """Building twice gives the same bytes, and leaves the request and what it was made of as they were."""
    messages = [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
    extra = {"parameters": {"x": 1}, "x": {"y": 2}}
    request = chat(messages=messages, extra_body=extra, tools=[TOOL], stop=["a"], stream=True)
    before = request.model_dump_json()
    made = builder(provider)
    assert made.build(request) == made.build(request)
    assert request.model_dump_json() == before
    assert messages == [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
    assert extra == {"parameters": {"x": 1}, "x": {"y": 2}}


@pytest.mark.parametrize("provider", list(WIRES))
def test_a_request_leaves_no_trace_in_the_builder(provider: str) -> None:
    """What one request leaves out, an empty list of tools or a field of extra_body, the next one may have."""
    made = builder(provider)
    before = made.build(chat(tools=[TOOL], temperature=1)).content
    made.build(chat(tools=[], extra_body={"temperature": 0.5}))
    assert made.build(chat(tools=[TOOL], temperature=1)).content == before


@pytest.mark.parametrize("text", ["你好 🌍", "\u2028\u0085\x00\x1b", '"\\\n', "\ufeff", "\u202e"])
def test_any_text_is_carried(provider: str, text: str) -> None:
    """Text is carried as it is, as UTF-8."""
    body = body_of(provider, messages=[{"role": "user", "content": text}])
    messages = body["messages"] if provider != "dashscope" else body["input"]["messages"]
    assert messages[0]["content"] == text


@pytest.mark.parametrize("provider", ["openai", "qwen"])
@pytest.mark.parametrize("asked", [False, True])
def test_a_stream_in_extra_body_is_what_is_sent_and_read(provider: str, asked: bool) -> None:
    """`stream` in extra_body goes over the parameter, for the body, the headers and the reading of the answer alike."""
    wire = builder(provider).build(chat(stream=asked, extra_body={"stream": not asked}))
    body = json.loads(wire.content)
    assert wire.stream is body["stream"] is not asked
    assert wire.headers.get("accept") == (None if asked else "text/event-stream")
    assert body.get("stream_options") == (None if asked else {"include_usage": True})
