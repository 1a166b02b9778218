"""The parts of each provider, as a client of it would get them, and streams put through them without a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tests.wires import DATE, REQUEST_ID

from qonduit import ChatChunk, ChatRequest, ChatResponse, Profile, WireRequest, WireResponse
from qonduit._accumulate import Accumulator
from qonduit.models import ModelTable
from qonduit_dashscope import DashScopeProvider
from qonduit_openai import OpenAIProvider
from qonduit_qwen import QwenProvider

PROVIDERS: dict[str, Any] = {
    "openai": OpenAIProvider(),
    "qwen": QwenProvider(),
    "dashscope": DashScopeProvider(),
}
BASE_URL = "https://example.test/v1"
ASK = [{"role": "user", "content": "hi"}]
SSE_HEADERS = {
    "content-type": "text/event-stream;charset=UTF-8",
    "x-request-id": REQUEST_ID,
    "date": DATE,
}
JSON_HEADERS = {"content-type": "application/json", "x-request-id": REQUEST_ID, "date": DATE}


def profile(provider: str, **settings: Any) -> Profile:
    models = ModelTable.of_package(package) if (package := PROVIDERS[provider].info.models) else ModelTable.empty()
    return Profile(**{"name": "test", "provider": provider, "base_url": BASE_URL, "models": models, **settings})


def builder(provider: str, **settings: Any) -> Any:
    return PROVIDERS[provider].qonduit_request_builder(profile(provider, **settings))


def normalizer(provider: str, **settings: Any) -> Any:
    return PROVIDERS[provider].qonduit_response_normalizer(profile(provider, **settings))


def chat(**fields: Any) -> ChatRequest:
    return ChatRequest.of({"model": "qwen-plus", "messages": ASK, **fields})


def wire_response(content: bytes = b"", status: int = 200, headers: Mapping[str, str] | None = None) -> WireResponse:
    wire = WireRequest("POST", f"{BASE_URL}/x", {}, b"{}")
    return WireResponse(status, JSON_HEADERS if headers is None else headers, content, wire)


class Decoded(NamedTuple):
    """What a stream came to."""

    chunks: list[ChatChunk]
    response: ChatResponse
    finished_early: bool
    """Whether the end mark was known before the bytes ended."""

    def said(self) -> list[dict[str, Any]]:
        """Every field of the chunks, unknown ones included."""
        return [chunk.model_dump() for chunk in self.chunks]


def decode_stream(
    provider: str, parts: Iterable[bytes], settings: Mapping[str, Any] | None = None, **request: Any
) -> Decoded:
    """Feed `parts` to the provider's decoder as the core does, and put the chunks together."""
    asked = chat(stream=True, **request)
    decoder = normalizer(provider, **(settings or {})).decoder(asked, wire_response(headers=SSE_HEADERS))
    chunks: list[ChatChunk] = []
    for part in parts:
        chunks += decoder.feed(part)
        if decoder.finished:
            break
    early = decoder.finished
    if not early:
        chunks += decoder.end()
    accumulator = Accumulator()
    accumulator.add(chunks)
    response = accumulator.response(request_id=decoder.request_id, provider=provider, warnings=tuple(decoder.warnings))
    return Decoded(chunks, response, early)
