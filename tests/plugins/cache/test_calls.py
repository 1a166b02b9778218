"""What is given from the cache and what is kept, in the four modes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.memory import USAGE, MemoryTransport, Reply, Waiting, event, refused, said
from tests.pipeline.modes import MESSAGES, MODES, Mode
from tests.plugins.cache.stores import AsyncDictStore, Clock, DictStore, cache

import qonduit_cache
from qonduit import APIError, AsyncClient, Client, ConfigurationError, Usage
from qonduit_cache import CachePlugin, Store, cache_control
from qonduit_cache.control import Control, current

CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def answered(message: dict[str, Any], finish: str | None, **fields: Any) -> Reply:
    """An answer with one choice, plain and streamed alike."""
    choices = [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}]
    whole = {"id": "chatcmpl-1", "model": "qwen-plus", "created": 1, "choices": choices, "usage": USAGE, **fields}
    delta = {name: value for name, value in message.items() if value is not None}
    parts = (event(delta), event({}, finish=finish), event(None, usage=USAGE), b"data: [DONE]\n\n")
    return Reply(200, {"content-type": "text/event-stream"}, (json.dumps(whole).encode(),), parts)


@pytest.mark.F42
@pytest.mark.parametrize("store", [None, DictStore, AsyncDictStore])
@pytest.mark.parametrize("second", MODES, ids=lambda mode: mode.name)
async def test_one_entry_serves_every_mode(mode: Mode, second: Mode, store: type[DictStore] | None) -> None:
    """What was asked in one way is answered from the cache in every other; the usage is kept, and no cost (F42)."""
    transport = MemoryTransport(said("Hel", "lo"))
    plugin = cache(store and store(), keep_raw=True)
    first = await mode.ask(mode.client(transport, plugin))
    again = await second.ask(second.client(transport, plugin))
    assert len(transport.sent) == 1
    assert (first.response.cached, again.response.cached) == (False, True)
    assert again.response == first.response.replace(cached=True)
    assert again.response.usage == Usage.model_validate(USAGE)
    assert again.response.cost is None
    assert "".join(again.pieces) == ("Hello" if second.streamed else "")
    assert again.response.raw == first.response.raw


async def test_an_answer_is_kept_whole(mode: Mode) -> None:
    """Tool calls, reasoning and fields that qonduit does not know come back as they came."""
    reply = answered({"content": None, "reasoning_content": "hm", "tool_calls": [CALL], "odd": 7}, "tool_calls")
    client = mode.client(MemoryTransport(reply), "cache")
    first, again = (await mode.ask(client)).response, (await mode.ask(client)).response
    assert again.cached
    assert again == first.replace(cached=True)
    assert again.model_dump(exclude={"cached"}) == first.model_dump(exclude={"cached"})
    assert again.choices[0].message.model_fields_set == first.choices[0].message.model_fields_set


async def test_the_providers_json_need_not_be_kept(mode: Mode) -> None:
    """Without keep_raw, which is the default, entries are smaller, and `raw` is None on a hit."""
    sizes = []
    for keep in (True, False):
        plugin = cache(keep_raw=keep)
        client = mode.client(MemoryTransport(said("Hello")), plugin)
        await mode.ask(client)
        assert ((await mode.ask(client)).response.raw is not None) == keep
        sizes.append(plugin.store.stats().bytes)
    assert sizes[0] > sizes[1]


@pytest.mark.F62
async def test_two_tenants_never_share(mode: Mode) -> None:
    """Another key, model or temperature is another entry, of one shared plugin (F62)."""
    transport = MemoryTransport(said("Hello"))
    client = mode.client(transport, "cache")
    for other in (client, client.with_options(api_key="sk-other"), client.with_options(model="qwen-max")):
        assert not (await mode.ask(other)).response.cached
        assert not (await mode.ask(other, temperature=0.5)).response.cached
        assert (await mode.ask(other)).response.cached
    assert len(transport.sent) == 6


UNFIT = {
    "an error": refused(400, "InvalidParameter"),
    "a refusal of its content": answered({"content": "Hel"}, "content_filter"),
    "no reason to end": answered({"content": "Hel"}, None),
    "a word of the provider's": answered({"content": "Hel"}, "insufficient_system_resource"),
    "a stream that breaks": Reply(200, {"content-type": "text/event-stream"}, (b"{",), (event({"content": "Hel"}),)),
}


@pytest.mark.F64
@pytest.mark.parametrize("reply", UNFIT.values(), ids=UNFIT)
async def test_what_is_no_whole_answer_is_not_kept(mode: Mode, reply: Reply) -> None:
    """Errors, filtered and broken answers are never given again (F64)."""
    transport = MemoryTransport(reply, said("Hello"))
    plugin = cache()
    client = mode.client(transport, plugin, max_retries=0)
    with contextlib.suppress(APIError):
        await mode.ask(client)
    assert plugin.store.stats().entries == 0
    told = await mode.ask(client)
    assert (told.response.text, told.response.cached) == ("Hello", False)


async def test_an_answer_cut_by_max_tokens_is_kept(mode: Mode) -> None:
    """It is complete as it was asked for."""
    client = mode.client(MemoryTransport(answered({"content": "Hel"}, "length")), "cache")
    assert [(await mode.ask(client, max_tokens=1)).response.cached for _ in range(2)] == [False, True]


@pytest.mark.F64
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_abandoned_stream_is_not_kept(asynchronous: bool) -> None:
    """Neither when it is answered by the provider, nor is the entry lost when a hit is left early."""
    mode = Mode(asynchronous, streamed=True)
    transport = MemoryTransport(said("Hel", "lo"))
    plugin = cache()
    client = mode.client(transport, plugin)
    for cached, complete in ((False, False), (False, True), (True, False), (True, True)):
        stream = await mode.start(client)
        await mode.next(stream)
        if complete:
            with contextlib.suppress(StopAsyncIteration):
                while True:
                    await mode.next(stream)
        await mode.leave(stream)
        assert (stream.response.cached, stream.response.complete) == (cached, complete)
    assert len(transport.sent) == 2


@pytest.mark.F64
def test_a_stream_left_before_its_end_mark_is_not_kept() -> None:
    """Though its last words and the reason to end have come: its usage has not."""
    plugin = cache()
    client: Any = Mode(False, True).client(MemoryTransport(said("Hel", "lo")), plugin)
    with client.chat.completions.create(messages=MESSAGES, stream=True) as stream:
        while not next(stream).choices[0].finish_reason:
            pass
    assert stream.response.choices[0].finish_reason == "stop"
    assert not stream.response.complete
    assert plugin.store.stats().entries == 0


@pytest.mark.F64
async def test_a_cancelled_call_keeps_nothing() -> None:
    """What was cancelled leaves neither an entry nor a flight behind."""
    waiting = Waiting()
    plugin = cache()
    mode = Mode(asynchronous=True, streamed=False)
    client = mode.client(MemoryTransport(Reply(200, {}, (waiting,)), said("Hello")), plugin)
    task = asyncio.ensure_future(mode.ask(client))
    await waiting.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert plugin._flights._flights == {}
    assert not (await mode.ask(client)).response.cached


# by mode: does it read, does it keep
MODE_TABLE = {
    "on": (True, True),
    "off": (False, False),
    "read_only": (True, False),
    "write_only": (False, True),
    "refresh": (False, True),
}


@pytest.mark.parametrize("by_call", [False, True])
@pytest.mark.parametrize("name", MODE_TABLE)
async def test_the_modes_of_the_cache(mode: Mode, name: Any, by_call: bool) -> None:
    """Each reads and keeps what it says, set by the profile or by the call."""
    reads, keeps = MODE_TABLE[name]
    store = DictStore()
    plugin = cache(store, mode="on" if by_call else name)
    client = mode.client(MemoryTransport(said("old")), plugin)
    with cache_control(mode=name if by_call else None):
        await mode.ask(client)
    assert len(store.entries) == keeps
    filled = mode.client(MemoryTransport(said("old")), cache(store))
    await mode.ask(filled)
    client = mode.client(MemoryTransport(said("new")), plugin)
    with cache_control(mode=name if by_call else None):
        told = await mode.ask(client)
    assert (told.response.text, told.response.cached) == (("old", True) if reads else ("new", False))
    now = (await mode.ask(filled)).response.text if not by_call or keeps or reads else "old"
    assert now == ("new" if keeps and not reads else "old")


async def test_a_refresh_that_brings_nothing_to_keep_drops_the_old_answer(mode: Mode) -> None:
    """The provider filters it now: the old one is not given again. After an error it stays."""
    plugin = cache()
    transport = MemoryTransport(said("old"), refused(400), answered({"content": ""}, "content_filter"))
    client = mode.client(transport, plugin, max_retries=0)
    await mode.ask(client)
    with cache_control(mode="refresh"):
        with pytest.raises(APIError):
            await mode.ask(client)
        assert plugin.store.stats().entries == 1
        await mode.ask(client)
    assert plugin.store.stats().entries == 0


async def test_answers_die_after_their_time(mode: Mode) -> None:
    """ttl is a matter of when it is kept, max_age of when it is asked for; the store need forget nothing."""
    clock, store = Clock(), DictStore()
    transport = MemoryTransport(said("Hello"))
    client = mode.client(transport, cache(store, clock, ttl=100.0, max_age=50.0))

    async def hit(**asked: Any) -> bool:
        with cache_control(**asked):
            return (await mode.ask(client)).response.cached

    assert not await hit(ttl=80.0)
    clock.now += 40
    assert await hit()
    assert not await hit(max_age=30.0)
    clock.now += 60
    assert not await hit(), "older than max_age"
    assert store.ttls == [80.0, 100.0, 100.0]
    clock.now += 49
    assert await hit(max_age=1000.0)
    clock.now += 52
    assert not await hit(max_age=1000.0), "older than its ttl"


async def test_an_entry_from_the_future_is_not_believed(mode: Mode) -> None:
    """A clock that was set back brings no old answer back to life for hours."""
    clock = Clock()
    client = mode.client(MemoryTransport(said("Hello")), cache(DictStore(), clock, ttl=100.0))
    await mode.ask(client)
    clock.now -= 3600
    assert not (await mode.ask(client)).response.cached


@pytest.mark.F62
async def test_namespaces(mode: Mode) -> None:
    """In one namespace keys share answers; two namespaces never do, whichever key asks."""
    client = mode.client(MemoryTransport(said("Hello")), ("cache", {"namespace": "team"}))
    other = client.with_options(api_key="sk-other")
    assert not (await mode.ask(client)).response.cached
    assert (await mode.ask(other)).response.cached
    with cache_control(namespace="user-7"):
        assert not (await mode.ask(client)).response.cached
        assert (await mode.ask(other)).response.cached
    with cache_control(namespace=""):
        assert not (await mode.ask(client)).response.cached


@pytest.mark.parametrize(
    ("fields", "cached"),
    [
        ({}, True),
        ({"temperature": 0}, True),
        ({"temperature": 1}, True),
        ({"temperature": 1.1}, False),
        ({"extra_body": {"temperature": 1.5}}, False),
        ({"temperature": 1.5, "extra_body": {"temperature": 0}}, True),
        ({"seed": 7, "n": 2}, True),
    ],
)
async def test_a_hot_call_is_left_alone(plain: Mode, fields: dict[str, Any], cached: bool) -> None:
    """Who asks at a high temperature wants another answer each time, unless the call names a mode."""
    client = plain.client(MemoryTransport(said("Hello")), "cache")
    assert [(await plain.ask(client, **fields)).response.cached for _ in range(2)] == [False, cached]
    with cache_control(mode="on"):
        await plain.ask(client, **fields)
        assert (await plain.ask(client, **fields)).response.cached


def test_a_block_says_what_it_does_not_know() -> None:
    """A misspelt mode or no time at all is an error, not another behaviour."""
    for wrong in ({"mode": "reload"}, {"ttl": 0}, {"max_age": -1}, {"ttl": "x"}, {"namespace": 7}):
        with pytest.raises(ConfigurationError, match="cache_control"), cache_control(**wrong):
            pass


def test_an_inner_block_changes_what_it_names() -> None:
    """The rest stays as the outer one says, and after it all does."""
    with cache_control(ttl=5, namespace="a", mode="off"):
        with cache_control(mode="refresh", max_age=3):
            assert current.get() == Control(mode="refresh", ttl=5, max_age=3, namespace="a")
        assert current.get() == Control(mode="off", ttl=5, namespace="a")
    assert current.get() is None


async def test_blocks_nest_and_end() -> None:
    """An inner block changes what it names; after it the outer one holds. A stream keeps what held when it was made."""
    mode = Mode(asynchronous=True, streamed=True)
    plugin = cache()
    client = mode.client(MemoryTransport(said("Hello")), plugin)
    with cache_control(mode="read_only", ttl=5):
        with cache_control(mode="on"):
            stream = await mode.start(client)
        async for _ in stream:
            pass
        assert not (await mode.ask(client, temperature=0.1)).response.cached
    assert plugin.store.stats().entries == 1


def test_other_operations() -> None:
    """Embeddings are kept; a list of models is asked for each time."""
    vector = {"data": [{"index": 0, "embedding": [0.1, -2.5e-7]}], "model": "m", "usage": {"prompt_tokens": 1}}
    transport = MemoryTransport(Reply().with_parts(json.dumps(vector).encode()))
    client = Client(provider="openai", model="m", api_key="sk-test", plugins=["cache", transport])
    first, again = (client.embeddings.create(input=["a"]) for _ in range(2))
    assert (first.cached, again.cached, len(transport.sent)) == (False, True, 1)
    assert again == first.replace(cached=True)
    listing = {"object": "list", "data": [{"id": "m", "object": "model"}]}
    transport.script = [Reply().with_parts(json.dumps(listing).encode())]
    assert [client.models.list().cached for _ in range(2)] == [False, False]
    assert len(transport.sent) == 3


async def test_an_answer_is_each_callers_own(plain: Mode) -> None:
    """What one caller does to a mutable part of its answer does not reach the next."""
    client = plain.client(MemoryTransport(said("Hello")), "cache")
    for _ in range(3):
        response = (await plain.ask(client)).response
        assert response.usage is not None
        assert response.usage.raw == USAGE
        response.usage.raw["prompt_tokens"] = 0  # type: ignore[index]


async def test_a_typed_answer_is_read_from_a_hit(plain: Mode) -> None:
    """`parsed` works on a hit as on the first answer."""
    client = plain.client(MemoryTransport(said('{"a": 1}')), "cache")
    for _ in range(2):
        told = await plain.ask(client, response_format={"type": "json_object"})
        assert told.response.parsed == {"a": 1}


def test_a_request_that_is_no_json_fails_as_without_a_cache(recwarn: Any, caplog: Any) -> None:
    """The builder's error is the caller's, and the cache says nothing."""
    client = Client(provider="qwen", model="m", api_key="k", plugins=["cache", MemoryTransport(said("Hello"))])
    with pytest.raises(APIError, match="surrogate"):
        client.chat.completions.create(messages=[{"role": "user", "content": "\ud800"}])
    assert caplog.text == ""


@pytest.mark.F65
def test_no_pickle() -> None:
    """Nothing in the cache can run code from an entry (F65)."""
    for path in Path(qonduit_cache.__file__).parent.rglob("*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        code = [line for line in lines if line.lstrip().startswith(("import ", "from "))]
        assert not [line for line in code if any(word in line for word in ("pickle", "marshal", "shelve", "dill"))]
        assert not any(word in "\n".join(lines) for word in ("eval(", "exec(", "loads("))


def test_where_it_stands() -> None:
    """Named first, it still stands within logging and cost, so that a hit is logged and costs nothing."""
    client = Client(provider="qwen", model="m", api_key="k", plugins=["cache", "cost", "logging"])
    names = [layer.name for layer in client.middleware]
    assert names.index("cache") > max(names.index("cost"), names.index("logging"))


def test_the_stores_are_stores() -> None:
    """Each bundled store and one of a stranger's has what the protocol says."""
    for plugin in (CachePlugin(), cache(store="sqlite"), cache(store="redis", url="redis://h"), cache(DictStore())):
        assert isinstance(plugin.store, Store)


