"""Answering: what an answer means, whole or refused, and which limit one ran into."""

from __future__ import annotations

import time

from qonduit._chain import deliver
from qonduit._defects import broken, gave
from qonduit._replay import replay
from qonduit._tool_fragments import marked
from qonduit.call import Call
from qonduit.effects import Flow
from qonduit.errors import APIError, QonduitError
from qonduit.parts import Resend
from qonduit.request import Request
from qonduit.response import ChatResponse
from qonduit.route import Route
from qonduit.wire import WireResponse

EARLY = 0.02
"""How much before a limit a timer may go off that was set for it."""


def limit_that_passed(call: Call, timeout: float, deadline: float, of: str = "one attempt") -> str:
    """Which limit an attempt ran into, as a sentence; "" when none has passed, so that it was the transport's own."""
    if time.monotonic() + EARLY < deadline:
        return ""
    if call.deadline is not None and deadline >= call.deadline:
        return f"The limit that passed is deadline: {call.deadline - call.started:g} s for the whole call."
    return f"The limit that passed is timeout: {timeout:g} s for {of}."


def answered(route: Route, call: Call, request: Request, answer: WireResponse, warnings: tuple[str, ...]) -> Flow:
    """What a whole answer means; replayed where the caller wants a stream."""
    if not 200 <= answer.status < 300:
        raise refused(route, answer)
    try:
        response = route.response_normalizer.normalize(request, answer)
        if not isinstance(response, request.response_type):
            raise gave(route, "response normalizer", response, request.response_type)
        if isinstance(response, ChatResponse):
            response = marked(response)
    except (QonduitError, Resend):
        raise
    except Exception as error:
        raise broken(route, "response normalizer", error) from error
    if warnings:
        response = response.replace(warnings=(*warnings, *response.warnings))
    if call.streamed:
        response = yield from deliver(call, replay(response, usage=request.wants_usage_chunk), response)
    return response


def refused(route: Route, answer: WireResponse) -> APIError:
    """The error that an error status means."""
    try:
        error = route.response_normalizer.error(answer)
    except (QonduitError, Resend):
        raise
    except Exception as failure:
        raise broken(route, "response normalizer", failure) from failure
    if not isinstance(error, APIError):
        raise gave(route, "response normalizer", error, APIError)
    return error
