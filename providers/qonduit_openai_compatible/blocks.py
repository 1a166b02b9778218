"""Blocks: an answer that holds no choice, because a filter kept it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def blocked(body: Mapping[str, Any]) -> bool:
    """Whether `body` says that a content filter kept the answer back.

    Servers that speak for other wires say it in those wires' words: a block reason beside the prompt's feedback, or the
    filters with their verdicts.
    Sources: https://ai.google.dev/api/generate-content (promptFeedback, 2026-11-21),
    https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter (prompt_filter_results, 2026-11-21).
    """
    for name in ("promptFeedback", "prompt_feedback"):
        feedback = body.get(name)
        if isinstance(feedback, dict) and (feedback.get("blockReason") or feedback.get("block_reason")):
            return True
    results = body.get("prompt_filter_results")
    for result in results if isinstance(results, list) else ():
        verdicts = result.get("content_filter_results") if isinstance(result, dict) else None
        if isinstance(verdicts, dict) and any(
            isinstance(verdict, dict) and verdict.get("filtered") is True for verdict in verdicts.values()
        ):
            return True
    return False
