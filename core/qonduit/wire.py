"""WireRequest and WireResponse: what crosses the network, as plain values.

They are no tuples: what prints the local variables of a traceback goes through tuples, and here it would find the key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class Headers(Mapping[str, str]):
    """The headers of an answer, looked up by name in any case; repeated ones are joined by a comma.

    Made from the raw pairs; they are sorted out when they are first looked at, and decoded each by itself.
    """

    __slots__ = ("_pairs", "_raw")

    def __init__(self, pairs: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self._pairs = pairs
        self._raw: dict[bytes, bytes] | None = None

    def _found(self) -> dict[bytes, bytes]:
        raw = self._raw
        if raw is None:
            raw = {}
            for given, value in self._pairs:
                name = given.lower()
                raw[name] = b"%b, %b" % (raw[name], value) if name in raw else value
            self._raw = raw
        return raw

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a header, or `default`."""
        value = (self._raw or self._found()).get(name.lower().encode("latin-1", "replace"))
        return default if value is None else value.decode("latin-1")

    def __getitem__(self, name: str) -> str:
        """The value of a header."""
        value: str | None = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        """The names, lower case."""
        return (name.decode("latin-1") for name in self._found())

    def __len__(self) -> int:
        """How many names there are."""
        return len(self._found())

    def __repr__(self) -> str:
        """Shows the names only."""
        return f"<Headers {', '.join(self)}>"


@dataclass(frozen=True, slots=True, repr=False)
class WireRequest:
    """One HTTP request, without credentials until auth has added them.

    `stream` says whether the answer is read as a stream, whatever the caller asked for; `operation` what it is for
    ("chat"). `unsupported` names what of the request the provider cannot take and was left out: the core warns or
    refuses, as the profile says. `warnings` are sentences about what else was bent; they go on the response.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes
    stream: bool = False
    operation: str = "chat"
    unsupported: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def with_headers(self, headers: Mapping[str, str]) -> WireRequest:
        """The same request with `headers` added; names are lower case."""
        merged = {**self.headers, **headers}
        return WireRequest(
            self.method, self.url, merged, self.content, self.stream, self.operation, self.unsupported, self.warnings
        )

    def __repr__(self) -> str:
        """Shows neither header values nor content: they hold keys and prompts."""
        return f"<WireRequest {self.method} {self.url} {len(self.content)} bytes>"


@dataclass(frozen=True, slots=True, repr=False)
class WireResponse:
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
