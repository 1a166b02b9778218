"""The cases of the operations beside chat, as data: embeddings, rerank, models, count_tokens."""

from __future__ import annotations

from typing import Any

from tests.equivalence.case import LONG, Case, Fields, assistant, system, text, user

TEXTS = [f"Sentence {number} 世界" for number in range(25)]
DOCUMENTS = ["The weather is fine.", "北京是中国的首都。", "Paris is the capital of France."]
FAULT = {"x-emulator-fault": "error=Throttling.RateQuota"}


def embed(name: str, texts: Any, model: str = "text-embedding-v4", **more: Any) -> Case:
    """A case of `embeddings.create`."""
    return _case(name, more, input=texts, model=model)


def rank(name: str, query: str = "What is the capital of France?", documents: Any = DOCUMENTS, **more: Any) -> Case:
    """A case of `rerank.create`."""
    return _case(name, {"model": "qwen3-rerank", **more}, query=query, documents=documents)


def count(name: str, *messages: Fields, **more: Any) -> Case:
    """A case of `count_tokens`."""
    return _case(name, {"model": "qwen-plus", **more}, messages=list(messages))


def listing(name: str, **more: Any) -> Case:
    """A case of `models.list`."""
    return _case(name, more)


def _case(name: str, more: dict[str, Any], **request: Any) -> Case:
    own = {key: more.pop(key) for key in ("client", "expect") if key in more}
    return Case(name=name, request={**request, **more}, **own)


