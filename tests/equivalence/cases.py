"""The cases: what is asked of every provider in every mode, as data.

`expect` says some of what the reference must be (fields as `outcome` names them), so that three providers that are
wrong in the same way are found as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that is asked.

    Attributes:
        request: the arguments of `create`, but for `stream`.
        then: messages of a second call, which follow those of the first and its answer; its outcome is looked at.
        twice: the same call is made once before, so that its prompt is cached.
        rules: what the emulator's model says, as `Rules.set` takes it.
        client: options of the client that differ from the usual.
        expect: fields of the reference.
    """

    name: str
    request: Fields
    then: Sequence[Fields] = ()
    twice: bool = False
    rules: Sequence[Fields] = ()
    client: Fields = field(default_factory=dict)
    expect: Fields = field(default_factory=dict)


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any = None, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def system(content: str) -> dict[str, Any]:
    return {"role": "system", "content": content}


def tool_result(identifier: str, content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": identifier, "content": content}


def call(identifier: str, name: str, arguments: str, **more: Any) -> dict[str, Any]:
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def function(name: str, **properties: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {key: {"type": kind} for key, kind in properties.items()}}
    return {"type": "function", "function": {"name": name, "parameters": {**schema, "required": list(properties)}}}


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


def image(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def asking(name: str, content: Any = "Hello", **more: Any) -> Case:
    """A case of one user message; `more` are parameters, but for the fields of `Case`."""
    own = {key: more.pop(key) for key in ("then", "twice", "rules", "client", "expect") if key in more}
    return Case(name=name, request={"messages": [user(content)], **more}, **own)


def talking(name: str, *messages: Fields, **more: Any) -> Case:
    """A case of several messages."""
    case = asking(name, **more)
    return Case(
        name=name,
        request={**case.request, "messages": list(messages)},
        then=case.then,
        twice=case.twice,
        rules=case.rules,
        client=case.client,
        expect=case.expect,
    )


def failing(name: str, error: str, content: Any = "Hello", *, status: int | None = 400, **more: Any) -> Case:
    """A case that ends with an error of the class `error`."""
    return asking(name, content, expect={"error": error, "status": status, **more.pop("expect", {})}, **more)


def refused(name: str, code: str, error: str, *, status: int, retryable: bool) -> Case:
    """The emulator refuses the call with the vendor's `code` in the answer's head."""
    expect = {"error": error, "status": status, "retryable": retryable}
    return asking(name, extra_headers={"x-emulator-fault": f"error={code}"}, expect=expect)


PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
LINK = "https://example.com/cat.jpg"
WEATHER = function("get_weather", city="string")
TIME = function("get_time", zone="string")
TOOLS = [WEATHER, TIME]
FORCED = {"type": "function", "function": {"name": "get_time"}}
LONG = "All work and no play makes Jack a dull boy. " * 120
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "city",
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
            "required": ["name", "people"],
        },
    },
}
ASKED = [user("What is the weather?"), assistant(None, tool_calls=[call("call_1", "get_weather", '{"city":"北京"}')])]
TWO_CALLS = [
    user("Weather and time?"),
    assistant(
        "", tool_calls=[call("call_1", "get_weather", "{}", index=0), call("call_2", "get_time", '{"zone":"UTC"}')]
    ),
]

