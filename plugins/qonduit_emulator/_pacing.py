"""How fast an answer comes: time to the first token, tokens a second, jitter, and comments while it waits.

Off by default: an answer comes as fast as it can. One request asks for its own pace with the header
`x-emulator-pace: first=0.3,rate=40,jitter=0.2,seed=7,keep-alive=1`; what it leaves out stays as configured.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from qonduit_emulator._refusal import invalid_parameter
from qonduit_emulator._settings import Reader, SettingError, count, number, read_settings
from qonduit_emulator._sleep import Sleep

HEADER = "x-emulator-pace"

KEEP_ALIVE = b": \n\n"
"""A comment alone, which a client must not take for data. Source: the official command line client, seen 2026."""

MIN_TOKENS_PER_SECOND = 0.01

_FIELDS = {
    "first": "first_token_seconds",
    "rate": "tokens_per_second",
    "jitter": "jitter",
    "seed": "seed",
    "keep-alive": "keep_alive_seconds",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """A pace.

    Args:
        first_token_seconds: how long the first piece takes.
        tokens_per_second: how fast the rest comes; 0 is as fast as possible.
        jitter: how far a wait may be off, as a share of itself, between 0 and 1.
        seed: the jitter of each request is the same for the same seed.
        keep_alive_seconds: how often a comment is sent while a stream waits; 0 is never.
    """

    first_token_seconds: float = 0
    tokens_per_second: float = 0
    jitter: float = 0
    seed: int = 0
    keep_alive_seconds: float = 0

    def __post_init__(self) -> None:
        for name in ("first_token_seconds", "tokens_per_second", "keep_alive_seconds"):
            value = getattr(self, name)
            if not 0 <= value < 1e9:
                raise ValueError(f"{name} is {value!r}; it is a number from 0")
        if 0 < self.tokens_per_second < MIN_TOKENS_PER_SECOND:
            raise ValueError(f"tokens_per_second is {self.tokens_per_second!r}; the least is {MIN_TOKENS_PER_SECOND}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is {self.jitter!r}; it is between 0 and 1")

    def for_request(self, headers: Mapping[str, str]) -> Pacing:
        """The pace of one request. Raises `Refusal` for a header that cannot be read."""
        text = headers.get(HEADER)
        if text is None:
            return self
        try:
            return replace(self, **dict(_parse_field(part) for part in text.split(",")))
        except ValueError as error:
            raise invalid_parameter(f"{HEADER}: {error}") from None


def _parse_field(part: str) -> tuple[str, Any]:
    name, _, value = (word.strip() for word in part.partition("="))
    if name not in _FIELDS:
        raise ValueError(f"{name!r} is not one of {', '.join(_FIELDS)}")
    return _FIELDS[name], int(value) if name == "seed" else float(value)


_READERS: Mapping[str, Reader] = {**dict.fromkeys(_FIELDS.values(), number), "seed": count}


def parse_pacing(table: Any, place: str) -> Pacing:
    """The pace of a configuration's table. Raises `SettingError` that says what is wrong and where."""
    try:
        return Pacing(**read_settings(table, _READERS, place))
    except SettingError:
        raise
    except ValueError as error:
        raise SettingError(f"{place}: {error}") from None


class Pacer:
    """The waits of one answer; `delay_seconds` comes before everything."""

    def __init__(self, pacing: Pacing, sleep: Sleep, delay_seconds: float = 0) -> None:
        self._pacing = pacing
        self._sleep = sleep
        self._delay_seconds = delay_seconds
        self._random = random.Random(pacing.seed)  # noqa: S311 - it has to be repeatable
        self._tokens = 0
        self._started = False
        self.active = bool(delay_seconds or pacing.first_token_seconds or pacing.tokens_per_second)

    async def wait(self, output_tokens: int) -> AsyncIterator[bytes]:
        """Wait until so many tokens in all are due; yields comments to send meanwhile."""
        rest = self._seconds_until(output_tokens)
        interval = self._pacing.keep_alive_seconds
        while interval and rest > interval:
            await self._sleep(interval)
            rest -= interval
            yield KEEP_ALIVE
        if rest > 0:
            await self._sleep(rest)

    async def wait_for_all(self, output_tokens: int) -> None:
        """Wait as long as the stream of this answer would take."""
        seconds = self._seconds_until(min(output_tokens, 1)) + self._seconds_until(output_tokens)
        if seconds > 0:
            await self._sleep(seconds)

    def _seconds_until(self, output_tokens: int) -> float:
        tokens, self._tokens = output_tokens - self._tokens, max(self._tokens, output_tokens)
        if not self._started:
            self._started = True
            return self._delay_seconds + self._off(self._pacing.first_token_seconds)
        rate = self._pacing.tokens_per_second
        return self._off(max(tokens, 0) / rate) if rate else 0

    def _off(self, seconds: float) -> float:
        return seconds * (1 + self._pacing.jitter * self._random.uniform(-1, 1))