OPERATIONS: dict[str, tuple[Case, ...]] = {
    "embeddings.create": (
        embed("embed-one", "你好", expect={"vectors": ((0, 1024),), "usage.input_tokens": 2, "usage.total_tokens": 2}),
        embed("embed-list-of-one", ["Hello"], expect={"vectors": ((0, 1024),)}),
        embed("embed-several", TEXTS[:3], expect={"vectors": ((0, 1024), (1, 1024), (2, 1024)), "sent.count": 1}),
        embed("embed-same-twice", ["a", "b", "a"], expect={"sent.count": 1}),
        embed("embed-full-batch", TEXTS[:10], expect={"sent.count": 1}),
        embed(
            "embed-more-than-a-batch", TEXTS, expect={"vectors": tuple((n, 1024) for n in range(25)), "sent.count": 3}
        ),
        embed("embed-larger-batches", TEXTS * 2, "text-embedding-v2", expect={"sent.count": 2}),
        embed("embed-dimensions", TEXTS[:2], dimensions=64, expect={"vectors": ((0, 64), (1, 64))}),
        embed("embed-dimensions-in-batches", TEXTS, dimensions=128, expect={"sent.count": 3}),
        embed("embed-long", LONG, expect={"kind": "answer"}),
        embed("embed-unicode", ["👩‍👩‍👧‍👦", "a\u2028b\x00c", "𠮷"], expect={"kind": "answer"}),
        embed("embed-extra-body", "Hello", extra_body={"text_type": "query"}, expect={"sent.text_type": "query"}),
        embed("embed-extra-headers", "Hello", extra_headers={"X-Mine": "1"}, expect={"sent.header x-mine": "1"}),
        embed("embed-sparse", TEXTS[:12], extra_body={"output_type": "dense&sparse"}, expect={"sent.count": 2}),
        embed("embed-wrong-dimensions", "Hello", dimensions=65, expect={"error": "BadRequestError", "status": 400}),
        embed("embed-empty-text", ["a", ""], expect={"error": "BadRequestError", "status": 400}),
        embed("embed-too-long", LONG * 20, expect={"error": "BadRequestError", "status": 400}),
        embed(
            "embed-second-batch-fails",
            [*TEXTS[:14], "", *TEXTS[15:]],
            expect={"error": "BadRequestError", "sent.count": 2, "partial answer": (False, tuple(range(10)))},
        ),
        embed("embed-surrogate", "a\ud800", expect={"outcome": "not_sent", "attempts": 0, "sent.count": 0}),
        embed("embed-nothing", [], expect={"outcome": "not_sent", "attempts": 0, "sent.count": 0}),
        embed("embed-unknown-model", "Hello", "nonsense", expect={"error": "NotFoundError"}),
        embed("embed-chat-model", "Hello", "qwen-plus", expect={"error": "NotFoundError"}),
        embed("embed-wrong-key", "Hello", client={"api_key": "sk-wrong"}, expect={"error": "AuthenticationError"}),
        embed("embed-refused", "Hello", extra_headers=FAULT, expect={"error": "RateLimitError", "retryable": True}),
    ),
    "rerank.create": (
        rank("rank", expect={"ranked": (2, 0, 1), "usage.total_tokens": 52}),
        rank("rank-best", top_n=1, expect={"ranked": (2,)}),
        rank("rank-more-than-there-are", top_n=10, expect={"kind": "answer"}),
        rank("rank-one", documents=["alone"], expect={"ranked": (0,)}),
        rank("rank-chinese", "中国的首都？", expect={"kind": "answer"}),
        rank("rank-mappings", documents=[{"text": document} for document in DOCUMENTS], model="qwen3-vl-rerank"),
        rank("rank-with-documents", return_documents=True, top_n=1),
        rank("rank-without-documents", return_documents=False, expect={"warnings": ()}),
        rank("rank-extra-body", extra_body={"instruct": "Find capitals."}, expect={"sent.instruct": "Find capitals."}),
        rank("rank-empty-query", "", expect={"error": "BadRequestError", "status": 400}),
        rank("rank-too-many", documents=["a"] * 501, expect={"error": "BadRequestError", "status": 400}),
        rank("rank-nothing", documents=[], expect={"outcome": "not_sent", "attempts": 0, "sent.count": 0}),
        rank("rank-chat-model", model="qwen-plus", expect={"error": "NotFoundError"}),
        rank("rank-wrong-key", client={"api_key": "sk-wrong"}, expect={"error": "AuthenticationError"}),
        rank("rank-refused", extra_headers=FAULT, expect={"error": "RateLimitError", "retryable": True}),
    ),
    "models.list": (
        listing("list", expect={"kind": "answer", "warnings": (), "sent.count": 1}),
        listing("list-extra-body", extra_body={"a": 1}, expect={"kind": "answer"}),
        listing("list-extra-headers", extra_headers={"X-Mine": "1"}, expect={"sent.header x-mine": "1"}),
        listing("list-wrong-key", client={"api_key": "sk-wrong"}, expect={"error": "AuthenticationError"}),
        listing("list-refused", extra_headers=FAULT, expect={"error": "RateLimitError", "retryable": True}),
    ),
    "count_tokens": (
        count("count", user("Hello, world"), expect={"usage.input_tokens": 5, "input_tokens": 5}),
        count("count-conversation", system("Be brief."), user("Hello"), assistant("Hi!"), user("And you?")),
        count("count-chinese", user("你好，世界"), expect={"input_tokens": 5}),
        count("count-parts", user([text("Hello, "), text("world")]), expect={"kind": "answer"}),
        count("count-empty", user(""), expect={"input_tokens": 0}),
        count("count-much", user(LONG), expect={"kind": "answer"}),
        count("count-vision-model", user("Hello"), model="qwen3-vl-plus", expect={"kind": "answer"}),
        count("count-retired-model", user("Hello"), model="qwen-max"),
        count("count-extra-headers", user("Hello"), extra_headers={"X-Mine": "1"}, expect={"sent.header x-mine": "1"}),
        count("count-extra-body", user("Hello"), extra_body={"parameters": {"a": 1}}),
        count("count-nothing", expect={"outcome": "not_sent", "attempts": 0, "sent.count": 0}),
        count("count-unknown-model", user("Hello"), model="nonsense", expect={"error": "BadRequestError"}),
        count("count-model-of-dashscope-alone", user("Hello"), model="qwen-deep-research"),
        count(
            "count-wrong-key", user("Hello"), client={"api_key": "sk-wrong"}, expect={"error": "AuthenticationError"}
        ),
        count("count-refused", user("Hello"), extra_headers=FAULT, expect={"error": "RateLimitError"}),
    ),
}
"""The cases by the path of what is called on the client. `request` are its arguments."""
PROVIDERS_OF = {
    "embeddings.create": ("qwen", "openai", "dashscope"),
    "rerank.create": ("qwen", "dashscope"),
    "models.list": ("qwen", "openai", "dashscope"),
    "count_tokens": ("qwen", "dashscope"),
}
"""Which providers have which operation."""
