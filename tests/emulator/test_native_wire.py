"""The native wire, byte by byte."""

import json
import re
from typing import Any

import httpx
import pytest

TEXT = "/api/v1/services/aigc/text-generation/generation"
MULTIMODAL = "/api/v1/services/aigc/multimodal-generation/generation"
SSE = {"X-DashScope-SSE": "enable"}
EVENT = re.compile(r"id:(\d+)\nevent:(\w+)\n:HTTP_STATUS/(\d+)\ndata:(\{.*\})\n\n")
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time"}}


def body(prompt: str = "hello", model: str = "qwen-plus", **parameters: Any) -> dict[str, Any]:
    return {
        "model": model,
        "input": {"messages": [{"role": "user", "content": prompt}]},
        "parameters": {"result_format": "message", **parameters},
    }


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """The data of all events, after checking that the body is events and nothing else."""
    found = EVENT.findall(response.text)
    framed = "".join(f"id:{n}\nevent:{e}\n:HTTP_STATUS/{s}\ndata:{d}\n\n" for n, e, s, d in found)
    assert framed == response.text
    assert [int(number) for number, *_ in found] == list(range(1, len(found) + 1))
    return [json.loads(data) for *_, data in found]


def test_plain_answer_has_output_usage_and_request_id_only(http: httpx.Client) -> None:
    """A plain answer has output, usage and request id, and the id is the header's too."""
    response = http.post(TEXT, json=body("你好"))
    document = response.json()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert set(document) == {"output", "usage", "request_id"}
    assert document["request_id"] == response.headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", document["request_id"])
    choice = document["output"]["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert "你好" in choice["message"]["content"]
    usage = document["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_text_format_is_the_default_of_older_models(http: httpx.Client) -> None:
    """Without result_format qwen-plus answers with output.text, qwen3-max with choices."""
    request = body()
    del request["parameters"]["result_format"]
    output = http.post(TEXT, json=request).json()["output"]
    assert set(output) == {"finish_reason", "text"}
    assert "choices" in http.post(TEXT, json={**request, "model": "qwen3-max"}).json()["output"]


def test_prompt_and_history_are_read(http: httpx.Client) -> None:
    """The legacy prompt and history make a conversation."""
    conversation = {"prompt": "and now?", "history": [{"user": "hi", "bot": "hello"}]}
    output = http.post(TEXT, json={"model": "qwen-max", "input": conversation}).json()["output"]
    assert "“and now?”" in output["text"]
    assert "turn 2" in output["text"]


@pytest.mark.parametrize("headers", [SSE, {"Accept": "text/event-stream"}])
def test_either_header_asks_for_a_stream(http: httpx.Client, headers: dict[str, str]) -> None:
    """A stream is asked for by X-DashScope-SSE or by Accept, and has the vendor's framing."""
    response = http.post(TEXT, json=body(incremental_output=True), headers=headers)
    chunks = events(response)
    assert response.headers["content-type"] == "text/event-stream;charset=UTF-8"
    assert {chunk["request_id"] for chunk in chunks} == {response.headers["x-request-id"]}
    reasons = [chunk["output"]["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons == ["null"] * (len(chunks) - 1) + ["stop"]
    assert chunks[-1]["output"]["choices"][0]["message"] == {"role": "assistant", "content": ""}
    assert "[DONE]" not in response.text


def test_incremental_and_cumulative_streams_say_the_same(http: httpx.Client) -> None:
    """Incremental pieces joined are the last cumulative text, the plain answer; usage grows to it."""
    plain = http.post(TEXT, json=body()).json()
    streams = {kind: events(http.post(TEXT, json=body(incremental_output=kind), headers=SSE)) for kind in (True, False)}
    texts = {
        kind: [c["output"]["choices"][0]["message"]["content"] for c in chunks] for kind, chunks in streams.items()
    }
    expected = plain["output"]["choices"][0]["message"]["content"]
    assert "".join(texts[True]) == expected
    assert texts[False][-1] == expected
    assert all(later.startswith(text) for text, later in zip(texts[False], texts[False][1:], strict=False))
    for chunks in streams.values():
        counts = [chunk["usage"]["output_tokens"] for chunk in chunks]
        assert counts == sorted(counts)
        assert chunks[-1]["usage"] == plain["usage"]


def test_cumulative_is_the_default_of_qwen_plus_only(http: httpx.Client) -> None:
    """incremental_output is false by default for qwen-plus and true for qwen3-max."""
    older, newer = (
        events(http.post(TEXT, json=body(model=model), headers=SSE)) for model in ("qwen-plus", "qwen3-max")
    )
    assert older[-1]["output"]["choices"][0]["message"]["content"] != ""
    assert newer[-1]["output"]["choices"][0]["message"]["content"] == ""


def test_thinking_streams_reasoning_then_text(http: httpx.Client) -> None:
    """While thinking content is empty, afterwards reasoning is; the budget is kept to the token."""
    request = body("你好", incremental_output=True, enable_thinking=True, thinking_budget=10)
    chunks = events(http.post(TEXT, json=request, headers=SSE))
    messages = [chunk["output"]["choices"][0]["message"] for chunk in chunks]
    kinds = ["reasoning" if m["reasoning_content"] else "text" for m in messages]
    assert kinds == sorted(kinds)
    assert all(m["content"] == "" for m in messages if m["reasoning_content"])
    assert chunks[-1]["usage"]["output_tokens_details"] == {"reasoning_tokens": 10}
    assert chunks[-1]["output"]["choices"][0]["finish_reason"] == "stop"


def test_forced_tool_call_ends_with_stop(http: httpx.Client) -> None:
    """A forced call has empty content, tool calls with JSON arguments, and the finish reason stop."""
    choice = {"type": "function", "function": {"name": "get_weather"}}
    request = body("what about Hangzhou", tools=[WEATHER], tool_choice=choice)
    answer = http.post(TEXT, json=request).json()["output"]["choices"][0]
    assert answer["finish_reason"] == "stop"
    assert answer["message"]["content"] == ""
    call = answer["message"]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {"city": "Hangzhou"}
    assert (call["index"], call["type"], call["function"]["name"]) == (0, "function", "get_weather")


def test_tool_fragments_have_empty_ids_and_end_in_the_last_event(http: httpx.Client) -> None:
    """Continuations have id "" and no name; one event closes call 0 and opens 1; the last has arguments."""
    request = body("杭州天气", tools=[WEATHER, CLOCK], parallel_tool_calls=True, incremental_output=True)
    chunks = events(http.post(TEXT, json=request, headers=SSE))
    fragments = [chunk["output"]["choices"][0]["message"]["tool_calls"] for chunk in chunks]
    turn = next(pair for pair in fragments if len(pair) == 2)
    assert turn[0] == {"index": 0, "id": "", "type": "function", "function": {"arguments": ""}}
    assert turn[1]["id"].startswith("call_")
    assert turn[1]["function"]["name"] == "get_time"
    later = [call for calls in fragments for call in calls if not call["id"]]
    assert all("name" not in call["function"] for call in later)
    assert fragments[-1][0]["function"]["arguments"] != ""
    assert chunks[-1]["output"]["choices"][0]["finish_reason"] == "tool_calls"
    whole = {0: "", 1: ""}
    for calls in fragments:
        for call in calls:
            whole[call["index"]] += call["function"]["arguments"]
    assert {index: json.loads(text) for index, text in whole.items()} == {0: {"city": "杭州"}, 1: {}}


def test_cumulative_tool_stream_repeats_the_arguments(http: httpx.Client) -> None:
    """With incremental_output false each event holds all arguments so far, with id and name."""
    request = body("Hangzhou weather", tools=[WEATHER])
    plain = http.post(TEXT, json=request).json()["output"]["choices"][0]["message"]["tool_calls"]
    chunks = events(http.post(TEXT, json=request, headers=SSE))
    assert chunks[-1]["output"]["choices"][0]["message"]["tool_calls"] == plain
    ids = {c["output"]["choices"][0]["message"]["tool_calls"][0]["id"] for c in chunks}
    assert ids == {plain[0]["id"]}


def test_multimodal_content_is_an_array(http: httpx.Client) -> None:
    """On the multimodal path content is parts, media count as tokens, and old models give no total."""
    content = [{"image": "data:image/png;base64,iVBORw0KGgo="}, {"text": "what is this?"}]
    request = {"model": "qwen-vl-plus", "input": {"messages": [{"role": "user", "content": content}]}}
    document = http.post(MULTIMODAL, json=request).json()
    (part,) = document["output"]["choices"][0]["message"]["content"]
    assert "image/png, 8 bytes" in part["text"]
    usage = document["usage"]
    assert "total_tokens" not in usage
    details = usage["input_tokens_details"]
    assert details["image_tokens"] == usage["image_tokens"] > 0
    assert usage["input_tokens"] == details["image_tokens"] + details["text_tokens"]


def test_multimodal_content_is_empty_while_thinking(http: httpx.Client) -> None:
    """On the multimodal path content is [] while only reasoning arrives."""
    response = http.post(MULTIMODAL, json=body(model="qwen3.6-plus"), headers=SSE)
    messages = [chunk["output"]["choices"][0]["message"] for chunk in events(response)]
    assert all(m["content"] == [] for m in messages if m["reasoning_content"])
    assert any(m["content"] for m in messages)


def test_refused_stream_is_an_event_inside_200(http: httpx.Client) -> None:
    """A format error of a stream is HTTP 200 with one error event that states the status."""
    response = http.post(TEXT, json=body(top_p=0), headers=SSE)
    assert response.status_code == 200
    assert response.text.startswith("id:1\nevent:error\n:HTTP_STATUS/400\ndata:{")
    (error,) = events(response)
    assert error == {
        "code": "InvalidParameter",
        "message": "Range of top_p should be (0.0, 1.0]",
        "request_id": response.headers["x-request-id"],
    }


@pytest.mark.parametrize(("path", "model"), [(TEXT, "qwen-vl-plus"), (TEXT, "qwen3.6-plus"), (MULTIMODAL, "qwen-plus")])
def test_wrong_generation_path_is_a_url_error(http: httpx.Client, path: str, model: str) -> None:
    """A model called on the other path gets the url error, plain and in a stream."""
    plain = http.post(path, json=body(model=model))
    assert plain.status_code == 400
    assert plain.json()["message"] == "url error, please check url！"
    streamed = http.post(path, json=body(model=model), headers=SSE)
    assert streamed.status_code == 200
    assert events(streamed)[0]["message"] == "url error, please check url！"


def test_several_choices_stream_side_by_side(http: httpx.Client) -> None:
    """n choices differ, each ends once, and the stream equals the plain answer."""
    plain = http.post(TEXT, json=body(n=3)).json()["output"]["choices"]
    assert len({choice["message"]["content"] for choice in plain}) == 3
    texts = {0: "", 1: "", 2: ""}
    ends = []
    for chunk in events(http.post(TEXT, json=body(n=3, incremental_output=True), headers=SSE)):
        (choice,) = chunk["output"]["choices"]
        texts[choice["index"]] += choice["message"]["content"]
        if choice["finish_reason"] != "null":
            ends.append(choice["index"])
    assert texts == {choice["index"]: choice["message"]["content"] for choice in plain}
    assert sorted(ends) == [0, 1, 2]


def test_log_probabilities_cover_the_text(http: httpx.Client) -> None:
    """logprobs give each token with its bytes, in the choice."""
    choice = http.post(TEXT, json=body(logprobs=True, top_logprobs=2)).json()["output"]["choices"][0]
    tokens = choice["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == choice["message"]["content"]
    assert bytes(tokens[0]["bytes"]).decode() == tokens[0]["token"]
    assert tokens[0]["top_logprobs"][0]["token"] == tokens[0]["token"]
