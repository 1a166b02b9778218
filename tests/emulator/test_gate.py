"""Refusals, on both wires, and the chain that makes them."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from qonduit_emulator._account_checks import KeyCheck
from qonduit_emulator._books import Books, with_key
from qonduit_emulator._configuration import Configuration
from qonduit_emulator._exchange import Usage
from qonduit_emulator._gate import Call, Gate, Settle, Stage
from qonduit_emulator._refusal import Refusal

CHAT = "/compatible-mode/v1/chat/completions"
TEXT = "/api/v1/services/aigc/text-generation/generation"
SSE = {"X-DashScope-SSE": "enable"}
TOOL = {"type": "function", "function": {"name": "f"}}
USER = [{"role": "user", "content": "hi"}]
PREFIX = "<400> InternalError.Algo.InvalidParameter: "


def native(options: dict[str, Any], model: str = "qwen-plus") -> dict[str, Any]:
    messages = options.pop("messages", USER)
    return {
        "model": model,
        "input": {"messages": messages},
        "parameters": {"result_format": "message", **options},
    }


def compatible(options: dict[str, Any], model: str = "qwen-plus") -> dict[str, Any]:
    return {"model": model, "messages": USER, **options}


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("qwen-plus", {"temperature": 2}, "Temperature should be in [0.0, 2.0)"),
    ("qwen-plus", {"temperature": "hot"}, "'temperature' must be Float"),
    ("qwen-plus", {"temperature": True}, "'temperature' must be Float"),
    ("qwen-plus", {"top_p": 0}, "Range of top_p should be (0.0, 1.0]"),
    ("qwen-plus", {"top_p": 1.1}, "Range of top_p should be (0.0, 1.0]"),
    ("qwen-plus", {"top_k": -1}, "Parameter top_k be greater than or equal to 0"),
    ("qwen-plus", {"repetition_penalty": 0}, "Repetition_penalty should be greater than 0.0"),
    ("qwen-plus", {"presence_penalty": 3}, "Presence_penalty should be in [-2.0, 2.0]"),
    ("qwen-plus", {"max_tokens": 0}, "Range of max_tokens should be [1, 32768]"),
    ("qwen-plus", {"max_tokens": 40000}, "Range of max_tokens should be [1, 32768]"),
    ("qwen-plus", {"max_tokens": 1.5}, "'max_tokens' must be Integer"),
    ("qwen-plus", {"n": 5}, "Range of n should be [1, 4]"),
    ("qwen-plus", {"n": 2, "tools": [TOOL]}, "Range of n should be [1, 1]"),
    ("qwen-plus", {"thinking_budget": 0}, "The thinking_budget parameter must be a positive integer"),
    ("qwen-plus", {"stop": [1, "a"]}, 'The "stop" parameter must be of type "str"'),
    ("qwen-plus", {"tools": []}, "[] is too short"),
    ("qwen-plus", {"tools": [{"type": "function"}]}, "'name' is a required property"),
    (
        "qwen-plus",
        {"tools": [{"type": "function", "function": {"name": "search"}}]},
        "Tool names are not allowed to be [search]",
    ),
    ("qwen-plus", {"tool_choice": "always"}, "tool_choice is one of the strings"),
    ("qwen-plus", {"response_format": {"type": "xml"}}, "Unknown format of response_format"),
    ("qwen-plus", {"response_format": {"type": "json_object"}}, "'messages' must contain the word 'json'"),
    ("qwen-plus", {"messages": []}, "[] is too short"),
    ("qwen-plus", {"messages": [{"role": "user"}]}, "The content field is a required field."),
    ("qwen-plus", {"messages": ["hi"]}, "Input should be a valid dictionary"),
    (
        "qwen-plus",
        {"messages": [{"role": "system", "content": "x"}]},
        "do not contain elements with the role of user",
    ),
    (
        "qwen-plus",
        {"messages": [*USER, {"role": "tool", "content": "1", "tool_call_id": "a"}]},
        'messages with role "tool" must be a response to a preceeding message with "tool_calls"',
    ),
    (
        "qwen-plus",
        {"messages": [*USER, {"role": "assistant", "content": "", "tool_calls": []}]},
        "Empty tool_calls is not supported in message",
    ),
    ("qwen-max", {"enable_thinking": True}, "The model qwen-max does not support enable_thinking."),
    ("qwen3-32b", {}, "parameter.enable_thinking must be set to false for non-streaming calls"),
    ("qwen-long", {"tools": [TOOL]}, "The tool call is not supported."),
    (
        "qwen-max",
        {"messages": [{"role": "user", "content": "x" * 200_000}]},
        "Range of input length should be [1, 30720]",
    ),
    (
        "qwen3-max",
        {
            "enable_thinking": True,
            "response_format": {"type": "json_object"},
            "messages": [{"role": "user", "content": "json"}],
        },
        "Json mode response is not supported when enable_thinking is true",
    ),
]


@pytest.mark.parametrize(("model", "options", "message"), REFUSALS, ids=[row[2][:40] for row in REFUSALS])
def test_refusals_have_each_wires_own_shape(
    http: httpx.Client, model: str, options: dict[str, Any], message: str
) -> None:
    """The same fault is a flat body on one wire, an error object on the other, and 400 on both."""
    flat = http.post(TEXT, json=native(dict(options), model))
    assert flat.status_code == 400
    assert set(flat.json()) == {"code", "message", "request_id"}
    assert flat.json()["code"].startswith("InvalidParameter")
    assert message in flat.json()["message"]
    wrapped = http.post(CHAT, json=compatible(options, model))
    assert wrapped.status_code == 400
    document = wrapped.json()
    assert set(document) == {"error", "id", "request_id"}
    assert document["id"] == "chatcmpl-" + document["request_id"]
    assert document["request_id"] == wrapped.headers["x-request-id"]
    error = document["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert message in error["message"]
    assert error["message"].startswith(PREFIX) == (error["type"] == "invalid_parameter_error")


@pytest.mark.parametrize(
    ("headers", "native_message", "compatible_message"),
    [
        ({"Authorization": ""}, "No API-key provided.", "No API-key provided."),
        ({"Authorization": "Basic abc"}, "No API-key provided.", "No API-key provided."),
        ({"Authorization": "Bearer"}, "No API-key provided.", "No API-key provided."),
        ({"Authorization": "Bearer sk-wrong"}, "Invalid API-key provided.", "Incorrect API key provided. "),
    ],
)
def test_keys_are_checked(
    http: httpx.Client, headers: dict[str, str], native_message: str, compatible_message: str
) -> None:
    """A missing or wrong key is a plain 401 on each wire, also when a native stream was asked for."""
    for asked in (headers, {**headers, **SSE}):
        flat = http.post(TEXT, json=native({}), headers=asked)
        assert flat.status_code == 401
        assert flat.headers["content-type"] == "application/json"
        assert (flat.json()["code"], flat.json()["message"]) == ("InvalidApiKey", native_message)
    wrapped = http.post(CHAT, json=compatible({"stream": True}), headers=headers)
    assert wrapped.status_code == 401
    error = wrapped.json()["error"]
    assert (error["code"], error["message"]) == ("invalid_api_key", compatible_message)


def test_unknown_model(http: httpx.Client) -> None:
    """An unknown model is 400 "Model not exist." on the native wire and 404 model_not_found on the other."""
    flat = http.post(TEXT, json=native({}, "qwen-nope"))
    assert (flat.status_code, flat.json()["message"]) == (400, "Model not exist.")
    wrapped = http.post(CHAT, json=compatible({"stream": True}, "qwen-nope"))
    assert (wrapped.status_code, wrapped.json()["error"]["code"]) == (404, "model_not_found")
    assert "`qwen-nope`" in wrapped.json()["error"]["message"]


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b"[" * 100_000, b'{"model":' + b"9" * 5000 + b"}"]
)
def test_body_that_is_no_json_object(http: httpx.Client, raw: bytes) -> None:
    """Anything but a JSON object is refused with 400 in the wire's shape, however deep it nests."""
    for path in (TEXT, CHAT):
        response = http.post(path, content=raw)
        assert response.status_code == 400
        document = response.json()
        assert "Required body invalid" in document.get("message", document.get("error", {}).get("message"))


