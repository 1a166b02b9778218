"""How a call may go: what the server says, or what else goes wrong, and the error that comes of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
import pytest
from tests.secrets.canaries import ANSWER, ECHO, KEY, PASSWORD, PROMPT
from tests.servers import CLOSE, HANG, RESET, ScriptedServer, chunk, head, json_response, response, sse_head
from tests.wires import WIRES

from qonduit import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    ConfigurationError,
    InternalServerError,
    PluginError,
    ProtocolError,
    StreamInterruptedError,
    hookimpl,
    middleware,
)
from qonduit.parts import AuthFlow

WIRE = WIRES["qwen"]
Error = type[BaseException] | None
Prepare = Callable[[pytest.MonkeyPatch, ScriptedServer, bool], Mapping[str, Any]]


class Situation(NamedTuple):
    """A script of a server, the error of a plain and of a streamed call (None: an answer), and what it may show.

    `options` are the client's; `prepare` gives more of them, from the patch, the server and whether it is async.
    """

    script: Any
    plain: Error
    streamed: Error
    options: Mapping[str, Any] = MappingProxyType({})
    shows: tuple[str, ...] = ()
    prepare: Prepare = lambda patch, server, asynchronous: {}


class Failing:
    """A plugin with one part that fails."""

    def __init__(self, part: str) -> None:
        self.part = part

    @hookimpl
    def qonduit_request_builder(self) -> Any:
        return self if self.part == "builder" else None

    @hookimpl
    def qonduit_auth(self, credentials: Any) -> Any:
        self.credentials = credentials
        return self if self.part.startswith("auth") else None

    @hookimpl
    def qonduit_middleware(self) -> Any:
        @middleware("failing", on_error="ignore" if self.part == "observer" else "raise")
        def failing(call: Any) -> Any:
            if self.part in {"observer", "policy"}:
                raise LookupError(self.part)
            yield call.request

        return failing

    def build(self, request: Any) -> Any:
        raise LookupError(self.part)

    def flow(self, wire: Any) -> AuthFlow:
        key = self.credentials.value
        headers = {"authorization": key}
        if self.part == "auth at once":
            raise LookupError(f"{key} is not there")
        yield wire.with_headers(headers)
        raise LookupError(f"{key} is not there")


@middleware("budget")
def budget(call: Any) -> Any:
    raise BudgetExceededError("It is used up.", budget="day")
    yield call.request


def proxied(scheme: str) -> Prepare:
    """Through the server as a proxy that has a password."""

    def prepare(patch: pytest.MonkeyPatch, server: ScriptedServer, asynchronous: bool) -> Mapping[str, Any]:
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            patch.setenv(name, server.url.replace("//", f"//user:{PASSWORD}@"))
        return {"base_url": f"{scheme}://api.test/v1"}

    return prepare


def secure(patch: pytest.MonkeyPatch, server: ScriptedServer, asynchronous: bool) -> Mapping[str, Any]:
    """TLS with a server that has none, and says so."""
    listener = socket.create_server(("127.0.0.1", 0))

    def greet() -> None:
        with listener, listener.accept()[0] as accepted:
            accepted.sendall(b"SSH-2.0\r\n")

    threading.Thread(target=greet, daemon=True).start()
    return {"base_url": f"https://127.0.0.1:{listener.getsockname()[1]}/v1"}


def unknown(patch: pytest.MonkeyPatch, server: ScriptedServer, asynchronous: bool) -> Mapping[str, Any]:
    """A host that no name server knows."""

    def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    patch.setattr(socket, "getaddrinfo", getaddrinfo)
    return {"base_url": "http://unknown.test/v1"}


def handed_in(patch: pytest.MonkeyPatch, server: ScriptedServer, asynchronous: bool) -> Mapping[str, Any]:
    """Over a client of the caller's own, whose errors hold the request."""

    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("It broke.", request=request)

    kind = httpx.AsyncClient if asynchronous else httpx.Client
    return {"http_client": kind(transport=httpx.MockTransport(handler), trust_env=False)}


def key_that_goes_bad(patch: pytest.MonkeyPatch, server: ScriptedServer, asynchronous: bool) -> Mapping[str, Any]:
    """A key that is read again after a 401, and has got a line break."""
    patch.setenv("CANARY_KEY", KEY)

    def spoil(request: Any) -> bytes:
        patch.setenv("CANARY_KEY", f"{KEY}\n")
        return WIRE.error(401, "invalid_api_key", ECHO)

    server._script = spoil
    return {"api_key": "env:CANARY_KEY"}


