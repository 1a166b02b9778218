"""RedisStore against a real server, and whatever happens to it."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr
from tests.pipeline.memory import MemoryTransport, said
from tests.pipeline.modes import MESSAGES, Mode
from tests.plugins.cache.conftest import RedisServer
from tests.plugins.cache.stores import cache

from qonduit import AsyncClient
from qonduit_cache.redis import MAX_ENTRY, RedisStore

Start = Callable[..., RedisServer]
LATE = 3.0
"""Seconds that no call over a memory transport may take, whatever the server does; the limit of an access is 0.25."""


@pytest.fixture
def server(redis_server: Start) -> RedisServer:
    return redis_server()


def plugin(server: RedisServer, **options: Any) -> Any:
    return cache(store="redis", url=server.url, **options)


async def test_entries_outlive_the_client(mode: Mode, server: RedisServer) -> None:
    """What one client has put another gets, with an expiry of the server's own."""
    transport = MemoryTransport(said("Hello"))
    first, second = plugin(server, ttl=100), plugin(server)
    told = await mode.ask(mode.client(transport, first))
    again = await mode.ask(mode.client(transport, second))
    assert again.response == told.response.replace(cached=True)
    (key,) = second.store.keys(9)
    assert 90 < int(server.command("TTL", "qonduit:cache:" + key)[1:]) <= 100
    stats = second.store.stats()
    assert (stats.entries, stats.where) == (1, f"redis at {server.socket}")
    assert stats.bytes == int(server.command("STRLEN", "qonduit:cache:" + key)[1:])
    server.command("SET", "somebody", "else's")
    assert second.store.clear() == 1
    assert server.command("DBSIZE") == ":1\r\n"
    assert not (await mode.ask(mode.client(transport, first))).response.cached
    for one in (first, second):
        await asyncio.to_thread(one.close)


async def ask_in_time(mode: Mode, client: Any, **parameters: Any) -> bool:
    """Whether an answer came from the cache; it came in time."""
    started = time.monotonic()
    told = await mode.ask(client, **parameters)
    assert time.monotonic() - started < LATE
    assert told.response.text == "Hello"
    return told.response.cached


@pytest.mark.parametrize("what", ["hang", "kill"])
async def test_a_server_that_goes_away(mode: Mode, server: RedisServer, caplog: Any, what: str) -> None:
    """Stopped in the midst (SIGSTOP) or killed: calls go on, in time, with one warning."""
    its = plugin(server)
    client = mode.client(MemoryTransport(said("Hello")), its)
    assert [await ask_in_time(mode, client) for _ in range(2)] == [False, True]
    getattr(server, what)()
    started = time.monotonic()
    assert [await ask_in_time(mode, client) for _ in range(8)] == [False] * 8
    assert time.monotonic() - started < LATE
    assert len(caplog.records) == 1
    await asyncio.to_thread(its.close)


async def test_a_deadline_is_kept_beside_a_hanging_server(mode: Mode, server: RedisServer) -> None:
    """A call with less time than an access may take does not ask the store at all."""
    its = plugin(server)
    client = mode.client(MemoryTransport(said("Hello")), its)
    await mode.ask(client)
    server.hang()
    started = time.monotonic()
    await mode.ask(client, deadline=0.2)
    assert time.monotonic() - started < 0.2
    await asyncio.to_thread(its.close)


async def test_a_server_that_comes_back(mode: Mode, server: RedisServer) -> None:
    """A hanging server that goes on is used again, on new connections."""
    its = plugin(server)
    client = mode.client(MemoryTransport(said("Hello")), its)
    await mode.ask(client)
    server.hang()
    assert not await ask_in_time(mode, client)
    server.go_on()
    assert [await ask_in_time(mode, client) for _ in range(2)][1]
    await asyncio.to_thread(its.close)


async def test_a_server_that_refuses_the_password(mode: Mode, redis_server: Start, caplog: Any) -> None:
    """A wrong password is a miss, and stands in no record; so is a password that is changed later."""
    server = redis_server("--requirepass", "hunter2")
    wrong = cache(store="redis", url=server.url.replace("unix://", "unix://:hunter3@"))
    right = cache(store="redis", url=server.url.replace("unix://", "unix://:hunter2@"))
    for its, cached in ((wrong, False), (right, True)):
        client = mode.client(MemoryTransport(said("Hello")), its)
        assert [await ask_in_time(mode, client) for _ in range(2)] == [False, cached]
        await asyncio.to_thread(its.close)
    assert "hunter" not in caplog.text + repr(wrong.store) + wrong.store._where


async def test_a_server_that_takes_no_more(mode: Mode, redis_server: Start) -> None:
    """Out of memory without an eviction policy: reading goes on, nothing is put."""
    server = redis_server("--maxmemory", "1", "--maxmemory-policy", "noeviction")
    its = plugin(server)
    client = mode.client(MemoryTransport(said("Hello")), its)
    assert [await ask_in_time(mode, client) for _ in range(3)] == [False] * 3
    await asyncio.to_thread(its.close)


async def test_a_server_that_evicts(plain: Mode, redis_server: Start) -> None:
    """What it drops is a miss; the rest are hits."""
    server = redis_server("--maxmemory", "2mb", "--maxmemory-policy", "allkeys-lru")
    its = plugin(server)
    client = plain.client(MemoryTransport(said("Hello", "x" * 20_000)), its)
    for number in range(100):
        await plain.ask(client, seed=number)
    assert 0 < its.store.stats().entries < 100
    assert [(await plain.ask(client, seed=7)).response.cached for _ in range(2)][1]
    await asyncio.to_thread(its.close)


