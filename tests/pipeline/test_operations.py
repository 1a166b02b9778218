"""What is no chat takes the same way: middleware, auth, retry; and may take several requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.pipeline.memory import MemoryTransport, Reply, refused

from qonduit import (
    AsyncClient,
    BadRequestError,
    Client,
    Embedding,
    EmbeddingResponse,
    ListedModel,
    ModelList,
    PluginError,
    TokenCount,
    Usage,
    WireRequest,
    hookimpl,
    middleware,
)

MODELS = {"vector": {"operations": ["embeddings"], "max_batch": 2}}


class Codec:
    """A provider's parts, as plain as can be: the request as JSON out, the answer as JSON in."""

    @hookimpl
    def qonduit_request_builder(self) -> Any:
        return self

    @hookimpl
    def qonduit_response_normalizer(self) -> Any:
        return self

    def build(self, request: Any) -> WireRequest:
        fields = request.model_dump(mode="json", exclude_none=True)
        return WireRequest("POST", "https://vendor.test/x", {}, json.dumps(fields).encode(), False, request.operation)

    def normalize(self, request: Any, response: Any) -> Any:
        answer = json.loads(response.content)
        fields = {"provider": "qwen", "content": (response.content,), "warnings": answer.get("warnings", ())}
        if request.operation == "embeddings":
            data = tuple(Embedding(index=i, embedding=(float(len(text)),)) for i, text in enumerate(request.input))
            usage = Usage(input_tokens=answer["tokens"], total_tokens=answer["tokens"])
            return EmbeddingResponse(data=data, usage=usage, model=request.model, **fields)
        if request.operation == "models":
            return ModelList(
                data=tuple(ListedModel(id=name) for name in answer["names"]), more=answer["more"], **fields
            )
        return TokenCount(input_tokens=answer["tokens"], model=request.model, **fields)

    def decoder(self, request: Any, response: Any) -> Any:
        raise AssertionError("nothing here is streamed")

    def error(self, response: Any) -> BadRequestError:
        return BadRequestError("no", status_code=response.status)


def reply(**fields: Any) -> Reply:
    return Reply().with_parts(json.dumps(fields).encode())


class Both:
    """The two clients behind one: `run` makes a call of either kind."""

    def __init__(self, asynchronous: bool, transport: MemoryTransport, *plugins: Any, **options: Any) -> None:
        kind = AsyncClient if asynchronous else Client
        given = {"provider": "qwen", "api_key": "sk-test", "models": MODELS, "max_retries": 0, **options}
        self.client: Any = kind(plugins=[*plugins, Codec(), transport], **given)
        self.asynchronous = asynchronous

    async def run(self, path: str, **parameters: Any) -> Any:
        function: Any = self.client
        for name in path.split("."):
            function = getattr(function, name)
        result = function(**parameters)
        return await result if self.asynchronous else result


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


def sent(transport: MemoryTransport) -> list[Any]:
    return [json.loads(wire.content) for wire in transport.sent]


@both
async def test_texts_are_cut_to_the_models_limit_and_put_together_in_order(asynchronous: bool) -> None:
    """Five texts of a model that takes two a request are three requests and one answer; usage is added up."""
    transport = MemoryTransport(reply(tokens=3, warnings=["w"]), reply(tokens=4, warnings=["w"]), reply(tokens=5))
    client = Both(asynchronous, transport)
    response = await client.run("embeddings.create", model="vector", input=["a", "bb", "ccc", "dddd", "eeeee"])
    assert [fields["input"] for fields in sent(transport)] == [["a", "bb"], ["ccc", "dddd"], ["eeeee"]]
    assert [(item.index, item.embedding) for item in response.data] == [(i, (float(i + 1),)) for i in range(5)]
    assert (response.usage.input_tokens, response.usage.total_tokens, response.usage.output_tokens) == (12, 12, None)
    assert response.warnings == ("w",)
    assert response.complete
    assert [answer["tokens"] for answer in response.raw] == [3, 4, 5]


@both
@pytest.mark.parametrize("model", ["vector", "unheard-of"])
async def test_few_texts_are_one_request(asynchronous: bool, model: str) -> None:
    """Within the limit, or without a known one, nothing is cut; a single text is a list of one."""
    transport = MemoryTransport(reply(tokens=3))
    client = Both(asynchronous, transport)
    texts = "one" if model == "vector" else ["x"] * 30
    response = await client.run("embeddings.create", model=model, input=texts)
    assert len(transport.sent) == 1
    assert len(response.data) == (1 if model == "vector" else 30)


