"""Embeddings, rerank, lists of models and token counts on the native wire."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.parts import BASE_URL, builder, chat, normalizer, wire_response
from tests.wires import REQUEST_ID, dumps

from qonduit import BadRequestError, Client, ProtocolError, RateLimitError
from qonduit.embeddings import EmbeddingRequest
from qonduit.model_list import ModelsRequest
from qonduit.request import Request
from qonduit.rerank import RerankRequest
from qonduit.token_count import TokenCountRequest
from qonduit.usage import Usage
from qonduit_emulator import Emulator

EMBED = EmbeddingRequest.of({"model": "text-embedding-v4", "input": ["a", "b"]})
RERANK = RerankRequest.of({"model": "gte-rerank-v2", "query": "q", "documents": ["a", "b"]})
MODELS = ModelsRequest.of({})
COUNT = TokenCountRequest.of({"model": "qwen-plus", "messages": [{"role": "user", "content": "hi"}]})

BODIES: dict[str, tuple[Request, str, str, Any]] = {
    "embeddings": (
        EMBED,
        "POST",
        "/services/embeddings/text-embedding/text-embedding",
        {"model": "text-embedding-v4", "input": {"texts": ["a", "b"]}, "parameters": {}},
    ),
    "embeddings, all of it": (
        EMBED.replace(dimensions=64, extra_body={"text_type": "query", "output_type": "dense&sparse", "instruct": "i"}),
        "POST",
        "/services/embeddings/text-embedding/text-embedding",
        {
            "model": "text-embedding-v4",
            "input": {"texts": ["a", "b"]},
            "parameters": {"dimension": 64, "text_type": "query", "output_type": "dense&sparse", "instruct": "i"},
        },
    ),
    "rerank": (
        RERANK,
        "POST",
        "/services/rerank/text-rerank/text-rerank",
        {"model": "gte-rerank-v2", "input": {"query": "q", "documents": ["a", "b"]}, "parameters": {}},
    ),
    "rerank, all of it": (
        RERANK.replace(documents=["a", {"image": "https://i"}], top_n=1, return_documents=False, extra_body={"fps": 1}),
        "POST",
        "/services/rerank/text-rerank/text-rerank",
        {
            "model": "gte-rerank-v2",
            "input": {"query": "q", "documents": ["a", {"image": "https://i"}]},
            "parameters": {"top_n": 1, "return_documents": False, "fps": 1},
        },
    ),
    "token counts": (
        COUNT,
        "POST",
        "/tokenizer",
        {"model": "qwen-plus", "input": {"messages": [{"role": "user", "content": "hi"}]}},
    ),
    "models": (MODELS, "GET", "/models?page_no=1&page_size=100", None),
    "models, a later page": (MODELS.replace(page=3), "GET", "/models?page_no=3&page_size=100", None),
}


@pytest.mark.parametrize(("request_", "method", "path", "body"), BODIES.values(), ids=list(BODIES))
def test_requests(request_: Request, method: str, path: str, body: Any) -> None:
    """Each operation has its path, its body, and no header of a stream; the call's own headers are added."""
    wire = builder("dashscope", workspace="ws-1").build(request_.replace(extra_headers={"X-Trace": "1"}))
    assert (wire.method, wire.url, wire.operation) == (method, BASE_URL + path, request_.operation)
    assert (json.loads(wire.content) if wire.content else None) == body
    assert wire.headers == {"content-type": "application/json", "x-dashscope-workspace": "ws-1", "x-trace": "1"}
    assert not wire.stream


def test_a_model_that_goes_is_warned_of() -> None:
    """A model with an announced end is warned of in every operation that names one."""
    for request, model in ((RERANK, "gte-rerank"), (COUNT, "qwen-max")):
        (warning,) = builder("dashscope").build(request.replace(model=model)).warnings
        assert model in warning
    assert builder("dashscope").build(EMBED).warnings == ()


def normalized(request: Request, body: Any) -> Any:
    return normalizer("dashscope").normalize(request, wire_response(dumps(body)))


def test_embeddings_are_in_the_order_of_the_texts() -> None:
    """Vectors are sorted by the index of their text; the total, which is all that the wire counts, is input."""
    items = [{"embedding": [0.5, -1], "text_index": 1}, {"embedding": [1, 2], "text_index": 0}]
    response = normalized(EMBED, {"output": {"embeddings": items}, "usage": {"total_tokens": 3}, "request_id": "r"})
    assert [(item.index, item.embedding) for item in response.data] == [(0, (1.0, 2.0)), (1, (0.5, -1.0))]
    assert response.usage == Usage(input_tokens=3, total_tokens=3)
    assert response.usage.raw == {"total_tokens": 3}
    assert (response.model, response.request_id, response.provider) == ("text-embedding-v4", "r", "dashscope")


@pytest.mark.parametrize("indexes", [[], [0], [0, 0], [1, 2], [0, 1, 2]])
def test_a_vector_too_few_or_too_many_is_no_answer(indexes: list[int]) -> None:
    """Vectors that do not fit the texts one by one are refused: each later text would have another's."""
    items = [{"embedding": [1], "text_index": index} for index in indexes]
    with pytest.raises(ProtocolError):
        normalized(EMBED, {"output": {"embeddings": items}, "request_id": "r"})


