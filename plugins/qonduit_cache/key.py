"""Key: a digest of all that an answer depends on, so that two requests share an entry only when they are the same.

Left out is what changes how an answer comes, not what it is: `stream`, `stream_options`, `timeout`, `deadline`, `tags`.
Everything else is in, known to qonduit or not: a field that a later version brings makes keys of its own.

What a request means is written as JSON with sorted names, so that the order of a mapping and the difference between a
tuple and a list do not count; 1, 1.0 and true are three values, as on the wire.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

from pydantic_core import to_jsonable_python

from qonduit import Message, Profile, Request, __version__

_NOT_SENT = {"stream", "stream_options", "timeout", "deadline", "tags"}
_ABOUT_A_ROW = {"source", "date"}
_REMEMBERED = 256
_write = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def _written(request: Request) -> bytes:
    """The request as JSON with sorted names. Most hold no mapping, and then pydantic's own JSON is that already: each
    has its fields in the order of its type, and equal requests have equally many braces.

    Raises: ValueError, TypeError, RecursionError for what JSON cannot carry.
    """
    serializer = request.__pydantic_serializer__
    messages: Sequence[Message] = getattr(request, "messages", ())
    written: bytes = serializer.to_json(request, exclude=_NOT_SENT, exclude_none=True)
    if written.count(b"{") == 1 + len(messages):
        for message in messages:
            if message.__pydantic_extra__:
                break
        else:
            return written
    return _write(serializer.to_python(request, mode="json", exclude=_NOT_SENT, exclude_none=True)).encode()


class Keys:
    """Makes the keys of one cache. `secret` goes into them: without it nobody can tell whose a key is."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._origins: dict[tuple[Any, ...], tuple[Profile, Any]] = {}

    def key(self, profile: Profile, request: Request, namespace: str | None) -> str | None:
        """The key of a request, 64 hexadecimal digits; None for one that is no JSON, which will not be sent.

        Without a `namespace` only calls with the same API key share entries.
        """
        try:
            written = _written(request)
        except (ValueError, TypeError, RecursionError):  # the builder says what is wrong with it
            return None
        digest = self._origin(profile, request, namespace).copy()
        digest.update(written)
        return str(digest.hexdigest())

    def _origin(self, profile: Profile, request: Request, namespace: str | None) -> Any:
        """The digest of what a request does not say itself; the last few are remembered."""
        place = (id(profile), request.operation, request.model, namespace)
        known = self._origins.get(place)
        if known is not None:
            return known[1]
        row = profile.models.get(request.model or "").model_dump(mode="json", exclude=_ABOUT_A_ROW)
        whose = ("key", self._mac(profile.key_id)) if namespace is None else ("namespace", namespace)
        origin = {
            "qonduit": __version__,
            "operation": request.operation,
            "provider": profile.provider,
            "base_url": profile.base_url,
            "workspace": profile.workspace,
            "organization": profile.organization,
            "region": profile.region,
            "options": to_jsonable_python(dict(profile.options)),
            "unsupported": profile.unsupported,
            "model": row,
            "whose": whose,
            "secret": self._mac("key"),
        }
        digest = hashlib.sha256(_write(origin).encode("utf-8", "surrogatepass") + b"\n")
        if len(self._origins) >= _REMEMBERED:
            self._origins.clear()
        self._origins[place] = (profile, digest)  # with the profile, so that its id is not another's
        return digest

    def _mac(self, text: str) -> str:
        return hmac.digest(self._secret, text.encode(), "sha256").hex()
