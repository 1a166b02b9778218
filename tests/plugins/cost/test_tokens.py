"""Tokens counted on this side: bounds of what Qwen's own tokenizer and the emulator count."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from dashscope import get_tokenizer
from hypothesis import given
from hypothesis import strategies as st

from qonduit import ChatRequest, EmbeddingRequest, RerankRequest
from qonduit_cost.tokens import (
    TOKENS_PER_IMAGE,
    TOKENS_PER_LARGE_IMAGE,
    at_least,
    at_most,
    input_at_least,
    input_at_most,
)
from qonduit_emulator import _tokens
from qonduit_emulator._compatible import CompatibleWire

from .prices import ask

_BYTES = bytes((number * 197 + number // 7) % 256 for number in range(300))
TEXTS = {
    "a letter": "a",
    "English": "It was the best of times, it was the worst of times, it was the age of wisdom. " * 5,
    "Chinese": "人工智能是计算机科学的一个分支，它企图了解智能的实质，并生产出一种新的智能机器。" * 5,
    "both": "用Python写一个HTTP server，监听8080端口，返回JSON。" * 5,
    "the vendor's Chinese": "通义千问具有强大的能力。",
    "the vendor's English": "Nice to meet you.",
    "code": Path(__file__).read_text(encoding="utf-8"),
    "JSON": json.dumps([{"id": number, "name": f"user {number}", "on": None} for number in range(20)], indent=4),
    "a table": "| a | b | c |\n|---|---|---|\n| 1 | 2 | 3 |\n" * 10,
    "capitals": "HTTP REST API: SELECT * FROM users WHERE id = 42 AND NAME LIKE 'QWEN%';",
    "a URL": "https://help.aliyun.com/zh/model-studio/context-cache?spm=a2c4g.11186623.0.0.34e0",
    "hex": _BYTES.hex(),
    "base64": base64.b64encode(_BYTES).decode(),
    "a UUID": "6615ba01-081d-9147-93ff-7bd26f3adf93",
    "digits": "3141592653589793238462643383279502884197169399375105820974944592",
    "emoji": "😀👍🏽🎉👨‍👩‍👧‍👦🇨🇳❤️🦄🫠🪿🫨",
    "ideographs beyond the first plane": "𠀀𠀁𠀂𠀃",
    "signs": "∑∫√π≈≠≤≥∞∂∇ α β γ → ⇒ ∀x∈ℝ，。！？；：“”‘’（）【】",
    "Russian": "Съешь же ещё этих мягких французских булок, да выпей чаю. ",
    "French": "Portez ce vieux whisky au juge blond qui fume; l'été où l'hôtel est déjà fermé.",
    "German": "Donaudampfschifffahrtsgesellschaftskapitän, Größenwahn und Überschwänglichkeit.",
    "Arabic": "الذكاء الاصطناعي هو فرع من علوم الحاسوب يهتم بدراسة",
    "Hebrew": "בינה מלאכותית היא ענף של מדעי המחשב",
    "Greek": "Η τεχνητή νοημοσύνη είναι κλάδος της επιστήμης",
    "Hindi": "कृत्रिम बुद्धिमत्ता कंप्यूटर विज्ञान की एक शाखा है",
    "Thai": "ปัญญาประดิษฐ์เป็นสาขาหนึ่งของวิทยาการคอมพิวเตอร์",
    "Vietnamese": "Trí tuệ nhân tạo là một ngành của khoa học máy tính",
    "Japanese": "人工知能は、コンピュータサイエンスの一分野であり、知能を持つ機械を作ることを目指しています。",
    "Korean": "인공지능은 컴퓨터 과학의 한 분야로, 지능적인 기계를 만드는 것을 목표로 한다.",
    "Bengali": "কৃত্রিম বুদ্ধিমত্তা কম্পিউটার বিজ্ঞানের একটি শাখা",
    "Tamil": "செயற்கை நுண்ணறிவு என்பது",
    "Burmese": "ဉာဏ်ရည်တုသည် ကွန်ပျူတာသိပ္ပံ",
    "long words": "internationalization characteristically " * 4,
    "line breaks": "a\n\nb\n\n" * 30,
}
FACTOR = 4.5
"""The upper bound is at most so many times what Qwen counts, for each of these texts."""


@pytest.fixture(scope="module")
def qwen() -> Callable[[str], int]:
    """What Qwen's tokenizer counts; its ranks come with Alibaba's SDK."""
    tokenizer = get_tokenizer("qwen-turbo")
    return lambda text: len(tokenizer.encode(text))


@pytest.mark.parametrize("name", TEXTS)
def test_the_bounds_hold_for_qwens_tokenizer(name: str, qwen: Callable[[str], int]) -> None:
    """At least, really, at most; and not too far from it."""
    text = TEXTS[name]
    real = qwen(text)
    assert at_least(text) <= real <= at_most(text) <= FACTOR * real + 10


@pytest.mark.parametrize("name", TEXTS)
def test_the_bounds_hold_for_the_emulator(name: str) -> None:
    """Its rule is another one: letters by fours, one for each ideograph."""
    assert at_least(TEXTS[name]) <= _tokens.count(TEXTS[name]) <= at_most(TEXTS[name])


@pytest.mark.parametrize("text", [" " * 500, "\n" * 500, "=" * 500, "-" * 3000])
def test_runs_are_no_tokens_at_least(text: str, qwen: Callable[[str], int]) -> None:
    """One token may be many signs or spaces: the lower bound counts none, the upper one no more than its bytes."""
    assert at_least(text) == 0
    assert qwen(text) <= at_most(text) <= len(text)


@given(st.lists(st.sampled_from(sorted(set(" ".join(TEXTS.values()).split()))), max_size=40))
def test_any_words_in_any_order(words: list[str]) -> None:
    """The bounds hold for whatever these words make, and grow with every one."""
    text = " ".join(words)
    assert at_least(text) <= _tokens.count(text) <= at_most(text)
    assert at_most(f"{text} more") >= at_most(text)


@given(st.text())
def test_any_text_has_bounds(text: str) -> None:
    """Lone surrogates too; never more than one token for each byte."""
    assert 0 <= at_least(text) <= at_most(text) <= len(text.encode("utf-8", "surrogatepass"))


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "查询天气。Call it for a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
ARGUMENTS = '{"city": "杭州", "days": [' + "1, " * 2000 + "1]}"
REQUESTS = {
    "one message": ask("你好，世界"),
    "a conversation": ask(*(text for text in TEXTS.values() if "\n" not in text)),
    "tools": ask("杭州天气", tools=[TOOL] * 20),
    "a tool's answer": ChatRequest.of(
        {
            "messages": [
                {"role": "user", "content": "杭州天气"},
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [
                        {
                            "id": "1",
                            "function": {
                                "name": "get_weather",
                                "arguments": ARGUMENTS,
                            },
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "1", "content": "晴，25°C"},
            ],
            "tools": [TOOL],
        }
    ),
    "pictures": ChatRequest.of(
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "比较"}, PICTURE, PICTURE]}]}
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_whole_requests(name: str) -> None:
    """Messages, tools and pictures: the emulator's count of the same request is between the bounds."""
    request = REQUESTS[name]
    body = request.model_dump(exclude_none=True, include={"messages", "tools"}) | {"model": "qwen-plus"}
    counted = _tokens.count_input(CompatibleWire().parse(json.dumps(body).encode(), {}))
    assert input_at_least(request) <= counted <= input_at_most(request)


