"""Chat on either wire: read, parse, admit, answer, frame, settle."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from qonduit_emulator._answer import Answer
from qonduit_emulator._backend import Backend
from qonduit_emulator._body import read_body
from qonduit_emulator._books import Books
from qonduit_emulator._exchange import ChatRequest, Usage
from qonduit_emulator._fault_answers import damage_answer
from qonduit_emulator._faults import FaultName, chosen_fault
from qonduit_emulator._gate import Call, Permit
from qonduit_emulator._models import Catalogue
from qonduit_emulator._pacing import Pacer
from qonduit_emulator._refusal import Refusal
from qonduit_emulator._responses import EVENT_STREAM, answer, answer_error, build_headers, refuse
from qonduit_emulator._scenario import Scenario
from qonduit_emulator._sleep import Sleep
from qonduit_emulator._waiting_room import WaitingRoom
from qonduit_emulator._wire import Framing, Wire


class ChatEndpoint:
    """Answers chat requests of one wire."""

    def __init__(
        self,
        wire: Wire,
        *,
        room: WaitingRoom,
        books: Books,
        catalogue: Catalogue,
        backend: Backend,
        scenario: Scenario,
        sleep: Sleep,
        max_body_bytes: int,
    ) -> None:
        self._wire = wire
        self._room = room
        self._books = books
        self._catalogue = catalogue
        self._backend = backend
        self._scenario = scenario
        self._sleep = sleep
        self._max_body_bytes = max_body_bytes

    async def __call__(self, http: Request) -> Response:
        """One call's way."""
        request_id = str(uuid.uuid4())
        wire = self._wire
        try:
            body = await read_body(http, self._max_body_bytes)
            request = wire.parse(body, http.headers)
            pacing = self._scenario.pacing.for_request(http.headers)
            call = Call(wire=wire.name, headers=http.headers, request=request)
            permit = await self._room.admit(call, http.receive)
        except Refusal as refusal:
            return refuse(wire, refusal, request_id, http.headers)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        model = self._catalogue[request.model]
        thinking = model.thinks(request.parameters.enable_thinking)
        request = permit.bound(replace(request, thinking=thinking, caller=self._payer(call)))
        rule = self._scenario.rules.match(request, http.headers)
        fault = chosen_fault(http.scope)
        backend = damage_answer((rule and rule.backend) or self._backend, fault)
        run = _Run(
            permit=permit,
            backend=backend,
            request=request,
            framing=wire.framing(request, model, request_id, int(time.time())),
            pacer=Pacer(pacing, self._sleep, rule.delay_seconds if rule else 0),
        )
        if request.stream:
            return _SettlingStream(run, headers=build_headers(request_id, finished=False))
        partial = fault is not None and fault.name is FaultName.PARTIAL_RESPONSE
        return await _answer_plain(wire, run, request_id, partial=partial)

    def _payer(self, call: Call) -> str:
        key = self._books.find_key(call.api_key or "")
        return key.account if key is not None else ""


class _Run:
    """One admitted call."""

    def __init__(
        self, *, permit: Permit, backend: Backend, request: ChatRequest, framing: Framing, pacer: Pacer
    ) -> None:
        self.framing = framing
        self.pacer = pacer
        self._permit = permit
        self._backend = backend
        self._request = request
        self._usage: Usage | None = None

    async def whole(self) -> Answer:
        """The answer, after as long as its stream would take. Raises `Refusal`."""
        whole = Answer()
        try:
            async for delta in self._backend.answer(self._request):
                whole.add(delta)
                self._usage = delta.usage
            await self.pacer.wait_for_all(whole.usage.output_tokens)
        finally:
            self.settle()
        return whole

    async def events(self) -> AsyncIterator[bytes]:
        """The stream's events, at their pace."""
        try:
            async for delta in self._backend.answer(self._request):
                if self.pacer.active:
                    async for comment in self.pacer.wait(delta.usage.output_tokens):
                        yield comment
                self._usage = delta.usage
                if event := self.framing.delta(delta):
                    yield event
        except Refusal as refusal:
            yield self.framing.error(refusal)
            return
        if event := self.framing.end():
            yield event

    def settle(self) -> None:
        """Give back what the gate took; a second time does nothing."""
        self._permit.settle(self._usage)


async def _answer_plain(wire: Wire, run: _Run, request_id: str, *, partial: bool) -> Response:
    try:
        whole = await run.whole()
    except Refusal as refusal:
        return answer_error(wire, refusal, request_id)
    return answer(run.framing.plain(whole), request_id, partial=partial)


class _SettlingStream(StreamingResponse):
    """A stream that settles its call when it ends, breaks off, or never begins."""

    media_type = EVENT_STREAM

    def __init__(self, run: _Run, headers: Mapping[str, str]) -> None:
        super().__init__(run.events(), headers=headers)
        self._run = run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._run.settle()
