"""Entry: a kept answer as bytes. One JSON object, never pickle: reading one can build nothing but a response.

    {"schema":1,"check":"…","key":"…","operation":"chat","created":…,"expires":…,"response":{…}}

`check` is a BLAKE2b digest of all that follows it, keyed where a secret is set, so that an entry cannot be made up by
who can write to the store; zeros where the secret is None, since nobody else can write to that store. `created` and
`expires` are unix seconds. What is no sound entry of the key that was asked for is an `EntryError`.
"""

from __future__ import annotations

import hmac
from functools import lru_cache
from hashlib import blake2b
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import to_json

from qonduit import Response

ResponseT = TypeVar("ResponseT", bound=Response)

SCHEMA = 1
SKEW = 60.0
"""Seconds that the clocks of two machines may be apart; an entry from further ahead is not believed."""

_UNCHECKED = b"0" * 64
_HEAD = b'{"schema":%d,"check":"' % SCHEMA
_BODY = len(_HEAD) + 64 + 2
_LEFT_OUT = {"cost", "cached"}


class EntryError(Exception):
    """Bytes that are no entry of this key. The text says why; it holds nothing of them."""


class Entry(BaseModel, Generic[ResponseT]):
    """An entry that was read."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    key: str
    operation: str
    created: float
    expires: float
    response: ResponseT


def encode(
    key: str, operation: str, response: Response, *, now: float, ttl: float, secret: bytes | None, raw: bool
) -> bytes:
    """An entry for an answer, as a hit will give it: `cached`, without a cost."""
    kept = response.__pydantic_serializer__.to_json(response, exclude=_LEFT_OUT, exclude_unset=True)
    body = b'"key":"%b","operation":"%b","created":%.3f,"expires":%.3f,"response":{"cached":true%b%b%b}' % (
        key.encode(),
        operation.encode(),
        now,
        now + ttl,
        _content(response.content) if raw and response.content else b"",
        b"," if len(kept) > 2 else b"",
        kept[1:],
    )
    return b'%b%b",%b' % (_HEAD, _check(secret, body), body)


def _content(parts: tuple[bytes, ...]) -> bytes:
    """The provider's own bytes as a field; left out when they are no text.

    JSON bodies stay apart, one a request; of a stream, whose parts may end within a letter, the whole is one.
    """
    if parts[0].lstrip()[:1] not in {b"{", b"["}:
        parts = (b"".join(parts),)
    try:
        return b',"content":[%b]' % b",".join([to_json(part) for part in parts])
    except ValueError:
        return b""


def decode(
    entry: bytes, key: str, operation: str, kind: type[ResponseT], *, now: float, secret: bytes | None
) -> Entry[ResponseT]:
    """The entry that `entry` holds for `key`. Raises: EntryError."""
    body = entry[_BODY:]
    if not entry.startswith(_HEAD) or entry[_BODY - 2 : _BODY] != b'",':
        raise EntryError("it is no entry, or one of another version")
    if secret is not None and not hmac.compare_digest(_check(secret, body), entry[len(_HEAD) : _BODY - 2]):
        raise EntryError("it was damaged, or sealed with another secret")
    try:
        found = _model(kind).__pydantic_validator__.validate_json(entry)
    except ValidationError:
        raise EntryError("it holds no answer of this kind") from None
    if found.key != key or found.operation != operation:
        raise EntryError("it belongs to another request")
    if found.expires <= now or found.created > now + SKEW:
        raise EntryError("its time is over")
    return found  # type: ignore[no-any-return]  # what the model's validator gives


def _check(secret: bytes | None, body: bytes) -> bytes:
    return _UNCHECKED if secret is None else blake2b(body, key=secret, digest_size=32).hexdigest().encode()


@lru_cache(maxsize=32)
def _model(kind: type[Response]) -> type[Entry[Response]]:
    model = Entry[kind]  # type: ignore[valid-type]  # a type known when it runs
    model.model_rebuild()
    return model
