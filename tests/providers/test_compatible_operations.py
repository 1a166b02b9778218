"""Embeddings, lists of models, rerank and token counts on OpenAI's wire, and beside it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.parts import BASE_URL, builder, chat, normalizer, wire_response
from tests.wires import REQUEST_ID, dumps

from qonduit import AuthenticationError, BadRequestError, Client, NotFoundError, ProtocolError
from qonduit.embeddings import EmbeddingRequest
from qonduit.model_list import ModelsRequest
from qonduit.models import ModelTable
from qonduit.request import Request
from qonduit.rerank import RerankRequest
from qonduit.token_count import TokenCountRequest
from qonduit.usage import Usage
from qonduit_emulator import Emulator

ROOT = "https://example.test/team"
COMPATIBLE = f"{ROOT}/compatible-mode/v1"

EMBED = EmbeddingRequest.of({"model": "text-embedding-v4", "input": ["a", "b"]})
RERANK = RerankRequest.of({"model": "qwen3-rerank", "query": "q", "documents": ["a", "b"]})
MODELS = ModelsRequest.of({})
COUNT = TokenCountRequest.of(
    {
        "model": "qwen-plus",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
    }
)

BODIES: dict[str, tuple[str, Request, str, str, Any]] = {
    "embeddings": (
        "openai",
        EMBED,
        "POST",
        f"{COMPATIBLE}/embeddings",
        {"model": "text-embedding-v4", "input": ["a", "b"], "encoding_format": "float"},
    ),
    "embeddings of one text, all of it": (
        "qwen",
        EMBED.replace(input="a", dimensions=64, extra_body={"user": "u"}),
        "POST",
        f"{COMPATIBLE}/embeddings",
        {"model": "text-embedding-v4", "input": ["a"], "encoding_format": "float", "dimensions": 64, "user": "u"},
    ),
    "models of openai": ("openai", MODELS, "GET", f"{COMPATIBLE}/models", None),
    "models of qwen": ("qwen", MODELS, "GET", f"{COMPATIBLE}/models", None),
    "rerank": (
        "qwen",
        RERANK,
        "POST",
        f"{ROOT}/compatible-api/v1/reranks",
        {"model": "qwen3-rerank", "query": "q", "documents": ["a", "b"]},
    ),
    "rerank, all of it": (
        "qwen",
        RERANK.replace(top_n=1, return_documents=False, extra_body={"instruct": "i"}),
        "POST",
        f"{ROOT}/compatible-api/v1/reranks",
        {
            "model": "qwen3-rerank",
            "query": "q",
            "documents": ["a", "b"],
            "top_n": 1,
            "instruct": "i",
        },
    ),
    "token counts": (
        "qwen",
        COUNT,
        "POST",
        f"{ROOT}/api/v1/tokenizer",
        {"model": "qwen-plus", "input": {"messages": [{"role": "user", "content": "ab"}]}},
    ),
}


@pytest.mark.parametrize(("provider", "request_", "method", "url", "body"), BODIES.values(), ids=list(BODIES))
def test_requests(provider: str, request_: Request, method: str, url: str, body: Any) -> None:
    """Each operation has its address and its body; a GET has none, and no content type."""
    own = {"openai": ("organization", "openai-organization"), "qwen": ("workspace", "x-dashscope-workspace")}[provider]
    made = builder(provider, base_url=COMPATIBLE, **{own[0]: "o-1"})
    wire = made.build(request_.replace(extra_headers={"X-Trace": "1"}))
    assert (wire.method, wire.url, wire.operation, wire.stream) == (method, url, request_.operation, False)
    assert (json.loads(wire.content) if wire.content else None) == body
    kind = {"content-type": "application/json"} if method == "POST" else {}
    assert wire.headers == {**kind, own[1]: "o-1", "x-trace": "1"}
    assert (wire.unsupported, wire.warnings) == ((), ())


def test_extra_body_of_a_request_without_a_body() -> None:
    """What cannot be sent is said: a GET has no body."""
    assert builder("openai").build(MODELS.replace(extra_body={"limit": 5})).unsupported == ("extra_body",)


def test_documents_come_back_from_the_native_api_only() -> None:
    """The flat rerank has no such field: it is named, and `auto` then asks the native API."""
    wire = builder("qwen", base_url=COMPATIBLE).build(RERANK.replace(return_documents=True))
    assert (wire.unsupported, "return_documents" in json.loads(wire.content)) == (("return_documents",), False)


@pytest.mark.parametrize("request_", [RERANK, COUNT], ids=["rerank", "count_tokens"])
def test_what_stands_beside_a_base_url_that_ends_otherwise(request_: Request) -> None:
    """Endpoints beside compatible mode are not guessed from another base URL: the error names it and what it lacks."""
    with pytest.raises(BadRequestError, match=rf"{BASE_URL}.*/compatible-mode/v1") as caught:
        builder("qwen").build(request_)
    assert (caught.value.outcome, caught.value.status_code) == ("not_sent", None)


@pytest.mark.parametrize("request_", [RERANK, COUNT], ids=["rerank", "count_tokens"])
def test_operations_that_a_provider_does_not_have(request_: Request) -> None:
    """The error names the provider, the operation, and the operations that there are."""
    words = rf"'openai' has no operation '{request_.operation}'.*chat, embeddings, models"
    with pytest.raises(BadRequestError, match=words) as caught:
        builder("openai").build(request_)
    assert caught.value.outcome == "not_sent"


@pytest.mark.parametrize("provider", ["openai", "qwen"])
def test_a_model_that_goes_is_warned_of(provider: str) -> None:
    """The model table speaks of other operations, too: an announced end is warned of."""
    table = ModelTable.empty().overlaid({"old": {"retired": "2026-10-10", "successor": "new"}})
    (warning,) = builder(provider, models=table).build(EMBED.replace(model="old")).warnings
    assert warning == "Model 'old' was announced to be taken offline on 2026-10-10; use 'new'."


def test_a_model_that_is_elsewhere() -> None:
    """A model that compatible mode does not serve is refused before it is sent, with the provider that does."""
    table = ModelTable.empty().overlaid({"m": {"providers": ["dashscope"]}})
    with pytest.raises(BadRequestError, match='provider = "dashscope"'):
        builder("qwen", models=table).build(EMBED.replace(model="m"))


def normalized(request: Request, body: Any, provider: str = "qwen", status: int = 200) -> Any:
    return normalizer(provider).normalize(request, wire_response(dumps(body), status))


VECTORS = [
    {"object": "embedding", "index": 1, "embedding": [0.5, -1]},
    {"object": "embedding", "index": 0, "embedding": [1, 2]},
]


@pytest.mark.parametrize("provider", ["openai", "qwen"])
def test_embeddings_are_in_the_order_of_the_texts(provider: str) -> None:
    """Vectors are sorted by the index of their text; the usage is input."""
    body = {
        "object": "list",
        "data": VECTORS,
        "model": "text-embedding-v4",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
        "id": "f1",
    }
    response = normalized(EMBED, body, provider)
    assert [(item.index, item.embedding) for item in response.data] == [(0, (1.0, 2.0)), (1, (0.5, -1.0))]
    assert response.usage == Usage(input_tokens=3, total_tokens=3)
    assert (response.model, response.request_id, response.provider) == ("text-embedding-v4", REQUEST_ID, provider)
    assert response.content == (dumps(body),)


def test_small_print_of_embeddings() -> None:
    """Neither a model nor a usage is missed, and without a header the answer's own id is the request's."""
    content = dumps({"data": VECTORS, "usage": None, "id": "f1"})
    response = normalizer("qwen").normalize(EMBED, wire_response(content, headers={}))
    assert (response.model, response.usage, response.request_id) == ("text-embedding-v4", None, "f1")


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        "AAAA",
        VECTORS[:1],
        [VECTORS[0], VECTORS[0]],
        [*VECTORS, {"index": 2, "embedding": [1]}],
        [{"embedding": [1]}, {"embedding": [1]}],
        [{"index": 0, "embedding": "AAAA"}, {"index": 1, "embedding": "AAAA"}],
        [5, 6],
    ],
)
def test_vectors_that_do_not_fit_the_texts(data: Any) -> None:
    """Too few, too many, twice the same or no vectors at all: no text gets another's, the answer is refused."""
    with pytest.raises(ProtocolError):
        normalized(EMBED, {"data": data})


