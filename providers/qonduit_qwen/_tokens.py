"""Token counts: the native endpoint on the same host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qonduit.token_count import TokenCount, TokenCountRequest
from qonduit.wire import WireRequest, WireResponse
from qonduit_model_studio import tokenizer
from qonduit_qwen._rerank import PATH


class Tokens:
    """The library's codec, from a base URL of compatible mode."""

    def build(self, request: TokenCountRequest, base_url: str, headers: Mapping[str, str]) -> WireRequest:
        """See `qonduit_openai_compatible.dialect.Operation`."""
        return tokenizer.build(request, base_url=base_url, path=PATH, headers=headers)

    def read(self, request: TokenCountRequest, body: Any, response: WireResponse, provider: str) -> TokenCount | None:
        """See `qonduit_openai_compatible.dialect.Operation`."""
        return tokenizer.read(request, body, response, provider)
