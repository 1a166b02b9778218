"""Cases of tools and of structured output."""

from __future__ import annotations

from pydantic import BaseModel
from tests.equivalence.case import (
    ASKED,
    FORCED,
    LONG,
    PNG,
    SCHEMA,
    TOOLS,
    TWO_CALLS,
    WEATHER,
    asking,
    assistant,
    failing,
    function,
    image,
    system,
    talking,
    text,
    tool_result,
    unsent,
    user,
)

from qonduit import run_tools, tool


class City(BaseModel):
    """What is asked for."""

    name: str
    people: int


class Country(BaseModel):
    """The same within something larger."""

    capital: City
    cities: list[City]
    motto: str | None = None


@tool
def get_weather(city: str) -> dict[str, str]:
    """The weather of a city."""
    return {"city": city, "sky": "晴"}


@tool
def get_time(zone: str = "UTC") -> str:
    """The time of a zone."""
    return "12:00"


CALLING = (
    asking(
        "tool-call",
        "What is the weather?",
        tools=TOOLS,
        expect={"choices[0].finish_reason": "tool_calls", "choices[0].content": None, "stream.empty ids": 0},
    ),
    asking("tool-not-called", "Hello", tools=TOOLS, expect={"choices[0].finish_reason": "stop"}),
    asking("tools-parallel", "weather and time", tools=TOOLS, parallel_tool_calls=True, expect={"tool_calls": 2}),
    asking("tools-not-parallel", "weather and time", tools=TOOLS, parallel_tool_calls=False, expect={"tool_calls": 1}),
    asking(
        "tool-forced",
        tools=TOOLS,
        tool_choice=FORCED,
        expect={"choices[0].finish_reason": "tool_calls", "tool_calls": 1},
    ),
    asking("tool-required", tools=TOOLS, tool_choice="required", expect={"tool_calls": 1}),
    asking("tool-none", "weather?", tools=TOOLS, tool_choice="none", expect={"tool_calls": 0}),
    asking("tool-auto", "weather?", tools=TOOLS, tool_choice="auto", expect={"tool_calls": 1}),
    asking("tool-chinese", "北京的天气怎么样？", tools=TOOLS, expect={"tool_calls": 1}),
    asking("tool-bare", "use a tool", tools=[{"type": "function", "function": {"name": "ping"}}]),
    asking("tool-cut", "weather?", tools=TOOLS, max_tokens=4, expect={"choices[0].finish_reason": "length"}),
    asking("tools-empty", tools=[], expect={"kind": "answer", "sent.tools": "—"}),
    talking("tool-result", *ASKED, tool_result("call_1", "晴, 20°"), tools=TOOLS, expect={"kind": "answer"}),
    talking("tool-results", *TWO_CALLS, tool_result("call_1", "sunny"), tool_result("call_2", "noon"), tools=TOOLS),
    talking("tool-result-empty", *ASKED, tool_result("call_1", ""), tools=TOOLS),
    talking("tool-result-without-tools", *ASKED, tool_result("call_1", "sunny")),
    talking(
        "tool-history-and-on",
        *ASKED,
        tool_result("call_1", "sunny"),
        assistant("Sunny."),
        user("And time?"),
        tools=TOOLS,
    ),
    asking("tool-loop", "weather?", tools=TOOLS, tool_choice="auto", then=[tool_result("*", "sunny")]),
    asking("tool-loop-forced", tools=TOOLS, tool_choice=FORCED, then=[tool_result("*", "noon")]),
    asking("tool-thinking", "weather?", tools=TOOLS, reasoning=True, model="qwen-plus"),
    asking("tool-and-text", tools=TOOLS, rules=[{"answer": "Let me see.", "tool": {"name": "get_time"}}]),
    asking("tool-no-arguments", tools=TOOLS, rules=[{"tool": {"name": "get_time", "arguments": ""}}]),
    asking("tool-broken-arguments", tools=TOOLS, rules=[{"tool": {"name": "get_time", "arguments": '{"a": '}}]),
    asking("tool-long-arguments", tools=TOOLS, rules=[{"tool": {"name": "get_time", "arguments": {"a": LONG}}}]),
    asking(
        "tool-same-twice",
        tools=TOOLS,
        rules=[{"tool": [{"name": "get_time", "arguments": {"a": 1}}, {"name": "get_time", "arguments": {"a": 2}}]}],
        expect={"tool_calls": 2},
    ),
    asking(
        "tool-many",
        tools=TOOLS,
        rules=[{"tool": [{"name": "get_time", "arguments": {"n": number}} for number in range(8)]}],
        expect={"tool_calls": 8},
    ),
    asking(
        "tool-of-a-function",
        "What is the weather?",
        tools=[get_weather],
        expect={"choices[0].finish_reason": "tool_calls", "tool_calls": 1},
    ),
    asking(
        "tool-of-a-function-run",
        "What is the weather?",
        tools=[get_weather],
        then=lambda answer: run_tools(answer, [get_weather]),
        expect={"sent.count": 2, "choices[0].finish_reason": "stop"},
    ),
    asking(
        "tools-of-functions-parallel",
        "weather and time",
        tools=[get_weather, get_time],
        parallel_tool_calls=True,
        then=lambda answer: run_tools(answer, [get_weather, get_time]),
        expect={"sent.messages[3]": """tool: '12:00' {"tool_call_id": "call_212f60d7a1324196b42f209b"}"""},
    ),
    asking(
        "tool-of-a-function-misused",
        tools=[get_weather],
        rules=[{"text": "Hello", "tool": {"name": "get_weather", "arguments": {"city": 7}}}],
        then=lambda answer: run_tools(answer, [get_weather]),
    ),
    asking(
        "tools-parallel-vision-model", "weather and time", tools=TOOLS, parallel_tool_calls=True, model="qwen3-vl-plus"
    ),
    asking("tool-forced-vision-model", tools=TOOLS, tool_choice=FORCED, model="qwen3-vl-plus"),
    unsent("tool-named-search", tools=[function("search", q="string")]),
    unsent("tool-badly-named", tools=[function("get weather", city="string")]),
    failing("tool-choice-unknown", "BadRequestError", tools=[WEATHER], tool_choice=FORCED),
    failing("tools-several-choices", "BadRequestError", tools=TOOLS, n=2),
    talking("tool-result-orphan", user("Hi"), tool_result("call_9", "x"), expect={"error": "BadRequestError"}),
)

