"""The HTTP side: routes, bodies, headers. What they mean is for the wires, the gate and the backend."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from qonduit_emulator._account_checks import account_checks
from qonduit_emulator._address import DEFAULT_API_KEY
from qonduit_emulator._admin import admin_routes
from qonduit_emulator._answer import Answer
from qonduit_emulator._backend import Backend
from qonduit_emulator._books import Books, with_key
from qonduit_emulator._compatible import CompatibleWire, list_models
from qonduit_emulator._configuration import Configuration
from qonduit_emulator._exchange import ChatRequest, Usage
from qonduit_emulator._format_check import FormatCheck
from qonduit_emulator._gate import Call, Check, Gate, Permit
from qonduit_emulator._model_check import ModelCheck
from qonduit_emulator._models import Catalogue, default_catalogue
from qonduit_emulator._native import NativeWire
from qonduit_emulator._refusal import Refusal, body_too_large, internal_error, unknown_route, wrong_method
from qonduit_emulator._scripted import ScriptedBackend
from qonduit_emulator._wire import Framing, Wire

MAX_BODY_BYTES = 10 * 1024 * 1024
"""The default limit of a request body."""

MAX_DISCARDED_BODIES = 8
"""A body over the limit is read and thrown away up to so many times the limit, so that the client hears the
error; beyond that the connection is closed on it."""

TIMEOUT_SECONDS = 298
"""What `x-dashscope-timeout` states. Source: captured traffic, 2025-07-07."""

_COMPATIBLE = CompatibleWire()
_NATIVE_TEXT = NativeWire("text")
_NATIVE_MULTIMODAL = NativeWire("multimodal")


def create_app(
    *,
    api_key: str | None = None,
    backend: Backend | None = None,
    checks: tuple[Check, ...] = (),
    max_body_bytes: int = MAX_BODY_BYTES,
    books: Books | None = None,
    admin_token: str | None = None,
) -> Starlette:
    """The emulator as an ASGI application, for those who run their own server.

    Args:
        api_key: the key that is let in; `DEFAULT_API_KEY` when `None`. With `books` it has no effect.
        backend: who answers; the scripted backend when `None`.
        checks: more checks for the gate, beside format, key, account, rate and model.
        max_body_bytes: a longer request body is refused.
        books: the keys and accounts; when `None`, one key of an account without limits.
        admin_token: what the admin API asks for; `None` turns it off.
    """
    catalogue = default_catalogue()
    books = books or Books(with_key(Configuration(), api_key, DEFAULT_API_KEY))
    gate = Gate([FormatCheck(), *account_checks(books, catalogue), ModelCheck(catalogue), *checks])
    app = _Service(gate, catalogue, backend or ScriptedBackend(), max_body_bytes).build_app()
    if admin_token is not None:
        app.router.routes.extend(admin_routes(books, admin_token))
    return app


class _Service:
    """One call's way: read, parse, admit, answer, frame, settle."""

    def __init__(self, gate: Gate, catalogue: Catalogue, backend: Backend, max_body_bytes: int) -> None:
        self._gate = gate
        self._catalogue = catalogue
        self._backend = backend
        self._max_body_bytes = max_body_bytes
        self._started = int(time.time())

    def build_app(self) -> Starlette:
        chat = partial(self._chat, _COMPATIBLE)
        generation = "/api/v1/services/aigc/{}-generation/generation".format
        app = Starlette(
            routes=[
                _route("/compatible-mode/v1/chat/completions", chat, "POST"),
                _route("/compatible-mode/v1/models", self._models, "GET"),
                _route("/v1/chat/completions", chat, "POST"),
                _route("/v1/models", self._models, "GET"),
                _route(generation("text"), partial(self._chat, _NATIVE_TEXT), "POST"),
                _route(generation("multimodal"), partial(self._chat, _NATIVE_MULTIMODAL), "POST"),
            ],
            exception_handlers={HTTPException: _routing_error, Exception: _server_error},
        )
        app.router.redirect_slashes = False
        return app

    async def _models(self, http: Request) -> Response:
        request_id = str(uuid.uuid4())
        try:
            permit = self._gate.admit(Call(wire="compatible", headers=http.headers))
        except Refusal as refusal:
            return _error_response(_COMPATIBLE, refusal, request_id)
        permit.settle(None)
        return _response(list_models(self._catalogue, self._started), request_id)

    async def _chat(self, wire: Wire, http: Request) -> Response:
        request_id = str(uuid.uuid4())
        try:
            body = await _read_body(http, self._max_body_bytes)
            request = wire.parse(body, http.headers)
            permit = self._gate.admit(Call(wire=wire.name, headers=http.headers, request=request))
        except Refusal as refusal:
            return _refuse(wire, refusal, request_id, http.headers)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        request = permit.bound(request)
        model = self._catalogue[request.model]
        request = replace(request, thinking=model.thinks(request.parameters.enable_thinking))
        framing = wire.framing(request, model, request_id, int(time.time()))
        if request.stream:
            run = _Run(permit)
            events = self._stream(request, framing, run)
            return _SettlingStream(events, run, headers=_headers(request_id, finished=False))
        return await self._plain(wire, request, framing, permit, request_id)

    async def _plain(
        self, wire: Wire, request: ChatRequest, framing: Framing, permit: Permit, request_id: str
    ) -> Response:
        answer = Answer()
        try:
            async for delta in self._backend.answer(request):
                answer.add(delta)
        except Refusal as refusal:
            return _error_response(wire, refusal, request_id)
        finally:
            permit.settle(answer.usage if answer.choices else None)
        return _response(framing.plain(answer), request_id)

    async def _stream(self, request: ChatRequest, framing: Framing, run: _Run) -> AsyncIterator[bytes]:
        deltas = self._backend.answer(request)
        try:
            async for delta in deltas:
                run.usage = delta.usage
                if event := framing.delta(delta):
                    yield event
        except Refusal as refusal:
            yield framing.error(refusal)
            return
        if event := framing.end():
            yield event


