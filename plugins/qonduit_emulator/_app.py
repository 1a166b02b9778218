"""The application: which endpoint is where, and the layers around them."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qonduit_emulator._account_checks import account_checks
from qonduit_emulator._address import DEFAULT_API_KEY
from qonduit_emulator._admin import admin_routes
from qonduit_emulator._backend import Backend
from qonduit_emulator._body import MAX_BODY_BYTES
from qonduit_emulator._body_deadline import BODY_TIMEOUT_SECONDS, BodyDeadline
from qonduit_emulator._books import Books, with_key
from qonduit_emulator._chat_endpoint import ChatEndpoint
from qonduit_emulator._configuration import Configuration
from qonduit_emulator._embeddings import parse_compatible_embedding, parse_native_embedding
from qonduit_emulator._fault_layer import FaultLayer
from qonduit_emulator._format_check import FormatCheck
from qonduit_emulator._gate import Check, Gate
from qonduit_emulator._job_endpoint import JobEndpoint
from qonduit_emulator._layers import JournalLayer, TimingLayer
from qonduit_emulator._model_check import ModelCheck
from qonduit_emulator._models import default_catalogue
from qonduit_emulator._refusal import internal_error, unknown_route, wrong_method
from qonduit_emulator._rerank import parse_compatible_rerank, parse_native_rerank
from qonduit_emulator._responses import COMPATIBLE, NATIVE_MULTIMODAL, NATIVE_TEXT, answer_error, wire_of
from qonduit_emulator._scenario import Scenario
from qonduit_emulator._scenario_admin import scenario_routes
from qonduit_emulator._scripted import ScriptedBackend
from qonduit_emulator._sleep import Sleep, sleep
from qonduit_emulator._small_endpoints import SmallEndpoints
from qonduit_emulator._tokenizer import parse_tokenizer
from qonduit_emulator._waiting_room import Queues, WaitingRoom

if TYPE_CHECKING:
    from starlette.types import ASGIApp

COMPATIBLE_ROOTS = ("/compatible-mode/v1", "/v1")
"""The vendor's root, and where plain OpenAI clients look."""


def create_app(
    *,
    api_key: str | None = None,
    books: Books | None = None,
    backend: Backend | None = None,
    checks: tuple[Check, ...] = (),
    admin_token: str | None = None,
    scenario: Scenario | None = None,
    sleep: Sleep = sleep,
    max_body_bytes: int = MAX_BODY_BYTES,
    body_timeout_seconds: float = BODY_TIMEOUT_SECONDS,
) -> ASGIApp:
    """The emulator as an ASGI application, for those who run their own server.

    Args:
        api_key: the key that is let in where no books are given; `DEFAULT_API_KEY` when `None`.
        books: keys and accounts.
        backend: who answers; the scripted backend when `None`.
        checks: more checks for the gate.
        admin_token: what the admin API asks for; `None` turns it off.
        scenario: rules, faults, pace, journal; when `None`, only what a request's own headers ask for.
        sleep: how this server waits.
        max_body_bytes: a longer request body is refused.
        body_timeout_seconds: a request body that takes longer to arrive is refused.
    """
    books = books or Books(with_key(Configuration(), api_key, DEFAULT_API_KEY))
    scenario = scenario or Scenario()
    catalogue = default_catalogue()
    queues = Queues(books)
    gate = Gate([FormatCheck(), *account_checks(books, catalogue), queues, ModelCheck(catalogue), *checks])
    room = WaitingRoom(gate, queues, books, sleep)
    chat = partial(
        ChatEndpoint,
        room=room,
        books=books,
        catalogue=catalogue,
        backend=backend or ScriptedBackend(scenario.cache),
        scenario=scenario,
        sleep=sleep,
        max_body_bytes=max_body_bytes,
    )
    job = partial(JobEndpoint, room=room, catalogue=catalogue, max_body_bytes=max_body_bytes)
    small = SmallEndpoints(gate, catalogue, books)
    routes = [*_compatible_routes(chat, job, small), *_native_routes(chat, job, small)]
    if admin_token:
        routes += [*admin_routes(books, admin_token), *scenario_routes(scenario, admin_token)]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _routing_error, Exception: _server_error})
    app.router.redirect_slashes = False
    layered: ASGIApp = TimingLayer(FaultLayer(BodyDeadline(app, body_timeout_seconds), scenario.faults, sleep))
    return layered if scenario.journal is None else JournalLayer(layered, scenario.journal)


def _compatible_routes(
    chat: Callable[..., ChatEndpoint], job: Callable[..., JobEndpoint], small: SmallEndpoints
) -> list[Route]:
    answer_chat = chat(COMPATIBLE)
    answer_embedding = job(COMPATIBLE, parse_compatible_embedding)
    routes = [_route("/compatible-api/v1/reranks", job(COMPATIBLE, parse_compatible_rerank), "POST")]
    for root in COMPATIBLE_ROOTS:
        routes += [
            _route(f"{root}/chat/completions", answer_chat, "POST"),
            _route(f"{root}/embeddings", answer_embedding, "POST"),
            _route(f"{root}/models", small.compatible_models, "GET"),
            _route(f"{root}/models/{{name:path}}", small.compatible_model, "GET"),
        ]
    return routes


def _native_routes(
    chat: Callable[..., ChatEndpoint], job: Callable[..., JobEndpoint], small: SmallEndpoints
) -> list[Route]:
    services = "/api/v1/services"
    return [
        _route(f"{services}/aigc/text-generation/generation", chat(NATIVE_TEXT), "POST"),
        _route(f"{services}/aigc/multimodal-generation/generation", chat(NATIVE_MULTIMODAL), "POST"),
        _route(
            f"{services}/embeddings/text-embedding/text-embedding",
            job(NATIVE_TEXT, parse_native_embedding),
            "POST",
        ),
        _route(f"{services}/rerank/text-rerank/text-rerank", job(NATIVE_TEXT, parse_native_rerank), "POST"),
        _route("/api/v1/tokenizer", job(NATIVE_TEXT, parse_tokenizer), "POST"),
        _route("/api/v1/models", small.native_models, "GET"),
        _route("/api/v1/tokens", small.temporary_key, "POST"),
    ]


def _route(path: str, endpoint: Callable[[Request], Awaitable[Response]], method: str) -> Route:
    async def call(http: Request) -> Response:  # starlette takes an object for an application
        return await endpoint(http)

    return Route(path, call, methods=[method])


async def _routing_error(http: Request, error: Exception) -> Response:
    refusal = unknown_route()
    if isinstance(error, HTTPException) and error.status_code == 405:
        refusal = wrong_method(http.method)
    return answer_error(wire_of(http.url.path), refusal, str(uuid.uuid4()))


async def _server_error(http: Request, error: Exception) -> Response:
    return answer_error(wire_of(http.url.path), internal_error(), str(uuid.uuid4()))
