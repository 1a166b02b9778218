"""What the scripted model says: in Chinese when the prompt has Chinese in it, else in English."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from qonduit_emulator._exchange import MediaPart
from qonduit_emulator._picture import picture_size

MAX_QUOTE_CHARACTERS = 2_000
"""A longer prompt is quoted in part."""

_CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")


@dataclass(frozen=True, slots=True)
class Language:
    """The sentences of one language."""

    openings: tuple[str, str, str, str]
    echo: str
    silence: str
    turn: str
    media: str
    media_joint: str
    bytes: str
    tool_result: str
    tool_joint: str
    reasoning: str
    continuation: str
    search_titles: tuple[str, str, str]
    search_site: str
    search_note: str
    pixels: str


_CHINESE_SENTENCES = Language(
    openings=("你好！", "收到。", "好的，我看到了。", "很高兴和你聊天。"),
    echo="你说的是：“{prompt}”。我是运行在你本机上的模拟模型，会复述你的话，方便你检查程序。",
    silence="你这次没有写文字。我是运行在你本机上的模拟模型。",
    turn="这是我们对话的第 {turn} 轮。",
    media="我收到了 {count} 个媒体文件：{items}。",
    media_joint="；",
    bytes="{size} 字节",
    tool_result="工具返回的结果是：{result}。这就是对“{prompt}”的回答。",
    tool_joint="；",
    reasoning="用户的原话是“{prompt}”。我先弄清楚要做什么，再想一想怎样用中文简短地回答，"
    "然后检查有没有遗漏，最后把答案写出来。",
    continuation="，接着往下说：",
    search_titles=("关于“{prompt}”的介绍", "“{prompt}”的常见问题", "“{prompt}”的最新消息"),
    search_site="本机模拟网站",
    search_note="我搜索到 {count} 个网页{marks}。",
    pixels="{width}×{height} 像素",
)

_ENGLISH_SENTENCES = Language(
    openings=("Hello! ", "Got it. ", "Alright, I see. ", "Nice to talk with you. "),
    echo="You said: “{prompt}”. I am a simulated model on your own machine and repeat your words, "
    "so that you can check your program.",
    silence="You wrote no text this time. I am a simulated model on your own machine.",
    turn=" This is turn {turn} of our conversation.",
    media=" I received {count} media item(s): {items}.",
    media_joint="; ",
    bytes="{size} bytes",
    tool_result="The tool returned: {result}. That is the answer to “{prompt}”.",
    tool_joint="; ",
    reasoning="The user wrote “{prompt}”. First I work out what is asked, then how to answer briefly in "
    "English, then I check that nothing is missing, and at last I write it down.",
    continuation=", and so it goes on: ",
    search_titles=("An introduction to “{prompt}”", "Questions about “{prompt}”", "News of “{prompt}”"),
    search_site="Simulated site",
    search_note=" I found {count} pages{marks}.",
    pixels="{width}×{height} pixels",
)


def language_of(text: str) -> Language:
    """The language to answer `text` in."""
    return _CHINESE_SENTENCES if _CHINESE.search(text) else _ENGLISH_SENTENCES


def quote(prompt: str) -> str:
    """The prompt, shortened when it is very long."""
    if len(prompt) <= MAX_QUOTE_CHARACTERS:
        return prompt
    return prompt[:MAX_QUOTE_CHARACTERS] + "…"


def describe_media(media: Sequence[MediaPart], language: Language) -> str:
    """One sentence on what was received; empty for nothing."""
    if not media:
        return ""
    items = language.media_joint.join(_describe_item(part, language) for part in media)
    return language.media.format(count=len(media), items=items)


def _describe_item(part: MediaPart, language: Language) -> str:
    if not part.url.startswith("data:"):
        return f"{part.kind} {quote(part.url)}"
    media_type, _, data = part.url.removeprefix("data:").partition(";base64,")
    size = len(data) * 3 // 4 - (len(data) - len(data.rstrip("="))) if data else 0
    described = f"{part.kind} {media_type}".rstrip() + f", {language.bytes.format(size=size)}"
    if (pixels := picture_size(data)) is not None:
        described += ", " + language.pixels.format(width=pixels[0], height=pixels[1])
    return described
