"""The plugin `cache`: an exact request that was answered before is answered from a store.

One entry serves plain and streamed calls. Only whole, successful answers are kept. Identical plain calls at the same
time share one upstream call; a streamed call never waits for another, since one thread may hold two.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from pydantic import SecretStr

from qonduit import Call, ChatResponse, Middleware, Request, Response, hookimpl, middleware
from qonduit.middlewares import MiddlewareFlow
from qonduit_cache import control, reference
from qonduit_cache.breaker import Breaker
from qonduit_cache.entry import EntryError, decode, encode
from qonduit_cache.flights import Flight, Flights
from qonduit_cache.guard import Guard
from qonduit_cache.key import Keys
from qonduit_cache.options import CacheOptions, Mode
from qonduit_cache.store import Store, open_store

OPERATIONS = frozenset({"chat", "embeddings", "rerank", "count_tokens"})
"""What is cached. A list of models is asked for to know what is there now."""
WHOLE = frozenset({"stop", "length", "tool_calls", "function_call"})
"""Finish reasons of answers that are as they were asked for; others, such as "content_filter", are not kept."""


class _Plan(NamedTuple):
    """What is done for one call; `profile` is the name of the one that the key was made for."""

    profile: str
    key: str
    mode: Mode
    ttl: float
    max_age: float | None

    @property
    def reads(self) -> bool:
        return self.mode in {"on", "read_only"}

    @property
    def writes(self) -> bool:
        return self.mode != "read_only"


class CachePlugin:
    """Answers from a store. Shared by a client and those made from it by `with_options`.

    `store` takes the place of the one that the options name; `clock` gives unix seconds.
    """

    Options = CacheOptions

    def __init__(
        self,
        options: CacheOptions | None = None,
        *,
        store: Store | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._options = options = options or CacheOptions()
        self.store: Store = store or open_store(options)
        """Where entries are kept."""
        self._clock = clock
        secret = read_secret(options.secret)
        # Nobody else reads or writes the store of this object's own: nobody need make the same keys, or check entries.
        own = store is None and self.store.inline and not secret
        self._keys = Keys(os.urandom(32) if own else secret)
        self._seal = None if own else secret
        self._guard = Guard(self.store, options.timeout, Breaker(type(self.store).__name__))
        self._flights = Flights()

    @staticmethod
    def demands(options: Mapping[str, Any]) -> list[str]:
        """What these options ask for that only a trusted file may: see `qonduit.trust`."""
        asked = {
            "path": "plugin.cache.path names a file to write to",
            "url": "plugin.cache.url names a server that would get the answers, and could give others",
            "secret": "plugin.cache.secret reads a secret",
        }
        return [words for name, words in asked.items() if name in options]

    @hookimpl
    def qonduit_middleware(self) -> Middleware:
        return middleware("cache", on_error="miss", wrapped_by=("logging", "cost"))(self.cached)

    def close(self) -> None:
        """Let the store go of files and connections. Idempotent."""
        self.store.close()

    def cached(self, call: Call) -> MiddlewareFlow:
        """Answer from the store, or keep what comes back."""
        plan = self._plan(call)
        if plan is None:
            yield call.request
            return None
        if call.streamed or plan.mode == "write_only":
            return (yield from self._alone(call, plan))
        place = (plan.key, plan.mode, plan.ttl, plan.max_age)
        until: float | None = None
        while True:
            flight, leads = self._flights.join(place)
            if leads:
                return (yield from self._lead(call, plan, flight))
            until = _patience(call) if until is None else until
            left = until - call.clock()
            try:
                in_time = left > 0 and (yield from call.io(flight.wait, flight.await_, timeout=left))
            except TimeoutError:
                in_time = False
            if not in_time:
                self._flights.forget(flight)  # nobody else need wait for it
                return (yield from self._alone(call, plan, read=False))
            if flight.landed:
                return self._shared(flight.entry, call.request, plan) or (
                    yield from self._alone(call, plan, read=False)
                )

    def _alone(self, call: Call, plan: _Plan, *, read: bool = True) -> Generator[Any, Any, Response | None]:
        """A call that shares nothing."""
        if read and plan.reads:
            answer, _ = yield from self._read(call, plan)
            if answer is not None:
                return answer
        request = call.request
        response: Response = yield request
        yield from self._keep(call, plan, self._encoded(response, request, plan) if plan.writes else None, response)
        return None

    def _lead(self, call: Call, plan: _Plan, flight: Flight) -> Generator[Any, Any, Response | None]:
        """A call that others may wait for."""
        try:
            if plan.reads:
                answer, entry = yield from self._read(call, plan)
                if answer is not None:
                    flight.land(entry)
                    return answer
            request = call.request
            response: Response = yield request
            entry = self._encoded(response, request, plan)
            flight.land(entry)
            if plan.writes:
                yield from self._keep(call, plan, entry, response)
        finally:
            flight.leave()
        return None

    def _plan(self, call: Call) -> _Plan | None:
        """What is to be done; None when the call is none of the cache's."""
        request, options, asked = call.request, self._options, control.current.get()
        if request.operation not in OPERATIONS:
            return None
        mode, ttl, max_age, namespace = options.mode, options.ttl, options.max_age, options.namespace
        if asked is not None:
            mode = asked.mode or mode
            ttl = asked.ttl or ttl
            max_age = asked.max_age or max_age
            namespace = namespace if asked.namespace is None else asked.namespace
        if mode == "off":
            return None
        if (asked is None or asked.mode is None) and _temperature(request) > options.max_temperature:
            return None
        key = self._keys.key(call.profile, request, namespace)
        return None if key is None else _Plan(call.profile.name, key, mode, ttl, max_age)

    def _read(self, call: Call, plan: _Plan) -> Generator[Any, Any, tuple[Response | None, bytes | None]]:
        """The kept answer and its entry; an entry that is none is deleted."""
        guard = self._guard
        entry = guard.at_once(self.store.get, plan.key) if guard.inline else (yield from guard.get(call, plan.key))
        if not isinstance(entry, bytes):
            return None, None
        try:
            answer = self._decoded(entry, call.request, plan)
        except EntryError:
            yield from self._guard.delete(call, plan.key)
            return None, None
        return answer, entry

    def _shared(self, entry: bytes | None, request: Request, plan: _Plan) -> Response | None:
        """The answer that another call got; None when it is not one to be shared, or its time was over at once."""
        try:
            return None if entry is None else self._decoded(entry, request, plan)
        except EntryError:
            return None

    def _decoded(self, entry: bytes, request: Request, plan: _Plan) -> Response | None:
        """The answer of an entry; None when it is older than the call wants. Raises: EntryError."""
        now = self._clock()
        kind = request.response_type
        found = decode(entry, plan.key, request.operation, kind, now=now, secret=self._seal)
        if plan.max_age is not None and now - found.created > plan.max_age:
            return None
        return found.response

    def _encoded(self, response: Response, request: Request, plan: _Plan) -> bytes | None:
        """The entry of an answer; None when it is none to be kept."""
        if not _worth_keeping(response):
            return None
        return encode(
            plan.key,
            request.operation,
            response,
            now=self._clock(),
            ttl=plan.ttl,
            secret=self._seal,
            raw=self._options.keep_raw,
        )

    def _keep(self, call: Call, plan: _Plan, entry: bytes | None, response: Response) -> Generator[Any, Any, None]:
        """Put an entry; where a refresh brought an answer that is none to be kept, the old one goes.

        What a fallback answered is not the profile's own answer, which is to be asked for again.
        """
        if call.profile.name != plan.profile:
            return
        if entry is not None:
            if self._guard.inline:
                self._guard.at_once(self.store.put, plan.key, entry, plan.ttl)
            else:
                yield from self._guard.put(call, plan.key, entry, plan.ttl)
        elif plan.mode == "refresh" and response.complete:
            yield from self._guard.delete(call, plan.key)


def read_secret(secret: SecretStr | None) -> bytes:
    """32 bytes made of the secret that the option names; none without one. Raises: ConfigurationError."""
    if secret is None:
        return b""
    return blake2b(reference.read(secret, "plugin.cache.secret").encode(), digest_size=32).digest()


def _worth_keeping(response: Response) -> bool:
    if not response.complete or response.status_code not in {None, 200}:
        return False
    if isinstance(response, ChatResponse):
        return bool(response.choices) and all(choice.finish_reason in WHOLE for choice in response.choices)
    return True


def _temperature(request: Request) -> float:
    """The temperature that is sent; 0 when the model's own is used."""
    temperature = (request.extra_body or {}).get("temperature", getattr(request, "temperature", None))
    return temperature if isinstance(temperature, int | float) else 0.0


def _patience(call: Call) -> float:
    """Until when, by `call.clock()`, a call waits for another: its timeout, and half of what it has left in all, so
    that it can still ask itself."""
    now = call.clock()
    until = now + (call.request.timeout or call.profile.timeout)
    return until if call.deadline is None else min(until, now + (call.deadline - now) / 2)
