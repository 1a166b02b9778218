"""Messages as each of the two generation paths wants them: text, or lists of one-key parts.

Source: https://help.aliyun.com/zh/model-studio/qwen-api-via-dashscope (2026-02).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qonduit.errors import BadRequestError
from qonduit.messages import ContentPart, Message

PART_NAMES = {"image_url": "image", "video_url": "video", "input_audio": "audio", "video": "video"}
"""OpenAI's types of parts, with the key that stands for each in a native part."""

_PLAIN = {"role", "content"}
_NO_DETAIL = {None, "auto"}


def has_media(messages: Sequence[Message]) -> bool:
    """Whether a part of `messages` is more than text."""
    return any(_is_media(part) for message in messages for part in parts_of(message))


def parts_of(message: Message) -> tuple[ContentPart, ...]:
    """The parts of a message; none where its content is text."""
    return message.content if isinstance(message.content, tuple) else ()


def lost(messages: Sequence[Message], *, multimodal: bool) -> tuple[str, ...]:
    """What of the parts of `messages` the path has no place for, as `WireRequest.unsupported` names it."""
    parts = [part for message in messages for part in parts_of(message)]
    names = []
    if not multimodal and any(part.get("cache_control") for part in parts):
        names.append("cache_control of a text model")  # its content is a string: a mark has no place
    pictures = [part["image_url"] for part in parts if isinstance(part.get("image_url"), Mapping)]
    if any(picture.get("detail") not in _NO_DETAIL for picture in pictures):
        names.append("detail of a picture")
    return tuple(names)


def native_messages(messages: Sequence[Message], *, multimodal: bool) -> list[dict[str, Any]]:
    """`messages` as one of the paths wants them. Raises: BadRequestError for a part that the wire cannot say."""
    if multimodal:
        return [_with_parts(message) for message in messages]
    return [_with_text(message) for message in messages]


def moved(messages: Sequence[dict[str, Any]], *, multimodal: bool) -> list[dict[str, Any]] | None:
    """Native messages of one path in the form of the other; None where that has no form for them."""
    if multimodal:
        return [{**message, "content": _as_parts(message.get("content"))} for message in messages]
    if any("text" not in part for message in messages for part in _as_parts(message.get("content"))):
        return None
    return [
        {**message, "content": "".join(part["text"] for part in _as_parts(message.get("content")))}
        for message in messages
    ]


def is_marked(messages: Sequence[dict[str, Any]]) -> bool:
    """Whether a part of native `messages` has a `cache_control`."""
    return any(part.get("cache_control") for message in messages for part in _as_parts(message.get("content")))


def _as_parts(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [{"text": content or ""}]


def _is_media(part: ContentPart) -> bool:
    kind = part.get("type")
    return "text" not in part if kind is None else kind != "text"


def _with_text(message: Message) -> dict[str, Any]:
    if message.__pydantic_fields_set__ == _PLAIN and message.content.__class__ is str:
        return {"role": message.role, "content": message.content}
    content = message.content
    text = "".join(map(_text, content)) if isinstance(content, tuple) else content or ""
    return {**_other_fields(message), "content": text}


def _text(part: ContentPart) -> str:
    """The text of a part. Raises: BadRequestError when it has none: left out in silence, it would be missed."""
    text = part.get("text")
    if not isinstance(text, str):
        raise BadRequestError(
            f"The request was not sent: messages: a part of type 'text' holds a {type(text).__name__} as its text; "
            "expected a str.",
            outcome="not_sent",
        )
    return text


def _with_parts(message: Message) -> dict[str, Any]:
    content = message.content
    if isinstance(content, tuple):
        return {**_other_fields(message), "content": [_part(part) for part in content]}
    return {**_other_fields(message), "content": _as_parts(content)}


def _other_fields(message: Message) -> dict[str, Any]:
    return message.model_dump(exclude_none=True, exclude={"content"})


def _part(part: ContentPart) -> dict[str, Any]:
    """One of OpenAI's parts as a native one: one key for the kind, no `type`; siblings are kept."""
    kind = part.get("type")
    if kind is None:  # already a native part
        for medium in ("image", "video", "audio"):
            _refuse_files(part.get(medium))
        return part
    if kind == "text":
        _text(part)
        return {name: value for name, value in part.items() if name != "type"}
    name = PART_NAMES.get(kind) if isinstance(kind, str) else None
    if name is not None and kind not in part:
        raise BadRequestError(
            f"The request was not sent: messages: a part of type {kind!r} has no {kind!r}.", outcome="not_sent"
        )
    if name is None:
        raise BadRequestError(
            f"The request was not sent: messages: provider 'dashscope' knows no part of type {kind!r}; "
            f"known: text, {', '.join(sorted(PART_NAMES))}.",
            outcome="not_sent",
        )
    value = part[kind]
    siblings = {key: item for key, item in part.items() if key not in {"type", kind}}
    if isinstance(value, Mapping):
        siblings |= {key: item for key, item in value.items() if key not in {"url", "data", "format", "detail"}}
        value = value.get("url") or _audio_url(value)
    _refuse_files(value)
    return {name: value, **siblings}


def _audio_url(audio: Mapping[str, Any]) -> Any:
    """Sound as this wire takes it, by URL: bare base64, OpenAI's form, becomes a data URL."""
    data, form = audio.get("data"), audio.get("format")
    if isinstance(data, str) and form and not data.lower().startswith(("http:", "https:", "data:", "oss:", "file:")):
        return f"data:audio/{form};base64,{data}"
    return data


def _refuse_files(value: Any) -> None:
    """A URL of a local file is one of Alibaba's SDK, which uploads it first; the server cannot read it."""
    urls = value if isinstance(value, (list, tuple)) else (value,)
    if any(isinstance(url, str) and url[:5].lower() == "file:" for url in urls):
        raise BadRequestError(
            "The request was not sent: messages: a file:// URL names a file of this machine, which the provider "
            "cannot read. Pass the file itself: qonduit.content.image(pathlib.Path(…)), and so with video and audio.",
            outcome="not_sent",
        )
