"""Contents: prompts, answers and tools as they are logged. Pictures, films and sound are told by size and hash only.

The shapes are those of OpenTelemetry's conventions for `gen_ai.input.messages` and `gen_ai.output.messages`: messages
with `role` and `parts`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from qonduit import ChatRequest, ChatResponse, EmbeddingRequest, Message, Request, RerankRequest, Response
from qonduit_logging.redaction import fingerprint

Clean = Callable[[str], str]
"""Makes one text safe to log, and cuts it where contents are cut."""

MESSAGES_KEPT = 20
"""How many messages, the last ones, are logged where contents are cut."""
_MEDIA = {
    "image_url": "image",
    "image": "image",
    "input_audio": "audio",
    "audio": "audio",
    "video_url": "video",
    "video": "video",
}
_RUN = 12
"""So many characters in a row that a prompt and an error have in common count as a repetition."""
_SCANNED = 50_000
"""How much of each text of a prompt is compared with an error."""


def input_fields(request: Request, clean: Clean, *, cut: bool) -> dict[str, Any]:
    """The contents of a request."""
    fields: dict[str, Any] = {}
    messages = getattr(request, "messages", None)  # a chat's, or those whose tokens are counted
    if messages:
        fields["gen_ai.input.messages"] = _messages(messages, clean, cut=cut)
    if isinstance(request, ChatRequest) and request.tools:
        tools = request.tools
        fields["gen_ai.tool.definitions"] = [clean(_json(tool)) if cut else _cleaned(tool, clean) for tool in tools]
    if isinstance(request, EmbeddingRequest):
        fields["qonduit.input.texts"] = _kept([clean(text) for text in request.input], cut=cut)
    if isinstance(request, RerankRequest):
        documents = [_document(document, clean) for document in request.documents]
        fields["qonduit.input.texts"] = [clean(request.query), *_kept(documents, cut=cut)]
    return fields


def output_fields(response: Response, clean: Clean) -> dict[str, Any]:
    """The contents of an answer, whole or what had come of it."""
    if not isinstance(response, ChatResponse) or not response.choices:
        return {}
    messages = []
    for choice in response.choices:
        message = _message(choice.message, clean)
        if choice.finish_reason is not None:
            message["finish_reason"] = clean(choice.finish_reason)
        messages.append(message)
    return {"gen_ai.output.messages": messages}


def without_prompt(text: str, request: Request) -> str:
    """`text`, an error's, with "[prompt]" in place of what it repeats of the request's contents."""
    if len(text) < _RUN:
        return text
    starts: dict[str, list[int]] = {}
    for start in range(len(text) - _RUN + 1):
        starts.setdefault(text[start : start + _RUN], []).append(start)
    repeated: set[int] = set()
    for content in _texts(request):
        content = content[:_SCANNED]  # noqa: PLW2901  # the beginning is what is compared
        if len(content) < _RUN:
            continue
        for start in range(len(content) - _RUN + 1):
            found = starts.get(content[start : start + _RUN])
            if found is not None:
                repeated.update(place for first in found for place in range(first, first + _RUN))
    if not repeated:
        return text
    kept: list[str] = []
    for place, character in enumerate(text):
        if place not in repeated:
            kept.append(character)
        elif place - 1 not in repeated:
            kept.append("[prompt]")
    return "".join(kept)


def _texts(request: Request) -> Iterable[str]:
    for message in getattr(request, "messages", None) or ():
        yield message.text
        for call in message.tool_calls or ():
            yield call.function.arguments
    if isinstance(request, EmbeddingRequest):
        yield from request.input
    if isinstance(request, RerankRequest):
        yield request.query
        yield from (document if isinstance(document, str) else _json(document) for document in request.documents)


def _messages(messages: tuple[Message, ...], clean: Clean, *, cut: bool) -> list[Any]:
    left_out = len(messages) - MESSAGES_KEPT if cut else 0
    shown = [_message(message, clean) for message in messages[max(0, left_out) :]]
    return [{"omitted_messages": left_out}, *shown] if left_out > 0 else shown


def _kept(items: list[Any], *, cut: bool) -> list[Any]:
    if not cut or len(items) <= MESSAGES_KEPT:
        return items
    return [*items[:MESSAGES_KEPT], {"omitted_texts": len(items) - MESSAGES_KEPT}]


def _message(message: Message, clean: Clean) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    if message.reasoning_content:
        parts.append({"type": "reasoning", "content": clean(message.reasoning_content)})
    if message.role == "tool":
        response = {"type": "tool_call_response", "response": clean(message.text)}
        parts.append(response | ({"id": clean(message.tool_call_id)} if message.tool_call_id else {}))
    elif isinstance(message.content, str):
        if message.content:
            parts.append({"type": "text", "content": clean(message.content)})
    else:
        for part in message.content or ():
            parts += _parts(part, clean)
    for call in message.tool_calls or ():
        made = {
            "type": "tool_call",
            "name": clean(call.function.name),
            "arguments": clean(call.function.arguments),
        }
        parts.append(made | ({"id": clean(call.id)} if call.id else {}))
    return {"role": message.role, "parts": parts}


def _parts(part: Mapping[str, Any], clean: Clean) -> list[dict[str, Any]]:
    """One part of a message; a film of several frames makes several."""
    kind = part.get("type")
    if kind == "text" and isinstance(part.get("text"), str):
        return [{"type": "text", "content": clean(part["text"])}]
    if kind not in _MEDIA:  # what is not known may hold anything
        return [{"type": clean(str(kind)), **_size(_json(dict(part)))}]
    held = part.get(kind)
    if isinstance(held, dict):
        held = held.get("url", held.get("data"))
    return [_media(_MEDIA[kind], item, clean) for item in (held if isinstance(held, list | tuple) else [held])]


def _media(modality: str, source: Any, clean: Clean) -> dict[str, Any]:
    if isinstance(source, str) and source[:8].lower().startswith(("https:", "http:", "oss:")):
        return {"type": "uri", "modality": modality, "uri": clean(source)}
    text = source if isinstance(source, str) else _json(source)
    media_type = fingerprint(text)[0]
    named = {"mime_type": clean(media_type)} if media_type is not None else {}
    return {"type": "blob", "modality": modality, **named, **_size(text)}


def _size(text: str) -> dict[str, Any]:
    _, size, digest = fingerprint(text)
    return {"size": size, "sha256": digest}


def _document(document: str | dict[str, Any], clean: Clean) -> Any:
    """One document of a rerank: a text, or a mapping with a text, a picture or a film."""
    if isinstance(document, str):
        return clean(document)
    return {
        clean(str(name)): clean(value)
        if name == "text" and isinstance(value, str)
        else _media(_MEDIA.get(str(name), "other"), value, clean)
        for name, value in document.items()
    }


def _cleaned(value: Any, clean: Clean) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(name)): _cleaned(item, clean) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item, clean) for item in value]
    return value if isinstance(value, bool | int | float) or value is None else clean(str(value))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
