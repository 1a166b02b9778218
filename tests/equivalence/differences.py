"""The declared differences: where the wires do not allow equal results, which field differs, how, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.equivalence.outcomes import ABSENT, Outcome

OTHER: Any = type("Other", (), {"__repr__": lambda _: "another value"})()
"""A value that differs and is not written down: a count or a text that follows from the others."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Fields that differ from the reference, which is `qwen` in the same mode, and for its streams its plain answer.

    Attributes:
        cases: the names of cases, or `("every answer",)`.
        providers: whose outcome differs.
        fields: the fields, with what stands there.
        why: one sentence.
        streamed: True or False when only that mode differs; None when both do.
    """

    cases: tuple[str, ...]
    providers: tuple[str, ...]
    fields: Outcome
    why: str
    streamed: bool | None = None


EVERY_ANSWER = "every answer"
OPENAI = ("openai",)
DASHSCOPE = ("dashscope",)
QWEN = ("qwen",)
REFUSED: Outcome = {
    "kind": "error",
    "error": "BadRequestError",
    "status": 400,
    "retryable": False,
    "outcome": "rejected",
}
ANSWERED: Outcome = {"kind": "answer", **dict.fromkeys(("error", "status", "retryable", "outcome"), ABSENT)}
_THINKING = (
    "image-thinking",
    "tool-thinking",
    "reasoning-on",
    "reasoning-chinese",
    "reasoning-and-max-tokens",
    "reasoning-used-up",
    "reasoning-as-history",
    "reasoning-emoji",
    "thinks-only",
    "thinks-nothing",
)
_BUDGETS = ("reasoning-budget", "reasoning-with-choices", "logprobs-thinking")
_THOUGHT = (*(name for name in _THINKING if name != "thinks-nothing"), "reasoning-effort", *_BUDGETS)


def _left_out(name: str) -> Outcome:
    """The warnings of an answer to a request of which one thing was left out."""
    return {"warnings": (f"Provider '…' takes no {name}; it was left out.",)}


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        (EVERY_ANSWER,),
        DASHSCOPE,
        {"id": "<request id>"},
        "The native wire has no id of its own; the request id stands in. Compatible mode says `chatcmpl-<request id>`.",
    ),
    Difference(
        (EVERY_ANSWER,),
        QWEN,
        {"raw": "a list of dict"},
        "What came in a stream is its events; a plain answer is one object.",
        streamed=True,
    ),
    # Reasoning
    Difference(
        _THINKING,
        OPENAI,
        {"sent.enable_thinking": ABSENT, **_left_out("reasoning without an effort")},
        "OpenAI's wire bounds reasoning by an effort only and has no word for on.",
    ),
    Difference(
        _BUDGETS,
        OPENAI,
        {
            "sent.enable_thinking": ABSENT,
            "sent.thinking_budget": ABSENT,
            **_left_out("reasoning budget (name an effort)"),
        },
        "OpenAI's wire bounds reasoning by an effort only and has no word for tokens.",
    ),
    Difference(
        ("reasoning-effort",),
        OPENAI,
        {"sent.enable_thinking": ABSENT},
        "OpenAI's wire has the effort alone; a Qwen model behind it keeps its own default.",
    ),
    Difference(
        _THOUGHT,
        OPENAI,
        {"choices[0].reasoning_content": None},
        "The model was not asked to think in a word that it knows.",
    ),
    Difference(_THOUGHT, OPENAI, {"stream.choices[0].reasoning": ()}, "The same, in a stream.", streamed=True),
    Difference(
        ("reasoning-with-choices",), OPENAI, {"choices[1].reasoning_content": None}, "The same, of the second choice."
    ),
    Difference(
        ("reasoning-with-choices",),
        OPENAI,
        {"stream.choices[1].reasoning": ()},
        "The same, of the second choice in a stream.",
        streamed=True,
    ),
    Difference(
        (*_THOUGHT, "thinks-nothing"),
        OPENAI,
        {"usage.reasoning_tokens": None},
        "Nothing was thought, so nothing is counted.",
    ),
    Difference(
        tuple(name for name in _THOUGHT if name != "reasoning-used-up"),
        OPENAI,
        {"usage.output_tokens": OTHER, "usage.total_tokens": OTHER},
        "Output counts the reasoning where there is some.",
    ),
    Difference(
        ("reasoning-used-up",),
        OPENAI,
        {"choices[0].content": OTHER, "text": OTHER},
        "Without reasoning, the limit leaves room for text.",
    ),
    Difference(
        ("reasoning-used-up",), OPENAI, {"stream.choices[0].content": OTHER}, "The same, in a stream.", streamed=True
    ),
    Difference(
        ("reasoning-off", "open-model-off", "reasoning-not-to-stop"),
        OPENAI,
        {"sent.enable_thinking": ABSENT, "sent.reasoning_effort": "none"},
        "Off is an effort of none on OpenAI's wire. Qwen models there do not know it.",
    ),
    Difference(
        ("open-model-off",),
        OPENAI,
        REFUSED,
        "So an open Qwen3 model thinks, and is refused when plain.",
        streamed=False,
    ),
    Difference(
        ("open-model-off",),
        OPENAI,
        {
            "choices[0].reasoning_content": OTHER,
            "stream.choices[0].reasoning": OTHER,
            "usage.output_tokens": OTHER,
            "usage.total_tokens": OTHER,
            "usage.reasoning_tokens": OTHER,
        },
        "So an open Qwen3 model thinks in a stream.",
        streamed=True,
    ),
    Difference(
        ("open-model", "stream-only-model"),
        QWEN,
        ANSWERED,
        "The model thinks by itself, and answers in a stream only.",
        streamed=True,
    ),
    Difference(
        (
            "reasoning-unsupported",
            "reasoning-not-to-stop",
            "reasoning-budget-too-big",
            "reasoning-json",
            "reasoning-forced-tool",
        ),
        OPENAI,
        ANSWERED,
        "What the model would refuse never reaches it.",
    ),
    Difference(
        ("reasoning-unsupported", "reasoning-budget-too-big", "reasoning-json", "reasoning-forced-tool"),
        OPENAI,
        {"sent.enable_thinking": ABSENT},
        "OpenAI's wire has no word for on.",
    ),
    Difference(
        ("reasoning-budget-too-big",), OPENAI, {"sent.thinking_budget": ABSENT}, "OpenAI's wire has no word for tokens."
    ),
    Difference(
        ("assistant-reasoning", "reasoning-as-history"),
        OPENAI,
        {"sent.messages[1]": OTHER},
        "OpenAI's wire has no reasoning in the history; it is left out.",
    ),
    # Parameters
    Difference(
        ("top-k",), OPENAI, {"sent.top_k": ABSENT, **_left_out("top_k")}, "OpenAI's wire does not have the parameter."
    ),
    Difference(
        ("repetition-penalty",),
        OPENAI,
        {"sent.repetition_penalty": ABSENT, **_left_out("repetition_penalty")},
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
        ("search", "search-options", "search-off"),
        OPENAI,
        {"sent.enable_search": ABSENT, **_left_out("search")},
        "OpenAI's chat wire has no search.",
    ),
    Difference(("search-options",), OPENAI, {"sent.search_options": ABSENT}, "OpenAI's chat wire has no search."),
    Difference(
        ("search", "search-options"),
        OPENAI,
        {"choices[0].content": OTHER, "text": OTHER, "usage.output_tokens": OTHER, "usage.total_tokens": OTHER},
        "Nothing was searched, so nothing of it is said.",
    ),
    Difference(
        ("search", "search-options"),
        OPENAI,
        {"stream.choices[0].content": OTHER},
        "The same, in a stream.",
        streamed=True,
    ),
    Difference(("seed-32-bits",), DASHSCOPE, ANSWERED, "A native seed has 63 bits, one of compatible mode 31."),
    # Messages
    Difference(
        ("assistant-null",),
        OPENAI,
        {**REFUSED, "sent.messages[1]": "assistant: None"},
        "An assistant's turn without text or calls is sent as it is; for Qwen's wires it becomes an empty text.",
    ),
    Difference(
        ("unknown-part",),
        DASHSCOPE,
        {
            "status": None,
            "status family": None,
            "outcome": "not_sent",
            "attempts": 0,
            "request_id": None,
            "sent.count": 0,
            "sent.model": ABSENT,
            "sent.messages[0]": ABSENT,
        },
        "Parts are rewritten for the native wire, so one that is not known is refused before it is sent.",
    ),
    Difference(
        ("image-detail",),
        DASHSCOPE,
        {"sent.messages[0]": OTHER, **_left_out("detail of a picture")},
        "The native wire has no such setting of a picture.",
    ),
    Difference(
        ("cache-mark-text-model",),
        DASHSCOPE,
        {
            "sent.messages[0]": OTHER,
            "usage.cache_write_tokens": None,
            "usage.cached_tokens": 0,
            "usage.explicit_cached_tokens": None,
            **_left_out("cache_control of a text model"),
        },
        "On the native text path content is a string: a mark has no place.",
    ),
    # Errors
    Difference(
        ("unknown-model", "embedding-model"),
        DASHSCOPE,
        {"error": "BadRequestError", "status": 400},
        "The native wire says 400 `InvalidParameter` of a model that it does not know, compatible mode 404.",
    ),
    Difference(
        ("refused-tokens",),
        OPENAI,
        {"error": "QuotaExhaustedError", "retryable": False},
        "`insufficient_quota` is OpenAI's word for an account out of credit, and Qwen's for a limit a minute.",
    ),
    Difference(
        ("refused-arrears", "refused-inspection", "refused-rule"),
        OPENAI,
        {"error": "BadRequestError"},
        "OpenAI does not have the vendor's code: the status decides.",
    ),
    Difference(
        ("content-filter", "inspected-late"),
        OPENAI,
        {"error": "BadRequestError"},
        "OpenAI does not have the vendor's code: the status decides.",
        streamed=False,
    ),
    Difference(
        ("refused-free-tier",),
        OPENAI,
        {"error": "PermissionDeniedError"},
        "OpenAI does not have the vendor's code: the status decides.",
    ),
    Difference(
        ("refused-prepaid",),
        OPENAI,
        {"error": "RateLimitError", "retryable": True},
        "OpenAI does not have the vendor's code: the status decides.",
    ),
    Difference(
        ("refused-late", "failed-late", "content-filter", "inspected-late"),
        OPENAI,
        {"error": "APIStatusError", "status": None, "status family": None},
        "In a stream the compatible wire says no status, and OpenAI does not have the vendor's code.",
        streamed=True,
    ),
    Difference(
        ("refused-late", "failed-late"),
        OPENAI,
        {"retryable": False},
        "In a stream the compatible wire says no status, and OpenAI does not have the vendor's code.",
        streamed=True,
    ),
    Difference(
        ("failed-late",),
        OPENAI,
        {"outcome": "rejected"},
        "In a stream the compatible wire says no status, and OpenAI does not have the vendor's code.",
        streamed=True,
    ),
    Difference(
        ("half-an-answer",),
        QWEN,
        {
            "error": "StreamInterruptedError",
            "status": None,
            "status family": None,
            "partial answer": (False, "Hell"),
        },
        "Half a stream is a beginning that can be read, half an object is nothing.",
        streamed=True,
    ),
    Difference(
        ("broken-json",),
        QWEN,
        {"status": None, "status family": None, "partial answer": (False, "")},
        "The answer breaks after its beginning was read.",
        streamed=True,
    ),
    Difference(
        ("half-an-answer",),
        DASHSCOPE,
        {"partial answer": (False, "Hello")},
        "Compatible mode begins with an event without text, so as many events say less.",
        streamed=True,
    ),
    Difference(
        ("broken-json",),
        DASHSCOPE,
        {"partial answer": (False, "Hell")},
        "Compatible mode begins with an event without text, so as many events say less.",
        streamed=True,
    ),
    Difference(
        ("content-filter",),
        QWEN,
        {"partial answer": (False, "Hello!")},
        "What was said before the filter ended the answer has been read.",
        streamed=True,
    ),
)


def declared(case: str, provider: str, *, answers: bool, streamed: bool) -> Outcome:
    """The fields that are declared to differ; `answers` says that both sides have one.

    Raises:
        ValueError: a field is declared twice.
    """
    found: Outcome = {}
    for row in DIFFERENCES:
        fits = case in row.cases or (answers and EVERY_ANSWER in row.cases)
        if not fits or provider not in row.providers or row.streamed not in {None, streamed}:
            continue
        if twice := sorted(found.keys() & row.fields.keys()):
            raise ValueError(f"{case}, {provider}: declared twice: {twice}")
        found |= row.fields
    return found