@pytest.mark.parametrize("data", [[], None])
def test_a_list_without_models(data: Any) -> None:
    """An empty list may be null."""
    assert normalized(MODELS, {"object": "list", "data": data}).data == ()


def test_a_list_of_models() -> None:
    """Names, in the server's order, with what else it says of them."""
    data = [
        {"id": "qwen-plus", "object": "model", "created": 1712000000, "owned_by": "system"},
        {"id": "mine", "root": "qwen"},
    ]
    response = normalized(MODELS, {"object": "list", "data": data})
    assert [(model.id, model.created, model.owned_by) for model in response.data] == [
        ("qwen-plus", 1712000000, "system"),
        ("mine", None, None),
    ]
    assert response.data[1].model_extra == {"root": "qwen"}
    assert (response.more, response.provider, response.request_id) == (False, "qwen", REQUEST_ID)


def test_rerank_results() -> None:
    """The wire's flat answer: results in its order, all that was counted is input."""
    results = [
        {"index": 1, "relevance_score": 0.75, "document": {"text": "b"}},
        {"index": 0, "relevance_score": 0.25},
    ]
    body = {
        "object": "list",
        "results": results,
        "model": "qwen3-rerank",
        "id": REQUEST_ID,
        "usage": {"total_tokens": 7},
    }
    response = normalized(RERANK, body)
    assert [(item.index, item.relevance_score, item.document) for item in response.results] == [
        (1, 0.75, {"text": "b"}),
        (0, 0.25, None),
    ]
    assert response.usage == Usage(input_tokens=7, total_tokens=7)
    assert (response.model, response.request_id) == ("qwen3-rerank", REQUEST_ID)


