"""Templates: what requests to one URL have in common, and the heads that those with the same headers share."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from qonduit import _httptools
from qonduit._httptools_answer import RawHeaders
from qonduit.errors import BadRequestError
from qonduit.wire import WireRequest

HEADS_KEPT = 16
"""Heads that are kept for one URL: they differ by key and by `extra_headers`."""
USER_AGENT = b"qonduit/0.1.0"


class Target(NamedTuple):
    """Where a request goes: httpcore's URL of it, its origin and that as text, and httpcore's extensions."""

    url: Any
    origin: Any
    key: str
    extensions: dict[str, Any]


class Head:
    """The method and the headers of requests, but for the length of their content.

    `made` is what httptools' connections send of it, once one has asked.
    """

    __slots__ = ("headers", "made", "method")

    def __init__(self, method: str, headers: RawHeaders) -> None:
        self.method = method
        self.headers = headers
        self.made: _httptools.Head | None = None

    def whole(self, content: bytes) -> RawHeaders:
        """The headers of a request with `content`."""
        return [*self.headers, (b"content-length", b"%d" % len(content))]


class Template:
    """What all requests to one URL share; `proxy` is None for a direct connection.

    No tuple, as `WireRequest` is none: its heads hold keys.
    """

    __slots__ = ("_common", "_heads", "proxy", "target")

    def __init__(self, httpcore: ModuleType, url: str, connect_timeout: float | None, proxy: str | None) -> None:
        core_url = httpcore.URL(url)
        timeout = {"timeout": {"connect": connect_timeout}}
        host = urlsplit(url).netloc.encode("ascii")
        self.target = Target(core_url, core_url.origin, str(core_url.origin), timeout)
        self.proxy = proxy
        self._common = [(b"host", host), (b"user-agent", USER_AGENT), (b"accept-encoding", b"identity")]
        self._heads: dict[tuple[object, ...], Head] = {}

    def head(self, wire: WireRequest) -> Head:
        """The head of a request; most have one that another had before. Raises: BadRequestError."""
        place = (wire.method, *wire.headers.items())
        head = self._heads.get(place)
        if head is None:
            if len(self._heads) >= HEADS_KEPT:
                self._heads.clear()
            head = self._heads[place] = Head(wire.method, [*self._common, *_encoded(wire)])
        return head


def _encoded(wire: WireRequest) -> RawHeaders:
    try:
        return [(name.encode("ascii"), value.encode("ascii")) for name, value in wire.headers.items()]
    except UnicodeEncodeError:
        raise BadRequestError(
            "The request was not sent: a header holds characters outside ASCII. Look at extra_headers."
        ) from None