MESSAGES = (
    asking("user-text", expect={"choices[0].finish_reason": "stop", "choices[0].role": "assistant", "complete": True}),
    talking("system-and-user", system("Be brief."), user("Hello"), expect={"sent.messages[0]": "system: 'Be brief.'"}),
    talking("several-systems", system("Be brief."), system("Be kind."), user("Hello")),
    talking("developer-role", {"role": "developer", "content": "Be brief."}, user("Hello")),
    talking("conversation", user("Hello"), assistant("Hi!"), user("And you?"), expect={"sent.count": 1}),
    talking("system-only", system("Be brief."), expect={"error": "BadRequestError", "status": 400}),
    talking("ends-with-assistant", user("Hello"), assistant("Hi!")),
    talking("partial-continuation", user("Count"), assistant("One, two", partial=True)),
    talking("assistant-null", user("Hello"), assistant(None), user("Again"), expect={"kind": "answer"}),
    talking("assistant-empty", user("Hello"), assistant(""), user("Again")),
    talking("assistant-parts", user("Hello"), assistant([text("Hi"), text("!")]), user("Again")),
    talking("assistant-reasoning", user("Hi"), assistant("Hello", reasoning_content="They greet."), user("Again")),
    talking("assistant-no-calls", user("Hello"), assistant("Hi", tool_calls=[]), user("Again")),
    talking("named-user", {**user("Hello"), "name": "ann"}),
    asking("empty-text", ""),
    asking("blank-text", " \n\t "),
    asking("no-parts", []),
    asking("one-text-part", [text("Hello")]),
    asking("several-text-parts", [text("Hello "), text("世界"), text("!")]),
    asking("unknown-part", [text("Hello"), {"type": "hologram", "hologram": {"url": LINK}}]),
    asking("answer-as-history", then=[user("And again")], expect={"sent.count": 2}),
    Case(name="no-messages", request={"messages": []}, expect={"error": "BadRequestError", "status": None}),
    failing("unknown-role", "BadRequestError", status=None, messages=[{"role": "robot", "content": "x"}]),
)

MEDIA = (
    asking("image-data", [text("What?"), image(PNG)], model="qwen3-vl-plus", expect={"usage.image_tokens": 256}),
    asking("image-link", [text("What?"), image(LINK)], model="qwen3-vl-plus", expect={"kind": "answer"}),
    asking("image-only", [image(PNG)], model="qwen3-vl-plus"),
    asking("image-before-text", [image(PNG), text("What?")], model="qwen3-vl-plus"),
    asking("several-images", [text("a"), image(PNG), text("b"), image(LINK), text("c")], model="qwen3-vl-plus"),
    asking("image-pixels", [image(PNG, min_pixels=3136, max_pixels=12845056), text("?")], model="qwen3-vl-plus"),
    asking("image-detail", [image(PNG, detail="low"), text("What?")], model="qwen3-vl-plus"),
    talking("image-in-history", user([image(PNG)]), assistant("A dot."), user("Sure?"), model="qwen3-vl-plus"),
    asking("image-answer-as-history", [image(PNG)], model="qwen3-vl-plus", then=[user("Sure?")]),
    asking("image-tools", [text("weather here?"), image(LINK)], model="qwen3-vl-plus", tools=TOOLS),
    asking("image-thinking", [text("What?"), image(LINK)], model="qwen3-vl-plus", reasoning=True),
    asking("vision-without-total", [image(PNG)], model="qwen-vl-plus", expect={"usage.image_tokens": 256}),
    asking("text-to-vision-model", model="qwen-vl-plus"),
    asking("video-link", [{"type": "video_url", "video_url": {"url": LINK}}, text("?")], model="qwen3-vl-plus"),
    asking("video-frames", [{"type": "video", "video": [LINK, LINK]}, text("?")], model="qwen3-vl-plus"),
    asking(
        "audio-data",
        [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}, text("?")],
        model="qwen3-vl-plus",
        expect={"kind": "answer"},
    ),
    asking(
        "audio-link", [{"type": "input_audio", "input_audio": {"data": LINK, "format": "mp3"}}], model="qwen3-vl-plus"
    ),
    failing("image-bad-link", "BadRequestError", [text("?"), image("cat.jpg")], model="qwen3-vl-plus"),
    failing("image-to-text-model", "BadRequestError", [text("What?"), image(PNG)], model="qwen-plus"),
)

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
    failing("tool-named-search", "BadRequestError", tools=[function("search", q="string")]),
    failing("tool-choice-unknown", "BadRequestError", tools=[WEATHER], tool_choice=FORCED),
    failing("tools-several-choices", "BadRequestError", tools=TOOLS, n=2),
    talking("tool-result-orphan", user("Hi"), tool_result("call_9", "x"), expect={"error": "BadRequestError"}),
)

