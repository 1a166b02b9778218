"""What each provider's answers come to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.parts import (
    DATE,
    JSON_HEADERS,
    builder,
    chat,
    decode_stream,
    normalizer,
    wire_response,
)
from tests.wires import CREATED, REQUEST_ID, WIRES, Wire, dumps

from qonduit import APIError, BadRequestError, ChatResponse, ProtocolError, RateLimitError
from qonduit.parts import Resend

CALL = {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city":"北京"}'}}
LOGPROBS = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]}


def choice(index: int = 0, finish_reason: str | None = "stop", **message: Any) -> dict[str, Any]:
    return {"index": index, "finish_reason": finish_reason, "message": {"role": "assistant", **message}}


# One answer in each wire: choices of the compatible wire, choices of the native wire (None: the same).
ANSWERS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]] | None]] = {
    "text": ([choice(content="你好\u2028🌍")], None),
    "no text": ([choice(content="")], None),
    "cut by the limit": ([choice(content="a", finish_reason="length")], None),
    "two choices": ([choice(0, content="a"), choice(1, content="b", finish_reason="length")], None),
    "thinking": ([choice(content="a", reasoning_content="Hm.")], None),
    "no thinking": (
        [choice(content="a", reasoning_content=None)],
        [choice(content="a", reasoning_content="")],
    ),
    "parts": ([choice(content="ab")], [choice(content=[{"text": "a"}, {"text": "b"}])]),
    "no parts": ([choice(content="")], [choice(content=[])]),
    "a tool call": (
        [choice(content=None, tool_calls=[CALL], finish_reason="tool_calls")],
        [choice(content="", tool_calls=[{**CALL, "index": 0}], finish_reason="tool_calls")],
    ),
    "a forced tool call": (
        [choice(content="", tool_calls=[CALL], finish_reason="tool_calls")],
        [choice(content="", tool_calls=[CALL], finish_reason="stop")],
    ),
    "a forced tool call, by parts": (
        [choice(content="", tool_calls=[CALL], finish_reason="stop")],
        [choice(content=[], tool_calls=[CALL], finish_reason="stop")],
    ),
    "text beside a tool call": (
        [choice(content="Let me look.", tool_calls=[CALL], finish_reason="tool_calls")],
        None,
    ),
    "no tool calls": (
        [choice(content="a", tool_calls=None)],
        [choice(content="a", tool_calls=[])],
    ),
    "two tool calls": (
        [
            choice(
                content=None,
                tool_calls=[{**CALL, "index": 0}, {**CALL, "id": "call_b", "index": 1}],
                finish_reason="tool_calls",
            )
        ],
        [
            choice(
                content="",
                tool_calls=[{**CALL, "index": 0}, {**CALL, "id": "call_b", "index": 0}],
                finish_reason="tool_calls",
            )
        ],
    ),
    "log probabilities": (
        [{**choice(content="a"), "logprobs": LOGPROBS}],
        [{**choice(content="a"), "logprobs": LOGPROBS}],
    ),
    "without an index": (
        [choice(content="a")],
        [{"finish_reason": "stop", "message": {"role": "assistant", "content": "a"}}],
    ),
    "without a finish reason": (
        [choice(content="a", finish_reason=None)],
        [choice(content="a", finish_reason="null")],
    ),
}


def answers_of(provider: str, compatible: list[dict[str, Any]], native: list[dict[str, Any]] | None) -> ChatResponse:
    wire = WIRES[provider]
    body = wire.answer()
    if wire.native:
        body["output"] = {"choices": compatible if native is None else native}
    else:
        body["choices"] = compatible
    response: ChatResponse = normalizer(provider).normalize(chat(), wire_response(dumps(body)))
    assert response.provider == provider
    assert response.raw == body
    return response.replace(provider=None, id=None)


@pytest.mark.parametrize(("compatible", "native"), ANSWERS.values(), ids=list(ANSWERS))
def test_one_answer_is_equal_from_all_providers(
    compatible: list[dict[str, Any]], native: list[dict[str, Any]] | None
) -> None:
    """The same answer in either wire gives equal responses, but for provider, raw and ids."""
    openai, qwen, dashscope = (answers_of(name, compatible, native) for name in WIRES)
    assert openai == qwen == dashscope
    assert openai.model == "qwen-plus"
    assert openai.created == CREATED
    assert openai.request_id == REQUEST_ID
    assert openai.status_code == 200
    assert openai.complete


@pytest.mark.parametrize("pieces", [["hello"], ["hel", "lo"], ["", "hello"]])
def test_a_streamed_answer_equals_the_plain_one(provider: str, wire: Wire, pieces: list[str]) -> None:
    """An answer that was streamed is equal to the one that came whole."""
    plain = normalizer(provider).normalize(chat(), wire_response(dumps(wire.answer("hello"))))
    streamed = decode_stream(provider, wire.events(pieces)).response
    assert streamed == plain


def test_the_values_of_an_answer(provider: str, wire: Wire) -> None:
    """A tool call comes out with its id, name and arguments as text, numbered from 0."""
    body = wire.answer("", finish_reason="tool_calls", tool_calls=[CALL])
    response = normalizer(provider).normalize(chat(), wire_response(dumps(body)))
    (call,) = response.choices[0].message.tool_calls
    assert (call.id, call.type, call.index) == ("call_a", "function", 0)
    assert (call.function.name, call.function.arguments) == ("weather", '{"city":"北京"}')
    assert response.choices[0].message.content is None
    assert response.text == ""


def test_unknown_fields_are_carried(provider: str, wire: Wire) -> None:
    """What qonduit does not know of a choice, a message or a tool call is kept, and does not break equality."""
    plain = normalizer(provider).normalize(chat(), wire_response(dumps(wire.answer("a", tool_calls=[CALL]))))
    body = wire.answer("a", tool_calls=[{**CALL, "mood": 1}], annotations=[{"x": 1}])
    (said,) = body["output"]["choices"] if wire.native else body["choices"]
    said["content_filter_results"] = {"hate": False}
    body["new"] = {"deep": [1]}
    response = normalizer(provider).normalize(chat(), wire_response(dumps(body)))
    assert response == plain
    assert response.choices[0].model_extra["content_filter_results"] == {"hate": False}
    assert response.choices[0].message.model_extra["annotations"] == [{"x": 1}]
    assert response.choices[0].message.tool_calls[0].model_extra["mood"] == 1
    assert response.raw["new"] == {"deep": [1]}


def test_the_request_id_is_found(provider: str, wire: Wire) -> None:
    """The request id is the body's or the header's; on the compatible wire also the uuid inside the id."""
    body = wire.answer()
    response = normalizer(provider).normalize(chat(), wire_response(dumps(body), headers={}))
    assert response.request_id == REQUEST_ID
    body.pop("request_id", None)
    body.pop("id", None)
    headers = {"x-request-id": "from-the-header"}
    response = normalizer(provider).normalize(chat(), wire_response(dumps(body), headers=headers))
    assert response.request_id == "from-the-header"
    response = normalizer(provider).normalize(chat(), wire_response(dumps(body), headers={}))
    assert response.request_id is None


def test_native_text_format() -> None:
    """The older result format, `output.text`, is read as one choice."""
    body = {
        "output": {"text": "a", "finish_reason": "stop"},
        "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7},
        "request_id": REQUEST_ID,
    }
    response = normalizer("dashscope").normalize(chat(), wire_response(dumps(body)))
    assert response == normalizer("dashscope").normalize(chat(), wire_response(dumps(WIRES["dashscope"].answer("a"))))


def test_parts_that_are_no_text_stay_parts() -> None:
    """An answer that holds an image is given as its parts, and its text is what is text in it."""
    body = WIRES["dashscope"].answer()
    body["output"]["choices"][0]["message"]["content"] = [{"text": "Here: "}, {"image": "https://i"}]
    response = normalizer("dashscope").normalize(chat(), wire_response(dumps(body)))
    assert response.choices[0].message.content == ({"text": "Here: "}, {"image": "https://i"})
    assert response.text == "Here: "


# Usage: the compatible wire's object, the native one's, and what comes of either.
USAGES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, int | None]]] = {
    "counts": (
        {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
        {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7},
        {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7},
    ),
    "no total": (
        {"prompt_tokens": 5, "completion_tokens": 2},
        {"input_tokens": 5, "output_tokens": 2},
        {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7},
    ),
    "zeros are zeros": (
        {"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5},
        {"input_tokens": 5, "output_tokens": 0, "total_tokens": 5},
        {"input_tokens": 5, "output_tokens": 0, "total_tokens": 5},
    ),
    "an implicit cache": (
        {
            "prompt_tokens": 5,
            "completion_tokens": 2,
            "total_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
        {
            "input_tokens": 5,
            "output_tokens": 2,
            "total_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
        {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7, "cached_tokens": 4},
    ),
    "a marked cache": (
        {
            "prompt_tokens": 9,
            "completion_tokens": 2,
            "total_tokens": 11,
            "prompt_tokens_details": {
                "cached_tokens": 4,
                "cache_creation_input_tokens": 3,
                "cache_type": "ephemeral",
                "cache_creation": {"ephemeral_5m_input_tokens": 3},
            },
        },
        {
            "input_tokens": 9,
            "output_tokens": 2,
            "total_tokens": 11,
            "prompt_tokens_details": {
                "cached_tokens": 4,
                "cache_creation_input_tokens": 3,
                "cache_type": "ephemeral",
            },
        },
        {
            "input_tokens": 9,
            "output_tokens": 2,
            "total_tokens": 11,
            "explicit_cached_tokens": 4,
            "cache_write_tokens": 3,
        },
    ),
    "thinking": (
        {
            "prompt_tokens": 5,
            "completion_tokens": 9,
            "total_tokens": 14,
            "completion_tokens_details": {"reasoning_tokens": 7, "text_tokens": 2},
        },
        {
            "input_tokens": 5,
            "output_tokens": 9,
            "total_tokens": 14,
            "output_tokens_details": {"reasoning_tokens": 7, "text_tokens": 2},
        },
        {"input_tokens": 5, "output_tokens": 9, "total_tokens": 14, "reasoning_tokens": 7},
    ),
    "images, sound and film": (
        {
            "prompt_tokens": 60,
            "completion_tokens": 2,
            "total_tokens": 62,
            "prompt_tokens_details": {
                "image_tokens": 30,
                "audio_tokens": 20,
                "video_tokens": 5,
                "text_tokens": 5,
            },
        },
        {
            "input_tokens": 60,
            "output_tokens": 2,
            "image_tokens": 30,
            "audio_tokens": 20,
            "video_tokens": 5,
        },
        {
            "input_tokens": 60,
            "output_tokens": 2,
            "total_tokens": 62,
            "image_tokens": 30,
            "audio_tokens": 20,
            "video_tokens": 5,
        },
    ),
    "images in the details, a cache beside them": (
        {
            "prompt_tokens": 60,
            "completion_tokens": 2,
            "total_tokens": 62,
            "prompt_tokens_details": {"image_tokens": 30, "cached_tokens": 8},
        },
        {
            "input_tokens": 60,
            "output_tokens": 2,
            "total_tokens": 62,
            "input_tokens_details": {"image_tokens": 30, "text_tokens": 30},
            "prompt_tokens_details": {"cached_tokens": 8},
        },
        {"input_tokens": 60, "output_tokens": 2, "total_tokens": 62, "image_tokens": 30, "cached_tokens": 8},
    ),
    "empty details": (
        {
            "prompt_tokens": 5,
            "completion_tokens": 2,
            "total_tokens": 7,
            "prompt_tokens_details": {},
            "completion_tokens_details": None,
        },
        {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7, "prompt_tokens_details": {}},
        {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7},
    ),
    "further fields": (
        {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "x_details": [{"a": 1}]},
        {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7, "plugins": {"search": {"count": 1}}},
        {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7},
    ),
}
COUNTS = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_tokens",
    "explicit_cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "image_tokens",
    "audio_tokens",
    "video_tokens",
)


def both_ways(provider: str, usage: Any) -> list[ChatResponse]:
    """The response of a plain and of a streamed answer with this usage object."""
    wire = WIRES[provider]
    body = {**wire.answer(), "usage": usage}
    plain = normalizer(provider).normalize(chat(), wire_response(dumps(body)))
    if wire.native:
        body["output"]["choices"] = [choice(content="hello", finish_reason="stop")]
        stream = b"data:" + dumps(body) + b"\n\n"
    else:
        stream = wire.piece("hello")
        ended = {**body, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None}
        last = {**body, "choices": []}
        stream += b"".join(map(wire.event, (ended, last))) + b"data: [DONE]\n\n"
    return [plain, decode_stream(provider, [stream]).response]


@pytest.mark.parametrize(("compatible", "native", "expected"), USAGES.values(), ids=list(USAGES))
def test_usage(
    provider: str, compatible: dict[str, Any], native: dict[str, Any], expected: dict[str, int | None]
) -> None:
    """Counts and their details come out of either wire under one name; what was not said is None."""
    said = native if provider == "dashscope" else compatible
    for response in both_ways(provider, said):
        usage = response.usage
        assert {name: getattr(usage, name) for name in COUNTS} == {**dict.fromkeys(COUNTS), **expected}
        assert (usage.prompt_tokens, usage.completion_tokens) == (usage.input_tokens, usage.output_tokens)
        assert usage.raw == said


@pytest.mark.F44
@pytest.mark.parametrize("usage", [None, {}], ids=["null", "empty"])
def test_no_usage(provider: str, usage: Any) -> None:
    """Usage that says nothing is None, or has no count; never zero."""
    for response in both_ways(provider, usage):
        assert response.usage is None or all(getattr(response.usage, name) is None for name in COUNTS)


BAD = {
    "a boolean": True,
    "negative": -1,
    "a text": "12",
    "a fraction": 1.5,
    "huge": 10**30,
    "a list": [1],
    "an object": {"a": 1},
}


@pytest.mark.F44
@pytest.mark.F25
@pytest.mark.parametrize("value", BAD.values(), ids=list(BAD))
@pytest.mark.parametrize("name", ["input", "output", "total", "detail"])
def test_a_count_that_is_no_count_is_unknown(provider: str, wire: Wire, name: str, value: Any) -> None:
    """A count that is no whole number of tokens is None: the answer and the other counts are kept."""
    usage = wire.usage(5, 2)
    if name == "detail":
        usage["prompt_tokens_details"] = {"cached_tokens": value}
    else:
        key = {"input": 0, "output": 1, "total": 2}[name]
        usage[list(usage)[key]] = value
    for response in both_ways(provider, usage):
        assert response.text == "hello"
        assert response.usage.raw == usage
        counts = (response.usage.input_tokens, response.usage.output_tokens)
        assert counts == (None if name == "input" else 5, None if name == "output" else 2)
        assert response.usage.cached_tokens is None
        if name == "total":
            assert response.usage.total_tokens in (None, 7)


@pytest.mark.F44
@pytest.mark.parametrize("usage", ["many", 7, [], [1], True], ids=str)
def test_usage_that_is_no_object_is_unknown(provider: str, usage: Any) -> None:
    """A usage that is no object does not cost the answer."""
    for response in both_ways(provider, usage):
        assert response.text == "hello"
        assert response.usage is None or all(getattr(response.usage, name) is None for name in COUNTS)


@pytest.mark.parametrize("role", ["", None])
def test_an_answer_without_a_role_is_the_assistants(provider: str, wire: Wire, role: str | None) -> None:
    """A role that says nothing does not cost the answer."""
    choice = {"message": {"role": role, "content": "hello"}, "finish_reason": "stop"}
    body = {"output": {"choices": [choice]}} if wire.native else {"choices": [choice]}
    message = normalizer(provider).normalize(chat(), wire_response(dumps(body))).choices[0].message
    assert (message.role, message.text) == ("assistant", "hello")


NOT_AN_ANSWER: dict[str, bytes] = {
    "nothing": b"",
    "white space": b" \r\n",
    "HTML": b"<!DOCTYPE html><html><body>Please log in, 203.0.113.9</body></html>",
    "text": b"upstream unhappy, 203.0.113.9",
    "half of an answer": b'{"choices": [{"index": 0, "mess',
    "null": b"null",
    "a list": b"[]",
    "an empty object": b"{}",
    "choices null": b'{"choices": null, "output": {"choices": null}}',
    "choices empty": b'{"choices": [], "output": {"choices": []}}',
    "choices a text": b'{"choices": "no", "output": {"choices": "no"}}',
    "choices of numbers": b'{"choices": [1], "output": {"choices": [1]}}',
    "a choice without a message": b'{"choices": [{"index": 0}], "output": "no"}',
    "content a number": b'{"choices": [{"message": {"role": "assistant", "content": 1}}],'
    b' "output": {"choices": [{"message": {"role": "assistant", "content": 1}}]}}',
    "an unknown role": b'{"choices": [{"message": {"role": "ghost", "content": "a"}}],'
    b' "output": {"choices": [{"message": {"role": "ghost", "content": "a"}}]}}',
    "tool calls a text": b'{"choices": [{"message": {"role": "assistant", "tool_calls": "x"}}],'
    b' "output": {"choices": [{"message": {"role": "assistant", "tool_calls": "x"}}]}}',
    "tool calls of texts": b'{"choices": [{"message": {"role": "assistant", "tool_calls": ["x"]}}],'
    b' "output": {"choices": [{"message": {"role": "assistant", "tool_calls": ["x"]}}]}}',
    "deep nesting": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "broken UTF-8": b'{"choices": "\xff"}',
}


@pytest.mark.F16
@pytest.mark.F17
@pytest.mark.F18
@pytest.mark.F26
@pytest.mark.parametrize("content", NOT_AN_ANSWER.values(), ids=list(NOT_AN_ANSWER))
def test_a_200_that_is_no_answer(provider: str, content: bytes) -> None:
    """A 200 with anything but an answer is a ProtocolError that does not repeat what came."""
    with pytest.raises(ProtocolError) as caught:
        normalizer(provider).normalize(chat(), wire_response(content))
    error = caught.value
    assert (error.status_code, error.request_id, error.outcome) == (200, REQUEST_ID, "unknown")
    assert error.retryable == (not content.strip())
    assert "203.0.113.9" not in str(error)
    assert provider in str(error)


@pytest.mark.F15
@pytest.mark.F16
@pytest.mark.parametrize("status", [200, 202])
def test_a_200_that_is_an_error(provider: str, wire: Wire, status: int) -> None:
    """A 200 whose body is an error is that error."""
    code = {"openai": "rate_limit_exceeded", "qwen": "limit_requests", "dashscope": "Throttling.RateQuota"}
    body = wire.error_body(code[provider], "Slow down.")
    with pytest.raises(RateLimitError) as caught:
        normalizer(provider).normalize(chat(), wire_response(dumps(body), status))
    assert caught.value.code == code[provider]
    assert caught.value.retryable
    assert caught.value.request_id == REQUEST_ID


@pytest.mark.F16
def test_a_200_with_an_error_and_choices_null(provider: str, wire: Wire) -> None:
    """An error beside `choices: null` is the error."""
    body = {**wire.error_body("data_inspection_failed"), "choices": None, "output": None}
    with pytest.raises(APIError, match="data_inspection_failed"):
        normalizer(provider).normalize(chat(), wire_response(dumps(body)))


def test_the_url_error_asks_the_sibling_path() -> None:
    """A model on the other native path is asked for there, once, with its messages in that path's form."""
    message = "url error, please check url！ For details, see the docs."
    body = dumps({"code": "InvalidParameter", "message": message, "request_id": REQUEST_ID})
    sent = builder("dashscope").build(
        chat(
            messages=[
                {"role": "user", "content": "hi"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [CALL],
                },
                {"role": "tool", "tool_call_id": "call_a", "content": "{}"},
            ]
        )
    )
    response = replace(wire_response(body, 400), request=sent)
    with pytest.raises(Resend) as caught:
        normalizer("dashscope").error(response)
    other = caught.value.request
    assert other.url.endswith("/multimodal-generation/generation")
    with pytest.raises(Resend) as back:
        normalizer("dashscope").error(replace(wire_response(body, 400), request=other))
    assert back.value.request.url == sent.url
    assert back.value.request.content == sent.content


