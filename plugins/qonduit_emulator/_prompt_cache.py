"""The context cache: which of a request's input tokens the same caller has sent before.

Two modes that exclude each other per request:

* implicit: always on. Whole blocks of 256 tokens that a former request of the caller began with are cached
  tokens; a prefix below 1024 tokens is none.
* explicit: a part marked with `cache_control` asks to keep everything up to its end. Up to the last four marks
  count; each looks back over 20 parts for the longest prefix that is kept. A prefix below 1024 tokens is not
  kept. What is kept lives five minutes from its last use, and begins when the answer has ended.

Tools are the beginning of the prompt. Models do not share a cache, and neither do callers.

Source: https://help.aliyun.com/zh/model-studio/context-cache (2026-10-11). The real implicit cache promises
nothing; this one always keeps its word.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from qonduit_emulator import _tokens
from qonduit_emulator._exchange import ChatRequest, MediaPart, Part

BLOCK_TOKENS = 256
MIN_TOKENS = 1024
MAX_MARKS = 4
MAX_LOOK_BACK = 20
LIFETIME_SECONDS = 300
MAX_PREFIXES = 100_000
"""The longest unused prefix goes when there are more."""


@dataclass(frozen=True, slots=True)
class CacheUse:
    """What one request takes from the cache, and what it leaves there.

    `created_tokens` is `None` when the request has no mark. `kept` are the keys of the prefixes to keep.
    """

    cached_tokens: int = 0
    created_tokens: int | None = None
    kept: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class _Step:
    """The prompt up to the end of a part: its key, its tokens, and whether it is marked."""

    key: bytes
    tokens: int
    marked: bool


class PromptCache:
    """The prefixes of all callers. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._used: OrderedDict[bytes, float] = OrderedDict()

    def look_up(self, request: ChatRequest) -> CacheUse:
        """What is cached of a request; what is found lives on."""
        if any(part.cache_mark for message in request.messages for part in message.parts):
            return self._look_up_marks(list(_steps(request)))
        if _tokens.count_input(request) < MIN_TOKENS:
            return CacheUse()
        blocks = list(_blocks(request))
        found = 0
        for number, key in enumerate(blocks, 1):
            if not self._renew(key):
                break
            found = number
        tokens = found * BLOCK_TOKENS
        return CacheUse(tokens if tokens >= MIN_TOKENS else 0, kept=tuple(blocks))

    def keep(self, use: CacheUse) -> None:
        """The answer has ended: keep the request's prefixes."""
        now = self._clock()
        for key in use.kept:
            self._used[key] = now
            self._used.move_to_end(key)
        while len(self._used) > MAX_PREFIXES:
            self._used.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._used.clear()

    def _look_up_marks(self, steps: list[_Step]) -> CacheUse:
        marks = [index for index, step in enumerate(steps) if step.marked][-MAX_MARKS:]
        cached = 0
        for mark in reversed(marks):
            before = range(mark, max(mark - MAX_LOOK_BACK - 1, -1), -1)
            found = next((steps[index] for index in before if self._renew(b"explicit" + steps[index].key)), None)
            if found is not None:
                cached = found.tokens
                break
        kept = [steps[mark] for mark in marks if steps[mark].tokens >= MIN_TOKENS]
        created = max(kept[-1].tokens - cached, 0) if kept else 0
        return CacheUse(cached, created, tuple(b"explicit" + step.key for step in kept))

    def _renew(self, key: bytes) -> bool:
        now = self._clock()
        used = self._used.get(key)
        if used is None or now - used >= LIFETIME_SECONDS:
            return False
        self._used[key] = now
        self._used.move_to_end(key)
        return True


def _opening(request: ChatRequest) -> str:
    tools = [[tool.name, tool.description, tool.parameters] for tool in request.parameters.tools]
    return json.dumps([request.caller, request.model, tools], ensure_ascii=True, default=str)


def _part_tokens(part: Part) -> list[str]:
    if isinstance(part, MediaPart):
        return [part.url] + [""] * (_tokens.TOKENS_PER_MEDIA - 1)
    return _tokens.split(part.text)


def _steps(request: ChatRequest) -> Iterator[_Step]:
    """The parts in their order, each with all that comes before it."""
    digest = hashlib.sha256(_opening(request).encode())
    tokens = _tokens.count_tools(request)
    for message in request.messages:
        digest.update(f"\0{message.role}\0".encode())
        tokens += _tokens.TOKENS_PER_MESSAGE
        for call in message.tool_calls:
            digest.update(f"{call.name}\0{call.arguments}\0".encode("utf-8", "surrogatepass"))
            tokens += _tokens.count(call.name) + _tokens.count(call.arguments)
        for part in message.parts:
            part_tokens = _part_tokens(part)
            digest.update("\0".join(part_tokens).encode("utf-8", "surrogatepass"))
            tokens += len(part_tokens)
            yield _Step(digest.digest(), tokens, part.cache_mark)


def _blocks(request: ChatRequest) -> Iterator[bytes]:
    """The keys of the prompt's whole blocks, each with all that comes before it; never the whole prompt."""
    digest = hashlib.sha256(_opening(request).encode())
    tokens = [""] * _tokens.count_tools(request)
    for message in request.messages:
        tokens += [message.role] + [""] * (_tokens.TOKENS_PER_MESSAGE - 1)
        for call in message.tool_calls:
            tokens += _tokens.split(call.name) + _tokens.split(call.arguments)
        for part in message.parts:
            tokens += _part_tokens(part)
    for start in range(0, len(tokens) - BLOCK_TOKENS + 1, BLOCK_TOKENS):
        digest.update("\0".join(tokens[start : start + BLOCK_TOKENS]).encode("utf-8", "surrogatepass"))
        yield digest.digest()
