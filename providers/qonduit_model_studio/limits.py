"""The server's time limit: what says that it cut an answer."""

from __future__ import annotations

from collections.abc import Mapping


def cut(headers: Mapping[str, str]) -> str | None:
    """A sentence when a plain answer is only the text so far; None when it is whole.

    Such an answer is a 200 like any other: only this header tells it.
    Source: https://help.aliyun.com/zh/model-studio/error-code (2026-05-25), RequestTimeOut, and the vendor's VL pages.
    """
    if headers.get("x-dashscope-partialresponse", "").lower() != "true":
        return None
    return "The provider's own time limit cut the answer short. Stream long answers."
