"""One attempt: request builder, auth, transport, and the reading of the answer. Written without I/O."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

from pydantic_core import PydanticSerializationError

from qonduit._answering import answered, limit_that_passed
from qonduit._chain import Step
from qonduit._defects import broken, gave
from qonduit._reading import Reader
from qonduit._sending import authorized, hide_credentials
from qonduit._surrogates import surrogate_in
from qonduit.call import Call
from qonduit.effects import Flow
from qonduit.errors import (
    APIError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    QonduitError,
)
from qonduit.parts import Resend
from qonduit.request import Request
from qonduit.route import Route
from qonduit.wire import WireRequest, WireResponse

_NO_SUCH_MODEL = {400, 403, 404}
"""Statuses by which providers refuse a model that is gone."""


def attempting(route: Route) -> Step:
    """The step that makes one attempt on `route`."""

    def step(call: Call, request: Request) -> Flow:
        try:
            wire = build(route, request)
            warnings = _warnings(route, wire) if wire.unsupported or wire.warnings else ()
            try:
                response = yield from _exchange(route, call, request, wire, warnings)
            except Resend as resend:
                try:
                    response = yield from _exchange(route, call, request, resend.request, (*warnings, resend.warning))
                except Resend:
                    raise BadRequestError(
                        f"{route.profile.provider} refused the request where its model was looked for first, and then "
                        f"again: {resend.warning} Check the model's name and the base URL.",
                        status_code=400,
                    ) from None
        except APIError as error:
            _complete(error, route, call, request)
            raise
        return response

    return step


def _warnings(route: Route, wire: WireRequest) -> tuple[str, ...]:
    """What was bent in building the request, for the response. Raises: BadRequestError, as the profile says."""
    names = wire.unsupported
    if names:
        provider, policy = route.profile.provider, route.profile.unsupported
        if policy == "error":
            raise BadRequestError(
                f"The request was not sent: provider '{provider}' takes no {', '.join(names)}. "
                'Leave it out, or set unsupported = "warn" in the profile.'
            )
        if policy == "warn":
            left_out = (f"Provider '{provider}' takes no {name}; it was left out." for name in names)
            return (*left_out, *wire.warnings)
    return wire.warnings


def build(route: Route, request: Request) -> WireRequest:
    """The wire form of `request` on `route`. Raises: BadRequestError; PluginError for a builder that fails."""
    try:
        wire = route.request_builder.build(request)
        if not isinstance(wire, WireRequest):
            raise gave(route, "request builder", wire, WireRequest)
        return wire
    except QonduitError:
        raise
    except Exception as error:
        place = surrogate_in(request)
        if place is None and isinstance(error, PydanticSerializationError):
            reason = str(error)  # names the type of the value, not the value
            raise BadRequestError(f"The request was not sent: it holds what JSON cannot carry. {reason}.") from None
        if place is None:
            raise broken(route, "request builder", error) from error
    raise BadRequestError(
        f"The request was not sent: {place} holds a lone surrogate, which UTF-8 cannot carry. "
        "Decode the text with errors='replace', or remove it."
    )


def _complete(error: APIError, route: Route, call: Call, request: Request) -> None:
    """Say on an error what its part could not know."""
    if isinstance(error, AuthenticationError) and error.attempts == 0:
        error.add_reason(f"The key was sent to {urlsplit(route.profile.base_url).netloc}.")
    if error.status_code in _NO_SUCH_MODEL and request.model is not None:
        retirement = route.profile.models.get(request.model).retirement
        if retirement is not None:
            error.add_reason(retirement)  # there is no answer to warn on
    if error.provider is None:
        error.provider = route.profile.provider
    if error.model is None:
        error.model = request.model
    refused_here = (
        isinstance(error, BadRequestError)
        and error.status_code is None
        and error.outcome in {"rejected", "not_sent"}  # a builder may say so, or leave it at the class's default
    )
    error.attempts = 0 if refused_here else call.attempt
    if refused_here:
        error.outcome = "not_sent"


def _exchange(route: Route, call: Call, request: Request, wire: WireRequest, warnings: tuple[str, ...]) -> Flow:
    """Send `wire` and give the answer, with `warnings` before its own."""
    timeout = request.timeout if request.timeout is not None else route.profile.timeout
    now = time.monotonic()
    deadline = now + timeout
    if call.deadline is not None and call.deadline < deadline:
        deadline = call.deadline
        if now >= deadline:
            raise APITimeoutError(
                f"The request was not sent. {limit_that_passed(call, timeout, deadline)}", outcome="not_sent"
            )
    sent: list[WireRequest] = []
    try:
        try:
            answer: Any = yield from authorized(route, wire, deadline, sent)
        except APITimeoutError as error:
            if limit := limit_that_passed(
                call, timeout, deadline, "a stream's first event" if wire.stream else "one attempt"
            ):
                error.add_reason(limit)
            raise
        if wire.stream:
            return (yield from Reader(route, call, request, wire, answer, timeout, warnings).read(deadline))
        answer = WireResponse(answer.status, answer.headers, answer.content, wire)  # the request without credentials
        return (yield from answered(route, call, request, answer, warnings))
    except APIError as error:
        hide_credentials(error, wire, sent)
        raise