def test_what_a_vector_carries_further_is_kept_when_answers_are_put_together() -> None:
    """A sparse vector beside the dense one, for one."""
    sparse = [{"index": 7, "value": 0.5}]
    answer = EmbeddingResponse(data=({"index": 0, "embedding": [1.0], "sparse_embedding": sparse},))
    joined = EmbeddingResponse.joined([answer, answer])
    assert [(item.index, item.model_extra) for item in joined.data] == [
        (0, {"sparse_embedding": sparse}),
        (1, {"sparse_embedding": sparse}),
    ]


@both
async def test_what_had_come_before_a_batch_failed_is_on_the_error(asynchronous: bool) -> None:
    """Paid vectors are not thrown away: they are on the error, marked incomplete, and its text says so."""
    client = Both(asynchronous, MemoryTransport(reply(tokens=3), refused(400)))
    with pytest.raises(BadRequestError, match="first 2 texts") as caught:
        await client.run("embeddings.create", model="vector", input=["a", "bb", "ccc"])
    kept = caught.value.response
    assert isinstance(kept, EmbeddingResponse)
    assert (len(kept.data), kept.complete) == (2, False)


@both
async def test_pages_are_turned_until_there_is_no_more(asynchronous: bool) -> None:
    """A list in pages is one list."""
    transport = MemoryTransport(
        reply(names=["a"], more=True), reply(names=["b"], more=True), reply(names=["c"], more=False)
    )
    response = await Both(asynchronous, transport).run("models.list")
    assert [fields.get("page", 1) for fields in sent(transport)] == [1, 2, 3]
    assert ([model.id for model in response.data], response.more) == (["a", "b", "c"], False)


@both
async def test_middleware_sees_every_operation(asynchronous: bool) -> None:
    """One layer around the call, one around each attempt; both see the operation, and may annotate the answer."""
    seen: list[Any] = []

    @middleware("outer")
    def outer(call: Any) -> Any:
        response = yield call.request
        seen.append((call.operation, call.request.model, type(response).__name__))
        return response.replace(warnings=("seen",))

    @middleware("inner", scope="attempt")
    def inner(call: Any) -> Any:
        seen.append((call.operation, call.attempt))
        return (yield call.request)

    client = Both(asynchronous, MemoryTransport(reply(tokens=7)), outer, inner)
    count = await client.run("count_tokens", model="m", messages=[{"role": "user", "content": "hi"}])
    assert count.input_tokens == 7
    assert count.warnings == ("seen",)
    assert seen == [("count_tokens", 1), ("count_tokens", "m", "TokenCount")]


@both
async def test_a_layer_must_answer_in_the_operations_type(asynchronous: bool) -> None:
    """Vectors in place of a token count are a fault of the layer, named."""

    @middleware("wrong")
    def wrong(call: Any) -> Any:
        return EmbeddingResponse()
        yield

    client = Both(asynchronous, MemoryTransport(reply(tokens=7)), wrong)
    with pytest.raises(PluginError, match=r"'wrong' returned EmbeddingResponse .* expected a TokenCount"):
        await client.run("count_tokens", model="m", messages=[{"role": "user", "content": "hi"}])


@both
@pytest.mark.parametrize(
    ("path", "parameters", "complaint"),
    [
        ("embeddings.create", {"input": []}, "input: expected at least 1"),
        ("embeddings.create", {"input": [[1, 2]]}, r"input\[0\]: expected text"),
        ("embeddings.create", {"input": "x", "encoding_format": "base64"}, "encoding_format: expected 'float'"),
        ("embeddings.create", {"input": "x", "dimensions": 0}, "dimensions: expected at least 1"),
        ("embeddings.create", {"input": "x", "dimension": 3}, r"dimension: is not known .did you mean 'dimensions'"),
        ("rerank.create", {"query": "x", "documents": []}, "documents: expected at least 1"),
        ("rerank.create", {"query": "x", "documents": ["a"], "top_n": 0}, "top_n: expected at least 1"),
        ("count_tokens", {"messages": []}, "messages: expected at least 1"),
    ],
)
async def test_a_wrong_request_is_not_sent(
    asynchronous: bool, path: str, parameters: dict[str, Any], complaint: str
) -> None:
    """The error names the field and what was expected; nothing goes out."""
    transport = MemoryTransport(reply(tokens=1))
    with pytest.raises(BadRequestError, match=complaint):
        await Both(asynchronous, transport).run(path, model="m", **parameters)
    assert not transport.sent


@both
async def test_only_a_list_of_models_needs_no_model(asynchronous: bool) -> None:
    """Every other operation says that the model is missing."""
    client = Both(asynchronous, MemoryTransport(reply(names=[], more=False)))
    assert (await client.run("models.list")).data == ()
    with pytest.raises(BadRequestError, match="model: is missing"):
        await client.run("embeddings.create", input="x")