def test_token_counts() -> None:
    """The native tokenizer's ids and tokens come with the count."""
    output = {"token_ids": [5, 6], "tokens": ["a", "b"], "prompt": "ab"}
    response = normalized(COUNT, {"output": output, "usage": {"input_tokens": 2}, "request_id": "r-1"})
    assert (response.input_tokens, response.token_ids, response.tokens) == (2, (5, 6), ("a", "b"))
    assert (response.usage, response.model, response.request_id) == (Usage(input_tokens=2), "qwen-plus", "r-1")


@pytest.mark.parametrize("request_", [EMBED, MODELS, RERANK, COUNT], ids=lambda request: request.operation)
@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"{}", b"null", b'{"choices": []}'])
def test_a_200_that_is_no_answer(request_: Request, content: bytes) -> None:
    """What is no answer to the operation is a ProtocolError, never an empty answer."""
    with pytest.raises(ProtocolError):
        normalizer("qwen").normalize(request_, wire_response(content))


@pytest.mark.parametrize("request_", [EMBED, MODELS, RERANK], ids=lambda request: request.operation)
def test_a_200_that_is_an_error(request_: Request) -> None:
    """An error in a 200 is that error."""
    error = {"error": {"message": "No.", "type": "invalid_request_error", "code": "model_not_found"}}
    with pytest.raises(NotFoundError):
        normalized(request_, error)


def test_errors_of_the_native_endpoint_beside() -> None:
    """The tokenizer refuses in the native form, with an error's status or with a 200."""
    body = {"code": "InvalidApiKey", "message": "No.", "request_id": "r-1"}
    with pytest.raises(AuthenticationError):
        normalized(COUNT, body)
    error = normalizer("qwen").error(wire_response(dumps(body), 401))
    assert isinstance(error, AuthenticationError)
    assert error.code == "InvalidApiKey"


def test_with_the_emulator() -> None:
    """Every operation, from the client through a socket and back."""
    with Emulator() as emulator:
        for provider in ("openai", "qwen"):
            with Client(
                provider=provider, base_url=emulator.base_url, api_key=emulator.api_key, model="qwen-plus"
            ) as client:
                texts = [f"text {number}" for number in range(3)]
                vectors = client.embeddings.create(model="text-embedding-v4", input=texts, dimensions=64)
                assert [(item.index, len(item.embedding)) for item in vectors.data] == [(at, 64) for at in range(3)]
                assert vectors.usage is not None
                assert vectors.usage.input_tokens == vectors.usage.total_tokens
                assert "qwen-plus" in [model.id for model in client.models.list().data]
                if provider == "qwen":
                    best = client.rerank.create(model="qwen3-rerank", query="lakes", documents=["hills", "lakes"])
                    assert [item.index for item in best.results] == [1, 0]
                    asked = client.count_tokens(messages=[{"role": "user", "content": "hello world"}])
                    assert asked.input_tokens > 0


def test_a_chat_is_still_a_chat() -> None:
    """The other operations are no part of what a chat sends."""
    assert builder("qwen", base_url=COMPATIBLE).build(chat()).url == f"{COMPATIBLE}/chat/completions"


def test_what_the_tokenizer_does_not_count_is_reported() -> None:
    """Only text is counted: a message with a picture says so; text and text parts do not."""
    picture = {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}
    request = COUNT.replace(messages=[{"role": "user", "content": [{"type": "text", "text": "hi"}, picture]}])
    for made in (builder("qwen", base_url=COMPATIBLE), builder("dashscope")):
        assert made.build(request).unsupported == ("parts other than text (they are not counted)",)
        assert made.build(COUNT).unsupported == ()
