"""Generation paths: a model answers on exactly one of two, and says "url error" on the other.

Source: requests of Alibaba's own SDKs and https://help.aliyun.com/zh/model-studio/error-code (2026-05-25). There is no
endpoint that tells a model's path: it is known for some models, guessed from the name for others, and a wrong guess is
mended by asking the sibling path once.
"""

from __future__ import annotations

import re

TEXT = "/services/aigc/text-generation/generation"
MULTIMODAL = "/services/aigc/multimodal-generation/generation"
URL_ERROR = "url error, please check url"

_MULTIMODAL_NAMES = re.compile(
    r"(?:^|-)(?:vl|omni|ocr|audio|asr|captioner)(?:-|$)|^qvq|^qwen\d?-?vl"
    r"|^qwen3\.5-(?:plus|flash)|^qwen3\.6-(?:plus|flash)|^qwen3\.7-plus|^qwen3\.8"
)


def path_of(model: str, *, parts: bool) -> str:
    """The path of `model`; `parts` says whether the messages hold more than text."""
    return MULTIMODAL if parts or _MULTIMODAL_NAMES.search(model) else TEXT


def sibling(url: str) -> str:
    """The other path of `url`."""
    return url.replace(TEXT, MULTIMODAL) if url.endswith(TEXT) else url.replace(MULTIMODAL, TEXT)
