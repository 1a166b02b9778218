"""Routing: which of a client's routes a call takes. Decided before anything is sent, by what each can say."""

from __future__ import annotations

from collections.abc import Sequence

from qonduit._attempt import build
from qonduit._chain import Step
from qonduit.call import Call
from qonduit.effects import Flow
from qonduit.errors import BadRequestError
from qonduit.request import Request
from qonduit.route import Route


def routing(ways: Sequence[tuple[Route, Step]]) -> Step:
    """The step that takes one of `ways`: the first whose provider can say all of the request."""
    if len(ways) == 1:
        return ways[0][1]

    def step(call: Call, request: Request) -> Flow:
        chosen, reason = choose([route for route, _ in ways], request)
        route, way = ways[chosen]
        call.profile = route.profile
        response = yield from way(call, request)
        return response.replace(warnings=(reason, *response.warnings)) if reason else response

    return step


def choose(routes: Sequence[Route], request: Request) -> tuple[int, str]:
    """The place of the route for `request`, and a sentence that says why where it is not the first.

    Where none can say all of it, the one that leaves out the least serves it, the earlier of two.
    Raises: BadRequestError of the first route when none can say it at all.
    """
    lacks: list[tuple[int, int, str]] = []
    refusal: BadRequestError | None = None
    first = ""
    for place, route in enumerate(routes):
        try:
            left_out = build(route, request).unsupported
        except BadRequestError as error:
            refusal = refusal or error
            first = (
                first or error.message.removeprefix("The request was not sent: ").partition(". ")[0].rstrip(".") + "."
            )
            continue
        lacks.append((len(left_out), place, route.profile.provider))
        if not left_out:
            break
        first = first or f"provider '{route.profile.provider}' takes no {', '.join(left_out)}."
    if not lacks:
        assert refusal is not None
        raise refusal
    _, place, provider = min(lacks)
    return place, f"Provider '{provider}' was chosen: {first}" if place else ""
