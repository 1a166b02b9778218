"""WireRequest and WireResponse: what crosses the network, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class WireRequest(NamedTuple):
    """One HTTP request, without credentials until auth has added them.

    `stream` says whether the answer is read as a stream; `operation` what it is for ("chat").
    """

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes
    stream: bool = False
    operation: str = "chat"

    def with_headers(self, headers: Mapping[str, str]) -> WireRequest:
        """The same request with `headers` added; names are lower case."""
        return self._replace(headers={**self.headers, **headers})

    def __repr__(self) -> str:
        """Shows neither header values nor content: they hold keys and prompts."""
        return f"<WireRequest {self.method} {self.url} {len(self.content)} bytes>"


class WireResponse(NamedTuple):
    """One HTTP response. `headers` is looked up by lower-case name; `request` is what it answers, before auth.

    For a stream that has just been opened `content` is empty: the bytes come through the decoder.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    request: WireRequest

    def __repr__(self) -> str:
        """Shows no content: it holds answers."""
        return f"<WireResponse {self.status} {len(self.content)} bytes>"
