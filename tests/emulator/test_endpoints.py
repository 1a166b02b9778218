"""Embeddings, rerank, tokenizer, models, temporary keys, and the headers of every answer."""

import math
import re
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qonduit_emulator import Emulator
from qonduit_emulator._models import default_catalogue
from qonduit_emulator._vectors import embed, relate

EMBEDDINGS = "/compatible-mode/v1/embeddings"
NATIVE_EMBEDDINGS = "/api/v1/services/embeddings/text-embedding/text-embedding"
RERANK = "/api/v1/services/rerank/text-rerank/text-rerank"
COMPATIBLE_RERANK = "/compatible-api/v1/reranks"
TOKENIZER = "/api/v1/tokenizer"
DOCUMENTS = [
    "Quantum computers use qubits.",
    "A reranking model sorts documents by how relevant they are.",
    "Search engines use a reranking model.",
]


def dot(first: list[float], second: list[float]) -> float:
    return math.fsum(a * b for a, b in zip(first, second, strict=True))


def test_compatible_embedding(http: httpx.Client) -> None:
    """OpenAI's shape with an id; one vector of the model's own dimension per text, of length 1."""
    response = http.post(EMBEDDINGS, json={"model": "text-embedding-v4", "input": ["风急天高", "hello"]})
    document = response.json()
    assert set(document) == {"data", "model", "object", "usage", "id"}
    assert document["id"] == response.headers["x-request-id"]
    assert [set(item) for item in document["data"]] == [{"embedding", "index", "object"}] * 2
    assert [item["index"] for item in document["data"]] == [0, 1]
    assert document["usage"] == {"prompt_tokens": 6, "total_tokens": 6}
    for item in document["data"]:
        assert len(item["embedding"]) == 1024
        assert dot(item["embedding"], item["embedding"]) == pytest.approx(1)


def test_native_embedding(http: httpx.Client) -> None:
    """The native shape counts total_tokens only; both wires give the same vectors."""
    request = {
        "model": "text-embedding-v4",
        "input": {"texts": ["hello"]},
        "parameters": {"dimension": 64, "text_type": "query"},
    }
    document = http.post(NATIVE_EMBEDDINGS, json=request).json()
    assert set(document) == {"output", "usage", "request_id"}
    assert document["usage"] == {"total_tokens": 2}
    (embedding,) = document["output"]["embeddings"]
    assert set(embedding) == {"embedding", "text_index"}
    compatible = {"model": "text-embedding-v4", "input": "hello", "dimensions": 64, "encoding_format": "float"}
    assert embedding["embedding"] == http.post(EMBEDDINGS, json=compatible).json()["data"][0]["embedding"]


def test_sparse_embedding(http: httpx.Client) -> None:
    """sparse gives words with weights, dense&sparse both forms."""
    request = {"model": "text-embedding-v4", "input": {"texts": ["to be or not to be"]}}
    for output_type, keys in (
        ("sparse", {"sparse_embedding", "text_index"}),
        ("dense&sparse", {"sparse_embedding", "embedding", "text_index"}),
    ):
        body = {**request, "parameters": {"output_type": output_type}}
        (embedding,) = http.post(NATIVE_EMBEDDINGS, json=body).json()["output"]["embeddings"]
        assert set(embedding) == keys
        assert {item["token"] for item in embedding["sparse_embedding"]} == {"to", "be", "or", "not"}
        assert {item["token"] for item in embedding["sparse_embedding"][:2]} == {"to", "be"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input": ["a"] * 11}, "batch size is invalid, it should not be larger than 10"),
        ({"encoding_format": "base64"}, "encoding_format"),
        ({"dimensions": 100}, "dimension should be one of"),
        ({"input": [1, 2, 3]}, "contents is neither str nor list of str.: input.contents"),
        ({"input": [[1, 2]]}, "contents is neither str nor list of str.: input.contents"),
        ({"input": []}, "is too short"),
        ({"input": ""}, "contents is empty"),
        ({"input": "好" * 8193}, "Range of input length should be [1, 8192]"),
        ({"model": "qwen-plus"}, "does not exist"),
        ({"model": None}, "you must provide a model parameter"),
    ],
)
def test_refused_embeddings(http: httpx.Client, options: Any, message: str) -> None:
    """What the vendor refuses is refused with its words."""
    response = http.post(EMBEDDINGS, json={"model": "text-embedding-v4", "input": "a", **options})
    assert response.status_code == (404 if "exist" in message else 400)
    assert message in response.json()["error"]["message"]


def test_older_embedding_model_takes_larger_batches(http: httpx.Client) -> None:
    """text-embedding-v2 takes 25 texts and has 1536 dimensions."""
    request = {"model": "text-embedding-v2", "input": {"texts": ["a"] * 25}}
    embeddings = http.post(NATIVE_EMBEDDINGS, json=request).json()["output"]["embeddings"]
    assert [len(embedding["embedding"]) for embedding in embeddings] == [1536] * 25
    request = {"model": "text-embedding-v2", "input": {"texts": ["a"] * 26}}
    assert "larger than 25" in http.post(NATIVE_EMBEDDINGS, json=request).json()["message"]