def test_closing_is_the_stores(tmp_path: Path) -> None:
    """close() lets the store go; the plugin may be used again, by a client that shares it."""
    for plugin in (cache(), cache(store="sqlite", path=tmp_path / "c.db")):
        mode = Mode(asynchronous=False, streamed=False)
        client: Any = mode.client(MemoryTransport(said("Hello")), plugin)
        for cached in (False, True, True):
            assert client.chat.completions.create(messages=MESSAGES).cached is cached
            plugin.close()
            plugin.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"store": "redis"}, "plugin.cache.url is missing"),
        ({"store": "redis", "url": "http://:hunter2@h"}, "expected redis://"),
        ({"store": "redis", "url": "env:NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE"),
        ({"url": "redis://h"}, 'set store = "redis"'),
        ({"path": "x"}, 'set store = "sqlite"'),
        ({"store": "disk"}, "store"),
        ({"mode": "yes"}, "mode"),
        ({"ttl": 0}, "ttl"),
        ({"secret": "env:NO_SUCH_VARIABLE"}, "plugin.cache.secret"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    """Each names the setting, and no password."""
    with pytest.raises(ConfigurationError, match=message) as raised:
        AsyncClient(provider="qwen", model="m", api_key="k", plugins=[("cache", options)])
    assert "hunter2" not in str(raised.value)


def test_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret may stand in the environment or in a file; what cannot be had is an error that names it."""
    (tmp_path / "secret").write_text("in a file\n")
    monkeypatch.setenv("CACHE_SECRET", "in a variable")
    secrets = ["in a file", f"file:{tmp_path / 'secret'}", "in a variable", "env:CACHE_SECRET", None]
    made = [cache(secret=secret)._seal for secret in secrets]
    assert made[0] == made[1] != made[2] == made[3]
    assert made[4] is None
    for wrong in ("file:/no/such/file", "env:NO_SUCH_VARIABLE", ""):
        with pytest.raises(ConfigurationError, match=r"plugin\.cache\.secret"):
            cache(secret=wrong)
