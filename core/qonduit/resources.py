"""Resources: `client.chat.completions`, `client.embeddings`, `client.rerank`, `client.models`, sync and async.

Thin: they name the arguments and their types. What happens is in the client and the flow that it starts.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Unpack, cast, overload

from qonduit.call import Call
from qonduit.chunk import ChatChunk
from qonduit.effects import Flow, aadvance, advance
from qonduit.errors import BadRequestError
from qonduit.request import ChatParameters, ChatRequest, MessageLike, Parameters
from qonduit.response import ChatResponse
from qonduit.streams import AsyncStream, Stream

if TYPE_CHECKING:
    from qonduit.client import AsyncClient, Client
    from qonduit.embeddings import EmbeddingResponse
    from qonduit.model_list import ModelList
    from qonduit.rerank import RerankResponse


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
        if client._orphans:  # the resources are part of the client
            client._orphans.settle()
        call, flow = _begin(client, messages, stream, parameters)
        outcome = advance(flow)
        if not stream:
            return outcome  # type: ignore[no-any-return]  # a flow without chunks ends with its response
        call.committed = True
        return Stream(*_opened(flow, outcome), call, client._orphans, _place())


class Embeddings:
    """`client.embeddings`."""

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(
        self,
        *,
        input: str | Iterable[str],  # noqa: A002  # OpenAI's name
        model: str | None = None,
        dimensions: int | None = None,
        encoding_format: Literal["float"] = "float",
        **parameters: Unpack[Parameters],
    ) -> EmbeddingResponse:
        """The vectors of texts, in their order; as many requests are sent as the model's limit asks for.

        Raises: BadRequestError before anything is sent when the request is wrong; APIError and its kinds, with the
        vectors that had come on `response`.
        """
        from qonduit.embeddings import EmbeddingRequest  # noqa: PLC0415  # only who asks for it pays for it

        wishes = {"dimensions": dimensions, "encoding_format": encoding_format}
        fields = {**parameters, "input": input, "model": model, **wishes}
        return cast("EmbeddingResponse", self._client._run(EmbeddingRequest, fields))


class Rerank:
    """`client.rerank`."""

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(
        self,
        *,
        query: str,
        documents: Iterable[str | Mapping[str, Any]],
        model: str | None = None,
        top_n: int | None = None,
        return_documents: bool | None = None,
        **parameters: Unpack[Parameters],
    ) -> RerankResponse:
        """The documents that answer `query`, the best first.

        Raises: BadRequestError before anything is sent when the request is wrong; APIError and its kinds.
        """
        from qonduit.rerank import RerankRequest  # noqa: PLC0415

        wishes = {"top_n": top_n, "return_documents": return_documents}
        fields = {**parameters, "query": query, "documents": documents, "model": model, **wishes}
        return cast("RerankResponse", self._client._run(RerankRequest, fields))


class Models:
    """`client.models`."""

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self, **parameters: Unpack[Parameters]) -> ModelList:
        """What the provider says it serves; every page of it. Raises: APIError and its kinds."""
        from qonduit.model_list import ModelsRequest  # noqa: PLC0415

        return cast("ModelList", self._client._run(ModelsRequest, dict(parameters)))


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
        call, flow = _begin(client, messages, stream, parameters)
        outcome = await aadvance(flow)
        if not stream:
            return outcome  # type: ignore[no-any-return]
        call.committed = True
        return AsyncStream(*_opened(flow, outcome), call, client._orphans, _place())


class AsyncEmbeddings:
    """`client.embeddings`, async."""

    __slots__ = ("_client",)

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def create(
        self,
        *,
        input: str | Iterable[str],  # noqa: A002
        model: str | None = None,
        dimensions: int | None = None,
        encoding_format: Literal["float"] = "float",
        **parameters: Unpack[Parameters],
    ) -> EmbeddingResponse:
        """`Embeddings.create`, async."""
        from qonduit.embeddings import EmbeddingRequest  # noqa: PLC0415

        wishes = {"dimensions": dimensions, "encoding_format": encoding_format}
        fields = {**parameters, "input": input, "model": model, **wishes}
        return cast("EmbeddingResponse", await self._client._run(EmbeddingRequest, fields))


class AsyncRerank:
    """`client.rerank`, async."""

    __slots__ = ("_client",)

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def create(
        self,
        *,
        query: str,
        documents: Iterable[str | Mapping[str, Any]],
        model: str | None = None,
        top_n: int | None = None,
        return_documents: bool | None = None,
        **parameters: Unpack[Parameters],
    ) -> RerankResponse:
        """`Rerank.create`, async."""
        from qonduit.rerank import RerankRequest  # noqa: PLC0415

        wishes = {"top_n": top_n, "return_documents": return_documents}
        fields = {**parameters, "query": query, "documents": documents, "model": model, **wishes}
        return cast("RerankResponse", await self._client._run(RerankRequest, fields))


class AsyncModels:
    """`client.models`, async."""

    __slots__ = ("_client",)

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def list(self, **parameters: Unpack[Parameters]) -> ModelList:
        """`Models.list`, async."""
        from qonduit.model_list import ModelsRequest  # noqa: PLC0415

        return cast("ModelList", await self._client._run(ModelsRequest, dict(parameters)))


def _begin(
    client: Client | AsyncClient, messages: Iterable[MessageLike], stream: bool, parameters: ChatParameters
) -> tuple[Call, Flow]:
    """A chat call and its flow; nothing of it has run."""
    if isinstance(messages, (str, bytes, Mapping)):
        raise BadRequestError(
            'The request was not sent: messages: expected a list, e.g. [{"role": "user", "content": "…"}].',
            outcome="not_sent",
        )
    call, flow = client._begin(ChatRequest, {**parameters, "messages": messages, "stream": stream})
    wanted = parameters.get("response_format")
    return call, flow if wanted is None else _formed(flow, wanted)


def _formed(flow: Flow, wanted: Any) -> Flow:
    """`flow`, whose response can be read in the type that was asked for."""
    response: ChatResponse = yield from flow
    return response.model_copy(update={"response_format": wanted})


def _opened(flow: Flow, outcome: Any) -> tuple[Flow, list[ChatChunk]]:
    """A flow and its first chunks; a stream that had none has ended already."""
    if outcome.__class__ is list:
        return flow, outcome
    return _returns(outcome), []


def _returns(response: ChatResponse) -> Flow:
    return response
    yield


def _place() -> str:
    """Where the caller called: the first frame outside of qonduit and asyncio. No frame is kept."""
    frame = sys._getframe(2)  # the documented way to a caller's line that costs nothing
    while str(frame.f_globals.get("__name__", "")).partition(".")[0] in {"qonduit", "asyncio"}:
        if frame.f_back is None or frame.f_code.co_name == "_run":  # asyncio runs a task: nobody's line is above
            task = asyncio.current_task()
            return "an unknown place" if task is None else f"the start of {task.get_name()}"
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
