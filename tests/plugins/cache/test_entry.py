"""Entries: what is read back is what was kept, and what is no sound entry is a miss that is deleted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pipeline.memory import MemoryTransport, said
from tests.pipeline.modes import Mode
from tests.plugins.cache.stores import Clock, DictStore, cache

from qonduit import ChatResponse, Cost, EmbeddingResponse, RerankResponse, Response, Search, TokenCount
from qonduit_cache.entry import EntryError, decode, encode

KEY = "0" * 64
TIMES: dict[str, Any] = {"now": 1000.0}

ANSWERS: list[Response] = [
    ChatResponse.model_validate(
        {
            "id": "1",
            "model": "m",
            "created": 5,
            "usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}, "odd": 2},
            "choices": [
                {
                    "message": {"role": "assistant", "content": '"{}\n😀', "unknown": {"a": [1, 1.5, None]}},
                    "finish_reason": "stop",
                    "logprobs": {"content": [{"logprob": -1e-9}]},
                },
                {"index": 1, "message": {"role": "assistant", "content": [{"type": "text", "text": "x"}]}},
            ],
            "search": Search.model_validate({"results": [{"index": 1, "url": "u", "odd": 1}], "more": 2}),
            "warnings": ["bent"],
            "request_id": "r",
            "provider": "qwen",
            "content": [b'{"a": 1}', b'{"a": 2}'],
        }
    ),
    EmbeddingResponse.model_validate({"data": [{"index": 0, "embedding": [0.1, 1e-300, -3.0]}]}),
    RerankResponse.model_validate({"results": [{"index": 1, "relevance_score": 0.7, "document": {"text": "a"}}]}),
    TokenCount(input_tokens=3, token_ids=(1, 2, 3), tokens=("a", "b", "c")),
    ChatResponse(content=('data: {"a": "é"}\n\n'.encode()[:13], 'data: {"a": "é"}\n\n'.encode()[13:])),
    ChatResponse(),
]


def kept(response: Response, **terms: Any) -> bytes:
    given = {"now": 1000.0, "ttl": 60.0, "secret": b"", "raw": True, **terms}
    return encode(KEY, "chat", response, **given)


@pytest.mark.parametrize("response", ANSWERS, ids=lambda response: type(response).__name__)
@pytest.mark.parametrize("secret", [b"", b"s", None])
def test_an_answer_comes_back(response: Response, secret: bytes | None) -> None:
    """Each kind, with what qonduit does not know, as JSON; without its cost, and marked as cached."""
    entry = kept(response.replace(cost=Cost()), secret=secret)
    assert json.loads(entry)["schema"] == 1
    found = decode(entry, KEY, "chat", type(response), secret=secret, now=1059.0)
    assert found.response == response.replace(cached=True)
    assert found.response.model_dump() == {**response.model_dump(), "cached": True}
    assert found.response.raw == response.raw
    assert (found.created, found.expires) == (1000.0, 1060.0)


async def test_what_nobody_else_can_write_to_is_not_sealed(mode: Mode) -> None:
    """Entries in the plugin's own memory have no digest; those of a store that was handed in have one."""
    store = DictStore()
    own, shared = cache(), cache(store)
    for plugin in (own, shared):
        await mode.ask(mode.client(MemoryTransport(said("Hello")), plugin))
    (key,) = own.store.keys(2)
    inside, (outside,) = own.store.get(key), store.entries.values()
    assert inside is not None
    assert json.loads(inside)["check"] == "0" * 64
    assert set(json.loads(outside)["check"]) != {"0"}


def changed(**fields: Any) -> bytes:
    """An entry that somebody made up who knows the form, but no secret."""
    return encode(
        fields.get("key", KEY), fields.get("operation", "chat"), ANSWERS[0], now=1000.0, ttl=60.0, secret=b"", raw=True
    )


SOUND = kept(ANSWERS[0])
POISON: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"\x80\x04\x95pickle",
    "half an entry": SOUND[: len(SOUND) // 2],
    "one letter changed": SOUND.replace(b'"stop"', b'"stpp"'),
    "another version": SOUND.replace(b'"schema":1', b'"schema":2'),
    "an older form": json.dumps({"response": json.loads(SOUND)["response"]}).encode(),
    "another key's entry": changed(key="1" * 64),
    "another operation's": changed(operation="embeddings"),
    "an answer of another kind": encode(
        KEY, "chat", TokenCount(input_tokens=3), now=1000.0, ttl=60.0, secret=b"", raw=True
    ),
    "one whose time is over": kept(ANSWERS[0], now=0.0),
    "one from the future": kept(ANSWERS[0], now=2000.0),
}


@pytest.mark.F62
@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
def test_what_is_no_entry(poison: bytes) -> None:
    """It is refused, with a reason that holds nothing of it."""
    with pytest.raises(EntryError) as raised:
        decode(poison, KEY, "chat", ChatResponse, secret=b"", now=1001.0)
    assert "stp" not in str(raised.value)


@settings(deadline=None)
@given(st.binary() | st.integers(0, len(SOUND) - 1).map(lambda place: SOUND[:place] + b"x" + SOUND[place + 1 :]))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    """Whatever lies in a store: an answer that is whole, or an EntryError."""
    try:
        found = decode(data, KEY, "chat", ChatResponse, secret=b"", now=1001.0)
    except EntryError:
        return
    assert data == SOUND
    assert found.response == ANSWERS[0].replace(cached=True)


@pytest.mark.F62
def test_an_entry_cannot_be_made_up() -> None:
    """With a secret, who can write to the store but does not know it cannot seal an answer (F62)."""
    with pytest.raises(EntryError, match="secret"):
        decode(SOUND, KEY, "chat", ChatResponse, secret=b"s", now=1001.0)


@pytest.mark.F62
@pytest.mark.parametrize("poison", [*POISON, "not even bytes"])
async def test_a_poisoned_store_is_a_miss(mode: Mode, poison: str) -> None:
    """The provider is asked, and what lay there is replaced by its answer."""
    clock, store = Clock(), DictStore()
    transport = MemoryTransport(said("Hello"))
    client = mode.client(transport, cache(store, clock))
    await mode.ask(client)
    (key,) = store.entries
    store.entries[key] = POISON.get(poison, 7)  # type: ignore[assignment]
    assert not (await mode.ask(client)).response.cached
    assert (await mode.ask(client)).response.cached


def test_a_poisoned_entry_is_deleted() -> None:
    """Also when nothing is put in its place."""
    store = DictStore()
    client: Any = Mode(False, False).client(MemoryTransport(said("Hello")), cache(store, mode="read_only"))
    (layer,) = (layer for layer in client.middleware if layer.name == "cache")
    assert layer.on_error == "miss"
    filler: Any = Mode(False, False).client(MemoryTransport(said("Hello")), cache(store))
    filler.chat.completions.create(messages=[{"role": "user", "content": "a"}])
    store.entries = dict.fromkeys(store.entries, b"poison")
    assert not client.chat.completions.create(messages=[{"role": "user", "content": "a"}]).cached
    assert store.entries == {}


def test_bytes_that_are_no_text_are_left_out() -> None:
    """The answer is kept without them."""
    response = ANSWERS[0].replace(content=(b"\xff\xfe",))
    found = decode(kept(response), KEY, "chat", ChatResponse, secret=b"", now=1001.0)
    assert found.response == response.replace(cached=True)
    assert found.response.raw is None