THINKING = (
    asking("reasoning-on", "3 + 4?", reasoning=True, expect={"choices[0].finish_reason": "stop"}),
    asking("reasoning-off", "3 + 4?", reasoning=False, expect={"choices[0].reasoning_content": None}),
    asking("reasoning-budget", "3 + 4?", reasoning=5, expect={"usage.reasoning_tokens": 5}),
    asking("reasoning-effort", "3 + 4?", reasoning="high"),
    asking("reasoning-chinese", "三加四等于几？", reasoning=True),
    asking("reasoning-default-on", model="qwen3.7-max", expect={"kind": "answer"}),
    asking("reasoning-default-on-multimodal", model="qwen3.5-plus"),
    asking("reasoning-only-model", model="qwen3-235b-a22b-thinking-2507"),
    asking("reasoning-and-max-tokens", reasoning=True, max_tokens=4, expect={"choices[0].finish_reason": "length"}),
    asking("reasoning-used-up", reasoning=True, max_completion_tokens=6, expect={"usage.output_tokens": 6}),
    asking("reasoning-as-history", reasoning=True, then=[user("And again")]),
    asking("reasoning-with-choices", reasoning=5, n=2),
    asking("reasoning-by-extra-body", extra_body={"enable_thinking": True}, expect={"sent.enable_thinking": True}),
    asking("open-model", model="qwen3-32b"),
    asking("open-model-off", model="qwen3-32b", reasoning=False),
    asking("stream-only-model", model="qwq-plus"),
    failing("reasoning-unsupported", "BadRequestError", model="qwen-max", reasoning=True),
    failing("reasoning-not-to-stop", "BadRequestError", model="qwen3-235b-a22b-thinking-2507", reasoning=False),
    failing("reasoning-budget-too-big", "BadRequestError", reasoning=10**9),
    failing("reasoning-json", "BadRequestError", "json!", reasoning=True, response_format={"type": "json_object"}),
    failing("reasoning-forced-tool", "BadRequestError", reasoning=True, tools=TOOLS, tool_choice=FORCED),
)

JSON = (
    asking("json-object", "Answer in JSON.", response_format={"type": "json_object"}, expect={"kind": "answer"}),
    asking("json-schema", "Which city?", response_format=SCHEMA, expect={"kind": "answer"}),
    asking("json-text", response_format={"type": "text"}),
    asking("json-schema-choices", "Which city?", response_format=SCHEMA, n=2),
    asking("json-cut", "Answer in JSON.", response_format={"type": "json_object"}, max_tokens=3),
    failing("json-without-the-word", "BadRequestError", response_format={"type": "json_object"}),
    failing("json-unknown-format", "BadRequestError", response_format={"type": "yaml"}),
)

CHOICES = (
    asking("choices-2", n=2, expect={"choices": 2}),
    asking("choices-3", n=3, expect={"choices": 3}),
    asking("choices-4-cut", n=4, max_tokens=5, expect={"choices": 4, "choices[3].finish_reason": "length"}),
    asking("choices-1", n=1, expect={"choices": 1}),
    asking("choices-stop", n=2, stop=["said"]),
    asking("choices-seed", n=2, seed=3),
    asking("choices-multimodal", [text("?"), image(PNG)], n=2, model="qwen3-vl-plus"),
    failing("choices-5", "BadRequestError", n=5),
)

