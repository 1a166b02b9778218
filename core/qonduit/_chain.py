"""Chain: middleware composed around an inner flow, and its contract with streams.

A step is `step(call, request)`: a flow that returns a response and, on a streamed call, delivers lists of chunks on the
way. `compose` puts layers around a step once, when the client is built.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from qonduit._accumulate import Accumulator
from qonduit._replay import replay
from qonduit.call import Call
from qonduit.chunk import ChatChunk
from qonduit.effects import Effect, Flow, Left
from qonduit.errors import PluginError, QonduitError
from qonduit.middlewares import Middleware
from qonduit.request import Request
from qonduit.response import ChatResponse, Response

logger = logging.getLogger("qonduit")

Step: TypeAlias = Callable[[Call, Request], Flow]
OnBatch: TypeAlias = Callable[[list[ChatChunk]], list[ChatChunk]]


def compose(layers: Sequence[Middleware], step: Step) -> Step:
    """`layers`, outermost first, around `step`."""
    for layer in reversed(layers):
        step = _Layer(layer, step)
    return step


class _Layer:
    """One middleware around a step. Counts its own failures and says the first of them."""

    def __init__(self, middleware: Middleware, inner: Step) -> None:
        self._middleware = middleware
        self._inner = inner
        self._handles_chunks = middleware.stream != "observe"
        self._buffers = middleware.stream == "buffer"
        self._failures = 0

    def __call__(self, call: Call, request: Request) -> Flow:
        call.request = request
        generator = self._middleware.function(call)
        value: Any = None
        error: BaseException | None = None  # to be thrown into the generator
        outcome: BaseException | None = None  # the inner flow's error, while the generator has not replaced it
        response: Response | None = None  # the inner flow's answer
        held: list[ChatChunk] = []
        while True:
            try:
                item = generator.send(value) if error is None else generator.throw(error)
            except StopIteration as stop:
                answer = stop.value
                break
            except BaseException as failure:
                if failure is outcome or not isinstance(failure, Exception):
                    raise
                self._own_failure(failure)
                if outcome is not None:
                    raise outcome from None
                if response is None:  # it failed before it passed the request on: pass it on in its place
                    return (yield from self._inner(call, request))
                answer = None
                break
            value = error = None
            if item.__class__ is Effect:
                try:
                    value = yield item
                except BaseException as failed:  # noqa: BLE001  # the generator decides
                    error = failed
                    if not isinstance(failed, Exception):
                        outcome = failed
            elif isinstance(item, Request):
                if outcome is not None or response is not None or call.committed:
                    self._check_again(call, outcome)
                    held.clear()
                    outcome = None  # its frames hold this one: a stream that is dropped would wait for the collector
                try:
                    if self._handles_chunks and call.streamed:
                        value = response = yield from self._enter(call, item, held)
                    else:
                        value = response = yield from self._inner(call, item)
                    outcome = None
                except BaseException as failed:  # noqa: BLE001  # the generator decides
                    error = outcome = failed
                    response = None
                call.request = request
                if self._buffers:
                    call.committed = False  # nothing has passed this layer yet
            else:
                error = self._broken(
                    f"yielded {type(item).__name__}; expected the request to go on with, "
                    "or 'yield from call.io(…)' for I/O"
                )
        if outcome is not None and not isinstance(outcome, Exception):
            raise outcome  # a cancellation goes on, whatever the layer made of it
        if answer is None or answer is response:
            answer = response
            if answer is not None and not (self._handles_chunks and call.streamed):
                return answer  # by far the most common case
        return (yield from self._annotated(call, request, response, answer, held))

    def _annotated(
        self,
        call: Call,
        request: Request,
        response: Response | None,
        answer: Any,
        held: list[ChatChunk],
    ) -> Flow:
        """What goes out when the layer answers with another response than it got; its chunks, where it holds them."""
        answer = self._checked(call, response, answer)
        if not call.streamed:
            return answer
        if response is None:
            if call.committed:
                raise self._broken("answered in place of a stream after chunks of it had reached the caller")
            return (yield from deliver(call, replay(answer, usage=request.wants_usage_chunk), answer))
        unchanged = self._unchanged(response, answer)
        if self._buffers:
            chunks = held if unchanged else replay(answer, usage=request.wants_usage_chunk)
            return (yield from deliver(call, chunks, answer))
        if self._middleware.stream == "transform" and unchanged:
            return accumulated(held, answer)
        return answer

    def _enter(self, call: Call, request: Request, held: list[ChatChunk]) -> Flow:
        """The inner flow, with what this layer does to its chunks."""
        flow = self._inner(call, request)
        if self._buffers:
            return pump(flow, on_batch=lambda chunks: _hold(chunks, held))
        return pump(flow, on_batch=lambda chunks: self._transform(call, chunks, held))

    def _transform(self, call: Call, chunks: list[ChatChunk], held: list[ChatChunk]) -> list[ChatChunk]:
        changed: list[ChatChunk] = []
        assert self._middleware.on_chunk is not None
        for chunk in chunks:
            try:
                result: Any = self._middleware.on_chunk(call, chunk)
                if isinstance(result, ChatChunk):
                    changed.append(result)
                    continue
                several = list(result) if isinstance(result, Iterable) else [] if result is None else [result]
            except Exception as failure:  # noqa: BLE001  # as the layer's terms say
                self._own_failure(failure)
                several = [chunk]
            for piece in several:
                if not isinstance(piece, ChatChunk):
                    raise self._broken(f"on_chunk gave {type(piece).__name__}; expected a ChatChunk, several, or None")
            changed.extend(several)
        held.extend(changed)
        return changed

    def _checked(self, call: Call, response: Response | None, answer: Any) -> Response:
        """What the layer answers, by its contract."""
        expected = call.request.response_type
        if not isinstance(answer, expected):
            got = "nothing" if answer is None else type(answer).__name__
            raise self._broken(f"returned {got} and had no response; expected a {expected.__name__}")
        observed = call.streamed and response is not None and self._middleware.stream == "observe"
        if observed and not self._unchanged(response, answer):
            raise self._broken(
                "changed the choices or the usage of a stream that was already delivered; "
                "declare stream='transform' or stream='buffer', or leave them"
            )
        return answer

    @staticmethod
    def _unchanged(response: Response | None, answer: Response) -> bool:
        if answer is response:
            return True
        if not isinstance(response, ChatResponse) or not isinstance(answer, ChatResponse):
            return False
        return answer.choices == response.choices and answer.usage == response.usage

    def _check_again(self, call: Call, outcome: BaseException | None) -> None:
        if outcome is not None and not isinstance(outcome, Exception):
            raise outcome
        if call.committed:
            raise self._broken("yielded a request again after chunks of the stream had reached the caller")

    def _broken(self, what: str) -> PluginError:
        return PluginError(f"Middleware '{self._middleware.name}' {what}.")

    def _own_failure(self, failure: Exception) -> None:
        """Raise a policy's failure; count an observer's, and say the first."""
        if self._middleware.on_error == "raise" or isinstance(failure, PluginError):
            if not isinstance(failure, QonduitError):
                failure.add_note(f"raised by the qonduit middleware '{self._middleware.name}'")
            raise failure
        self._failures += 1
        if self._failures == 1:
            logger.warning(
                "Middleware '%s' failed and the call goes on without it (on_error=%r; said once): %s",
                self._middleware.name,
                self._middleware.on_error,
                type(failure).__name__,
                exc_info=failure,
            )


def _hold(chunks: list[ChatChunk], held: list[ChatChunk]) -> list[ChatChunk]:
    held.extend(chunks)
    return []


def pump(flow: Flow, *, on_batch: OnBatch, thrown: BaseException | None = None) -> Flow:
    """Pass a flow on, with its chunks going through `on_batch`; an empty list is not delivered.

    `thrown` is raised in the flow to begin with. When `on_batch` raises, the flow is left, so that what is inside
    settles, and then the error goes on.
    """
    value: Any = None
    error = thrown
    failure: BaseException | None = None
    while True:
        try:
            item = flow.send(value) if error is None else flow.throw(error)
        except StopIteration as stop:
            if failure is not None:
                raise failure from None
            return stop.value
        value = error = None
        if item.__class__ is list:
            try:
                item = on_batch(item)
            except BaseException as failed:  # noqa: BLE001  # raised once the flow has settled
                failure, error = failed, Left()
                continue
            if not item:
                continue
        try:
            value = yield item
        except BaseException as raised:  # noqa: BLE001  # passed on
            error = raised


def deliver(call: Call, chunks: Sequence[ChatChunk], response: Response) -> Flow:
    """Deliver the chunks of a whole answer, one by one; left early, the answer is marked incomplete."""
    call.committed = True
    for position, chunk in enumerate(chunks, start=1):
        try:
            yield [chunk]
        except Left as left:
            if left.drained and position == len(chunks):
                return response
            return response.replace(complete=False)
    return response


def accumulated(chunks: Iterable[ChatChunk], response: Response) -> Response:
    """`response` with the choices that `chunks` make: what a transforming layer has delivered."""
    accumulator = Accumulator()
    accumulator.add(chunks)
    return response.replace(choices=accumulator.response(complete=response.complete).choices)