JSON = (
    asking("json-object", "Answer in JSON.", response_format={"type": "json_object"}, expect={"kind": "answer"}),
    asking("json-schema", "Which city?", response_format=SCHEMA, expect={"kind": "answer"}),
    asking("json-text", response_format={"type": "text"}),
    asking("json-schema-choices", "Which city?", response_format=SCHEMA, n=2),
    asking("json-cut", "Answer in JSON.", response_format={"type": "json_object"}, max_tokens=3),
    asking(
        "json-without-the-word",
        response_format={"type": "json_object"},
        expect={"kind": "answer", "sent.messages[0]": "system: 'Answer with one JSON object.'"},
    ),
    talking(
        "json-without-the-word-system",
        system("Be brief."),
        user("Hello"),
        response_format={"type": "json_object"},
        expect={"sent.messages[0]": "system: 'Be brief.\\n\\nAnswer with one JSON object.'"},
    ),
    talking(
        "json-without-the-word-system-parts",
        system([text("Be brief.")]),
        user([image(PNG)]),
        response_format={"type": "json_object"},
        model="qwen3-vl-plus",
        expect={"kind": "answer"},
    ),
    asking("json-type", "Which city?", response_format=City, expect={"parsed": City(name="Which city?", people=1)}),
    asking("json-type-choices", "Which city?", response_format=City, n=2),
    asking("json-type-nested", "Which city?", response_format=Country, expect={"kind": "answer"}),
    asking(
        "json-type-unicode",
        "Which city?",
        response_format=City,
        rules=[{"answer": '{"name": "北京 𠮷\u2028", "people": 21893095}'}],
        expect={"parsed": City(name="北京 𠮷\u2028", people=21893095)},
    ),
    asking(
        "json-type-that-does-not-fit",
        response_format=City,
        rules=[{"answer": '{"name": "北京"}'}],
        expect={"parsed": "ProtocolError", "text": '{"name": "北京"}'},
    ),
    asking(
        "json-type-cut",
        "Which city?",
        response_format=City,
        max_tokens=3,
        expect={"parsed": "ProtocolError", "choices[0].finish_reason": "length"},
    ),
    asking("json-type-and-tools", "weather?", response_format=City, tools=TOOLS, expect={"parsed": None}),
    asking(
        "json-type-object-model",
        "Which city?",
        response_format=City,
        model="qwen3-vl-plus",
        rules=[{"answer": '{"name": "Paris", "people": 2}'}],
        expect={"parsed": City(name="Paris", people=2), "sent.response_format": {"type": "json_object"}},
    ),
    asking(
        "json-schema-object-model",
        "Which city?",
        response_format=SCHEMA,
        model="qwen3-coder-flash",
        rules=[{"answer": '{"name": "Paris", "people": 2}'}],
        expect={"parsed": {"name": "Paris", "people": 2}, "sent.response_format": {"type": "json_object"}},
    ),
    asking(
        "json-schema-object-model-thinking", response_format=SCHEMA, model="qwen3.6-plus", expect={"kind": "answer"}
    ),
    asking("json-schema-object-model-not-thinking", response_format=SCHEMA, model="qwen3.6-plus", reasoning=False),
    asking("json-schema-no-structure-model", response_format=SCHEMA, model="qwq-plus", expect={"kind": "answer"}),
    asking("json-object-no-structure-model", "JSON!", response_format={"type": "json_object"}, model="qwq-plus"),
    failing("json-unknown-format", "BadRequestError", response_format={"type": "yaml"}),
)
