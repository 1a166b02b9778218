"""Ranges that the vendor states for certain; a request outside of them is refused before it is sent.

Source: https://help.aliyun.com/zh/model-studio/qwen-api-via-dashscope (2026-02) and .../error-code (2026-05-25).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from qonduit.errors import BadRequestError
from qonduit.request import ChatRequest

MAX_DATA_URL = 10 * 1024 * 1024
"""Characters of one data URL."""

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

_RANGES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "temperature": (lambda value: 0 <= value < 2, "at least 0 and less than 2"),
    "top_p": (lambda value: 0 < value <= 1, "more than 0 and at most 1"),
    "top_k": (lambda value: value >= 0, "at least 0"),
    "repetition_penalty": (lambda value: value > 0, "more than 0"),
    "presence_penalty": (lambda value: -2 <= value <= 2, "from -2 to 2"),
    "max_tokens": (lambda value: value >= 1, "at least 1"),
    "max_completion_tokens": (lambda value: value >= 1, "at least 1"),
    "n": (lambda value: value <= 4, "from 1 to 4"),
    "top_logprobs": (lambda value: 0 <= value <= 5, "from 0 to 5"),
}
_CHECKED = frozenset({*_RANGES, "seed", "reasoning", "tools"})


def check(request: ChatRequest, *, seed_limit: int) -> None:
    """Refuse what the server would refuse for certain. `seed_limit` is the greatest seed of the wire.

    Raises: BadRequestError that names every parameter out of range, what was given and what is expected.
    """
    given = request.__pydantic_fields_set__
    problems = [] if given.isdisjoint(_CHECKED) else _problems(request, given, seed_limit)
    for message in request.messages:
        if message.content.__class__ is tuple:
            problems += _parts(request)
            break
    if problems:
        raise BadRequestError(f"The request was not sent: {'; '.join(problems)}.", outcome="not_sent")


def _problems(request: ChatRequest, given: set[str], seed_limit: int) -> list[str]:
    problems = []
    for name in sorted(given & _RANGES.keys()):
        value = getattr(request, name)
        fits, expected = _RANGES[name]
        if value is not None and not fits(value):
            problems.append(f"{name}: expected {expected}, got {value}")
    if request.seed is not None and not 0 <= request.seed <= seed_limit:
        problems.append(f"seed: expected from 0 to {seed_limit}, got {request.seed}")
    if request.reasoning is not None and request.reasoning.budget == 0 and request.reasoning.enabled is not False:
        problems.append("reasoning: a budget is 1 at least; to switch reasoning off, pass reasoning=False")
    for position, tool in enumerate(request.tools or ()):
        function = tool.get("function")
        called = function.get("name") if isinstance(function, Mapping) else None
        if called is None:
            continue  # no function: the server knows what it is, or says so
        if not isinstance(called, str) or not _TOOL_NAME.fullmatch(called):
            problems.append(
                f"tools[{position}].function.name: expected 1 to 64 of the letters A-Z and a-z, digits, '_' and '-'"
            )
        elif called == "search":
            problems.append(f"tools[{position}].function.name: 'search' is taken by the provider; choose another")
    return problems


def _parts(request: ChatRequest) -> list[str]:
    """Data URLs that are too long."""
    problems = []
    for position, message in enumerate(request.messages):
        if not isinstance(message.content, tuple):
            continue
        for number, part in enumerate(message.content):
            longest = max(map(len, _data_urls(part)), default=0)
            if longest > MAX_DATA_URL:
                problems.append(
                    f"messages[{position}].content[{number}]: its data is {longest} characters long; the provider "
                    f"takes {MAX_DATA_URL} (10 MB encoded) for each part. Make it smaller, or give a URL"
                )
    return problems


def _data_urls(part: Mapping[str, Any]) -> list[str]:
    """The data URLs of a part, and a sound in OpenAI's form: its bare base64 is sent as one."""
    found = []
    for name, value in part.items():
        if name == "text":
            continue  # it may begin like one
        inner = (
            value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else (value,)
        )
        starts = ("data:",) if name != "input_audio" else ("",)
        found += [url for url in inner if isinstance(url, str) and url.startswith(starts)]
    return found
