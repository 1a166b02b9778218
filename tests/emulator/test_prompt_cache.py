"""The context cache and its counters, on both wires."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qonduit_emulator import Emulator
from qonduit_emulator._accounts import Account
from qonduit_emulator._exchange import ChatRequest, Message, Parameters, TextPart
from qonduit_emulator._keys import ApiKey
from qonduit_emulator._prompt_cache import PromptCache
from qonduit_emulator._tokens import count_input

CHAT = "/compatible-mode/v1/chat/completions"
MULTIMODAL = "/api/v1/services/aigc/multimodal-generation/generation"
LONG = "word " * 1500  # 1500 tokens and one space


@pytest.fixture(autouse=True)
def _reset(emulator: Emulator) -> Iterator[None]:
    emulator.reset()
    yield
    emulator.reset()


def part(text: str, *, mark: bool = False) -> dict[str, Any]:
    marked = {"cache_control": {"type": "ephemeral"}} if mark else {}
    return {"type": "text", "text": text, **marked}


def details(http: httpx.Client, *parts: dict[str, Any], **options: Any) -> dict[str, Any]:
    headers = options.pop("headers", {})
    body = {"model": "qwen3-max", "messages": [{"role": "user", "content": list(parts)}], **options}
    usage = http.post(CHAT, json=body, headers=headers).json()["usage"]
    found: dict[str, Any] = usage["prompt_tokens_details"]
    assert found["cached_tokens"] + found.get("cache_creation_input_tokens", 0) <= usage["prompt_tokens"]
    return found


def test_implicit_cache_counts_the_common_beginning(http: httpx.Client) -> None:
    """The second prompt with the same beginning has cached tokens, in whole blocks; the first has none."""
    assert details(http, part(LONG + "first question")) == {"cached_tokens": 0}
    assert details(http, part(LONG + "second question")) == {"cached_tokens": 1280}
    assert details(http, part("another " + LONG)) == {"cached_tokens": 0}


def test_short_prompts_are_not_cached(http: httpx.Client) -> None:
    """Below 1024 tokens nothing is cached."""
    for _ in range(2):
        assert details(http, part("word " * 900)) == {"cached_tokens": 0}


def test_explicit_cache_creates_then_hits(http: httpx.Client) -> None:
    """A marked prefix is created once, then hit; the rest is neither."""
    first = details(http, part(LONG, mark=True), part("question 1"))
    created = first["cache_creation_input_tokens"]
    assert created >= 1500
    assert first == {
        "cached_tokens": 0,
        "cache_creation_input_tokens": created,
        "cache_creation": {"ephemeral_5m_input_tokens": created},
        "cache_type": "ephemeral",
    }
    second = details(http, part(LONG, mark=True), part("question 2"))
    assert (second["cached_tokens"], second["cache_creation_input_tokens"]) == (created, 0)


def test_a_longer_marked_prefix_creates_the_difference(http: httpx.Client) -> None:
    """A second mark finds the first one's prefix and creates only what is new."""
    first = details(http, part(LONG, mark=True))["cache_creation_input_tokens"]
    longer = details(http, part(LONG), part(LONG, mark=True))
    assert longer["cached_tokens"] == first
    assert longer["cache_creation_input_tokens"] == 1501


def test_models_and_accounts_have_their_own(http: httpx.Client, emulator: Emulator) -> None:
    """Another model or another account finds nothing; another key of the account does."""
    details(http, part(LONG))
    assert details(http, part(LONG), model="qwen-plus") == {"cached_tokens": 0}
    other = emulator.books
    other.put_account(Account(name="other"))
    other.put_key(ApiKey(key="sk-other", account="other"))
    other.put_key(ApiKey(key="sk-same"))
    assert details(http, part(LONG), headers={"Authorization": "Bearer sk-other"}) == {"cached_tokens": 0}
    assert details(http, part(LONG), headers={"Authorization": "Bearer sk-same"})["cached_tokens"] > 0


def test_native_wire_has_the_same_counters(http: httpx.Client) -> None:
    """The native usage names them alike."""
    content = [{"text": LONG, "cache_control": {"type": "ephemeral"}}, {"text": "and?"}]
    body = {"model": "qwen3.6-plus", "input": {"messages": [{"role": "user", "content": content}]}}
    found = http.post(MULTIMODAL, json=body).json()["usage"]["prompt_tokens_details"]
    assert found["cache_creation"]["ephemeral_5m_input_tokens"] == found["cache_creation_input_tokens"] > 1500
    found = http.post(MULTIMODAL, json=body).json()["usage"]["prompt_tokens_details"]
    assert found["cached_tokens"] > 1500


def test_wrong_cache_control_is_refused(http: httpx.Client) -> None:
    """Any other type than ephemeral is a 400."""
    wrong = {"type": "text", "text": "a", "cache_control": {"type": "forever"}}
    body = {"model": "qwen-plus", "messages": [{"role": "user", "content": [wrong]}]}
    assert "cache_control" in http.post(CHAT, json=body).json()["error"]["message"]


def ask(*parts: TextPart) -> ChatRequest:
    message = Message(role="user", parts=parts)
    return ChatRequest(model="m", messages=(message,), parameters=Parameters(), caller="a")


def test_a_prefix_lives_five_minutes_from_its_last_use() -> None:
    """A hit renews it; five minutes without one forget it; it begins with the answer's end."""
    now = 0.0
    cache = PromptCache(lambda: now)
    request = ask(TextPart(LONG, cache_mark=True))
    first = cache.look_up(request)
    assert cache.look_up(request).cached_tokens == 0
    cache.keep(first)
    now = 299.0
    assert cache.look_up(request).cached_tokens > 0
    now = 598.0
    assert cache.look_up(request).cached_tokens > 0
    now = 898.0
    assert cache.look_up(request).cached_tokens == 0


def test_marks_look_back_twenty_parts_and_count_four() -> None:
    """A prefix 20 parts before the mark is found, one 21 before is not; of five marks the first does not count."""
    for distance, found in ((20, True), (21, False)):
        cache = PromptCache()
        cache.keep(cache.look_up(ask(TextPart(LONG, cache_mark=True))))
        rest = [TextPart("x") for _ in range(distance - 1)]
        use = cache.look_up(ask(TextPart(LONG), *rest, TextPart("x", cache_mark=True)))
        assert (use.cached_tokens > 0) is found
    cache = PromptCache()
    assert len(cache.look_up(ask(*[TextPart(LONG, cache_mark=True)] * 5)).kept) == 4


@given(st.lists(st.tuples(st.sampled_from(["a ", "b ", LONG]), st.booleans()), max_size=6))
def test_a_request_never_has_more_cached_than_it_has(parts: list[tuple[str, bool]]) -> None:
    """Asked twice, any request's cached and created tokens fit into its input, and the second creates nothing."""
    cache = PromptCache()
    request = ask(*(TextPart(text, cache_mark=mark) for text, mark in parts))
    for attempt in range(2):
        use = cache.look_up(request)
        assert use.cached_tokens + (use.created_tokens or 0) <= count_input(request)
        if attempt:
            assert not use.created_tokens
        cache.keep(use)