def test_a_chat_with_an_embedding_model_is_an_unknown_model(http: httpx.Client) -> None:
    """An embedding model does not chat."""
    body = {"model": "text-embedding-v4", "messages": [{"role": "user", "content": "a"}]}
    assert http.post("/compatible-mode/v1/chat/completions", json=body).status_code == 404


@pytest.mark.parametrize(
    ("text", "like", "unlike"),
    [
        ("The cat sat on the mat.", "A cat is sitting on a mat.", "Stock prices fell sharply today."),
        ("怎样重置密码", "重置密码的方法", "今天杭州的天气很好"),
        ("reset my password", "I want to reset the password", "open a new bank account"),
    ],
)
@pytest.mark.parametrize("dimension", [64, 1024])
def test_similar_texts_are_closer(text: str, like: str, unlike: str, dimension: int) -> None:
    """A text with the same words is closer than one with others."""
    first, second, third = (embed(each, dimension) for each in (text, like, unlike))
    assert dot(first, second) > dot(first, third) + 0.1


@given(st.text(), st.sampled_from([64, 1024]))
def test_every_text_has_a_stable_vector_of_length_1(text: str, dimension: int) -> None:
    """Any text has one vector, always the same, of the dimension asked for."""
    vector = embed(text, dimension)
    assert len(vector) == dimension
    assert dot(vector, vector) == pytest.approx(1)
    assert vector == embed(text, dimension)


@given(st.text(), st.text())
def test_relevance_is_a_share(query: str, document: str) -> None:
    """A score is between 0 and 1, whatever the texts."""
    assert 0 <= relate(query, document) <= 1


def test_native_rerank(http: httpx.Client) -> None:
    """Results come best first, top_n of them, with the documents if asked for."""
    request = {
        "model": "gte-rerank-v2",
        "input": {"query": "what is a reranking model", "documents": DOCUMENTS},
        "parameters": {"return_documents": True, "top_n": 2},
    }
    document = http.post(RERANK, json=request).json()
    assert set(document) == {"output", "usage", "request_id"}
    assert set(document["usage"]) == {"total_tokens"}
    results = document["output"]["results"]
    assert {result["index"] for result in results} == {1, 2}
    assert results[0]["relevance_score"] >= results[1]["relevance_score"] > 0
    assert all(result["document"]["text"] == DOCUMENTS[result["index"]] for result in results)
    del request["parameters"]
    results = http.post(RERANK, json=request).json()["output"]["results"]
    assert [set(result) for result in results] == [{"index", "relevance_score"}] * 3
    assert results[-1]["index"] == 0


def test_compatible_rerank(http: httpx.Client) -> None:
    """The flat form has the same results, a list's name, and no documents."""
    request = {"model": "qwen3-rerank", "query": "reranking model", "documents": DOCUMENTS, "top_n": 1}
    response = http.post(COMPATIBLE_RERANK, json=request)
    document = response.json()
    assert set(document) == {"object", "results", "model", "id", "usage"}
    assert (document["object"], document["id"]) == ("list", response.headers["x-request-id"])
    assert [set(result) for result in document["results"]] == [{"index", "relevance_score"}]


@pytest.mark.parametrize(
    "options", [{"documents": []}, {"documents": [1]}, {"query": ""}, {"top_n": 0}, {"documents": ["a"] * 501}]
)
def test_refused_reranks(http: httpx.Client, options: Any) -> None:
    """Nothing to sort, nothing to sort by, or too much of it is a 400 on both forms."""
    request = {"query": "a", "documents": ["b"], **options}
    response = http.post(COMPATIBLE_RERANK, json={"model": "qwen3-rerank", **request})
    assert response.status_code == 400
    assert "error" in response.json()
    top_n = request.pop("top_n", None)
    native = {"model": "qwen3-rerank", "input": request, "parameters": {"top_n": top_n}}
    assert http.post(RERANK, json=native).status_code == 400


def test_tokenizer(http: httpx.Client) -> None:
    """The tokens joined are the text, each with an id that is always the same, and their number is the usage."""
    for text in ("代码改变世界", "hello world, 2026"):
        request = {"model": "qwen-max", "input": {"messages": [{"role": "user", "content": text}]}}
        document = http.post(TOKENIZER, json=request).json()
        assert "".join(document["output"]["tokens"]) == text
        assert len(document["output"]["token_ids"]) == document["usage"]["input_tokens"]
        assert document["output"] == http.post(TOKENIZER, json=request).json()["output"]
        prompt = {"model": "qwen3.6-plus", "input": {"prompt": text}}
        assert http.post(TOKENIZER, json=prompt).json()["output"] == document["output"]
    assert http.post(TOKENIZER, json={"model": "qwen-max"}).json()["code"] == "BadRequest.EmptyInput"


