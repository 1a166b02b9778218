"""Tokens counted on this side: at most and at least so many, by what kinds of characters a text is made of.

Every tokenizer cuts otherwise, and none is loaded here. Both bounds are sums over the UTF-8 bytes of a text: a letter,
a space, a digit, a sign, an ideograph each count a fixed part of a token. Both hold for texts that people and programs
write, as Qwen's tokenizer counts them: prose in some twenty languages, code, tables, keys, base64, emoji. The upper one
is mostly 1.5 to 3 times the truth, and never more than one token for each byte, which no tokenizer exceeds; long runs
of spaces or of one sign it counts far too high. Ideographs and scripts that a tokenizer has hardly seen may pass it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qonduit import ChatRequest, EmbeddingRequest, Message, RerankRequest
from qonduit.request import Request

TOKENS_PER_MESSAGE = 8
"""At most: role, name and the marks around a message."""
TOKENS_PER_CONVERSATION = 64
"""At most: the opening of the answer, and a system prompt that a model has of its own."""
TOKENS_PER_TOOL = 32
"""At most: the marks around one tool's definition."""
TOKENS_FOR_TOOLS = 400
"""At most: what a model is told about calling tools at all."""
TOKENS_FOR_SEARCH = 16_384
"""What found pages add to the input; no provider says a bound, this is a high ordinary one."""
TOKENS_PER_PAIR = 128
"""At most: the instruction around a query and one document."""
TOKENS_PER_IMAGE = 2_562
"""One picture at the default cap of Qwen's models. https://help.aliyun.com/zh/model-studio/vision (2026-05-26)."""
TOKENS_PER_LARGE_IMAGE = 16_386
"""One picture with `vl_high_resolution_images`, or with a `max_pixels` of its own."""
TOKENS_PER_FILM = 131_072
"""A film or a sound, whose length is not looked at."""


def at_most(text: str) -> int:
    """No more tokens than this."""
    data = text.encode("utf-8", "surrogatepass")
    return min((sum(data.translate(_HALVES)) + 2) // 2, len(data))


def at_least(text: str) -> int:
    """No fewer tokens than this."""
    return -(-sum(text.encode("utf-8", "surrogatepass").translate(_TWENTY_FOURTHS)) // 24)


def input_at_most(request: Request) -> int:
    """The most tokens that the input of a request can be; of media, by their number and the options beside them."""
    match request:
        case ChatRequest():
            total = TOKENS_PER_CONVERSATION + sum(_message_at_most(message, request) for message in request.messages)
            if request.tools:
                total += TOKENS_FOR_TOOLS + sum(TOKENS_PER_TOOL + at_most(_json(tool)) for tool in request.tools)
            if request.response_format is not None:
                total += at_most(_json(request.response_format))
            if request.search or (request.extra_body or {}).get("enable_search"):
                total += TOKENS_FOR_SEARCH
            return total
        case EmbeddingRequest():
            return sum(at_most(text) + TOKENS_PER_MESSAGE for text in request.input)
        case RerankRequest():
            query = at_most(request.query) + TOKENS_PER_PAIR
            return sum(query + _document_at_most(document) for document in request.documents)
        case _:
            return 0


def input_at_least(request: Request) -> int:
    """The fewest tokens that the input of a request can be; media count nothing."""
    match request:
        case ChatRequest():
            return sum(message_at_least(message) for message in request.messages)
        case EmbeddingRequest():
            return sum(at_least(text) for text in request.input)
        case RerankRequest():
            texts = (document for document in request.documents if isinstance(document, str))
            return at_least(request.query) + sum(at_least(text) for text in texts)
        case _:
            return 0


def message_at_least(message: Message) -> int:
    """The fewest tokens that a message can be, its reasoning and tool calls included."""
    return sum(at_least(text) for text in _texts(message))


def _texts(message: Message) -> Iterable[str]:
    yield message.text
    yield message.reasoning_content or ""
    for call in message.tool_calls or ():
        yield call.function.name
        yield call.function.arguments


def _message_at_most(message: Message, request: ChatRequest) -> int:
    total = TOKENS_PER_MESSAGE + sum(at_most(text) for text in _texts(message) if text)
    if isinstance(message.content, tuple):
        total += sum(_part_at_most(part, request.extra_body or {}) for part in message.content)
    return total


def _part_at_most(part: Mapping[str, Any], options: Mapping[str, Any]) -> int:
    """A part that is no text; the name of its kind is OpenAI's, or the key that Model Studio has for it."""
    kinds = {part.get("type"), *part}
    if kinds & {"image_url", "image"}:
        shown = part["image_url"] if isinstance(part.get("image_url"), dict) else part
        larger = options.get("vl_high_resolution_images") or "max_pixels" in shown
        return TOKENS_PER_LARGE_IMAGE if larger else TOKENS_PER_IMAGE
    if kinds & {"video", "video_url", "input_audio", "audio"}:
        return TOKENS_PER_FILM
    return 0 if isinstance(part.get("text"), str) else at_most(_json(part))


def _document_at_most(document: str | Mapping[str, Any]) -> int:
    if isinstance(document, str):
        return at_most(document)
    media = sum(TOKENS_PER_IMAGE for kind in document if kind == "image")
    media += sum(TOKENS_PER_FILM for kind in document if kind == "video")
    text = document.get("text")
    return media + (at_most(text) if isinstance(text, str) else 0)


def _json(value: Any) -> str:
    import json  # noqa: PLC0415  # most requests have neither tools nor formats

    return json.dumps(value, ensure_ascii=False, default=str)


def _weights(**by_kind: int) -> bytes:
    """For each byte that UTF-8 may have, its part of a token."""

    def kind(byte: int) -> str:
        if byte < 0x80:
            character = chr(byte)
            if character == " ":
                return "space"
            if character.isalpha():
                return "capital" if character.isupper() else "letter"
            return "digit" if character.isdigit() else "sign"
        if byte < 0xC0 or byte in (0xD0, 0xD1) or 0xE3 <= byte < 0xF0:
            return "continuation"  # with the leads of Cyrillic, of CJK and of Hangul, which count no more than these
        return "two" if byte < 0xE0 else "three" if byte < 0xF0 else "four"

    return bytes(by_kind[kind(byte)] for byte in range(256))


_HALVES = _weights(letter=1, capital=2, space=1, digit=3, sign=3, continuation=1, two=2, three=3, four=3)
"""In halves of a token: half of one for a letter, one and a half for an ideograph, three for an emoji."""
_TWENTY_FOURTHS = _weights(letter=2, capital=2, space=0, digit=8, sign=0, continuation=2, two=2, three=2, four=2)
"""In parts of 24: twelve letters, three digits, four ideographs make one token at least; runs of signs make none."""
