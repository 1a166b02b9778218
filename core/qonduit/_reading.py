"""Reading: a streamed answer, its chunks and its end. Written without I/O."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from qonduit._accumulate import Accumulator
from qonduit._answering import answered, limit_that_passed, refused
from qonduit._defects import broken, of_transport
from qonduit.call import Call
from qonduit.chunk import ChatChunk
from qonduit.effects import Effect, Flow, Left
from qonduit.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    ProtocolError,
    QonduitError,
    StreamInterruptedError,
)
from qonduit.parts import Resend, StreamDecoder, WireStream
from qonduit.request import Request
from qonduit.response import ChatResponse
from qonduit.route import Route
from qonduit.wire import WireRequest, WireResponse

MAX_STREAM_BYTES = 256 * 1024 * 1024
DRAIN_SECONDS = 0.1
"""How long the bytes after a stream's end mark are waited for, so that the connection serves again."""


class Reader:
    """Reads one streamed answer, delivers its chunks where the caller wants a stream, and accounts for its end."""

    def __init__(
        self,
        route: Route,
        call: Call,
        request: Request,
        wire: WireRequest,
        stream: WireStream,
        timeout: float,
        warnings: tuple[str, ...],
    ) -> None:
        self._route = route
        self._call = call
        self._request = request
        self._stream = call._wire_stream = stream
        self._timeout = timeout
        self._warnings = warnings
        self._head = WireResponse(stream.status, stream.headers, b"", wire)
        self._accumulator = Accumulator()
        self._received: list[bytes] = []
        self._size = 0
        self._delivered = False
        self._deadline = 0.0
        self._awaited = "a stream's first event"

    def read(self, deadline: float) -> Flow:
        """The answer; what had come when it broke is on the error."""
        stream = self._stream
        self._deadline = deadline
        try:
            if not 200 <= stream.status < 300:
                raise refused(self._route, (yield from self._whole(deadline)))
            if _is_json(stream.headers.get("content-type", "")):
                # A server that answers unstreamed, or with an error, in place of a stream.
                answer = yield from self._whole(deadline)
                return (yield from answered(self._route, self._call, self._request, answer, self._warnings))
            decoder = self._route.response_normalizer.decoder(self._request, self._head)
            response = yield from self._chunks(decoder, deadline)
        except GeneratorExit:
            stream.close()
            raise
        except Exception as error:
            if isinstance(error, APITimeoutError) and (limit := self._limit()):
                error.add_reason(limit)
            yield Effect(stream.close, stream.aclose)
            if isinstance(error, (QonduitError, Resend)):
                raise
            raise broken(self._route, "stream decoder", error) from error
        except BaseException:
            yield Effect(stream.close, stream.aclose)
            raise
        return response

    def _whole(self, deadline: float) -> Flow:
        """The whole body of what answered a streamed request unstreamed."""
        while data := (yield Effect(self._stream.read, self._stream.aread, (deadline,))):
            self._keep(data)
            if time.monotonic() >= deadline:
                raise APITimeoutError("The answer did not end in time.", outcome="unknown", retryable=True)
        yield Effect(self._stream.finish, self._stream.afinish, (deadline,))
        return replace(self._head, content=b"".join(self._received))

    def _chunks(self, decoder: StreamDecoder, deadline: float) -> Flow:
        """Deliver chunks until the end mark; a failure after the first carries what had arrived."""
        stream, call, add = self._stream, self._call, self._accumulator.add
        wants_usage = self._request.wants_usage_chunk
        effect = Effect(stream.read, stream.aread, (deadline,))
        try:
            while True:
                try:
                    data = yield effect
                except Exception as error:  # noqa: BLE001  # typed
                    raise of_transport(self._route, error)  # noqa: B904
                if data:
                    self._keep(data)
                chunks: list[ChatChunk] = []
                failure: Exception | None = None
                try:
                    for chunk in decoder.feed(data) if data else decoder.end():
                        chunks.append(chunk)
                except Exception as error:
                    if not chunks:
                        raise
                    failure = error  # raised once what came before it has been given
                if chunks:
                    if call.first_chunk is None:
                        call.first_chunk = time.monotonic()
                    add(chunks)
                    if not wants_usage:
                        chunks = _without_usage(chunks)
                    if chunks and call.streamed:
                        self._delivered = call.committed = True
                        yield chunks
                    self._awaited = "one gap between events"
                    deadline = time.monotonic() + self._timeout
                    if call.deadline is not None and call.deadline < deadline:
                        deadline = call.deadline
                    effect.args = (deadline,)
                    self._deadline = deadline
                if failure is not None:
                    raise failure
                if decoder.finished or not data:
                    break
                if time.monotonic() >= deadline:  # what keeps coming is no event, or the call's time is up
                    raise APITimeoutError("No event came in time.", outcome="unknown", retryable=True)
            yield Effect(stream.finish, stream.afinish, (time.monotonic() + DRAIN_SECONDS,))
        except APIError as error:
            raise self._interrupted(error, decoder) from error.__cause__
        except Exception:
            raise
        except BaseException as leaving:
            if not self._delivered or isinstance(leaving, GeneratorExit):
                raise
            drained = not isinstance(leaving, Left) or leaving.drained
            if decoder.finished and drained and isinstance(leaving, Left):
                yield Effect(stream.finish, stream.afinish, (time.monotonic() + DRAIN_SECONDS,))
            else:
                yield Effect(stream.close, stream.aclose)
            return self._response(decoder, complete=decoder.finished and drained)
        return self._response(decoder, complete=True)

    def _limit(self) -> str:
        return limit_that_passed(self._call, self._timeout, self._deadline, self._awaited)

    def _interrupted(self, error: APIError, decoder: StreamDecoder) -> APIError:
        """The error of a stream that broke; after the first chunk it carries the partial answer, and is not retried."""
        if error.request_id is None:
            error.request_id = decoder.request_id
        if not self._received:
            return error
        if not self._delivered and not isinstance(error, StreamInterruptedError):
            return error
        partial = self._response(decoder, complete=False)
        if isinstance(error, APIConnectionError) and not isinstance(error, StreamInterruptedError):
            what, why = "broke off", error.message
            if isinstance(error, APITimeoutError):
                what = "ran out of time" if self._deadline == self._call.deadline else "stalled"
                why = self._limit() or why
            error = StreamInterruptedError(
                f"The stream {what} after it had begun: {why} What had arrived is on the error's 'response'.",
                outcome="unknown",
                request_id=error.request_id,
            )
        error.response = partial
        if self._delivered:
            error.retryable = False
            error.outcome = "unknown"  # what had been said before the refusal may be billed
        return error

    def _keep(self, data: bytes) -> None:
        self._received.append(data)
        self._size += len(data)
        if self._size > MAX_STREAM_BYTES:
            raise ProtocolError(
                f"The stream is larger than {MAX_STREAM_BYTES} bytes; it was given up.", outcome="unknown"
            )

    def _response(self, decoder: StreamDecoder, *, complete: bool) -> ChatResponse:
        fields: dict[str, Any] = {} if self._accumulator.model else {"model": self._request.model}
        return self._accumulator.response(
            **fields,
            request_id=decoder.request_id,
            provider=self._route.profile.provider,
            complete=complete,
            warnings=(*self._warnings, *decoder.warnings),
            status_code=self._head.status,
            content=tuple(self._received),
        )


def _is_json(content_type: str) -> bool:
    """Whether the media type is JSON's: one value, not a stream of them as application/x-ndjson is."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind.endswith(("/json", "+json"))


def _without_usage(chunks: list[ChatChunk]) -> list[ChatChunk]:
    """`chunks` without those that carry nothing but the usage: they have no choice."""
    for chunk in chunks:
        if not chunk.choices:
            return [chunk for chunk in chunks if chunk.choices]
    return chunks