def test_temporary_key(http: httpx.Client, emulator: Emulator) -> None:
    """A temporary key is let in until it expires, and its answer is bare."""
    response = http.post("/api/v1/tokens", params={"expire_in_seconds": 1800})
    assert set(response.json()) == {"token", "expires_at"}
    token = response.json()["token"]
    assert token.startswith("st-")
    headers = {"Authorization": f"Bearer {token}"}
    assert http.get("/api/v1/models", headers=headers).status_code == 200
    assert emulator.books.find_key(token) is not None
    emulator.books.expire_key(token)
    refused = http.get("/api/v1/models", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (401, "InvalidApiKey")


@pytest.mark.parametrize("seconds", ["0", "1801", "-1", "soon", "1e3", "9" * 400])
def test_temporary_key_lasts_half_an_hour_at_most(http: httpx.Client, seconds: str) -> None:
    """Any other lifetime is a 400; without one it is a minute; without a key it is a 401."""
    response = http.post("/api/v1/tokens", params={"expire_in_seconds": seconds})
    assert (response.status_code, response.json()["code"]) == (400, "InvalidParameter")
    assert http.post("/api/v1/tokens").status_code == 200
    assert http.post("/api/v1/tokens", headers={"Authorization": ""}).status_code == 401


def test_a_refused_job_is_not_counted(http: httpx.Client, emulator: Emulator) -> None:
    """What the model stage refuses takes nothing from a limit; what is answered does; the key comes first."""
    emulator.books.change_account("default", {"limits": {"requests_per_minute": 1}})
    try:
        wrong = {"model": "text-embedding-v4", "input": "a", "dimensions": 3}
        assert [http.post(EMBEDDINGS, json=wrong).status_code for _ in range(3)] == [400] * 3
        right = {"model": "text-embedding-v4", "input": "a"}
        assert [http.post(EMBEDDINGS, json=right).status_code for _ in range(2)] == [200, 429]
        stranger = {"Authorization": "Bearer sk-nobody"}
        assert http.post(EMBEDDINGS, json={**right, "model": "no"}, headers=stranger).status_code == 401
    finally:
        emulator.reset()


def test_native_models_come_in_pages(http: httpx.Client) -> None:
    """The native list has pages, a total and a filter by name."""
    document = http.get("/api/v1/models").json()
    assert document["output"]["total"] == len(default_catalogue())
    assert len(document["output"]["models"]) == 10
    assert set(document["output"]["models"][0]) == {"model", "source", "provider", "opensource"}
    last = http.get("/api/v1/models", params={"page_no": 2, "page_size": len(default_catalogue()) - 1})
    assert len(last.json()["output"]["models"]) == 1
    found = http.get("/api/v1/models", params={"model": "embedding"}).json()["output"]
    assert all("embedding" in model["model"] for model in found["models"])
    assert http.get("/api/v1/models", params={"page_size": "many"}).status_code == 400


def test_compatible_model_by_name(http: httpx.Client) -> None:
    """One model can be asked for; an unknown one is a 404."""
    assert http.get("/compatible-mode/v1/models/qwen-plus").json()["id"] == "qwen-plus"
    assert http.get("/compatible-mode/v1/models/nobody/knows").json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/compatible-mode/v1/models", 200),
        ("GET", "/api/v1/models", 200),
        ("POST", "/api/v1/tokens", 200),
        ("POST", "/compatible-mode/v1/chat/completions", 400),
        ("GET", "/compatible-mode/v1/chat/completions", 405),
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/nothing", 404),
        ("POST", "/compatible-mode/v1/files", 404),
    ],
)
def test_every_answer_has_the_vendors_headers(http: httpx.Client, method: str, path: str, status: int) -> None:
    """A request id, the gateway's mark and three times that fit each other, errors included."""
    response = http.request(method, path)
    assert response.status_code == status
    headers = response.headers
    assert re.fullmatch(r"[0-9a-f-]{36}", headers["x-request-id"])
    assert headers["x-dashscope-call-gateway"] == "true"
    arrived, started = int(headers["req-arrive-time"]), int(headers["resp-start-time"])
    assert started - arrived == int(headers["req-cost-time"]) >= 0
    assert not any("ratelimit" in name or name == "retry-after" for name in headers)


def test_unknown_routes_have_their_wires_shape(http: httpx.Client) -> None:
    """A 404 is flat on the native side and nested elsewhere."""
    assert set(http.get("/api/v1/nothing").json()) == {"code", "message", "request_id"}
    assert http.get("/compatible-mode/v1/nothing").json()["error"]["code"] == "not_found"
