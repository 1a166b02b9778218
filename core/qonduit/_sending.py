"""Sending: auth and transport together, and errors that do not repeat what auth put on a request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qonduit._defects import gave, of_auth, of_transport
from qonduit.credentials import MASK, forms_of
from qonduit.effects import Effect, Flow
from qonduit.errors import APIError
from qonduit.parts import WireStream
from qonduit.route import Route
from qonduit.wire import WireRequest, WireResponse

SHORTEST_PIECE = 6
"""A piece of a secret that a cut left is removed from so many characters on."""


def authorized(route: Route, wire: WireRequest, deadline: float, sent: list[WireRequest]) -> Flow:
    """Send what auth yields, until it has nothing more to send; the last answer. `sent` gets what was sent.

    Raises: what the transport raises; PluginError for a transport or an auth that fails.
    """
    transport = route.transport
    answer: Any = None
    opened: WireStream | None = None  # the last answer, when it is a stream
    lost: Exception | None = None
    try:
        flow = route.auth.flow(wire)
        item: Any = next(flow)
        while True:
            if item.__class__ is Effect:
                try:
                    value = yield item
                except Exception as error:  # noqa: BLE001  # auth decides
                    item = flow.throw(error)
                else:
                    item = flow.send(value)
                continue
            if not isinstance(item, WireRequest):
                raise gave(route, "auth", item, WireRequest)
            if opened is not None:
                refused, opened = opened, None
                yield Effect(refused.close, refused.aclose)
            sent.append(item)
            try:
                if item.stream:
                    answer = opened = yield Effect(transport.stream, transport.astream, (item, deadline))
                else:
                    answer = yield Effect(transport.send, transport.asend, (item, deadline))
                if not isinstance(getattr(answer, "status", None), int):
                    opened = None
                    raise gave(route, "transport", answer, WireResponse)
            except Exception as error:  # noqa: BLE001  # typed
                lost = of_transport(route, error)
                raise lost  # noqa: B904  # it has its cause
            item = flow.send(answer)
    except StopIteration as end:
        if answer is not None:
            return answer
        failure: Exception = of_auth(route, end)
    except Exception as error:  # noqa: BLE001  # typed
        failure = error if error is lost else of_auth(route, error)
    except BaseException:
        if opened is not None:
            opened.close()
        raise
    if opened is not None:
        yield Effect(opened.close, opened.aclose)
    raise failure


def hide_credentials(error: APIError, wire: WireRequest, sent: Iterable[WireRequest]) -> None:
    """Take what auth put on `sent` out of an error: a provider may quote the key that it refuses.

    With it goes a suppressed context: what a parser raised holds what it could not read.
    """
    if error.__suppress_context__:
        error.__context__ = None
    values = {
        word
        for request in sent
        for name, value in request.headers.items()
        if wire.headers.get(name) != value
        for word in (value, *value.split()[-1:])
    }
    forms = sorted({form for value in values for form in forms_of(value)}, key=len, reverse=True)
    error.message = _without(error.message, forms)
    error.args = (error.message,)
    for name in ("code", "request_id"):
        text = getattr(error, name)
        if text is not None:
            setattr(error, name, _without(text, forms))


def _without(text: str, forms: Iterable[str]) -> str:
    for form in forms:
        text = text.replace(form, MASK)
        end = text.find("…")  # where a long message was cut, perhaps in the middle of a secret
        for size in range(len(form) - 1, SHORTEST_PIECE - 1, -1):
            if end > 0 and text.endswith(form[:size], 0, end):
                text = text[: end - size] + MASK + text[end:]
                break
    return text
