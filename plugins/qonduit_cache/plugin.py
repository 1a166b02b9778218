"""The plugin `cache`: an exact request that was answered before is answered from memory.

One entry serves plain and streamed calls. Exact means: provider, address, key, model and every parameter that is sent,
known to qonduit or not. Only whole answers are kept.
"""

from __future__ import annotations

import hashlib
import time
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from qonduit import Call, Middleware, Profile, Request, Response, hookimpl, middleware
from qonduit.middlewares import MiddlewareFlow
from qonduit_cache.memory import MemoryStore

_NOT_SENT = {"stream", "stream_options", "timeout", "deadline", "tags"}
"""Fields of a request that do not change its answer."""


class CacheOptions(BaseModel):
    """`[profiles.NAME.plugin.cache]`."""

    model_config = ConfigDict(extra="forbid")

    ttl: Annotated[float, Field(gt=0)] = 3600.0
    """Seconds that an answer is kept."""
    max_entries: Annotated[int, Field(ge=1)] = 1024
    """Answers that are kept; the least recently used goes first."""


class CachePlugin:
    """Keeps answers in the memory of one client and the clients made of it by `with_options`."""

    Options = CacheOptions

    def __init__(self, options: CacheOptions) -> None:
        self._store = MemoryStore(options.max_entries, options.ttl, time.monotonic)

    @hookimpl
    def qonduit_middleware(self, profile: Profile) -> Middleware:
        return middleware("cache", on_error="miss")(self.cached)

    def cached(self, call: Call) -> MiddlewareFlow:
        """Answer from the store, or keep what comes back."""
        key = cache_key(call.profile, call.request)
        kept = self._store.get(key)
        if kept is not None:
            return kept.replace(cached=True)
        response: Response = yield call.request
        if response.complete:
            self._store.put(key, response)
        return None


def cache_key(profile: Profile, request: Request) -> bytes:
    """The key of a request: a digest of all that its answer depends on. Two API keys never share an entry."""
    origin = "\0".join((request.operation, profile.provider, profile.base_url, profile.workspace or "", profile.key_id))
    sent = request.__pydantic_serializer__.to_json(request, exclude=_NOT_SENT, exclude_unset=True)
    return hashlib.sha256(origin.encode() + b"\0" + sent).digest()
