"""What the scripted model answers, and that both wires get the same."""

import json
from typing import Any

import httpx
import pytest

from qonduit_emulator import _tokens
from qonduit_emulator._json_schema import Hints, sample

CHAT = "/compatible-mode/v1/chat/completions"
TEXT = "/api/v1/services/aigc/text-generation/generation"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "description": "获取指定城市的天气",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["location", "unit"],
        },
    },
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_current_weather", "arguments": "{}"}}


def chat(http: httpx.Client, prompt: str | list[Any], model: str = "qwen-plus", **options: Any) -> dict[str, Any]:
    messages = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
    response = http.post(CHAT, json={"model": model, "messages": messages, **options})
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    return document


def text(document: dict[str, Any]) -> str:
    content: str = document["choices"][0]["message"]["content"]
    return content


SAME = [
    {},
    {"n": 2},
    {"seed": 3},
    {"max_tokens": 5},
    {"stop": ["模拟"]},
    {"enable_thinking": True, "thinking_budget": 7},
    {"tools": [WEATHER]},
    {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "get_current_weather"}}},
    {"response_format": {"type": "json_object"}},
]


@pytest.mark.parametrize("options", SAME, ids=[str(row) for row in SAME])
def test_both_wires_answer_alike(http: httpx.Client, options: dict[str, Any]) -> None:
    """Messages, finish reasons and token counts are equal on both wires."""
    messages = [{"role": "user", "content": "北京天气怎么样？用json回答"}]
    ours = chat(http, messages, **options)
    request = {
        "model": "qwen-plus",
        "input": {"messages": messages},
        "parameters": {"result_format": "message", **options},
    }
    theirs = http.post(TEXT, json=request).json()
    strip = ("message", "finish_reason", "index")
    assert [{key: c[key] for key in strip} for c in ours["choices"]] == [
        {key: c[key] for key in strip} for c in theirs["output"]["choices"]
    ]
    assert ours["usage"]["prompt_tokens"] == theirs["usage"]["input_tokens"]
    assert ours["usage"]["completion_tokens"] == theirs["usage"]["output_tokens"]
    assert ours["usage"].get("completion_tokens_details") == theirs["usage"].get("output_tokens_details")


def test_answers_in_the_prompts_language(http: httpx.Client) -> None:
    """A Chinese prompt is answered in Chinese, an English one in English, and both are repeated."""
    assert "“你好”。我是" in text(chat(http, "你好"))
    assert "You said: “good morning”." in text(chat(http, "good morning"))


def test_same_request_same_answer_and_seeds_vary(http: httpx.Client) -> None:
    """Answers are deterministic; a seed changes the opening."""
    assert text(chat(http, "hi")) == text(chat(http, "hi"))
    assert text(chat(http, "hi", seed=1)) != text(chat(http, "hi", seed=2))


def test_history_is_noticed(http: httpx.Client) -> None:
    """The answer says which turn it is."""
    turns = [("user", "one"), ("assistant", "…"), ("user", "two")]
    assert "turn 2" in text(chat(http, [{"role": role, "content": words} for role, words in turns]))


@pytest.mark.parametrize(
    ("prompt", "called"),
    [
        ("杭州现在的天气如何？", True),
        ("What is the weather in Hangzhou?", True),
        ("please call a tool", True),
        ("tell me a joke", False),
    ],
)
def test_tools_are_called_when_asked_for(http: httpx.Client, prompt: str, called: bool) -> None:
    """In auto mode a tool is called when the prompt mentions it, and not otherwise."""
    choice = chat(http, prompt, tools=[WEATHER])["choices"][0]
    assert (choice["finish_reason"] == "tool_calls") is called
    assert ("tool_calls" in choice["message"]) is called


def test_tool_choice_none_and_required(http: httpx.Client) -> None:
    """none calls nothing though asked; required calls though not asked."""
    assert "tool_calls" not in chat(http, "天气", tools=[WEATHER], tool_choice="none")["choices"][0]["message"]
    assert chat(http, "joke", tools=[WEATHER], tool_choice="required")["choices"][0]["message"]["tool_calls"]


def test_arguments_come_from_the_prompt(http: httpx.Client) -> None:
    """Names in the prompt become string arguments, and mentioned enum values are chosen."""
    message = chat(http, "Weather in New York in fahrenheit", tools=[WEATHER])["choices"][0]["message"]
    arguments = json.loads(message["tool_calls"][0]["function"]["arguments"])
    assert arguments == {"location": "New York", "unit": "fahrenheit"}


def test_tool_result_is_used(http: httpx.Client) -> None:
    """After a tool's result the answer is text that holds the result."""
    messages = [
        {"role": "user", "content": "杭州天气"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "晴，25度"},
    ]
    document = chat(http, messages, tools=[WEATHER])
    assert "晴，25度" in text(document)
    assert document["choices"][0]["finish_reason"] == "stop"


def test_json_object_mode(http: httpx.Client) -> None:
    """json_object gives one JSON object."""
    assert isinstance(json.loads(text(chat(http, "用 JSON 回答", response_format={"type": "json_object"}))), dict)


SCHEMAS: list[dict[str, Any]] = [
    {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "number"}},
        "required": ["a", "b"],
    },
    {"type": "object", "properties": {"on": {"type": "boolean"}, "none": {"type": "null"}}},
    {"type": "array", "items": {"type": "string"}, "minItems": 3},
    {"type": "object", "properties": {"x": {"type": ["null", "string"], "minLength": 60}}, "required": ["x"]},
    {"type": "string", "maxLength": 3},
    {"type": "integer", "minimum": 10, "maximum": 12},
    {"type": "integer", "exclusiveMinimum": 7, "multipleOf": 5},
    {"type": "number", "exclusiveMaximum": 0},
    {"enum": [3, "x"]},
    {"const": {"k": 1}},
    {"anyOf": [{"type": "null"}, {"type": "string"}]},
    {"allOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]}, {"required": ["b"]}]},
    {
        "$ref": "#/$defs/p",
        "$defs": {"p": {"type": "object", "required": ["q"], "properties": {"q": {"type": "array"}}}},
    },
    {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}, "child": {"$ref": "#"}},
    },
    {"type": "object", "properties": {"when": {"type": "string", "format": "date"}}, "required": ["when"]},
    {"prefixItems": [{"type": "string"}, {"type": "integer"}], "minItems": 2},
    {},
]


TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def satisfies(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """A small validator: what the schemas above use, written apart from the sampler."""
    if "$ref" in schema:
        return satisfies(value, root["$defs"]["p"] if schema["$ref"] != "#" else root, root)
    kinds = schema.get("type", list(TYPES))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    rules = [
        any(isinstance(value, TYPES[kind]) for kind in kinds),
        value in schema.get("enum", [value]),
        value == schema.get("const", value),
        all(satisfies(value, part, root) for part in schema.get("allOf", [])),
        "anyOf" not in schema or any(satisfies(value, part, root) for part in schema["anyOf"]),
    ]
    if isinstance(value, dict):
        rules.append(set(schema.get("required", [])) <= set(value))
        known = schema.get("properties", {})
        rules += [satisfies(item, known[name], root) for name, item in value.items() if name in known]
    if isinstance(value, list):
        rules.append(len(value) >= schema.get("minItems", 0))
        rules += [satisfies(item, schema.get("items", {}), root) for item in value]
        pairs = zip(value, schema.get("prefixItems", []), strict=False)
        rules += [satisfies(item, part, root) for item, part in pairs]
    if isinstance(value, str):
        rules.append(schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10_000))
    if isinstance(value, int | float):
        rules.append(schema.get("minimum", value) <= value <= schema.get("maximum", value))
        rules.append(value > schema.get("exclusiveMinimum", value - 1))
        rules.append(value < schema.get("exclusiveMaximum", value + 1))
        rules.append(value % schema.get("multipleOf", 1e-9 if isinstance(value, float) else 1) < 1e-6)
    return all(rules)


@pytest.mark.parametrize("schema", SCHEMAS, ids=[json.dumps(schema)[:50] for schema in SCHEMAS])
def test_samples_satisfy_their_schema(http: httpx.Client, schema: dict[str, Any]) -> None:
    """A sampled value satisfies its schema, and so does the answer in json_schema mode."""
    assert satisfies(sample(schema, Hints("sum 3 and 4.5 for Alice")), schema, schema)
    answer_format = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    assert satisfies(json.loads(text(chat(http, "go", response_format=answer_format))), schema, schema)


def test_endless_schema_ends() -> None:
    """A schema that requires itself comes to an end."""
    schema = {"type": "object", "required": ["child"], "properties": {"child": {"$ref": "#"}}}
    assert "child" in sample(schema, Hints("x"))


def test_branching_schema_is_bounded() -> None:
    """A schema that would need millions of values gets nulls instead of hours."""
    branch = {"$ref": "#"}
    schema = {"type": "object", "required": ["a", "b"], "properties": {"a": branch, "b": branch}}
    assert len(json.dumps(sample(schema, Hints("x")))) < 50_000


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": "x"},
        {"properties": [1]},
        {"type": "integer", "minimum": []},
        {"type": "integer", "multipleOf": "x"},
        {"enum": 5},
        {"type": "string", "maxLength": {}},
    ],
)
def test_broken_schema_is_refused(http: httpx.Client, schema: dict[str, Any]) -> None:
    """A schema that is none is a 400, not a failure of the server."""
    answer_format = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    body = {
        "model": "qwen-plus",
        "messages": [{"role": "user", "content": "x"}],
        "response_format": answer_format,
    }
    response = http.post(CHAT, json=body)
    assert response.status_code == 400
    assert "JSON schema" in response.json()["error"]["message"]


def test_max_tokens_cuts_the_answer(http: httpx.Client) -> None:
    """max_tokens gives exactly so many tokens and the finish reason length; reasoning does not count."""
    document = chat(http, "hello", max_tokens=5, enable_thinking=True, thinking_budget=4)
    assert document["choices"][0]["finish_reason"] == "length"
    assert document["usage"]["completion_tokens"] == 9
    assert _tokens.count(text(document)) == 5


def test_max_completion_tokens_counts_reasoning(http: httpx.Client) -> None:
    """A small max_completion_tokens can be spent on reasoning alone, leaving content empty."""
    document = chat(http, "hello", max_completion_tokens=6, enable_thinking=True)
    assert (document["choices"][0]["finish_reason"], text(document)) == ("length", "")
    assert document["usage"]["completion_tokens"] == 6


def test_stop_cuts_before_the_string(http: httpx.Client) -> None:
    """The answer ends before the first stop string, with the finish reason stop."""
    document = chat(http, "hello", stop=["simulated", "said"])
    assert text(document) == "Hello! You "
    assert document["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("words", "tokens"),
    [
        ("", 0),
        ("你好", 2),
        ("hello", 2),
        ("the cat", 2),
        ("12345", 2),
        ("a, b", 3),
        ("\n\n", 1),
        ("👍", 1),
    ],
)
def test_token_rule(words: str, tokens: int) -> None:
    """Tokens are counted by the documented rule."""
    assert _tokens.count(words) == tokens


@pytest.mark.parametrize("words", ["x  y\n z", "naïve 你好, world_1 — 3.14!", "한국어 カナ 🙂\x00\ud83d"])
def test_tokens_join_to_the_text(words: str) -> None:
    """Splitting loses nothing."""
    assert "".join(_tokens.split(words)) == words