def test_missing_parts_of_the_body(http: httpx.Client) -> None:
    """A missing model, input or conversation is named."""
    assert http.post(TEXT, json={"input": {"prompt": "x"}}).json()["code"] == "BadRequest.EmptyModel"
    assert http.post(CHAT, json={"messages": USER}).json()["error"]["message"].startswith("you must provide a model")
    assert http.post(TEXT, json={"model": "qwen-plus"}).json()["code"] == "BadRequest.EmptyInput"
    neither = 'Either "prompt" or "messages" must exist and cannot both be none'
    assert http.post(TEXT, json={"model": "qwen-plus", "input": {}}).json()["message"] == neither
    assert http.post(CHAT, json={"model": "qwen-plus"}).json()["error"]["message"] == neither
    both = {"model": "qwen-plus", "input": {"prompt": "x", "messages": USER}}
    assert 'Only one of the parameters "prompt"' in http.post(TEXT, json=both).json()["message"]


def test_unknown_role(http: httpx.Client) -> None:
    """A role that does not exist is refused in each wire's words."""
    messages = [{"role": "wizard", "content": "hi"}]
    flat = http.post(TEXT, json=native({"messages": messages}))
    assert flat.json()["message"] == "Role must be user or assistant and Content length must be greater than 0"
    wrapped = http.post(CHAT, json=compatible({"messages": messages}))
    assert wrapped.json()["error"]["message"].startswith("'wizard' is not one of ['system'")


