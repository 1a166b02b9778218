"""Native generation requests: golden bodies, and every body held to a strict reading of the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.parts import BASE_URL, builder, chat, profile
from tests.providers.native_validator import MULTIMODAL_PATH, TEXT_PATH, check_generation

from qonduit import BadRequestError, WireRequest
from qonduit.embeddings import EmbeddingRequest
from qonduit_dashscope import DashScopeProvider

HI = [{"role": "user", "content": "hi"}]
IMAGE = "https://example.test/a.png"
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
MARK = {"cache_control": {"type": "ephemeral"}}


def user(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


class Golden(NamedTuple):
    """A request, and what it is on the wire: path, messages and parameters beyond the two that are always there."""

    request: dict[str, Any]
    path: str = TEXT_PATH
    messages: list[dict[str, Any]] = HI
    parameters: Mapping[str, Any] = MappingProxyType({})
    unsupported: tuple[str, ...] = ()
    stream: bool = False
    headers: Mapping[str, str] = MappingProxyType({})


GOLDEN: dict[str, Golden] = {
    "text": Golden({}),
    "a stream": Golden({"stream": True}, stream=True),
    "a model of the multimodal path": Golden(
        {"model": "qwen3.6-plus", "stream": True},
        MULTIMODAL_PATH,
        [{"role": "user", "content": [{"text": "hi"}]}],
        stream=True,
    ),
    "an unknown model": Golden({"model": "acme-1"}),
    "sampling": Golden(
        {"temperature": 0.5, "top_p": 1, "top_k": 0, "seed": 2**63 - 1, "max_tokens": 1, "stop": ["a", "b"], "n": 4},
        parameters={
            "temperature": 0.5,
            "top_p": 1.0,
            "top_k": 0,
            "seed": 2**63 - 1,
            "max_tokens": 1,
            "stop": ["a", "b"],
            "n": 4,
        },
    ),
    "tools": Golden(
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "weather"}}},
        parameters={"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "weather"}}},
    ),
    "a tool's result": Golden(
        {
            "messages": [
                *HI,
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "call_a", "content": "{}"},
            ]
        },
        messages=[
            *HI,
            {"role": "assistant", "tool_calls": [CALL], "content": ""},
            {"role": "tool", "tool_call_id": "call_a", "content": "{}"},
        ],
    ),
    "a tool's result, multimodal": Golden(
        {
            "model": "qwen-vl-max",
            "messages": [
                *HI,
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "call_a", "content": "{}"},
            ],
        },
        MULTIMODAL_PATH,
        [
            {"role": "user", "content": [{"text": "hi"}]},
            {"role": "assistant", "tool_calls": [CALL], "content": [{"text": ""}]},
            {"role": "tool", "tool_call_id": "call_a", "content": [{"text": "{}"}]},
        ],
    ),
    "a developer's message": Golden(
        {"messages": [{"role": "developer", "content": "Be brief."}, *HI]},
        messages=[{"role": "system", "content": "Be brief."}, *HI],
    ),
    "a prefix to go on from": Golden(
        {"messages": [*HI, {"role": "assistant", "content": "Once", "partial": True}]},
        messages=[*HI, {"role": "assistant", "content": "Once", "partial": True}],
    ),
    "thinking": Golden(
        {"reasoning": 50, "stream": True},
        parameters={"enable_thinking": True, "thinking_budget": 50},
        stream=True,
    ),
    "search with sources": Golden(
        {"search": {"enable_source": True, "forced_search": True}},
        parameters={"enable_search": True, "search_options": {"enable_source": True, "forced_search": True}},
    ),
    "a picture": Golden(
        {
            "messages": user(
                {"type": "text", "text": "What?"},
                {"type": "image_url", "image_url": {"url": IMAGE, "detail": "auto"}, "min_pixels": 4, "max_pixels": 9},
            )
        },
        MULTIMODAL_PATH,
        user({"text": "What?"}, {"image": IMAGE, "min_pixels": 4, "max_pixels": 9}),
    ),
    "a picture with detail": Golden(
        {"messages": user({"type": "image_url", "image_url": {"url": IMAGE, "detail": "high"}})},
        MULTIMODAL_PATH,
        user({"image": IMAGE}),
        unsupported=("detail of a picture",),
    ),
    "a film": Golden(
        {
            "messages": user(
                {"type": "video_url", "video_url": {"url": "https://v"}, "fps": 0.5, "max_frames": 8, "total_pixels": 9}
            )
        },
        MULTIMODAL_PATH,
        user({"video": "https://v", "fps": 0.5, "max_frames": 8, "total_pixels": 9}),
    ),
    "frames": Golden(
        {"messages": user({"type": "video", "video": ["https://1", "https://2"], "fps": 2})},
        MULTIMODAL_PATH,
        user({"video": ["https://1", "https://2"], "fps": 2}),
    ),
    "sound": Golden(
        {"messages": user({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}})},
        MULTIMODAL_PATH,
        user({"audio": "data:audio/wav;base64,AAAA"}),
    ),
    "native parts": Golden(
        {"messages": user({"text": "What?"}, {"image": IMAGE, "min_pixels": 4})},
        MULTIMODAL_PATH,
        user({"text": "What?"}, {"image": IMAGE, "min_pixels": 4}),
    ),
    "an uploaded file": Golden(
        {"messages": user({"type": "image_url", "image_url": {"url": "oss://bucket/a.png"}})},
        MULTIMODAL_PATH,
        user({"image": "oss://bucket/a.png"}),
        headers={"x-dashscope-ossresourceresolve": "enable"},
    ),
    "a cache mark": Golden(
        {"model": "qwen3.6-plus", "messages": user({"type": "text", "text": "long", **MARK}), "stream": True},
        MULTIMODAL_PATH,
        user({"text": "long", **MARK}),
        stream=True,
    ),
    "a cache mark of a text model": Golden(
        {"messages": user({"type": "text", "text": "long", **MARK})},
        messages=[{"role": "user", "content": "long"}],
        unsupported=("cache_control of a text model",),
    ),
    "what the wire has no word for": Golden(
        {"frequency_penalty": 1, "user": "u"}, unsupported=("frequency_penalty", "user")
    ),
    "extra fields": Golden(
        {"extra_body": {"vl_high_resolution_images": True, "parameters": {"preserve_thinking": True}}},
        parameters={"vl_high_resolution_images": True, "preserve_thinking": True},
    ),
}


@pytest.mark.parametrize("case", GOLDEN.values(), ids=list(GOLDEN))
def test_golden_bodies(case: Golden) -> None:
    """Each request is exactly this on the wire, and the wire allows it."""
    wire = builder("dashscope").build(chat(**case.request))
    assert wire.url == BASE_URL + case.path
    assert json.loads(wire.content) == {
        "model": case.request.get("model", "qwen-plus"),
        "input": {"messages": case.messages},
        "parameters": {"result_format": "message", "incremental_output": case.stream, **case.parameters},
    }
    assert (wire.stream, set(wire.unsupported)) == (case.stream, set(case.unsupported))
    assert case.headers.items() <= wire.headers.items()
    check_generation(wire)


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "a string where parts belong": (MULTIMODAL_PATH, {}),
    "a part with a type": (MULTIMODAL_PATH, {"messages": user({"type": "text", "text": "a"})}),
    "a part of two kinds": (MULTIMODAL_PATH, {"messages": user({"text": "a", "image": IMAGE})}),
    "a file of this machine": (MULTIMODAL_PATH, {"messages": user({"image": "file:///a.png"})}),
    "parts where a string belongs": (TEXT_PATH, {"messages": user({"text": "a"})}),
    "no user": (TEXT_PATH, {"messages": [{"role": "system", "content": "a"}]}),
    "a result without a call": (TEXT_PATH, {"messages": [*HI, {"role": "tool", "tool_call_id": "x", "content": ""}]}),
    "an empty list of calls": (TEXT_PATH, {"messages": [*HI, {"role": "assistant", "content": "", "tool_calls": []}]}),
    "an unknown parameter": (TEXT_PATH, {"frequency_penalty": 1}),
    "stream in the body": (TEXT_PATH, {"stream": True}),
    "empty tools": (TEXT_PATH, {"tools": []}),
    "a tool named search": (TEXT_PATH, {"tools": [{"type": "function", "function": {"name": "search"}}]}),
    "a null": (TEXT_PATH, {"temperature": None}),
    "too hot": (TEXT_PATH, {"temperature": 2.0}),
    "the other result format": (TEXT_PATH, {"result_format": "text"}),
    "chunks that repeat": (TEXT_PATH, {"incremental_output": True}),
    "JSON mode without the word": (TEXT_PATH, {"response_format": {"type": "json_object"}}),
    "mixed stops": (TEXT_PATH, {"stop": ["a", 1]}),
}


@pytest.mark.parametrize(("path", "fields"), REFUSED.values(), ids=list(REFUSED))
def test_the_validator_refuses(path: str, fields: dict[str, Any]) -> None:
    """The strict reading finds what the server would refuse: it can fail."""
    messages = fields.pop("messages", HI) if "messages" in fields else HI
    parameters = {"result_format": "message", "incremental_output": False, **fields}
    body = {"model": "m", "input": {"messages": messages}, "parameters": parameters}
    good = {**body, "parameters": {"result_format": "message", "incremental_output": False}, "input": {"messages": HI}}
    headers = {"content-type": "application/json"}
    check_generation(WireRequest("POST", BASE_URL + TEXT_PATH, headers, json.dumps(good).encode()))
    with pytest.raises((ValidationError, AssertionError)):
        check_generation(WireRequest("POST", BASE_URL + path, headers, json.dumps(body).encode()))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "application/json", "accept": "text/event-stream", "x-dashscope-sse": "enable"},
        {"content-type": "application/json", "x-dashscope-sse": "enable"},
        {"content-type": "application/json", "x-dashscope-async": "enable"},
        {"content-type": "application/json", "x-dashscope-ossresourceresolve": "enable"},
    ],
)
def test_the_validator_refuses_headers(headers: dict[str, str]) -> None:
    """A plain request with the headers of a stream, or with those of nothing that it asks for, is refused."""
    body = builder("dashscope").build(chat()).content
    with pytest.raises((KeyError, AssertionError)):
        check_generation(WireRequest("POST", BASE_URL + TEXT_PATH, headers, body))


# Requests of any kind that the vendor's pages allow.

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True).filter(lambda name: name != "search")
URLS = st.sampled_from(
    ["https://example.test/a", "http://example.test/b", "oss://bucket/key", "data:image/png;base64,AA"]
)
MARKS = st.sampled_from([{}, MARK])
PIXELS = st.fixed_dictionaries({}, optional={"min_pixels": st.integers(1, 99), "max_pixels": st.integers(100, 999)})
PARTS = st.one_of(
    st.builds(lambda text, mark: {"type": "text", "text": text, **mark}, TEXTS, MARKS),
    st.builds(
        lambda url, detail, inside, beside, mark: {
            "type": "image_url",
            "image_url": {"url": url, **({"detail": detail} if detail else {}), **inside},
            **beside,
            **mark,
        },
        URLS,
        st.sampled_from([None, "auto", "low", "high"]),
        PIXELS,
        PIXELS,
        MARKS,
    ),
    st.builds(
        lambda url, fps, pixels: {"type": "video_url", "video_url": {"url": url}, "fps": fps, **pixels},
        URLS,
        st.floats(0.1, 10),
        PIXELS,
    ),
    st.builds(lambda urls: {"type": "video", "video": urls, "max_frames": 4}, st.lists(URLS, min_size=1, max_size=3)),
    st.builds(
        lambda data: {"type": "input_audio", "input_audio": {"data": data, "format": "mp3"}},
        st.one_of(URLS, st.just("AAAA")),
    ),
    st.builds(lambda url: {"image": url}, URLS),
)
CONTENT = st.one_of(TEXTS, st.lists(PARTS, min_size=1, max_size=3))


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A conversation: perhaps a system's message, then turns, the last by the user, or a prefix to go on from."""
    messages: list[dict[str, Any]] = []
    if draw(st.booleans()):
        messages.append({"role": draw(st.sampled_from(["system", "developer"])), "content": draw(TEXTS)})
    for _ in range(draw(st.integers(0, 2))):
        messages.append({"role": "user", "content": draw(CONTENT)})
        if draw(st.booleans()):
            calls = [
                {"id": f"call_{number}", "type": "function", "function": {"name": draw(NAMES), "arguments": "{}"}}
                for number in range(draw(st.integers(1, 2)))
            ]
            messages.append({"role": "assistant", "content": draw(st.none() | TEXTS), "tool_calls": calls})
            messages += [{"role": "tool", "tool_call_id": call["id"], "content": draw(TEXTS)} for call in calls]
        answer: dict[str, Any] = {"role": "assistant", "content": draw(TEXTS)}
        more = {"tool_calls": st.just([]), "reasoning_content": TEXTS, "name": st.just("qwen")}
        messages.append({**answer, **draw(st.fixed_dictionaries({}, optional=more))})
    messages.append({"role": "user", "content": draw(CONTENT)})
    if draw(st.booleans()):
        messages.append({"role": "assistant", "content": draw(TEXTS), "partial": True})
    return messages


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "stream": st.booleans(),
    "temperature": st.floats(0, 2, exclude_max=True),
    "top_p": st.floats(0, 1, exclude_min=True),
    "top_k": st.integers(0, 200),
    "repetition_penalty": st.floats(0.01, 5),
    "presence_penalty": st.floats(-2, 2),
    "frequency_penalty": st.floats(-2, 2),
    "max_tokens": st.integers(1, 9999),
    "max_completion_tokens": st.integers(1, 9999),
    "seed": st.integers(0, 2**63 - 1),
    "stop": st.one_of(
        TEXTS,
        st.lists(TEXTS, max_size=2),
        st.lists(st.integers(0, 99), max_size=2),
        st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=2), max_size=2),
    ),
    "n": st.integers(1, 4),
    "logprobs": st.booleans(),
    "top_logprobs": st.integers(0, 5),
    "user": TEXTS,
    "tools": st.lists(
        st.builds(lambda name: {"type": "function", "function": {"name": name, "parameters": {}}}, NAMES), max_size=2
    ),
    "tool_choice": st.sampled_from(["auto", "none", {"type": "function", "function": {"name": "f"}}]),
    "parallel_tool_calls": st.booleans(),
    "response_format": st.sampled_from(
        [
            {"type": "text"},
            {"type": "json_object"},
            {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": True}},
        ]
    ),
    "reasoning": st.sampled_from(
        [True, False, 7, "low", "high", {"budget": 3}, {"effort": "medium", "budget": 9}, {"enabled": True}]
    ),
    "search": st.sampled_from([True, False, {"enable_source": True, "freshness": 7}, {}]),
    "extra_body": st.sampled_from([{"preserve_thinking": True}, {"parameters": {"tool_stream": True}}, {}]),
}
MODELS = st.sampled_from(
    [
        "qwen-plus",
        "qwen3-max",
        "qwen3.6-plus",
        "qwen3-8b",
        "qwen3-vl-plus",
        "qwen-vl-ocr",
        "qwq-plus",
        "qvq-max",
        "qwen3-omni-flash",
        "qwen3.8-max",
        "qwen2.5-7b-instruct",
        "deepseek-v4-pro",
        "gpt-4o",
        "nobody-knows-it",
    ]
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(model=MODELS, messages=histories(), fields=st.fixed_dictionaries({}, optional=FIELDS))
def test_every_body_passes(model: str, messages: list[dict[str, Any]], fields: dict[str, Any]) -> None:
    """Whatever is asked of whichever model, the body is one that the wire allows; bent things are said."""
    asked = chat(**fields, model=model, messages=messages)
    wire = builder("dashscope").build(asked)
    check_generation(wire)
    assert wire.stream or not asked.stream
    assert ("user" in wire.unsupported) == (asked.user is not None)


def test_a_file_url_is_refused_with_the_mend() -> None:
    """A file:// URL, which only the vendor's own SDK uploads, is refused unsent; the error says what to do."""
    for part in (
        {"type": "image_url", "image_url": {"url": "file:///home/a.png"}},
        {"type": "image_url", "image_url": "FILE:///home/a.png"},
        {"type": "video", "video": ["https://1", "file:///home/2"]},
        {"type": "video_url", "video_url": {"url": "file:///home/a.mp4"}},
        {"type": "input_audio", "input_audio": {"data": "file:///home/a.mp3", "format": "mp3"}},
        {"image": "file:///home/a.png"},
    ):
        with pytest.raises(BadRequestError, match=r"qonduit\.content.*pathlib\.Path") as caught:
            builder("dashscope").build(chat(messages=user(part)))
        assert "home" not in str(caught.value)
        assert caught.value.outcome == "not_sent"


@pytest.mark.parametrize("stream", [False, True])
def test_options_are_headers_of_every_request(stream: bool) -> None:
    """The provider's options stand on chats, plain and streamed, and on the other operations."""
    options = DashScopeProvider.Options(data_inspection={"input": "cip"}, wait_timeout=30)
    made = DashScopeProvider(options).qonduit_request_builder(profile("dashscope", workspace="ws-1"))
    expected = {
        "x-dashscope-datainspection": '{"input":"cip"}',
        "x-dashscope-wait-timeout": "30",
        "x-dashscope-workspace": "ws-1",
    }
    wire = made.build(chat(stream=stream))
    check_generation(wire)
    other = made.build(EmbeddingRequest.of({"model": "text-embedding-v4", "input": "a"}))
    assert expected.items() <= wire.headers.items()
    assert expected.items() <= other.headers.items()


def test_the_seed_of_this_wire() -> None:
    """A seed has 63 bits here; a larger one is refused unsent."""
    builder("dashscope").build(chat(seed=2**63 - 1))
    with pytest.raises(BadRequestError, match="seed") as caught:
        builder("dashscope").build(chat(seed=2**63))
    assert caught.value.outcome == "not_sent"


@pytest.mark.parametrize("model", ["qwen-plus", "qwen3-vl-plus"])
@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": None}, "a part of type 'text' holds a NoneType as its text"),
        ({"type": "text"}, "a part of type 'text' holds a NoneType as its text"),
        ({"type": "image_url"}, "a part of type 'image_url' has no 'image_url'"),
        ({"type": ["text"]}, "knows no part of type ['text']"),
    ],
)
def test_a_part_without_its_content_is_refused(model: str, part: dict[str, Any], expected: str) -> None:
    """What is no part is the caller's mistake on both paths: never sent as empty text, never the provider's defect."""
    with pytest.raises(BadRequestError) as caught:
        builder("dashscope").build(chat(model=model, messages=user(part)))
    assert expected in str(caught.value)
    assert caught.value.outcome == "not_sent"