async def test_a_replica_that_takes_no_writes(plain: Mode, server: RedisServer) -> None:
    """READONLY is a failure of putting only."""
    its = plugin(server)
    client = plain.client(MemoryTransport(said("Hello")), its)
    await plain.ask(client)
    server.command("REPLICAOF", "127.0.0.1", "1")
    assert await ask_in_time(plain, client)
    assert [await ask_in_time(plain, client, seed=1) for _ in range(2)] == [False, False]
    await asyncio.to_thread(its.close)


POISON = {
    "a list": ("LPUSH", "{}", "a"),
    "garbage": ("SET", "{}", b"\x80\x04garbage"),
    "too much": ("SETRANGE", "{}", str(MAX_ENTRY + 1), "x"),
}


@pytest.mark.parametrize("how", POISON)
async def test_something_else_under_our_key(mode: Mode, server: RedisServer, caplog: Any, how: str) -> None:
    """A wrong type, garbage or a huge value: a miss; and it is deleted, so that the next call is a hit."""
    its = plugin(server)
    client = mode.client(MemoryTransport(said("Hello")), its)
    await mode.ask(client)
    (key,) = its.store.keys(9)
    place = "qonduit:cache:" + key
    server.command("DEL", place)
    server.command(*(word.format(place) if isinstance(word, str) else word for word in POISON[how]))
    assert [await ask_in_time(mode, client) for _ in range(2)] == [False, True]
    assert caplog.text == "", "it is no failure of the server"
    await asyncio.to_thread(its.close)


def test_an_entry_that_is_too_large_is_not_put(server: RedisServer) -> None:
    """Nor would it be read."""
    store = RedisStore(SecretStr(server.url), prefix="p:", timeout=1)
    store.put("a", b"x" * (MAX_ENTRY + 1), 9)
    assert store.get("a") is None
    store.put("a", b"x" * MAX_ENTRY, 9)
    assert len(store.get("a") or b"") == MAX_ENTRY
    store.close()


def test_a_prefix_is_no_pattern(server: RedisServer) -> None:
    """Two prefixes on one server do not clear each other's entries."""
    one, other = (RedisStore(SecretStr(server.url), prefix=prefix, timeout=1) for prefix in ("a*:", "ab:"))
    one.put("x", b"1", 9)
    other.put("x", b"2", 9)
    assert one.clear() == 1
    assert other.get("x") == b"2"
    for store in (one, other):
        store.close()


async def test_a_port_where_nobody_listens(mode: Mode) -> None:
    """Refused connections are misses."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        its = cache(store="redis", url=f"redis://127.0.0.1:{reserved.getsockname()[1]}/0")
        client = mode.client(MemoryTransport(said("Hello")), its)
        assert [await ask_in_time(mode, client) for _ in range(2)] == [False, False]
        await asyncio.to_thread(its.close)


async def test_a_server_that_is_slow(mode: Mode) -> None:
    """It takes connections and never says a word."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        its = cache(store="redis", url=f"redis://127.0.0.1:{silent.getsockname()[1]}/0", timeout=0.1)
        client = mode.client(MemoryTransport(said("Hello")), its)
        assert [await ask_in_time(mode, client) for _ in range(2)] == [False, False]
        await asyncio.to_thread(its.close)


def test_many_loops_leave_nothing_open(server: RedisServer) -> None:
    """Each event loop has connections of its own; they are closed with it, though nobody closes the plugin."""
    its = plugin(server)
    transport = MemoryTransport(said("Hello"))

    async def ask() -> bool:
        client = AsyncClient(provider="qwen", model="qwen-plus", api_key="sk-test", plugins=[its, transport])
        return (await client.chat.completions.create(messages=MESSAGES)).cached

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [asyncio.run(ask()) for _ in range(5)] == [False, True, True, True, True]
        assert its.store._clients == {}
        gc.collect()
    connected = server.command("INFO", "clients")
    assert "connected_clients:1\r" in connected, "the one that asks"
    its.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_connects_anew(server: RedisServer) -> None:
    """Parent and child do not read each other's answers."""
    store = RedisStore(SecretStr(server.url), prefix="p:", timeout=1)
    store.put("a", b"parent", 9)
    child = os.fork()
    if child == 0:
        store.put("b", b"child", 9)
        os._exit(0 if store.get("a") == b"parent" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (store.get("a"), store.get("b")) == (b"parent", b"child")
    store.close()


async def test_a_hundred_tasks_ask_the_server_once(server: RedisServer) -> None:
    """Identical calls share the reading of the store as well."""
    its = plugin(server, timeout=5)
    transport = MemoryTransport(said("Hello"))
    client = AsyncClient(provider="qwen", model="qwen-plus", api_key="sk-test", plugins=[its, transport])
    answers = await asyncio.gather(*(client.chat.completions.create(messages=MESSAGES) for _ in range(100)))
    assert sum(answer.cached for answer in answers) == 99
    assert len(transport.sent) == 1
    assert "cmdstat_getrange:calls=1," in server.command("INFO", "commandstats")
    await asyncio.to_thread(its.close)
