"""What the tests of prices share: a profile of a region, and answers with a usage."""

from __future__ import annotations

from typing import Any

from qonduit import ChatRequest, ChatResponse, Profile, Usage
from qonduit.models import ModelTable

EMULATOR = "http://127.0.0.1:8000/compatible-mode/v1"
OPENAI = "https://api.openai.com/v1"


def profile(
    model: str | None = "qwen-plus",
    *,
    provider: str = "qwen",
    region: str | None = "cn-beijing",
    base_url: str = EMULATOR,
    package: str = "qonduit_model_studio",
) -> Profile:
    """A resolved profile."""
    return Profile(
        name="test",
        provider=provider,
        base_url=base_url,
        region=region,
        model=model,
        models=ModelTable.of_package(package),
    )


def openai(model: str) -> Profile:
    """A profile of OpenAI's own server."""
    return profile(model, provider="openai", region=None, base_url=OPENAI, package="qonduit_openai")


def answer(model: str | None = "qwen-plus", **fields: Any) -> ChatResponse:
    """An answer; `usage` is given as its fields."""
    usage = fields.pop("usage", None)
    return ChatResponse(model=model, usage=None if usage is None else Usage(**usage), **fields)


def ask(*texts: str, **fields: Any) -> ChatRequest:
    """A request of user messages."""
    messages = [{"role": "user", "content": text} for text in texts]
    return ChatRequest.of({"messages": messages, "model": "qwen-plus", **fields})