def at_once(patch: pytest.MonkeyPatch, server: ScriptedServer, asynchronous: bool) -> Mapping[str, Any]:
    """Retries without waiting; stamina tells its own log of them."""
    patch.setattr("qonduit.retry.ExponentialRetry.delay", lambda self, error, attempt: 0.0 if attempt < 2 else None)
    return {}


def answer(request: Any) -> Any:
    return WIRE.stream_reply([ANSWER]) if request.json.get("stream") else WIRE.plain_reply(ANSWER)


LONG = "x" * (500 - len("Wrong key ") - 12)
"""So that what is shown of a message ends within the key."""
REFUSED = WIRE.error(401, "invalid_api_key", ECHO)
SITUATIONS: dict[str, Situation] = {
    "an answer": Situation(answer, None, None, shows=("answer",)),
    "401 that quotes the key": Situation([REFUSED], AuthenticationError, AuthenticationError),
    "401 that is the key": Situation([WIRE.error(401, KEY, ECHO)], AuthenticationError, AuthenticationError),
    "401 cut in the key": Situation([WIRE.error(401, "x", f"{LONG}{ECHO}")], APIStatusError, APIStatusError),
    "400 that quotes the prompt": Situation(
        [WIRE.error(400, "x", f"{PROMPT}; {ECHO}")], BadRequestError, BadRequestError, shows=("prompt",)
    ),
    "retries": Situation([WIRE.error(503, "x", ECHO)] * 2, APIStatusError, APIStatusError, prepare=at_once),
    "500 with HTML": Situation(
        [response(f"<p>{ECHO} {PROMPT}".encode(), 500, "text/html")], InternalServerError, InternalServerError
    ),
    "a reset": Situation([[RESET]], APIConnectionError, APIConnectionError),
    "a time-out": Situation([[HANG]], APITimeoutError, APITimeoutError, {"timeout": 0.1}),
    "no answer": Situation([json_response({"choices": ANSWER, "echo": ECHO})], ProtocolError, ProtocolError),
    "no JSON": Situation([response(f"{ANSWER} {ECHO}".encode())], ProtocolError, ProtocolError),
    "a redirect": Situation([response(b"", 302, location=f"http://other.test/{KEY}")], APIStatusError, APIStatusError),
    "an encoding": Situation([response(b"x", content_encoding=KEY)], ProtocolError, ProtocolError),
    "no HTTP": Situation([[f"{ECHO}\r\n\r\n".encode(), CLOSE]], APIConnectionError, APIConnectionError),
    "a cut answer": Situation(
        [[head(200, {"content-length": "99"}), ANSWER.encode(), CLOSE]], APIConnectionError, APIConnectionError
    ),
    "407": Situation([response(ECHO.encode(), 407)], APIStatusError, APIStatusError, prepare=proxied("http")),
    "407 of a tunnel": Situation(
        [response(b"", 407)], APIConnectionError, APIConnectionError, prepare=proxied("https")
    ),
    "no TLS": Situation([[CLOSE]], APIConnectionError, APIConnectionError, prepare=secure),
    "no such host": Situation([], APIConnectionError, APIConnectionError, prepare=unknown),
    "a client of one's own": Situation([], APIConnectionError, APIConnectionError, prepare=handed_in),
    "a builder that fails": Situation([], PluginError, PluginError, {"plugins": [Failing("builder")]}),
    "an auth that fails": Situation([], PluginError, PluginError, {"plugins": [Failing("auth at once")]}),
    "an auth that fails later": Situation([REFUSED], PluginError, PluginError, {"plugins": [Failing("auth")]}),
    "an observer that fails": Situation(answer, None, None, {"plugins": [Failing("observer")]}, ("answer",)),
    "a policy that fails": Situation([], LookupError, LookupError, {"plugins": [Failing("policy")]}),
    "a key that goes bad": Situation([], ConfigurationError, ConfigurationError, prepare=key_that_goes_bad),
    "a budget that refuses": Situation([], BudgetExceededError, BudgetExceededError, {"plugins": [budget]}),
    "a stream that breaks": Situation(
        [[sse_head(), chunk(WIRE.piece(ANSWER)), CLOSE]], APIConnectionError, StreamInterruptedError
    ),
    "a stream with an error": Situation(
        [[sse_head(), chunk(WIRE.piece(ANSWER) + WIRE.stream_error(400, "x", ECHO)), CLOSE]], APIError, APIError
    ),
    "a stream of nonsense": Situation(
        [[sse_head(), chunk(WIRE.piece(ANSWER) + f"data: {ANSWER} {ECHO}\n\n".encode()), CLOSE]],
        APIError,
        ProtocolError,
    ),
}
