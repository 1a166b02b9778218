"""Cases of parameters: choices, ends, sampling, search, caches, and what is passed on."""

from __future__ import annotations

from tests.equivalence.case import LONG, PNG, TOOLS, asking, failing, image, system, talking, text, unsent, user

from qonduit import content

CITED = {"enable_source": True, "enable_citation": True}

CHOICES = (
    asking("choices-2", n=2, expect={"choices": 2}),
    asking("choices-3", n=3, expect={"choices": 3}),
    asking("choices-4-cut", n=4, max_tokens=5, expect={"choices": 4, "choices[3].finish_reason": "length"}),
    asking("choices-1", n=1, expect={"choices": 1}),
    asking("choices-stop", n=2, stop=["said"]),
    asking("choices-seed", n=2, seed=3),
    asking("choices-multimodal", [text("?"), image(PNG)], n=2, model="qwen3-vl-plus"),
    unsent("choices-5", n=5),
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
    unsent("max-tokens-0", max_tokens=0),
    failing("max-tokens-too-many", "BadRequestError", max_tokens=10**8),
)

COUNTS = (
    asking("usage-asked", stream_options={"include_usage": True}, expect={"stream.usage_chunks": 1}),
    asking("usage-not-asked", stream_options={"include_usage": False}, expect={"stream.usage_chunks": 0}),
    asking("usage-choices", n=2, stream_options={"include_usage": True}, expect={"stream.usage_chunks": 1}),
    asking("usage-tools", "weather?", tools=TOOLS, stream_options={"include_usage": True}),
    asking("usage-cached", LONG, twice=True, expect={"usage.explicit_cached_tokens": None}),
    asking("cache-mark", [text(LONG, cache_control={"type": "ephemeral"}), text("?")], model="qwen3-vl-plus"),
    asking("cache-mark-read", [text(LONG, cache_control={"type": "ephemeral"})], model="qwen3-vl-plus", twice=True),
    asking(
        "cache-marks-made",
        [content.text(LONG, cache=True), content.image(PNG, cache=True), content.text("?")],
        model="qwen3-vl-plus",
        twice=True,
    ),
    talking(
        "cache-mark-system",
        system([content.text(LONG, cache=True)]),
        user("Hello"),
        model="qwen3-vl-plus",
        twice=True,
        expect={"kind": "answer"},
    ),
    asking("cache-mark-text-model", [text(LONG, cache_control={"type": "ephemeral"}), text("?")]),
    asking(
        "cache-mark-image", [{**image(PNG), "cache_control": {"type": "ephemeral"}}, text("?")], model="qwen3-vl-plus"
    ),
)

SAMPLING = (
    asking("temperature-0", temperature=0, expect={"sent.temperature": 0}),
    asking("temperature-near-2", temperature=1.99, expect={"sent.temperature": 1.99}),
    unsent("temperature-2", temperature=2.0),
    unsent("temperature-negative", temperature=-0.1),
    unsent("temperature-text", temperature="hot"),
    asking("top-p-1", top_p=1.0),
    unsent("top-p-0", top_p=0.0),
    asking("top-k", top_k=20, expect={"sent.top_k": 20}),
    asking("repetition-penalty", repetition_penalty=1.1, expect={"sent.repetition_penalty": 1.1}),
    asking("presence-penalty", presence_penalty=-2, expect={"sent.presence_penalty": -2}),
    unsent("presence-penalty-3", presence_penalty=3),
    asking("frequency-penalty", frequency_penalty=0.5),
    asking("user-label", user="ann"),
    asking("seed-0", seed=0, expect={"sent.seed": 0}),
    asking("seed-2", seed=2),
    asking("seed-31-bits", seed=2**31 - 1),
    unsent("seed-32-bits", seed=2**31),
    unsent("seed-64-bits", seed=2**63),
    unsent("seed-negative", seed=-1),
    asking("logprobs", logprobs=True, max_tokens=4, expect={"choices[0].logprobs": 4}),
    asking("logprobs-top", logprobs=True, top_logprobs=3, max_tokens=4, expect={"choices[0].logprobs": 4}),
    asking("logprobs-choices", logprobs=True, n=2, max_tokens=3),
    asking("logprobs-top-choices", logprobs=True, top_logprobs=2, n=3, expect={"choices": 3}),
    asking("logprobs-top-5-choices-cut", logprobs=True, top_logprobs=5, n=4, max_tokens=2, stop=["o"]),
    asking("logprobs-top-0", logprobs=True, top_logprobs=0, max_tokens=2),
    asking("logprobs-top-vision-model", logprobs=True, top_logprobs=2, model="qwen3-vl-plus"),
    asking("logprobs-emoji", logprobs=True, rules=[{"answer": "👍🏽𠮷"}]),
    asking("logprobs-thinking", logprobs=True, reasoning=5),
    asking("logprobs-off", logprobs=False),
    unsent("logprobs-top-6", logprobs=True, top_logprobs=6),
)

SEARCH = (
    asking("search", search=True, expect={"sent.enable_search": True}),
    asking("search-off", search=False, expect={"warnings": ()}),
    asking("search-options", search={"forced_search": True, "search_strategy": "max"}),
    asking("search-sources", search={"enable_source": True}, expect={"search": None}),
    asking("search-citations", search={**CITED, "citation_format": "[<number>]"}),
    asking("search-citations-as-references", "北京？", search={**CITED, "citation_format": "[ref_<number>]"}),
    asking("search-choices", search=CITED, n=2),
    asking("search-sources-first", search={"enable_source": True, "prepend_search_result": True}),
    asking("search-default-on", search=CITED, model="qwen3.7-max"),
    asking("search-vision-model", search=CITED, model="qwen3.6-plus", reasoning=False),
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
    unsent("unknown-parameter", temperatur=1),
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