def test_sparse_vectors_are_kept() -> None:
    """A sparse vector stands beside the dense one, or in its place."""
    sparse = [{"index": 7, "value": 0.5, "token": "a"}]
    body = {"output": {"embeddings": [{"text_index": 0, "sparse_embedding": sparse}]}, "request_id": "r"}
    (item,) = normalized(EMBED.replace(input="a"), body).data
    assert (item.embedding, item.model_extra) == ((), {"sparse_embedding": sparse})


def test_rerank_results() -> None:
    """Results keep the order of the wire, the best first, with documents where they were asked for."""
    results = [
        {"document": {"text": "b"}, "index": 1, "relevance_score": 0.75},
        {"index": 0, "relevance_score": 0.25},
    ]
    response = normalized(RERANK, {"output": {"results": results}, "usage": {"total_tokens": 7}, "request_id": "r"})
    assert [(item.index, item.relevance_score, item.document) for item in response.results] == [
        (1, 0.75, {"text": "b"}),
        (0, 0.25, None),
    ]
    assert response.usage == Usage(input_tokens=7, total_tokens=7)
    assert response.request_id == "r"


@pytest.mark.parametrize(("page", "total", "more"), [(1, 1, False), (1, 101, True), (2, 101, False), (1, None, False)])
def test_pages_of_models(page: int, total: int | None, more: bool) -> None:
    """A page says whether another follows; what else it says of a model is kept."""
    models = [{"model": "qwen-plus", "source": "system", "provider": "alibaba", "opensource": False}]
    output = {"total": total, "page_no": page, "page_size": 100, "models": models}
    response = normalized(MODELS.replace(page=page, model="mine"), {"output": output, "request_id": "r"})
    assert response.model is None
    assert [(model.id, model.owned_by) for model in response.data] == [("qwen-plus", "alibaba")]
    assert response.data[0].model_extra["source"] == "system"
    assert (response.more, response.request_id) == (more, "r")


def test_an_empty_page_is_the_last() -> None:
    """A page without models ends the list, whatever the total says: it does not go round for ever."""
    for models in ([], None):
        assert not normalized(MODELS, {"output": {"total": 999, "models": models}}).more


def test_token_counts() -> None:
    """The tokenizer's ids and tokens come with the count."""
    body = {
        "output": {"token_ids": [5, 6], "tokens": ["h", "i"]},
        "usage": {"input_tokens": 2},
        "request_id": REQUEST_ID,
    }
    response = normalized(COUNT, body)
    assert (response.input_tokens, response.token_ids, response.tokens) == (2, (5, 6), ("h", "i"))
    assert (response.request_id, response.provider) == (REQUEST_ID, "dashscope")


@pytest.mark.parametrize("request_", [EMBED, RERANK, MODELS, COUNT], ids=lambda request: request.operation)
def test_errors_and_nonsense(request_: Request) -> None:
    """A 200 with an error is that error, and one with anything else a ProtocolError, in every operation."""
    with pytest.raises(RateLimitError):
        normalized(request_, {"code": "Throttling", "message": "Slow.", "request_id": "r"})
    for body in ({}, {"output": None}, {"output": []}, {"output": {}}, {"output": {"models": 1}}, [], None):
        with pytest.raises(ProtocolError):
            normalized(request_, body)


def test_an_operation_that_there_is_not() -> None:
    """An operation that the provider does not have is refused unsent, with its name."""

    class Drawing(Request):
        operation = "drawings"
        response_type = chat().response_type

    with pytest.raises(BadRequestError, match="'dashscope' has no operation 'drawings'") as caught:
        builder("dashscope").build(Drawing())
    assert caught.value.outcome == "not_sent"


def test_with_the_emulator() -> None:
    """Every operation, from the client through a socket and back."""
    with (
        Emulator() as emulator,
        Client(
            provider="dashscope", base_url=emulator.native_url, api_key=emulator.api_key, model="qwen-plus"
        ) as client,
    ):
        texts = [f"text {number}" for number in range(12)]
        vectors = client.embeddings.create(model="text-embedding-v4", input=texts, dimensions=64)
        assert [(item.index, len(item.embedding)) for item in vectors.data] == [(at, 64) for at in range(12)]
        assert vectors.usage is not None
        assert vectors.usage.input_tokens == vectors.usage.total_tokens
        assert len(emulator.requests) == 2, "the model takes ten texts a request"
        best = client.rerank.create(
            model="gte-rerank-v2", query="lakes", documents=["hills", "lakes"], return_documents=True
        )
        assert [(item.index, item.document) for item in best.results] == [
            (1, {"text": "lakes"}),
            (0, {"text": "hills"}),
        ]
        assert "qwen-plus" in [model.id for model in client.models.list().data]
        assert client.count_tokens(messages=[{"role": "user", "content": "hello world"}]).input_tokens > 0