def test_another_invalid_parameter_is_not_sent_again() -> None:
    """Only the url error is asked again."""
    body = dumps({"code": "InvalidParameter", "message": "Range of top_p should be (0.0, 1.0]"})
    assert isinstance(normalizer("dashscope").error(wire_response(body, 400)), BadRequestError)


def test_the_time_of_an_answer_is_the_servers_own() -> None:
    """The native wire has no time of its own: the `date` header stands in; without one it is None."""
    body = dumps(WIRES["dashscope"].answer())
    for headers, expected in (({"date": DATE}, CREATED), ({}, None), ({"date": "soon"}, None)):
        response = normalizer("dashscope").normalize(chat(), wire_response(body, headers=headers))
        assert response.created == expected


def test_raw_of_a_stream_is_its_events() -> None:
    """`raw` of a streamed answer is the list of its events, comments and end mark left out."""
    for provider, wire in WIRES.items():
        content = (b": hi\n\n", *wire.events())
        response = decode_stream(provider, content).response.replace(content=content)
        assert len(response.raw) == len([event for event in wire.events() if b"[DONE]" not in event])


@pytest.mark.parametrize(
    "change",
    [{"id": 7}, {"created": 1.5}, {"model": None}, {"usage": []}, {"usage": "none"}, {"request_id": 3}],
    ids=lambda change: next(iter(change)),
)
@pytest.mark.parametrize("provider", ["openai", "qwen"])
def test_small_print_of_another_type_costs_no_answer(provider: str, change: dict[str, Any]) -> None:
    """An id, a time or a usage of a wrong type is left out; what the model said is kept."""
    body = WIRES[provider].answer("hello") | change
    answer = normalizer(provider).normalize(chat(), wire_response(dumps(body)))
    assert (answer.text, answer.provider) == ("hello", provider)