ENDS = (
    asking("stop-word", stop=" said", expect={"choices[0].finish_reason": "stop", "choices[0].content": "Hello! You"}),
    asking("stop-words", stop=["nothing", "simulated"]),
    asking("stop-not-met", stop=["nowhere"]),
    asking("stop-at-once", stop=["Hello"], expect={"choices[0].content": "", "usage.output_tokens": 0}),
    asking("stop-tokens", stop=[104307, 2132]),
    asking("stop-token-sequences", stop=[[104307, 2132]]),
    asking("max-tokens", max_tokens=5, expect={"choices[0].finish_reason": "length", "usage.output_tokens": 5}),
    asking("max-tokens-1", max_tokens=1, expect={"usage.output_tokens": 1}),
    asking("max-tokens-enough", max_tokens=1000, expect={"choices[0].finish_reason": "stop"}),
    asking("max-completion-tokens", max_completion_tokens=5, expect={"choices[0].finish_reason": "length"}),
    failing("stop-mixed", "BadRequestError", stop=["a", 1]),
    failing("max-tokens-0", "BadRequestError", max_tokens=0),
    failing("max-tokens-too-many", "BadRequestError", max_tokens=10**8),
)

SAYINGS = {
    "emoji": "👩‍👩‍👧‍👦 🇨🇳 👍🏽",
    "astral": "𠮷野家 𝒳 𐍈",
    "line-separators": "a\u2028b\u2029c\u0085d\u000be\u000cf",
    "controls": "\x01\x02\x1b[31m\x7f\u200b\ufeff",
    "nul": "a\x00b",
    "combining": "e\u0301 \u05e9\u05dc\u05d5\u05dd \u202eabc\u202c ก็",
    "newlines": "a\r\nb\rc\n\nd\n",
    "json-inside": '{"a": "\\u0041\\n", "b": [1, "\\"]} \\ / \\\\',
    "sse-inside": "data: [DONE]\n\ndata:{}\n\nevent:error\n:HTTP_STATUS/500\n\nid:1",
    "html-inside": "<script>&amp;</script>",
    "noncharacters": "\uffff\U0010ffff\ufdd0",
}
UNICODE = (
    *(
        asking(f"says-{name}", rules=[{"answer": said}], expect={"choices[0].content": said})
        for name, said in SAYINGS.items()
    ),
    *(asking(f"hears-{name}", said) for name, said in SAYINGS.items()),
    asking("chinese", "你好，世界"),
    asking("tool-emoji", tools=TOOLS, rules=[{"tool": {"name": "get_time", "arguments": {"zone": "🕰️\u2028𠮷"}}}]),
    asking("reasoning-emoji", reasoning=True, rules=[{"reasoning": "🤔\u2028𠮷", "answer": "👌"}]),
    failing("lone-surrogate", "BadRequestError", "a\ud800b", status=None, expect={"outcome": "not_sent"}),
)

SIZES = (
    asking("says-nothing", rules=[{"answer": ""}], expect={"choices[0].content": "", "usage.output_tokens": 0}),
    asking("says-blank", rules=[{"answer": "\n"}], expect={"choices[0].content": "\n"}),
    asking("says-much", rules=[{"answer": LONG * 4}], expect={"choices[0].content": LONG * 4}),
    asking("thinks-only", reasoning=True, rules=[{"reasoning": "Hm.", "answer": ""}]),
    asking("thinks-nothing", reasoning=True, rules=[{"reasoning": "", "answer": "Yes."}]),
    asking("hears-much", LONG * 20, expect={"kind": "answer"}),
    talking("hears-many", *[user("Hello") if place % 2 == 0 else assistant("Hi") for place in range(201)]),
    asking("big-image", [image("data:image/png;base64," + "A" * 400_000)], model="qwen3-vl-plus"),
    failing("too-long", "BadRequestError", "word " * 40_000, model="qwen-max"),
)

