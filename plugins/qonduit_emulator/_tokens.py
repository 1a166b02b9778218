"""One counting rule for both wires.

The rule, chosen to be easy to check by hand and near to what Qwen counts:

* one token per CJK ideograph, kana or hangul syllable;
* one token per started four letters of a word (`hello` is two), a leading space belonging to the word;
* one token per started three digits;
* one token per other character (punctuation, emoji), and per run of line breaks or further spaces.

`"".join(split(text)) == text` always. A conversation costs three tokens per message and three for the
answer's opening, and its tools cost their compact JSON.
"""

from __future__ import annotations

import json
import re
from zlib import crc32

from qonduit_emulator._exchange import ChatRequest, MediaPart

TOKENS_PER_MESSAGE = 3
TOKENS_FOR_REPLY = 3
TOKENS_PER_MEDIA = 256
"""Every picture, film or sound counts the same: its pixels are not looked at."""

VOCABULARY = 151_643
"""Token ids are below this."""

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\U00020000-\U0003134f"
_TOKEN = re.compile(rf" ?[^\W\d_{_CJK}]{{1,4}}| ?\d{{1,3}}|\s+|.", re.DOTALL)


def split(text: str) -> list[str]:
    """Cut `text` into its tokens; an empty list for an empty text."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    """The number of tokens of `text`."""
    return len(split(text))


def token_id(token: str) -> int:
    """The id of a token, always the same; ids are as large as Qwen's, and a few tokens share one."""
    return crc32(token.encode("utf-8", "surrogatepass")) % VOCABULARY


def count_media(request: ChatRequest) -> int:
    """The tokens of all pictures, films and sounds of a request."""
    return TOKENS_PER_MEDIA * sum(len(message.media) for message in request.messages)


def count_input(request: ChatRequest) -> int:
    """The input tokens of a request: its messages, media and tools."""
    total = TOKENS_FOR_REPLY
    for message in request.messages:
        total += TOKENS_PER_MESSAGE
        for part in message.parts:
            total += TOKENS_PER_MEDIA if isinstance(part, MediaPart) else count(part.text)
        for call in message.tool_calls:
            total += count(call.name) + count(call.arguments)
    return total + count_tools(request)


def count_tools(request: ChatRequest) -> int:
    """The tokens of a request's tools, which are the beginning of its prompt."""
    total = 0
    for tool in request.parameters.tools:
        schema = json.dumps(tool.parameters, ensure_ascii=False, separators=(",", ":"))
        total += count(tool.name) + count(tool.description) + count(schema)
    return total