class _Run:
    """A stream under way: its permit, and the usage so far."""

    def __init__(self, permit: Permit) -> None:
        self.permit = permit
        self.usage: Usage | None = None


class _SettlingStream(StreamingResponse):
    """A stream that settles its call when it ends, breaks off, or never begins."""

    media_type = "text/event-stream;charset=UTF-8"

    def __init__(self, events: AsyncIterator[bytes], run: _Run, headers: Mapping[str, str]) -> None:
        super().__init__(events, headers=headers)
        self._run = run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._run.permit.settle(self._run.usage)


def _route(path: str, endpoint: Callable[[Request], Awaitable[Response]], method: str) -> Route:
    return Route(path, endpoint, methods=[method])


async def _read_body(http: Request, limit_bytes: int) -> bytes:
    """The whole body.

    Raises:
        Refusal: longer than `limit_bytes`.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in http.stream():
        size += len(chunk)
        if size <= limit_bytes:
            chunks.append(chunk)
        elif size > limit_bytes * MAX_DISCARDED_BODIES:
            break
    if size > limit_bytes:
        raise body_too_large(limit_bytes)
    return b"".join(chunks)


def _headers(request_id: str, *, finished: bool) -> dict[str, str]:
    """Source: captured traffic, 2024-2025; there are no rate-limit headers."""
    return {
        "x-request-id": request_id,
        "x-dashscope-call-gateway": "true",
        "x-dashscope-finished": "true" if finished else "false",
        "x-dashscope-timeout": str(TIMEOUT_SECONDS),
    }


def _response(body: bytes, request_id: str, status: int = 200) -> Response:
    return Response(body, status, headers=_headers(request_id, finished=True), media_type="application/json")


def _error_response(wire: Wire, refusal: Refusal, request_id: str) -> Response:
    status, body = wire.error(refusal, request_id)
    return _response(body, request_id, status)


def _refuse(wire: Wire, refusal: Refusal, request_id: str, headers: Mapping[str, str]) -> Response:
    """An error before the answer: inside HTTP 200 where the wire does so."""
    events = wire.error_stream(refusal, request_id, headers)
    if events is None:
        return _error_response(wire, refusal, request_id)
    return Response(
        events, headers=_headers(request_id, finished=False), media_type=_SettlingStream.media_type
    )


def _wire_of(path: str) -> Wire:
    return _NATIVE_TEXT if path.startswith("/api/") else _COMPATIBLE


async def _routing_error(http: Request, error: Exception) -> Response:
    refusal = unknown_route()
    if isinstance(error, HTTPException) and error.status_code == 405:
        refusal = wrong_method(http.method)
    return _error_response(_wire_of(http.url.path), refusal, str(uuid.uuid4()))


async def _server_error(http: Request, error: Exception) -> Response:
    return _error_response(_wire_of(http.url.path), internal_error(), str(uuid.uuid4()))