COUNTS = (
    asking("usage-asked", stream_options={"include_usage": True}, expect={"stream.usage_chunks": 1}),
    asking("usage-not-asked", stream_options={"include_usage": False}, expect={"stream.usage_chunks": 0}),
    asking("usage-choices", n=2, stream_options={"include_usage": True}, expect={"stream.usage_chunks": 1}),
    asking("usage-tools", "weather?", tools=TOOLS, stream_options={"include_usage": True}),
    asking("usage-cached", LONG, twice=True, expect={"usage.explicit_cached_tokens": None}),
    asking("cache-mark", [text(LONG, cache_control={"type": "ephemeral"}), text("?")], model="qwen3-vl-plus"),
    asking("cache-mark-read", [text(LONG, cache_control={"type": "ephemeral"})], model="qwen3-vl-plus", twice=True),
    asking("cache-mark-text-model", [text(LONG, cache_control={"type": "ephemeral"}), text("?")]),
    asking(
        "cache-mark-image", [{**image(PNG), "cache_control": {"type": "ephemeral"}}, text("?")], model="qwen3-vl-plus"
    ),
)

SAMPLING = (
    asking("temperature-0", temperature=0, expect={"sent.temperature": 0}),
    asking("temperature-near-2", temperature=1.99, expect={"sent.temperature": 1.99}),
    failing("temperature-2", "BadRequestError", temperature=2.0),
    failing("temperature-negative", "BadRequestError", temperature=-0.1),
    failing("temperature-text", "BadRequestError", temperature="hot", status=None, expect={"outcome": "not_sent"}),
    asking("top-p-1", top_p=1.0),
    failing("top-p-0", "BadRequestError", top_p=0.0),
    asking("top-k", top_k=20, expect={"sent.top_k": 20}),
    asking("repetition-penalty", repetition_penalty=1.1, expect={"sent.repetition_penalty": 1.1}),
    asking("presence-penalty", presence_penalty=-2, expect={"sent.presence_penalty": -2}),
    failing("presence-penalty-3", "BadRequestError", presence_penalty=3),
    asking("frequency-penalty", frequency_penalty=0.5),
    asking("user-label", user="ann"),
    asking("seed-0", seed=0, expect={"sent.seed": 0}),
    asking("seed-2", seed=2),
    asking("seed-31-bits", seed=2**31 - 1),
    asking("seed-32-bits", seed=2**31),
    failing("seed-negative", "BadRequestError", seed=-1),
    asking("logprobs", logprobs=True, max_tokens=4, expect={"choices[0].logprobs": 4}),
    asking("logprobs-top", logprobs=True, top_logprobs=3, max_tokens=4, expect={"choices[0].logprobs": 4}),
    asking("logprobs-choices", logprobs=True, n=2, max_tokens=3),
    asking("logprobs-emoji", logprobs=True, rules=[{"answer": "👍🏽𠮷"}]),
    asking("logprobs-thinking", logprobs=True, reasoning=5),
    asking("logprobs-off", logprobs=False),
    failing("logprobs-top-6", "BadRequestError", logprobs=True, top_logprobs=6),
    asking("search", search=True, expect={"sent.enable_search": True}),
    asking("search-options", search={"forced_search": True, "enable_source": True}),
    asking("search-off", search=False),
)

PASSED_ON = (
    asking(
        "extra-body", extra_body={"x_unknown": {"a": [1, None, "é"]}}, expect={"sent.x_unknown": {"a": [1, None, "é"]}}
    ),
    asking("extra-body-over", temperature=0.5, extra_body={"temperature": 0.9}, expect={"sent.temperature": 0.9}),
    asking("extra-body-empty", extra_body={}),
    asking("extra-body-top-k", extra_body={"top_k": 7}, expect={"sent.top_k": 7}),
    asking("extra-headers", extra_headers={"X-Mine": "1"}, expect={"sent.header x-mine": "1"}),
    asking("tags", tags={"team": "a"}),
    asking("timeout-and-deadline", timeout=30, deadline=60),
    failing("unknown-parameter", "BadRequestError", temperatur=1, status=None, expect={"outcome": "not_sent"}),
    asking("empty-tools-and-extra-body", tools=[], extra_body={"seed": 1}, expect={"sent.seed": 1}),
    asking(
        "all-together",
        temperature=0.7,
        top_p=0.9,
        seed=5,
        n=2,
        stop=["nowhere"],
        max_tokens=20,
        presence_penalty=0.5,
        logprobs=True,
        top_logprobs=2,
        response_format={"type": "text"},
    ),
)

