"""Differences of parameters, of models by name, and of web search."""

from __future__ import annotations

from tests.equivalence.difference import (
    ANSWERED,
    DASHSCOPE,
    OPENAI,
    OTHER,
    REFUSED_BY_THE_SERVER,
    Difference,
    left_out,
)
from tests.equivalence.outcomes import ABSENT

_OUT_OF_RANGE = (
    "temperature-2",
    "temperature-negative",
    "top-p-0",
    "presence-penalty-3",
    "seed-32-bits",
    "seed-64-bits",
    "seed-negative",
    "logprobs-top-6",
    "choices-5",
    "max-tokens-0",
    "tool-named-search",
    "tool-badly-named",
)
_WITHOUT_PAGES = ("search-off", "search-options")
PARAMETERS = (
    Difference(
        _OUT_OF_RANGE,
        OPENAI,
        REFUSED_BY_THE_SERVER,
        "The ranges of Model Studio are checked on this side; those of another server are its own to know.",
    ),
    Difference(
        ("seed-32-bits",),
        DASHSCOPE,
        {**ANSWERED, "sent.count": 1},
        "A native seed has 63 bits, one of compatible mode 31.",
    ),
    Difference(
        ("top-k",), OPENAI, {"sent.top_k": ABSENT, **left_out("top_k")}, "OpenAI's wire does not have the parameter."
    ),
    Difference(
        ("repetition-penalty",),
        OPENAI,
        {"sent.repetition_penalty": ABSENT, **left_out("repetition_penalty")},
        "OpenAI's wire does not have the parameter.",
    ),
    Difference(
        ("frequency-penalty",),
        OPENAI,
        {"sent.frequency_penalty": 0.5, "warnings": ()},
        "Only OpenAI's wire has the parameter; the two others warn.",
    ),
    Difference(
        ("user-label",),
        OPENAI,
        {"sent.user": "ann", "warnings": ()},
        "Only OpenAI's wire has the parameter; the two others warn.",
    ),
    Difference(
        ("retired-model-and-more-to-say",),
        OPENAI,
        {"sent.user": "ann"},
        "Only OpenAI's wire has the parameter; the two others warn.",
    ),
    Difference(
        ("retired-model", "vision-without-total", "text-to-vision-model"),
        OPENAI,
        {"warnings": ()},
        "The provider has a model table of its own: it does not know when Qwen's models are taken offline.",
    ),
    Difference(
        ("served-by-dashscope-alone",),
        DASHSCOPE,
        {**ANSWERED, "sent.count": 1},
        "The model is served by the native API alone; `qwen` refuses it before it is sent.",
    ),
    Difference(
        ("served-by-dashscope-alone",),
        OPENAI,
        REFUSED_BY_THE_SERVER,
        "The provider does not know the model; the emulator serves it on both wires, in streams only.",
        streamed=False,
    ),
    Difference(
        ("served-by-dashscope-alone",),
        OPENAI,
        {**ANSWERED, "sent.count": 1},
        "The provider does not know the model; the emulator serves it on both wires, in streams only.",
        streamed=True,
    ),
)
SEARCH = (
    Difference(("search", "search-*"), OPENAI, {"sent.enable_search": ABSENT}, "OpenAI's chat wire has no search."),
    Difference(
        ("search-*",),
        OPENAI,
        {"sent.search_options": ABSENT},
        "OpenAI's chat wire has no search.",
        but=("search-off",),
    ),
    Difference(
        ("search", "search-*"),
        OPENAI,
        left_out("search"),
        "OpenAI's chat wire has no search; where none was wanted there is nothing to leave out.",
        but=("search-off",),
    ),
    Difference(
        ("search", "search-*"),
        OPENAI,
        {"choices[0].content": OTHER, "text": OTHER, "usage.output_tokens": OTHER, "usage.total_tokens": OTHER},
        "Nothing was searched, so nothing of it is said.",
        but=("search-off",),
    ),
    Difference(
        ("search", "search-*"),
        OPENAI,
        {"stream.choices[0].content": OTHER},
        "The same, in a stream.",
        streamed=True,
        but=("search-off",),
    ),
    Difference(("search-choices",), OPENAI, {"choices[1].content": OTHER}, "The same, of the second choice."),
    Difference(
        ("search-choices",),
        OPENAI,
        {"stream.choices[1].content": OTHER},
        "The same, of the second choice in a stream.",
        streamed=True,
    ),
    Difference(
        ("search-*",),
        DASHSCOPE,
        {"search": "3 pages, each with index, title, url, site_name, icon", "warnings": ()},
        "Only the native wire brings the pages that were found; `qwen` searches, and warns that they do not come.",
        but=_WITHOUT_PAGES,
    ),
    Difference(
        ("search-*",),
        DASHSCOPE,
        {"search.cited": (1, 2, 3)},
        "So only there the numbers in the text can be looked up.",
        but=(*_WITHOUT_PAGES, "search-sources", "search-sources-first"),
    ),
    Difference(
        ("search-sources", "search-sources-first"),
        DASHSCOPE,
        {"search.cited": ()},
        "The same; there are no numbers, for they were not asked for.",
    ),
    Difference(
        ("search-*",),
        DASHSCOPE,
        {"stream.searches": 1},
        "The same; one chunk brings them.",
        streamed=True,
        but=_WITHOUT_PAGES,
    ),
)
