"""Differences of every answer, and of models that answer in streams only."""

from __future__ import annotations

from tests.equivalence.difference import (
    DASHSCOPE,
    EVERY_ANSWER,
    OPENAI,
    QWEN,
    REFUSED,
    Difference,
)

STREAMED_INSIDE = ("model-open-*", "model-streaming-*", "*-no-structure-model", "audio-made-of-bytes", "all-media")
"""Calls of models that answer in streams only."""
OPEN = (*(f"model-open-{setting}" for setting in ("unsaid", "on", "budget", "effort", "both")), "model-open-only-*")
"""Those of open models; the first answers plainly when it does not reason."""
WIRES = (
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
        "What came in a stream is its events; a plain answer is one object, unless the model answers in streams only.",
        streamed=True,
        but=(*(name for name in STREAMED_INSIDE if name != "model-open-*"), *OPEN),
    ),
    Difference(
        ("model-open-unsaid",),
        QWEN,
        {"warnings": ()},
        "A plain call of a model that reasons unless told not to warns that it was streamed inside.",
        streamed=True,
    ),
    Difference(
        STREAMED_INSIDE,
        OPENAI,
        REFUSED,
        "Only the Qwen providers know that the model answers in streams only, and stream it inside of a plain call.",
        streamed=False,
        but=("model-open-only-off", "model-streaming-only-off", "json-object-no-structure-model"),
    ),
)