REFUSED = (
    failing(
        "wrong-key", "AuthenticationError", status=401, client={"api_key": "sk-wrong"}, expect={"retryable": False}
    ),
    asking("unknown-model", model="gpt-nonsense", expect={"error": "NotFoundError", "status": 404, "retryable": False}),
    failing("embedding-model", "NotFoundError", status=404, model="text-embedding-v4"),
    failing("tools-not-of-the-model", "BadRequestError", tools=TOOLS, model="qwen-long"),
    refused("refused-400", "400", "BadRequestError", status=400, retryable=False),
    refused("refused-401", "401", "AuthenticationError", status=401, retryable=False),
    refused("refused-403", "403", "PermissionDeniedError", status=403, retryable=False),
    refused("refused-404", "404", "NotFoundError", status=404, retryable=False),
    refused("refused-409", "409", "APIStatusError", status=409, retryable=False),
    refused("refused-429", "429", "RateLimitError", status=429, retryable=True),
    refused("refused-500", "500", "InternalServerError", status=500, retryable=True),
    refused("refused-503", "503", "ServiceUnavailableError", status=503, retryable=True),
    refused("refused-504", "504", "InternalServerError", status=504, retryable=True),
    refused("refused-burst", "Throttling.BurstRate", "RateLimitError", status=429, retryable=True),
    refused("refused-tokens", "Throttling.AllocationQuota", "RateLimitError", status=429, retryable=True),
    refused("refused-arrears", "Arrearage", "QuotaExhaustedError", status=400, retryable=False),
    refused("refused-free-tier", "AllocationQuota.FreeTierOnly", "QuotaExhaustedError", status=403, retryable=False),
    refused("refused-prepaid", "PrepaidBillOverdue", "QuotaExhaustedError", status=429, retryable=False),
    refused("refused-unpurchased", "AccessDenied.Unpurchased", "PermissionDeniedError", status=403, retryable=False),
    refused("refused-inspection", "DataInspectionFailed", "ContentFilterError", status=400, retryable=False),
    refused("refused-rule", "FaqRuleBlocked", "ContentFilterError", status=400, retryable=False),
    refused("refused-serving", "ModelServingError", "ServiceUnavailableError", status=503, retryable=True),
    refused("refused-workspace", "NOT AUTHORIZED", "AuthenticationError", status=401, retryable=False),
)


def broken(name: str, fault: str, error: str, **more: Any) -> Case:
    """A fault of the emulator by its header, on a connection of its own: a used one that breaks is another matter."""
    expect = {"error": error, **more}
    return asking(name, extra_headers={"x-emulator-fault": fault}, client={"timeout": 29}, expect=expect)


BROKEN = (
    broken("gateway-page", "html=502", "InternalServerError", status=502, retryable=True),
    broken("page-with-200", "html=200", "ProtocolError", retryable=False),
    broken("cut-before-headers", "cut-before-headers", "APIConnectionError"),
    broken("half-an-answer", "truncate=2", "ProtocolError"),
    broken("broken-json", "malformed-json=2", "ProtocolError"),
    broken("content-filter", "content-filter=3", "ContentFilterError", retryable=False),
    asking("refused-late", rules=[{"error": "Throttling.RateQuota"}], expect={"error": "RateLimitError"}),
    asking("failed-late", rules=[{"error": "InternalError"}], expect={"error": "InternalServerError"}),
    asking("inspected-late", rules=[{"error": "DataInspectionFailed"}], expect={"error": "ContentFilterError"}),
)

CASES = (
    *MESSAGES,
    *MEDIA,
    *CALLING,
    *THINKING,
    *JSON,
    *CHOICES,
    *ENDS,
    *UNICODE,
    *SIZES,
    *COUNTS,
    *SAMPLING,
    *PASSED_ON,
    *REFUSED,
    *BROKEN,
)
