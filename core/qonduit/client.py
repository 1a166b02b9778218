"""Client and AsyncClient: the public face. One class of logic; two thin ones that choose the driver."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack, cast

from qonduit._attempt import attempting
from qonduit._breaker import Breakers
from qonduit._building import building, checked_tags
from qonduit._chain import Step, compose
from qonduit._defaults import Defaults
from qonduit._fallback import Candidate, falling_back
from qonduit._orphans import Orphans
from qonduit._plugins import PluginLike, Plugins
from qonduit._retry import retrying
from qonduit._routing import routing
from qonduit.call import Call
from qonduit.credentials import KeySource, resolve
from qonduit.effects import Flow, aadvance, advance
from qonduit.errors import BadRequestError, ConfigurationError
from qonduit.middlewares import Middleware, ordered
from qonduit.profile import Profile
from qonduit.request import MessageLike, Parameters, Request
from qonduit.resolution import changed_profile, resolve_profile
from qonduit.resources import (
    AsyncChat,
    AsyncEmbeddings,
    AsyncModels,
    AsyncRerank,
    Chat,
    Embeddings,
    Models,
    Rerank,
)
from qonduit.response import Response
from qonduit.retry import RetryBudget
from qonduit.route import Route

if TYPE_CHECKING:
    from qonduit.token_count import TokenCount


class _ClientBase:
    """What both clients are: routes, their middleware composed once, and the streams that nobody closed."""

    @building
    def __init__(
        self,
        profile: str | None = None,
        *,
        provider: str | None = None,
        model: str | None = None,
        api_key: KeySource | None = None,
        base_url: str | None = None,
        region: str | None = None,
        workspace: str | None = None,
        organization: str | None = None,
        timeout: float | None = None,
        deadline: float | None = None,
        max_retries: int | None = None,
        http_client: Any = None,
        plugins: Sequence[PluginLike] | None = None,
        fallback: Sequence[str] | None = None,
        models: Mapping[str, Mapping[str, Any]] | None = None,
        config: str | os.PathLike[str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Build a client; nothing is sent.

        Args:
            profile: a profile of the configuration; its default when neither this nor a provider is given.
            provider: a provider's name; with `provider`, `base_url` or `api_key` no file is read. Without it the
                provider is read off the base URL.
            model: the model of calls that name none.
            api_key: a key, a reference ("env:NAME", "file:PATH", "keyring:SERVICE/NAME"), or a function that gives one.
            base_url: where the provider's API answers; by default the region's or the workspace's own host.
            region, workspace, organization: see `Settings`.
            timeout: seconds for one plain attempt; of a stream, for the first event and every gap.
            deadline: seconds for all of a call; none by default.
            max_retries: 0 to 5.
            http_client: a client of httpx or httpx2 to send with; it is never closed by qonduit.
            plugins: names, `(name, options)` pairs, plugin objects or middleware, outermost first, for the profile's.
            fallback: profiles of the configuration that serve a call, in order, where this one fails before its first
                chunk; for the profile's own list.
            models: rows over the provider's model table, by model; see `qonduit.models.Model`.
            config: a configuration file.
            tags: labels of every call, for logs and costs.

        Raises: ConfigurationError, MissingCredentialsError, PluginError. Nothing is sent.
        """
        arguments = {
            "provider": provider,
            "model": model,
            "api_key": api_key,
            "base_url": str(base_url) if base_url is not None else None,
            "region": region,
            "workspace": workspace,
            "organization": organization,
            "timeout": timeout,
            "deadline": deadline,
            "max_retries": max_retries,
        }
        resolved = resolve_profile(profile, arguments, config=config, plugins=plugins, models=models, fallback=fallback)
        self._profile = resolved.profile
        self._tags = checked_tags(tags)
        self._variables = resolved.variables
        self._orphans = Orphans()
        self._shared = False
        self._closed = threading.Event()  # shared with the clients of `with_options`
        self._owned: list[Any] = [plugin for plugin in resolved.built if callable(getattr(plugin, "close", None))]
        self._breakers = Breakers()
        candidates = (resolved, *resolved.fallbacks)
        resolved_routes = [route for candidate in candidates for route in candidate.routes or (candidate,)]
        self._counts = [len(candidate.routes) or 1 for candidate in candidates]
        # Each route has a manager and parts of its own, so that a plugin may give each its own auth or transport.
        self._plugins = [
            Plugins(Defaults(http_client), (route.profile.provider, route.provider), route.plugins)
            for route in resolved_routes
        ]
        self._layers = [
            ordered(plugins.middleware(route.profile))
            for plugins, route in zip(self._plugins, resolved_routes, strict=True)
        ]
        self._use(
            [
                Route(
                    profile=route.profile,
                    auth=plugins.auth(route.profile, route.credentials),
                    request_builder=plugins.request_builder(route.profile),
                    transport=plugins.transport(route.profile),
                    response_normalizer=plugins.response_normalizer(route.profile),
                    retry_policy=plugins.retry_policy(route.profile),
                )
                for plugins, route in zip(self._plugins, resolved_routes, strict=True)
            ]
        )

    def _use(self, routes: list[Route]) -> None:
        """Compose the way of a call."""
        self._routes = routes
        self._outer = _scope(self._layers[0], "call")
        self._candidates: list[Candidate] = []
        names = {layer.name for layer in self._outer}
        start = 0
        for count in self._counts:
            mine = range(start, start + count)
            start += count
            ways = [
                (routes[at], retrying(routes[at], compose(_scope(self._layers[at], "attempt"), attempting(routes[at]))))
                for at in mine
            ]
            profile, own = routes[mine[0]].profile, _scope(self._layers[mine[0]], "call")
            breaker = None
            if self._profile.breaker is not None:
                breaker = self._breakers.of(profile, self._profile.breaker, self._profile.breaker_seconds)
            step = compose([layer for layer in own if layer.name not in names], routing(ways))
            self._candidates.append(Candidate(profile if self._candidates else self._profile, step, breaker))
        self._step: Step = compose(self._outer, falling_back(self._candidates))
        self._others: Step | None = None

    @property
    def profile(self) -> Profile:
        """The settings that this client resolved to; without the key."""
        return self._profile

    @property
    def middleware(self) -> tuple[Middleware, ...]:
        """The active middleware, outermost first."""
        return tuple(self._layers[0])

    @building
    def with_options(
        self,
        *,
        model: str | None = None,
        api_key: KeySource | None = None,
        timeout: float | None = None,
        deadline: float | None = None,
        max_retries: int | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Self:
        """A client with other options over the same connections and plugins. Close the first one, not this.

        A model and a key are for the profile itself: its fallbacks keep their own.
        """
        changes: dict[str, Any] = {
            name: value
            for name, value in (
                ("model", model),
                ("timeout", timeout),
                ("deadline", deadline),
                ("max_retries", max_retries),
            )
            if value is not None
        }
        credentials = None if api_key is None else resolve(api_key, "api_key", self._variables)
        if credentials is not None:
            changes["key_id"] = credentials.key_id
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._shared = True  # of the same class
        other._tags = {**self._tags, **checked_tags(tags)}
        if changes:
            other._profile = changed_profile(self._profile, changes)
        general = {name: value for name, value in changes.items() if name not in {"model", "key_id"}}
        routes: list[Route] = []
        for at, (route, plugins) in enumerate(zip(self._routes, self._plugins, strict=True)):
            fallback = at >= self._counts[0]
            mine = general if fallback else changes
            profile = changed_profile(route.profile, mine) if mine else route.profile
            auth, budget = route.auth, route.retry_budget
            if credentials is not None and not fallback:
                auth, budget = plugins.auth(profile, credentials), RetryBudget()
            policy = plugins.retry_policy(profile) if max_retries is not None else route.retry_policy
            routes.append(replace(route, profile=profile, auth=auth, retry_policy=policy, retry_budget=budget))
        other._use(routes)
        return other

    def _begin(self, kind: type[Request], fields: dict[str, Any]) -> tuple[Call, Flow]:
        """A call and its flow; nothing of it has run. Raises: BadRequestError, ConfigurationError."""
        if self._closed.is_set():
            raise ConfigurationError("This client is closed. Make a new one, or close it after its last call.")
        if fields.get("tags", self) is None:
            del fields["tags"]
        if fields.get("model") is None:
            fields["model"] = self._profile.model
            if fields["model"] is None and kind.needs_model:
                raise BadRequestError(
                    "The request was not sent: model: is missing; name it in the call, the client or the profile.",
                    outcome="not_sent",
                )
        request = kind.of(fields)
        call = Call(request, self._profile, self._tags)
        step = self._step if kind.operation == "chat" else self._other_step()
        return call, step(call, request)

    def _other_step(self) -> Step:
        """The way of what is no chat: composed when it is first asked for."""
        if self._others is None:
            from qonduit._collect import collecting  # noqa: PLC0415  # only who asks for it pays for it

            others = [candidate._replace(step=collecting(candidate.step)) for candidate in self._candidates]
            self._others = compose(self._outer, falling_back(others))
        return self._others

    def __reduce__(self) -> tuple[object, ...]:
        """Refused: a pickle would hold the key."""
        raise TypeError("A client is not pickled: the key would be in the pickle. Build it where it is used.")


def _scope(layers: Sequence[Middleware], scope: str) -> list[Middleware]:
    return [layer for layer in layers if layer.scope == scope]


class Client(_ClientBase):
    """A client for sync code; safe to share between threads.

    client = Client("qwen")                                    # a profile of the configuration
    client = Client(provider="dashscope", model="qwen-plus")   # or without a file
    response = client.chat.completions.create(messages=[{"role": "user", "content": "你好"}])
    """

    @property
    def chat(self) -> Chat:
        """`client.chat.completions.create(…)`."""
        return Chat(self)

    @property
    def embeddings(self) -> Embeddings:
        """`client.embeddings.create(…)`."""
        return Embeddings(self)

    @property
    def rerank(self) -> Rerank:
        """`client.rerank.create(…)`."""
        return Rerank(self)

    @property
    def models(self) -> Models:
        """`client.models.list()`."""
        return Models(self)

    def count_tokens(
        self, *, messages: Iterable[MessageLike], model: str | None = None, **parameters: Unpack[Parameters]
    ) -> TokenCount:
        """How many tokens `messages` are, by the provider's own tokenizer. Raises: as `create` does."""
        from qonduit.token_count import TokenCountRequest  # noqa: PLC0415  # only who asks for it pays for it

        return cast("TokenCount", self._run(TokenCountRequest, {**parameters, "messages": messages, "model": model}))

    def _run(self, kind: type[Request], fields: dict[str, Any]) -> Response:
        """One call that is no stream."""
        if self._orphans:
            self._orphans.settle()
        _, flow = self._begin(kind, fields)
        return advance(flow)  # type: ignore[no-any-return]  # a flow without chunks ends with its response

    def close(self) -> None:
        """Settle what is open; close every connection, and the plugins that this client made. Idempotent.

        A plugin that was handed in as an object is the caller's to close, like `http_client`.
        """
        self._orphans.settle()
        if not self._shared and not self._closed.is_set():
            self._closed.set()
            with contextlib.ExitStack() as stack:  # each is closed, whatever the others raise
                for thing in (*self._owned, *(route.transport for route in self._routes)):
                    stack.callback(thing.close)

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


class AsyncClient(_ClientBase):
    """A client for async code: `Client` with `await`, its streams with `async for` and `async with`.

        async with AsyncClient("qwen") as client:
            response = await client.chat.completions.create(messages=[{"role": "user", "content": "你好"}])

    May be used from several event loops; each has its own connections.
    """

    @property
    def chat(self) -> AsyncChat:
        """`await client.chat.completions.create(…)`."""
        return AsyncChat(self)

    @property
    def embeddings(self) -> AsyncEmbeddings:
        """`await client.embeddings.create(…)`."""
        return AsyncEmbeddings(self)

    @property
    def rerank(self) -> AsyncRerank:
        """`await client.rerank.create(…)`."""
        return AsyncRerank(self)

    @property
    def models(self) -> AsyncModels:
        """`await client.models.list()`."""
        return AsyncModels(self)

    async def count_tokens(
        self, *, messages: Iterable[MessageLike], model: str | None = None, **parameters: Unpack[Parameters]
    ) -> TokenCount:
        """`Client.count_tokens`, async."""
        from qonduit.token_count import TokenCountRequest  # noqa: PLC0415

        fields = {**parameters, "messages": messages, "model": model}
        return cast("TokenCount", await self._run(TokenCountRequest, fields))

    async def _run(self, kind: type[Request], fields: dict[str, Any]) -> Response:
        """One call that is no stream."""
        if self._orphans:
            await self._orphans.asettle()
        _, flow = self._begin(kind, fields)
        return await aadvance(flow)  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        """`Client.close`, async; a plugin's `close` runs in a worker thread."""
        try:
            await self._orphans.asettle()
        finally:
            if not self._shared and not self._closed.is_set():
                self._closed.set()
                async with contextlib.AsyncExitStack() as stack:
                    for plugin in self._owned:
                        stack.push_async_callback(asyncio.to_thread, plugin.close)
                    for route in self._routes:
                        stack.push_async_callback(route.transport.aclose)

    close = aclose

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()
