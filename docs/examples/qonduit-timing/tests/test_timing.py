"""The plugin in each of the four kinds of call."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from qonduit import AsyncClient, Client, ConfigurationError
from qonduit_emulator import Emulator

MESSAGES = [{"role": "user", "content": "你好"}]


@pytest.fixture
def arguments(caplog: pytest.LogCaptureFixture) -> Iterator[dict[str, str]]:
    """Arguments of a client for an emulator of its own."""
    caplog.set_level(logging.INFO, logger="qonduit.middleware")
    with Emulator() as emulator:
        yield {
            "provider": "qwen",
            "model": "qwen-plus",
            "base_url": emulator.base_url,
            "api_key": emulator.api_key,
        }


def test_sync(arguments: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """A plain call and a stream have one record each."""
    with Client(**arguments, plugins=["timing"]) as client:
        client.chat.completions.create(messages=MESSAGES)
        with client.chat.completions.create(messages=MESSAGES, stream=True) as stream:
            list(stream)
    assert [record.event for record in caplog.records] == ["answered", "answered"]
    assert all(record.fields["seconds"] > 0 for record in caplog.records)


async def test_async(arguments: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """Async calls need not a word more."""
    async with AsyncClient(**arguments, plugins=["timing"]) as client:
        await client.chat.completions.create(messages=MESSAGES)
        async with await client.chat.completions.create(messages=MESSAGES, stream=True) as stream:
            async for _ in stream:
                pass
    assert [record.event for record in caplog.records] == ["answered", "answered"]


def test_at_least(arguments: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """Faster calls are not logged."""
    with Client(**arguments, plugins=[("timing", {"at_least": 60})]) as client:
        client.chat.completions.create(messages=MESSAGES)
    assert caplog.records == []


def test_an_unknown_option(arguments: dict[str, str]) -> None:
    """A misspelt option stops the build of the client."""
    with pytest.raises(ConfigurationError, match="did you mean 'at_least'"):
        Client(**arguments, plugins=[("timing", {"at_last": 1})])
