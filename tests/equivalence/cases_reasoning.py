"""Cases of reasoning, with each kind of model."""

from __future__ import annotations

from tests.equivalence.case import FORCED, TOOLS, Fields, asking, failing, unsent, user

MODELS = {
    "off": "qwen3-30b-a3b-instruct-2507",
    "optional": "qwen-plus",
    "default": "qwen3.6-plus",
    "only": "deepseek-r1",
    "efforts": "qwen3.8-max",
    "open": "qwen3-32b",
    "open-only": "qwen3-235b-a22b-thinking-2507",
    "streaming": "qwen3-omni-flash",
    "streaming-only": "qwq-plus",
}
"""Kinds of models: cannot reason; can; does unless told not to; always does; knows efforts; open ones, which answer in
streams only while they reason; ones that always answer in streams only.
"""
SETTINGS: Fields = {
    "unsaid": {},
    "on": {"reasoning": True},
    "off": {"reasoning": False},
    "budget": {"reasoning": 5},
    "effort": {"reasoning": "low"},
    "both": {"reasoning": {"effort": "low", "budget": 5}},
}
ALL_OF_IT = 51
"""Tokens of the emulator's reasoning where nothing bounds it."""
_REFUSED = {
    *(f"model-off-{setting}" for setting in ("on", "budget", "effort", "both")),
    *(f"model-{kind}-off" for kind in ("only", "open-only", "streaming-only")),
}


def _expected(name: str, kind: str, setting: str) -> Fields:
    """A model that cannot reason is not made to, and one that always does is not stopped; every other call answers."""
    if name in _REFUSED:
        return {"error": "BadRequestError", "status": 400}
    silent = setting == "off" or (setting == "unsaid" and kind in {"off", "optional", "streaming"})
    tokens = 5 if setting in {"budget", "both"} else None if silent else ALL_OF_IT
    return {"kind": "answer", "usage.reasoning_tokens": tokens}


BY_MODEL = tuple(
    asking(name, model=model, **asked, expect=_expected(name, kind, setting))
    for kind, model in MODELS.items()
    for setting, asked in SETTINGS.items()
    for name in [f"model-{kind}-{setting}"]
)

THINKING = (
    asking("reasoning-on", "3 + 4?", reasoning=True, expect={"choices[0].finish_reason": "stop"}),
    asking("reasoning-off", "3 + 4?", reasoning=False, expect={"choices[0].reasoning_content": None}),
    asking("reasoning-budget", "3 + 4?", reasoning=5, expect={"usage.reasoning_tokens": 5}),
    asking("reasoning-effort", "3 + 4?", reasoning="high"),
    asking("reasoning-chinese", "三加四等于几？", reasoning=True),
    asking("reasoning-default-on", model="qwen3.7-max", expect={"kind": "answer"}),
    asking("reasoning-default-on-multimodal", model="qwen3.5-plus"),
    asking("reasoning-only-model", model="deepseek-r1"),
    asking("reasoning-and-max-tokens", reasoning=True, max_tokens=4, expect={"choices[0].finish_reason": "length"}),
    asking("reasoning-used-up", reasoning=True, max_completion_tokens=6, expect={"usage.output_tokens": 6}),
    asking("reasoning-as-history", reasoning=True, then=[user("And again")]),
    asking("reasoning-with-choices", reasoning=5, n=2),
    asking("reasoning-by-extra-body", extra_body={"enable_thinking": True}, expect={"sent.enable_thinking": True}),
    asking("reasoning-effort-as-history", reasoning="low", then=[user("And again")]),
    unsent("reasoning-budget-0", reasoning=0),
    failing("reasoning-unsupported", "BadRequestError", model="qwen-max", reasoning=True),
    failing("reasoning-not-to-stop", "BadRequestError", model="deepseek-r1", reasoning=False),
    failing("reasoning-budget-too-big", "BadRequestError", reasoning=10**9),
    failing("reasoning-json", "BadRequestError", "json!", reasoning=True, response_format={"type": "json_object"}),
    failing("reasoning-forced-tool", "BadRequestError", reasoning=True, tools=TOOLS, tool_choice=FORCED),
)