def test_seed_has_its_own_range_on_each_wire(http: httpx.Client) -> None:
    """Seeds are 63 bits on the native wire and 31 on the compatible one."""
    assert http.post(TEXT, json=native({"seed": 2**31})).status_code == 200
    assert http.post(TEXT, json=native({"seed": 2**63})).json()["message"].startswith("Range of seed")
    refused = http.post(CHAT, json=compatible({"seed": 2**31})).json()["error"]["message"]
    assert refused.endswith("is greater than the maximum of 2147483647 - 'seed'")
    refused = http.post(CHAT, json=compatible({"seed": -1})).json()["error"]["message"]
    assert refused == "-1 is lesser than the minimum of 0 - 'seed'"


def test_stream_only_models(http: httpx.Client) -> None:
    """qwq-plus refuses a plain call in each wire's words, and thinks when streamed."""
    flat = http.post(TEXT, json=native({}, "qwq-plus"))
    assert flat.json()["message"] == "current user api does not support http call."
    wrapped = http.post(CHAT, json=compatible({}, "qwq-plus"))
    assert wrapped.json()["error"]["message"].startswith("This model only support stream mode")
    assert "reasoning_content" in http.post(CHAT, json=compatible({"stream": True}, "qwq-plus")).text


def test_native_thinking_wants_incremental_messages(http: httpx.Client) -> None:
    """Thinking is refused with cumulative streams and with the text format."""
    request = native({"enable_thinking": True})
    assert "incremental_output parameter must be" in http.post(TEXT, json=request, headers=SSE).text
    request = native({"enable_thinking": True, "result_format": "text"})
    assert "result_format parameter must be" in http.post(TEXT, json=request).json()["message"]


def test_text_models_take_text_only(http: httpx.Client) -> None:
    """Parts on the text path, and pictures for a model without eyes, are refused."""
    parts = [{"role": "user", "content": [{"text": "hi"}]}]
    assert http.post(TEXT, json=native({"messages": parts})).json()["message"] == "input content must be a string."
    picture = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    messages = [{"role": "user", "content": picture}]
    refused = http.post(CHAT, json=compatible({"messages": messages})).json()["error"]["message"]
    assert refused.endswith("input content must be a string.")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "cat.png", "data:image/png;base64,???"])
def test_media_urls_are_checked(http: httpx.Client, url: str) -> None:
    """A media URL that is neither http(s), oss nor base64 data is refused."""
    messages = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    refused = http.post(CHAT, json=compatible({"messages": messages}, "qwen3-vl-plus"))
    assert "URL does not appear to be valid" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("data", "heard"),
    [
        ("data:;base64,UklGRg==", "audio audio/wav, 4 bytes"),
        ("data:audio/x-wav;base64,UklGRg==", "audio audio/x-wav, 4 bytes"),
        ("UklGRg==", "audio audio/wav, 4 bytes"),
        ("oss://bucket/key.wav", "audio oss://bucket/key.wav"),
        ("https://example.com/a.wav", "audio https://example.com/a.wav"),
    ],
)
def test_a_sound_is_a_url_or_data(http: httpx.Client, data: str, heard: str) -> None:
    """Data without a media type is of the type that `format` says; an upload's URL is one like another."""
    sound = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    messages = [{"role": "user", "content": [sound]}]
    answered = http.post(CHAT, json=compatible({"messages": messages}, "qwen3-vl-plus")).json()
    assert answered["choices"][0]["message"]["content"].endswith(f": {heard}.")


