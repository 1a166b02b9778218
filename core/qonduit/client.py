"""Client and AsyncClient: the public face. One class of logic; two thin ones that choose the driver."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, Unpack, overload

from qonduit._attempt import attempting
from qonduit._chain import Step, compose
from qonduit._defaults import Defaults
from qonduit._orphans import Orphans
from qonduit._plugins import PluginLike, Plugins
from qonduit._retry import retrying
from qonduit.call import Call
from qonduit.chunk import ChatChunk
from qonduit.credentials import KeySource, resolve
from qonduit.effects import Flow, aadvance, advance
from qonduit.errors import BadRequestError, ConfigurationError
from qonduit.middlewares import Middleware, ordered
from qonduit.profile import Profile
from qonduit.request import ChatParameters, ChatRequest, MessageLike
from qonduit.resolution import changed_profile, resolve_profile
from qonduit.response import ChatResponse
from qonduit.route import Route
from qonduit.streams import AsyncStream, Stream


class _ClientBase:
    """What both clients are: a route, its middleware composed once, and the streams that nobody closed."""

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
        resolved = resolve_profile(profile, arguments, config=config, plugins=plugins)
        chosen = resolved.profile
        self._plugins = Plugins(Defaults(http_client), (chosen.provider, resolved.provider), resolved.plugins)
        self._layers = ordered(self._plugins.middleware(chosen))
        self._tags = dict(tags or {})
        self._orphans = Orphans()
        self._shared = False
        self._closed = threading.Event()  # shared with the clients of `with_options`
        self._use(
            Route(
                profile=chosen,
                auth=self._plugins.auth(chosen, resolved.credentials),
                request_builder=self._plugins.request_builder(chosen),
                transport=self._plugins.transport(chosen),
                response_normalizer=self._plugins.response_normalizer(chosen),
                retry_policy=self._plugins.retry_policy(chosen),
            )
        )

    def _use(self, route: Route) -> None:
        """Compose the way of a call."""
        self._route = route
        self._step: Step = compose(
            _scope(self._layers, "call"),
            retrying(route, compose(_scope(self._layers, "attempt"), attempting(route))),
        )

    @property
    def profile(self) -> Profile:
        """The settings that this client resolved to; without the key."""
        return self._route.profile

    @property
    def middleware(self) -> tuple[Middleware, ...]:
        """The active middleware, outermost first."""
        return tuple(self._layers)

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
        """A client with other options over the same connections and plugins. Close the first one, not this."""
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
        route = self._route
        credentials = None if api_key is None else resolve(api_key, "api_key", {})
        if credentials is not None:
            changes["key_id"] = credentials.key_id
        profile = changed_profile(route.profile, changes) if changes else route.profile
        auth = route.auth if credentials is None else self._plugins.auth(profile, credentials)
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._shared = True  # of the same class
        other._tags = {**self._tags, **(tags or {})}
        other._use(
            Route(
                profile=profile,
                auth=auth,
                request_builder=route.request_builder,
                transport=route.transport,
                response_normalizer=route.response_normalizer,
                retry_policy=self._plugins.retry_policy(profile) if max_retries is not None else route.retry_policy,
                retry_budget=route.retry_budget,
            )
        )
        return other

    def _start(self, messages: Iterable[MessageLike], stream: bool, parameters: Mapping[str, Any]) -> tuple[Call, Flow]:
        """A call and its flow; nothing of it has run."""
        if self._closed.is_set():
            raise ConfigurationError("This client is closed. Make a new one, or close it after its last call.")
        if isinstance(messages, (str, bytes, Mapping)):
            raise BadRequestError(
                'The request was not sent: messages: expected a list, e.g. [{"role": "user", "content": "…"}].',
                outcome="not_sent",
            )
        fields = {**parameters, "messages": messages, "stream": stream}
        if fields.get("tags", self) is None:
            del fields["tags"]
        if fields.get("model") is None:
            fields["model"] = self._route.profile.model
            if fields["model"] is None:
                raise BadRequestError(
                    "The request was not sent: model: is missing; name it in the call, the client or the profile.",
                    outcome="not_sent",
                )
        request = ChatRequest.of(fields)
        call = Call(request, self._route.profile, self._tags)
        return call, self._step(call, request)

    def __reduce__(self) -> tuple[object, ...]:
        """Refused: a pickle would hold the key."""
        raise TypeError("A client is not pickled: the key would be in the pickle. Build it where it is used.")


def _scope(layers: Sequence[Middleware], scope: str) -> list[Middleware]:
    return [layer for layer in layers if layer.scope == scope]


def _place() -> str:
    """Where the caller called: the first frame outside of qonduit."""
    frame = sys._getframe(2)  # the documented way to a caller's line that costs nothing
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


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

    def close(self) -> None:
        """Settle what is open and close every connection. Idempotent."""
        self._orphans.settle()
        if not self._shared and not self._closed.is_set():
            self._closed.set()
            self._route.transport.close()

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


class Chat:
    """`client.chat`."""

    __slots__ = ("completions",)

    def __init__(self, client: Client) -> None:
        self.completions = Completions(client)


class Completions:
    """`client.chat.completions`."""

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._client = client

    @overload
    def create(
        self,
        *,
        messages: Iterable[MessageLike],
        stream: Literal[False] = False,
        **parameters: Unpack[ChatParameters],
    ) -> ChatResponse: ...

    @overload
    def create(
        self, *, messages: Iterable[MessageLike], stream: Literal[True], **parameters: Unpack[ChatParameters]
    ) -> Stream[ChatChunk]: ...

    @overload
    def create(
        self, *, messages: Iterable[MessageLike], stream: bool, **parameters: Unpack[ChatParameters]
    ) -> ChatResponse | Stream[ChatChunk]: ...

    def create(
        self, *, messages: Iterable[MessageLike], stream: bool = False, **parameters: Unpack[ChatParameters]
    ) -> ChatResponse | Stream[ChatChunk]:
        """Ask the model.

        Args:
            messages: mappings as OpenAI writes them, or messages of earlier answers.
            stream: False gives the whole answer; True a `Stream`, once its first chunk has come.
            parameters: see `ChatRequest`.

        Raises: BadRequestError before anything is sent when the request is wrong; APIError and its kinds.
        """
        client = self._client
        if client._orphans:  # of the same module
            client._orphans.settle()
        call, flow = client._start(messages, stream, parameters)
        outcome = advance(flow)
        if not stream:
            return outcome  # type: ignore[no-any-return]  # a flow without chunks ends with its response
        call.committed = True
        return Stream(*_opened(flow, outcome), client._orphans, _place())


def _opened(flow: Flow, outcome: Any) -> tuple[Flow, list[ChatChunk]]:
    """A flow and its first chunks; a stream that had none has ended already."""
    if outcome.__class__ is list:
        return flow, outcome
    return _returns(outcome), []


def _returns(response: ChatResponse) -> Flow:
    return response
    yield


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

    async def aclose(self) -> None:
        """Settle what is open and close every connection. Idempotent."""
        try:
            await self._orphans.asettle()
        finally:
            if not self._shared and not self._closed.is_set():
                self._closed.set()
                await self._route.transport.aclose()

    close = aclose

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()


class AsyncChat:
    """`client.chat`, async."""

    __slots__ = ("completions",)

    def __init__(self, client: AsyncClient) -> None:
        self.completions = AsyncCompletions(client)


class AsyncCompletions:
    """`client.chat.completions`, async."""

    __slots__ = ("_client",)

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @overload
    async def create(
        self,
        *,
        messages: Iterable[MessageLike],
        stream: Literal[False] = False,
        **parameters: Unpack[ChatParameters],
    ) -> ChatResponse: ...

    @overload
    async def create(
        self, *, messages: Iterable[MessageLike], stream: Literal[True], **parameters: Unpack[ChatParameters]
    ) -> AsyncStream[ChatChunk]: ...

    @overload
    async def create(
        self, *, messages: Iterable[MessageLike], stream: bool, **parameters: Unpack[ChatParameters]
    ) -> ChatResponse | AsyncStream[ChatChunk]: ...

    async def create(
        self, *, messages: Iterable[MessageLike], stream: bool = False, **parameters: Unpack[ChatParameters]
    ) -> ChatResponse | AsyncStream[ChatChunk]:
        """`Completions.create`, async."""
        client = self._client
        if client._orphans:
            await client._orphans.asettle()
        call, flow = client._start(messages, stream, parameters)
        outcome = await aadvance(flow)
        if not stream:
            return outcome  # type: ignore[no-any-return]
        call.committed = True
        return AsyncStream(*_opened(flow, outcome), client._orphans, _place())