@pytest.mark.parametrize(
    ("part", "options", "tokens"),
    [
        (PICTURE, {}, TOKENS_PER_IMAGE),
        (PICTURE, {"vl_high_resolution_images": True}, TOKENS_PER_LARGE_IMAGE),
        ({"type": "image_url", "image_url": {"url": "https://a/b", "max_pixels": 10**7}}, {}, TOKENS_PER_LARGE_IMAGE),
        ({"image": "https://a/b"}, {}, TOKENS_PER_IMAGE),
    ],
)
def test_a_picture_counts_as_its_cap(part: dict[str, object], options: dict[str, object], tokens: int) -> None:
    """Its pixels are not looked at; what raises the cap raises the count."""

    def counted(*parts: dict[str, object]) -> int:
        messages = [{"role": "user", "content": list(parts)}]
        return input_at_most(ChatRequest.of({"messages": messages, "extra_body": options}))

    assert counted(part, part) - counted(part) == tokens


def test_search_and_formats_count() -> None:
    """What is put into the prompt beside the messages."""
    plain = input_at_most(ask("你好"))
    assert input_at_most(ask("你好", search=True)) > plain + 10_000
    assert input_at_most(ask("你好", extra_body={"enable_search": True})) > plain + 10_000
    assert input_at_most(ask("你好", response_format={"type": "json_schema", "json_schema": {"a": "b"}})) > plain


def test_texts_and_documents() -> None:
    """Embeddings count their texts; rerank counts the query once for each document."""
    texts = tuple(TEXTS.values())
    embeddings = EmbeddingRequest(input=texts)
    counted = sum(_tokens.count(text) for text in texts)
    assert input_at_least(embeddings) <= counted <= input_at_most(embeddings)
    rerank = RerankRequest(query="什么是文本排序" * 100, documents=(*texts, {"text": "文本", "image": "https://a/b"}))
    pairs = sum(_tokens.count(rerank.query) + _tokens.count(text) for text in (*texts, "文本"))
    assert input_at_least(rerank) <= pairs <= input_at_most(rerank)
