"""Asking: the one place that takes a case to a provider, in a mode."""

from __future__ import annotations

import asyncio
from operator import attrgetter
from typing import Any

from tests.equivalence import operation_outcomes
from tests.equivalence.case import Case
from tests.equivalence.outcomes import Outcome, answered, failed, sent
from tests.pipeline.modes import MODES, Mode

from qonduit import AsyncClient, Client, Message
from qonduit.errors import APIError
from qonduit_emulator import Emulator

PROVIDERS = ("qwen", "openai", "dashscope")
REFERENCE = "qwen"
SYNC = MODES[0]


class Asker:
    """Keeps one client for each provider and kind, and every outcome, so that a reference is asked for once."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._runner = asyncio.Runner()
        self._clients: dict[tuple[str, bool], Client | AsyncClient] = {}
        self._outcomes: dict[tuple[str, str, Mode], Outcome] = {}

    def outcome(self, case: Case, provider: str, mode: Mode) -> Outcome:
        """What came of a case."""
        key = (case.name, provider, mode)
        if key not in self._outcomes:
            self._outcomes[key] = self._runner.run(self._ask(case, provider, mode))
        return self._outcomes[key]

    def reference(self, case: Case, provider: str, mode: Mode) -> Outcome:
        """What an outcome is compared with: qwen's stream with its plain answer, others with qwen in the same mode."""
        plain = self.outcome(case, REFERENCE, SYNC)
        if not mode.streamed:
            return plain
        streamed = self.outcome(case, REFERENCE, SYNC._replace(streamed=True))
        if provider != REFERENCE:
            return streamed
        return plain | {name: value for name, value in streamed.items() if name.startswith("stream.")}

    def operation(self, path: str, case: Case, provider: str, mode: Mode) -> Outcome:
        """What came of a case of the operation at `path` of the client, such as "embeddings.create"."""
        key = (case.name, provider, mode)
        if key not in self._outcomes:
            self._outcomes[key] = self._runner.run(self._ask(case, provider, mode, path))
        return self._outcomes[key]

    def close(self) -> None:
        """Close every client."""
        for (_, asynchronous), client in self._clients.items():
            result = client.close()
            if asynchronous:
                self._runner.run(result)
        self._runner.close()

    async def _ask(self, case: Case, provider: str, mode: Mode, path: str | None = None) -> Outcome:
        """Ask for a chat, or for the operation at `path` of the client."""
        self._emulator.reset()
        for rule in case.rules:
            self._emulator.rules.set(**rule)
        key = (provider, mode.asynchronous)
        if not case.client and key not in self._clients:
            self._clients[key] = self._client(provider, mode)
        client = self._client(provider, mode, **case.client) if case.client else self._clients[key]
        try:
            if path is not None:
                return await self._operation(client, case, provider, mode, path)
            return await self._outcome(client, case, provider, mode)
        finally:
            if case.client:
                await mode.leave(client)

    def _client(self, provider: str, mode: Mode, **options: Any) -> Client | AsyncClient:
        urls = {
            "qwen": self._emulator.base_url,
            "openai": f"{self._emulator.url}/v1",
            "dashscope": self._emulator.native_url,
        }
        given = {
            "provider": provider,
            "base_url": urls[provider],
            "api_key": self._emulator.api_key,
            "model": "qwen-plus",
            "timeout": 30,
            "max_retries": 0,
            **options,
        }
        return mode.client(None, **given)

    async def _outcome(self, client: Any, case: Case, provider: str, mode: Mode) -> Outcome:
        request = dict(case.request)
        try:
            told = await mode.ask(client, **request)
            if case.twice:
                told = await mode.ask(client, **request)
            if case.then:
                answer = told.response.choices[0].message
                request["messages"] = [*request["messages"], answer, *_filled(case.then, answer)]
                request.pop("tool_choice", None)
                told = await mode.ask(client, **request)
            outcome = answered(told, provider)
        except APIError as error:
            outcome = failed(error, provider)
        return outcome | sent(self._emulator.requests)

    async def _operation(self, client: Any, case: Case, provider: str, mode: Mode, path: str) -> Outcome:
        function = attrgetter(path)(client)
        try:
            result = function(**case.request)
            response = await result if mode.asynchronous else result
            outcome = operation_outcomes.answered(response, provider)
        except APIError as error:
            outcome = operation_outcomes.refused(error, provider)
        return outcome | operation_outcomes.sent(self._emulator.requests)


def _filled(messages: Any, answer: Message) -> list[Any]:
    """The messages that follow an answer; the call that a tool answers to is the answer's."""
    if callable(messages):
        return list(messages(answer))
    calls = iter(answer.tool_calls or ())
    return [
        {**message, "tool_call_id": next(calls).id} if message.get("tool_call_id") == "*" else dict(message)
        for message in messages
    ]
