"""Parts: what a route is made of, as protocols. Providers and plugins give them; a call flows through them.

Providers' parts are pure codecs: values in, values out, no clock, no I/O, no environment.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from qonduit.chunk import ChatChunk
    from qonduit.effects import Effect
    from qonduit.errors import APIError
    from qonduit.response import Response
    from qonduit.wire import WireRequest, WireResponse


class Head(Protocol):
    """The status and headers of an answer, before its body."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, looked up by lower-case name."""


AuthFlow: TypeAlias = "Generator[WireRequest | Effect, Any, None]"


class Auth(Protocol):
    """Puts credentials on a request."""

    def flow(self, wire: WireRequest) -> AuthFlow:
        """Yield the request with its credentials; get a `Head` back; yield again to send once more (after a 401).

        The answer to the last request that was yielded is the call's. A request of its own (for a token) is sent and
        read whole where it is not `stream`: the flow gets its `WireResponse`. Other I/O:
        `value = yield Effect(function, async_function, args)`. Ends by returning.
        """


class RequestBuilder(Protocol):
    """Turns a request into its wire form.

    What the provider cannot take is left out and named in `WireRequest.unsupported`: the core warns, refuses or is
    silent, as the profile says. A model that answers in streams only is asked for one (`WireRequest.stream`), whatever
    the caller wants: the core puts the answer together.
    """

    def build(self, request: Any) -> WireRequest:
        """The wire form of `request`.

        Raises: BadRequestError when the provider cannot say it at all, or does not have its `operation`.
        """


class StreamDecoder(Protocol):
    """Decodes one streamed answer; gives the same chunks however the bytes are cut."""

    @property
    def finished(self) -> bool:
        """Whether the end mark was seen: nothing more will be read."""

    @property
    def warnings(self) -> Sequence[str]:
        """What was bent while reading, in sentences."""

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request, from the headers or the events."""

    def feed(self, data: bytes) -> Iterable[ChatChunk]:
        """The chunks that `data` completes, read to their end by the core before the next call.

        Raises, after the chunks that came before it: APIError for an error event, ProtocolError for nonsense.
        """

    def end(self) -> Iterable[ChatChunk]:
        """The chunks left when the bytes ended. Raises: StreamInterruptedError when the end mark is missing."""


class ResponseNormalizer(Protocol):
    """Turns a provider's answers and errors into qonduit's.

    The answer to each operation has its own type: `request.response_type`. `WireResponse.request` is what was sent.
    """

    def normalize(self, request: Any, response: WireResponse) -> Response:
        """The answer. Raises: APIError when the body is an error, ProtocolError when it is no answer, `Resend`."""

    def decoder(self, request: Any, response: WireResponse) -> StreamDecoder:
        """A decoder for a streamed answer; `response` has the status and headers, and no content."""

    def error(self, response: WireResponse) -> APIError:
        """The error that an error status means, by the provider's own table. May raise `Resend`."""


class WireStream(Head, Protocol):
    """An opened stream of bytes, sync or async as it was opened."""

    def read(self, deadline: float | None) -> bytes:
        """The next bytes, b"" at the end. `deadline`: `time.monotonic()` seconds. Raises: APIConnectionError."""

    async def aread(self, deadline: float | None) -> bytes:
        """`read`, async."""

    def finish(self, deadline: float) -> None:
        """Take the little that is left after the end mark, so that the connection serves again; else close it."""

    async def afinish(self, deadline: float) -> None:
        """`finish`, async."""

    def close(self) -> None:
        """Drop the stream and its connection. Idempotent, and usable on an async stream whose loop is gone."""

    async def aclose(self) -> None:
        """`close`, async."""


class Transport(Protocol):
    """Carries wire requests; the only part that touches the network. Deadlines are `time.monotonic()` seconds.

    Raises: APIConnectionError and its kinds, with `outcome` "not_sent" or "unknown".
    """

    def send(self, wire: WireRequest, deadline: float | None) -> WireResponse:
        """Send and read the whole answer."""

    async def asend(self, wire: WireRequest, deadline: float | None) -> WireResponse:
        """`send`, async."""

    def stream(self, wire: WireRequest, deadline: float | None) -> WireStream:
        """Send and return once the headers have come."""

    async def astream(self, wire: WireRequest, deadline: float | None) -> WireStream:
        """`stream`, async."""

    def close(self) -> None:
        """Close every connection. Idempotent."""

    async def aclose(self) -> None:
        """`close`, async."""


class RetryPolicy(Protocol):
    """Decides whether and when to try again."""

    def delay(self, error: APIError, attempt: int) -> float | None:
        """Seconds before the next attempt, or None to give up. `attempt` counts from 1: the one that failed."""


class Resend(Exception):  # noqa: N818  # not an error: an answer that asks for one more request
    """Raised by a normalizer, once a call: send `request` in place of the first; `warning` goes on the response."""

    def __init__(self, request: WireRequest, warning: str) -> None:
        super().__init__(warning)
        self.request = request
        self.warning = warning


__all__ = [
    "Auth",
    "AuthFlow",
    "Head",
    "RequestBuilder",
    "Resend",
    "ResponseNormalizer",
    "RetryPolicy",
    "StreamDecoder",
    "Transport",
    "WireStream",
]
