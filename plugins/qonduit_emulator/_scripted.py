"""The scripted backend: the same request always gets the same answer, on either wire.

It repeats the prompt in the prompt's language, calls tools, fills JSON schemas, searches, thinks, goes on with
a partial turn, and stops where it is told to. The opening words depend on `seed` and on the number of the
choice, so choices differ. Nothing else is random.

How many of the input tokens were cached depends on what the same caller asked before: see `_prompt_cache`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest

from qonduit_emulator import _tokens
from qonduit_emulator._exchange import (
    ChatRequest,
    Delta,
    FinishDelta,
    FinishReason,
    Parameters,
    ReasoningDelta,
    SearchDelta,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from qonduit_emulator._json_schema import Hints, sample
from qonduit_emulator._prompt_cache import CacheUse, PromptCache
from qonduit_emulator._search import cite, search
from qonduit_emulator._sentences import Language, describe_media, language_of, quote
from qonduit_emulator._tool_choice import choose_calls

FIRST_PIECES = 3
PIECE_TOKENS = 4
"""A stream begins with `FIRST_PIECES` single tokens and goes on in pieces of `PIECE_TOKENS`, as the real
one does."""


class ScriptedBackend:
    """Answers from the script."""

    def __init__(self, cache: PromptCache | None = None) -> None:
        self._cache = cache or PromptCache()

    async def answer(self, request: ChatRequest) -> AsyncIterator[Delta]:
        """Yield the answer piece by piece; choices take turns."""
        use = self._cache.look_up(request)
        for delta in answer_script(request, partial(_write, request), use):
            yield delta
        self._cache.keep(use)


@dataclass(frozen=True, slots=True)
class Script:
    """One choice before it is cut."""

    reasoning: str
    text: str
    calls: tuple[ToolCall, ...]
    reason: FinishReason


Writer = Callable[[int], Script]
"""Writes the choice of a number."""


def answer_script(request: ChatRequest, write: Writer, use: CacheUse | None = None) -> Iterator[Delta]:
    """Every choice's script, cut to the request's limits and counted."""
    return _count(request, _interleave(request, write), use or CacheUse())


@dataclass(frozen=True, slots=True)
class _Piece:
    """A delta whose usage is not yet known, and what it adds to the usage."""

    delta: Delta
    tokens: int = 0
    reasoning_tokens: int = 0


_UNKNOWN = Usage(0)


def _interleave(request: ChatRequest, write: Writer) -> Iterator[_Piece]:
    choices = [list(_cut(request, write(number), number)) for number in range(request.parameters.n)]
    for row in zip_longest(*choices):
        yield from (piece for piece in row if piece is not None)


def _count(request: ChatRequest, pieces: Iterator[_Piece], use: CacheUse) -> Iterator[Delta]:
    media = _tokens.count_media(request)
    searches = request.parameters.search is not None
    usage = Usage(
        input_tokens=_tokens.count_input(request),
        reasoning_tokens=0 if request.thinking else None,
        image_tokens=media or None,
        cached_tokens=use.cached_tokens,
        cache_creation_tokens=use.created_tokens,
        searches=int(searches),
    )
    if searches:
        yield SearchDelta(0, search(request), usage)
    for piece in pieces:
        usage = replace(usage, output_tokens=usage.output_tokens + piece.tokens)
        if usage.reasoning_tokens is not None:
            usage = replace(usage, reasoning_tokens=usage.reasoning_tokens + piece.reasoning_tokens)
        yield replace(piece.delta, usage=usage)


def _write(request: ChatRequest, number: int) -> Script:
    """The whole of choice `number`, before any limit."""
    prompt = next((m.text for m in reversed(request.messages) if m.role == "user"), "")
    language = language_of(prompt)
    reasoning = language.reasoning.format(prompt=quote(prompt)) if request.thinking else ""
    calls = choose_calls(request, prompt)
    if calls:
        forced = request.parameters.tool_choice.mode == "function"
        # A forced call ends with "stop" though tool calls are present.
        # Source: captured traffic, 2024-11-25 (native); OpenAI's own wire does the same.
        return Script(reasoning, "", calls, "stop" if forced else "tool_calls")
    return Script(reasoning, _compose(request, prompt, language, number), (), "stop")


def _compose(request: ChatRequest, prompt: str, language: Language, number: int) -> str:
    form = request.parameters.response_format
    opening = language.openings[((request.parameters.seed or 0) + number) % len(language.openings)]
    if form.type == "json_schema" and form.json_schema is not None:
        return json.dumps(sample(form.json_schema, Hints(prompt)), ensure_ascii=False)
    if form.type == "json_object":
        return json.dumps({"answer": opening.strip(), "prompt": quote(prompt)}, ensure_ascii=False)
    text = opening + _reflect(request, prompt, language)
    if request.parameters.search is not None:
        text += cite(search(request), request.parameters.search, language)
    if request.messages[-1].partial:
        return _continue(request.messages[-1].text, text, language)
    return text


def _continue(prefix: str, text: str, language: Language) -> str:
    """What comes after `prefix`: the rest of the text that begins with it, else a sentence that goes on."""
    return text[len(prefix) :] if text.startswith(prefix) else language.continuation + text


def _reflect(request: ChatRequest, prompt: str, language: Language) -> str:
    results: list[str] = []
    for message in reversed(request.messages):
        if message.role != "tool":
            break
        results.insert(0, quote(message.text))
    if results:
        return language.tool_result.format(result=language.tool_joint.join(results), prompt=quote(prompt))
    text = language.echo.format(prompt=quote(prompt)) if prompt else language.silence
    turns = [message for message in request.messages if message.role == "user"]
    if len(turns) > 1:
        text += language.turn.format(turn=len(turns))
    return text + describe_media(turns[-1].media if turns else (), language)


def _stop(text: str, given: Parameters) -> str:
    """Cut before the first stop sequence."""
    ends = [position for stop in given.stop if stop and (position := text.find(stop)) >= 0]
    if given.stop_tokens:
        tokens = _tokens.split(text)
        ids = [_tokens.token_id(token) for token in tokens]
        for stop in given.stop_tokens:
            starts = (i for i in range(len(ids)) if stop and tuple(ids[i : i + len(stop)]) == stop)
            ends.extend(len("".join(tokens[:start])) for start in starts)
    return text[: min(ends)] if ends else text


def _cut(request: ChatRequest, script: Script, number: int) -> Iterator[_Piece]:
    """Choice `number` within its limits, in pieces.

    `thinking_budget` ends the reasoning, `max_tokens` the answer after it, `max_completion_tokens` both
    together.
    Source: captured traffic, 2025-06-09 (a budget of 10 gives 10 reasoning tokens, then the answer).
    """
    given = request.parameters
    thought = script.reasoning if request.thinking else ""
    reasoning = _tokens.split(thought)[: given.thinking_budget]
    room = given.max_completion_tokens
    if room is not None:
        reasoning = reasoning[:room]
        room -= len(reasoning)
    if given.max_tokens is not None:
        room = given.max_tokens if room is None else min(room, given.max_tokens)
    for tokens in _pieces(reasoning):
        delta = ReasoningDelta(number, "".join(tokens), _UNKNOWN)
        yield _Piece(delta, len(tokens), len(tokens))
    text = _stop(script.text, given)
    answer = _answer_pieces(text, script.calls, number, with_tokens=given.logprobs)
    cut_off = yield from _within(answer, room)
    yield _Piece(FinishDelta(number, "length" if cut_off else script.reason, _UNKNOWN))


def _answer_pieces(text: str, calls: tuple[ToolCall, ...], number: int, *, with_tokens: bool) -> Iterator[_Piece]:
    for tokens in _pieces(_tokens.split(text)):
        shown = tuple(tokens) if with_tokens else None
        yield _Piece(TextDelta(number, "".join(tokens), _UNKNOWN, shown), len(tokens))
    for index, call in enumerate(calls):
        opening = ToolCallDelta(number, index, "", _UNKNOWN, id=call.id, name=call.name)
        yield _Piece(opening, _tokens.count(call.name))
        for tokens in _pieces(_tokens.split(call.arguments)):
            yield _Piece(ToolCallDelta(number, index, "".join(tokens), _UNKNOWN), len(tokens))


def _within(pieces: Iterator[_Piece], room: int | None) -> Generator[_Piece, None, bool]:
    """Let pieces through while there is room, in tokens; returns whether something was cut off."""
    for piece in pieces:
        if room is not None and piece.tokens > room:
            part = _shorten(piece, room)
            if part is not None:
                yield part
            return True
        yield piece
        if room is not None:
            room -= piece.tokens
    return False


def _shorten(piece: _Piece, room: int) -> _Piece | None:
    """The first `room` tokens of a piece; `None` when nothing is left."""
    delta = piece.delta
    if room <= 0:
        return None
    match delta:
        case TextDelta():
            tokens = _tokens.split(delta.text)[:room]
            shown = tuple(tokens) if delta.tokens is not None else None
            return _Piece(replace(delta, text="".join(tokens), tokens=shown), len(tokens))
        case ToolCallDelta() if delta.arguments:
            tokens = _tokens.split(delta.arguments)[:room]
            return _Piece(replace(delta, arguments="".join(tokens)), len(tokens))
        case _:
            return None


def _pieces(tokens: list[str]) -> Iterator[list[str]]:
    for index in range(min(FIRST_PIECES, len(tokens))):
        yield [tokens[index]]
    for start in range(FIRST_PIECES, len(tokens), PIECE_TOKENS):
        yield tokens[start : start + PIECE_TOKENS]
