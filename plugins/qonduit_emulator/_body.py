"""Read a request's body, up to a limit, and hear its client leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request

from qonduit_emulator._refusal import body_too_large

if TYPE_CHECKING:
    from starlette.types import Receive

MAX_BODY_BYTES = 10 * 1024 * 1024
"""The default limit of a request body."""

MAX_DISCARDED_BODIES = 8
"""A body over the limit is read and thrown away up to so many times the limit, so that the client hears the
error; beyond that the connection is closed on it."""


async def read_body(http: Request, limit_bytes: int) -> bytes:
    """The whole body.

    Raises:
        Refusal: longer than `limit_bytes`.
        ClientDisconnect: the client left before it had sent all of it.
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


async def until_gone(receive: Receive) -> None:
    """Wait until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