def test_a_film_may_be_data_without_a_type(http: httpx.Client) -> None:
    """As it is sent to an omni model."""
    film = {"type": "video_url", "video_url": {"url": "data:;base64,AAAA"}}
    messages = [{"role": "user", "content": [film]}]
    answered = http.post(CHAT, json=compatible({"messages": messages}, "qwen3-vl-plus")).json()
    assert answered["choices"][0]["message"]["content"].endswith(": video, 3 bytes.")


def test_unknown_routes_and_methods(http: httpx.Client) -> None:
    """A wrong path or method gets an error in the shape of the wire its path belongs to."""
    flat = http.post("/api/v1/services/nope", json={})
    assert (flat.status_code, flat.json()["code"]) == (404, "NotFound")
    wrapped = http.post("/compatible-mode/v1/nope", json={})
    assert (wrapped.status_code, wrapped.json()["error"]["code"]) == (404, "not_found")
    flat = http.get(TEXT)
    assert (flat.status_code, flat.json()["message"]) == (400, "Request method 'GET' is not supported.")
    wrapped = http.get(CHAT)
    assert (wrapped.status_code, wrapped.json()["error"]["code"]) == (405, "method_not_allowed")
    for response in (flat, wrapped):
        assert response.json()["request_id"] == response.headers["x-request-id"]


def test_body_over_the_limit(http: httpx.Client) -> None:
    """A body over 10 MiB is refused in the wire's shape with the limit stated, and the next call works."""
    huge = {"role": "user", "content": "x" * (10 * 1024 * 1024)}
    flat = http.post(TEXT, json=native({"messages": [huge]}))
    assert (flat.status_code, flat.json()["code"]) == (400, "BadRequest.TooLarge")
    assert "10485760 bytes" in flat.json()["message"]
    wrapped = http.post(CHAT, json=compatible({"messages": [huge]}))
    assert (wrapped.status_code, wrapped.json()["error"]["code"]) == (413, "request_too_large")
    assert http.post(CHAT, json=compatible({})).status_code == 200


class _Slot:
    """A check that takes something and counts how often it gets it back."""

    def __init__(self, stage: Stage, log: list[str]) -> None:
        self.stage = stage
        self.log = log

    def check(self, call: Call) -> Settle:
        self.log.append(f"take {self.stage.name}")
        return lambda usage: self.log.append(f"give {self.stage.name} {usage.total_tokens if usage else None}")


def key_check(key: str) -> KeyCheck:
    return KeyCheck(Books(with_key(Configuration(), key, "")))


@pytest.fixture
def call() -> Callable[[str], Call]:
    return lambda key: Call(wire="native", headers={"authorization": f"Bearer {key}"})


def test_stages_run_in_their_order(call: Callable[[str], Call]) -> None:
    """Checks run by stage, whatever their order in the list; settling goes backwards and happens once."""
    log: list[str] = []
    gate = Gate([_Slot(Stage.RATE, log), key_check("k"), _Slot(Stage.ACCOUNT, log)])
    permit = gate.admit(call("k"))
    permit.settle(Usage(3, 4))
    permit.settle(Usage(3, 4))
    assert log == ["take ACCOUNT", "take RATE", "give RATE 7", "give ACCOUNT 7"]


def test_a_refusal_gives_back_what_was_taken(call: Callable[[str], Call]) -> None:
    """When a later check refuses, what earlier ones took is given back without usage."""
    log: list[str] = []
    gate = Gate([key_check("k"), _Slot(Stage.FORMAT, log), _Slot(Stage.RATE, log)])
    with pytest.raises(Refusal, match="Invalid API-key"):
        gate.admit(call("other"))
    assert log == ["take FORMAT", "give FORMAT None"]