@pytest.mark.parametrize("partial", [5, "yes", {}, None])
@pytest.mark.parametrize("provider", ["openai", "qwen"])
def test_an_answers_partial_is_no_answers(provider: str, partial: Any) -> None:
    """A stranger's field under the name of one of ours costs no answer."""
    content = dumps(WIRES[provider].answer("hello", partial=partial))
    answer = normalizer(provider).normalize(chat(), wire_response(content))
    assert (answer.text, answer.choices[0].message.partial) == ("hello", None)


@pytest.mark.parametrize("provider", ["openai", "qwen"])
def test_a_message_without_a_role_is_the_assistants(provider: str) -> None:
    """Some servers leave the role out of the answer."""
    body = WIRES[provider].answer("hello")
    del body["choices"][0]["message"]["role"]
    answer = normalizer(provider).normalize(chat(), wire_response(dumps(body)))
    assert (answer.choices[0].message.role, answer.text) == ("assistant", "hello")


@pytest.mark.parametrize("provider", ["qwen", "dashscope"])
def test_an_answer_that_the_server_cut_short_is_not_whole(provider: str) -> None:
    """A 200 with x-dashscope-partialresponse is incomplete, ends by length, and a warning says what to do."""
    headers = {**JSON_HEADERS, "x-dashscope-partialresponse": "true"}
    response = wire_response(dumps(WIRES[provider].answer("hel")), headers=headers)
    answer = normalizer(provider).normalize(chat(), response)
    assert (answer.text, answer.complete, answer.choices[0].finish_reason) == ("hel", False, "length")
    assert "Stream long answers" in answer.warnings[0]
