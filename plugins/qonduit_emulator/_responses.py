"""HTTP answers: their headers, and errors in the shape of the wire that was called.

Source of the headers: captured traffic, 2024-2025; there are no rate-limit headers.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from qonduit_emulator._compatible import CompatibleWire
from qonduit_emulator._native import NativeWire
from qonduit_emulator._refusal import Refusal
from qonduit_emulator._wire import Wire

TIMEOUT_SECONDS = 298
"""What `x-dashscope-timeout` states. Source: captured traffic, 2025-07-07."""

EVENT_STREAM = "text/event-stream;charset=UTF-8"

COMPATIBLE = CompatibleWire()
NATIVE_TEXT = NativeWire("text")
NATIVE_MULTIMODAL = NativeWire("multimodal")


def build_headers(request_id: str, *, finished: bool, partial: bool = False) -> dict[str, str]:
    """The vendor's headers, without those that state times.

    `partial` marks a plain answer that ran into the server's time limit: HTTP 200 and the text so far.
    """
    headers = {
        "x-request-id": request_id,
        "x-dashscope-call-gateway": "true",
        "x-dashscope-finished": "true" if finished else "false",
        "x-dashscope-timeout": str(TIMEOUT_SECONDS),
    }
    if partial:
        headers["x-dashscope-partialresponse"] = "true"
    return headers


def answer(body: bytes, request_id: str, status: int = 200, *, partial: bool = False) -> Response:
    """A whole JSON answer."""
    headers = build_headers(request_id, finished=True, partial=partial)
    return Response(body, status, headers=headers, media_type="application/json")


def answer_error(wire: Wire, refusal: Refusal, request_id: str) -> Response:
    """An error with its real status."""
    status, body = wire.error(refusal, request_id)
    return answer(body, request_id, status)


def refuse(wire: Wire, refusal: Refusal, request_id: str, headers: Mapping[str, str]) -> Response:
    """An error before the answer: inside HTTP 200 where the wire does so."""
    events = wire.error_stream(refusal, request_id, headers)
    if events is None:
        return answer_error(wire, refusal, request_id)
    return Response(events, headers=build_headers(request_id, finished=False), media_type=EVENT_STREAM)


def wire_of(path: str) -> Wire:
    """The wire that answers on a path which no route may claim."""
    return NATIVE_TEXT if path.startswith("/api/") else COMPATIBLE
