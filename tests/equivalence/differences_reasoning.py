"""Differences of reasoning."""

from __future__ import annotations

from tests.equivalence.difference import (
    ANSWERED,
    OPENAI,
    OTHER,
    Difference,
    left_out,
)
from tests.equivalence.outcomes import ABSENT

_BY_ITSELF = ("default", "only", "efforts")
_STREAMED = ("open", "open-only", "streaming", "streaming-only")
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
_THOUGHT = (
    *(name for name in _THINKING if name != "thinks-nothing"),
    "reasoning-effort",
    "reasoning-effort-as-history",
    *_BUDGETS,
)


def _models(kinds: tuple[str, ...], *settings: str) -> tuple[str, ...]:
    """The cases of kinds of models with settings."""
    return tuple(f"model-{kind}-{setting}" for kind in kinds for setting in settings)


REASONING = (
    Difference(
        _THINKING,
        OPENAI,
        {"sent.enable_thinking": ABSENT, **left_out("reasoning without an effort")},
        "OpenAI's wire bounds reasoning by an effort only and has no word for on.",
    ),
    Difference(
        _BUDGETS,
        OPENAI,
        {
            "sent.enable_thinking": ABSENT,
            "sent.thinking_budget": ABSENT,
            **left_out("reasoning budget (name an effort)"),
        },
        "OpenAI's wire bounds reasoning by an effort only and has no word for tokens.",
    ),
    Difference(
        ("reasoning-effort", "reasoning-effort-as-history"),
        OPENAI,
        {
            "sent.enable_thinking": ABSENT,
            "sent.thinking_budget": ABSENT,
            "sent.reasoning_effort": OTHER,
            "warnings": (),
        },
        "Only the Qwen providers know that the model has no efforts, and make a budget of one, with a warning.",
    ),
    Difference(
        ("reasoning-budget-0",),
        OPENAI,
        {**ANSWERED, "sent.count": 1},
        "A budget is not sent at all; for the two others it is 1 at least.",
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
        ("reasoning-off", "reasoning-not-to-stop"),
        OPENAI,
        {"sent.enable_thinking": ABSENT, "sent.reasoning_effort": "none"},
        "Off is an effort of none on OpenAI's wire. Qwen models there do not know it.",
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
        ("assistant-reasoning", "reasoning-as-history", "reasoning-effort-as-history"),
        OPENAI,
        {"sent.messages[1]": OTHER},
        "OpenAI's wire has no reasoning in the history; it is left out.",
    ),
)
_LESS_THAN_ALL = (
    *_models(("default", "efforts"), "off", "budget", "both"),
    *_models(("only",), "budget", "both"),
)
_LESS_THAN_ALL_STREAMED = (
    *_models(("open",), "off", "budget", "both"),
    *_models(("open-only", "streaming-only"), "budget", "both"),
)
_ASKED_TO = ("on", "budget", "effort", "both")
_ALL_OF_IT = {
    "choices[0].reasoning_content": OTHER,
    "usage.reasoning_tokens": OTHER,
    "usage.output_tokens": OTHER,
    "usage.total_tokens": OTHER,
}
_NOTHING = {**_ALL_OF_IT, "choices[0].reasoning_content": None, "usage.reasoning_tokens": None}
_BOTH_MODES = (("optional", *_BY_ITSELF), None), (_STREAMED, True)
BY_MODEL = (
    Difference(
        ("model-*-on", "model-*-off", "model-*-budget", "model-*-effort", "model-*-both"),
        OPENAI,
        {"sent.enable_thinking": ABSENT},
        "OpenAI's wire has no word for on and off.",
        but=("model-off-off",),
    ),
    Difference(
        ("model-*-off",), OPENAI, {"sent.reasoning_effort": "none"}, "Off is an effort of none on OpenAI's wire."
    ),
    Difference(
        ("model-*-budget", "model-*-both", "model-*-effort"),
        OPENAI,
        {"sent.thinking_budget": ABSENT},
        "OpenAI's wire has no word for tokens; on the two others an effort becomes a budget where the model has none.",
        but=_models(("off", "only", "efforts", "streaming"), "effort"),
    ),
    Difference(
        ("model-*-effort", "model-*-both"),
        OPENAI,
        {"sent.reasoning_effort": "low"},
        "An effort is sent to every model; the two others send it to those that know efforts, and no budget beside it.",
        but=_models(("off", "efforts"), "effort"),
    ),
    *(
        Difference(
            _models(kinds, "on"),
            OPENAI,
            left_out("reasoning without an effort"),
            "OpenAI's wire has no word for on.",
            streamed,
        )
        for kinds, streamed in _BOTH_MODES
    ),
    *(
        Difference(
            _models(kinds, "budget"),
            OPENAI,
            left_out("reasoning budget (name an effort)"),
            "OpenAI's wire has no word for tokens.",
            streamed,
        )
        for kinds, streamed in _BOTH_MODES
    ),
    *(
        Difference(
            _models(kinds, "both"),
            OPENAI,
            left_out("reasoning budget (the effort is sent)"),
            "OpenAI's wire has no word for tokens.",
            streamed,
        )
        for kinds, streamed in _BOTH_MODES
    ),
    Difference(
        _models(("optional", "default", "only"), "effort"),
        OPENAI,
        {"warnings": ()},
        "The two others warn of an effort that the model does not have.",
    ),
    Difference(
        (*_models(_STREAMED, "effort"), "model-streaming-only-unsaid"),
        OPENAI,
        {"warnings": ()},
        "The two others warn of an effort that the model does not have, and of a model that is taken offline.",
        streamed=True,
    ),
    Difference(
        (*_models(("off",), *_ASKED_TO), "model-only-off"),
        OPENAI,
        ANSWERED,
        "What the model would refuse never reaches it.",
    ),
    Difference(
        _models(("open-only", "streaming-only"), "off"),
        OPENAI,
        ANSWERED,
        "What the model would refuse never reaches it.",
        streamed=True,
    ),
    Difference(
        _LESS_THAN_ALL,
        OPENAI,
        _ALL_OF_IT,
        "A model that reasons by itself does so without a bound, for it was not told in a word that it knows.",
    ),
    Difference(
        _LESS_THAN_ALL_STREAMED,
        OPENAI,
        _ALL_OF_IT,
        "A model that reasons by itself does so without a bound, for it was not told in a word that it knows.",
        streamed=True,
    ),
    Difference(
        (*_LESS_THAN_ALL, *_LESS_THAN_ALL_STREAMED),
        OPENAI,
        {"stream.choices[0].reasoning": OTHER},
        "The same, in a stream.",
        streamed=True,
    ),
    Difference(
        _models(("optional",), *_ASKED_TO),
        OPENAI,
        _NOTHING,
        "A model that reasons when asked to does not, for it was not asked in a word that it knows.",
    ),
    Difference(
        _models(("streaming",), *_ASKED_TO),
        OPENAI,
        _NOTHING,
        "A model that reasons when asked to does not, for it was not asked in a word that it knows.",
        streamed=True,
    ),
    Difference(
        _models(("optional", "streaming"), *_ASKED_TO),
        OPENAI,
        {"stream.choices[0].reasoning": ()},
        "The same, in a stream.",
        streamed=True,
    ),
)
