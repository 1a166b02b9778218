"""The native wire, `/api/v1/services/aigc/…/generation`.

Streaming is asked for by header. Events are `id:`, `event:`, a comment with the HTTP status, and one
`data:` line, without a space after the colon and closed by a blank line; there is no `[DONE]`. Until its
end a choice has the finish reason `"null"`, a string. Usage is in every event, cumulative.

Source: captured traffic, 2024-02 to 2025-07; https://help.aliyun.com/zh/model-studio/qwen-api-via-dashscope.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from qonduit_emulator._exchange import ChatRequest, GenerationPath, MediaPart, Message, Part, TextPart
from qonduit_emulator._fields import Fields, parse_body, read_flag, read_model_name, read_object, read_text
from qonduit_emulator._messages import ContentParser, parse_messages, read_cache_mark
from qonduit_emulator._models import Model
from qonduit_emulator._native_framing import NativeFraming, error_body, frame_error
from qonduit_emulator._parameters import parse_parameters
from qonduit_emulator._refusal import Refusal, invalid_parameter, missing_input
from qonduit_emulator._wire import dump


class NativeWire:
    """One of the two generation paths."""

    name: Literal["native"] = "native"

    def __init__(self, path: GenerationPath) -> None:
        self._path = path

    def parse(self, body: bytes, headers: Mapping[str, str]) -> ChatRequest:
        """Read `{"model", "input", "parameters"}`."""
        fields = parse_body(body)
        model = read_model_name(fields)
        conversation = read_object(fields, "input")
        if conversation is None:
            raise missing_input()
        options = read_object(fields, "parameters") or {}
        return ChatRequest(
            model=model,
            messages=_parse_conversation(conversation, _CONTENT[self._path]),
            parameters=parse_parameters(options),
            stream=wants_stream(headers),
            path=self._path,
            result_format=_parse_result_format(options),
            incremental_output=read_flag(options, "incremental_output"),
        )

    def framing(self, request: ChatRequest, model: Model, request_id: str, created: int) -> NativeFraming:
        """The framing of an admitted request's answer; the native wire has no `created`."""
        return NativeFraming(request, model, request_id)

    def error(self, refusal: Refusal, request_id: str) -> tuple[int, bytes]:
        """Status and body of an error answer."""
        return refusal.native.status, dump(error_body(refusal, request_id))

    def error_stream(self, refusal: Refusal, request_id: str, headers: Mapping[str, str]) -> bytes | None:
        """A refused stream is HTTP 200 with one error event, but for what is refused before the stream.

        Source: captured traffic, 2024-02-26 (400 in a stream) and 2024-11-25 (plain 401).
        """
        if refusal.before_stream or not wants_stream(headers):
            return None
        return frame_error(1, refusal, request_id)


def wants_stream(headers: Mapping[str, str]) -> bool:
    """Whether the headers ask for a stream: either of two is enough. Header names are lower case."""
    return headers.get("x-dashscope-sse", "").lower() == "enable" or "text/event-stream" in headers.get("accept", "")


def _parse_result_format(options: Fields) -> Literal["text", "message"] | None:
    match options.get("result_format"):
        case None:
            return None
        case "text":
            return "text"
        case "message":
            return "message"
        case _:
            raise invalid_parameter("result_format should be 'text' or 'message'")


def _parse_conversation(conversation: Fields, parse_content: ContentParser) -> tuple[Message, ...]:
    prompt = read_text(conversation, "prompt")
    messages = conversation.get("messages")
    if prompt is not None and messages is not None:
        raise invalid_parameter('Only one of the parameters "prompt" and "messages" can be present')
    if messages is not None:
        return parse_messages(messages, parse_content)
    if not prompt:
        raise invalid_parameter('Either "prompt" or "messages" must exist and cannot both be none')
    return (*_parse_history(conversation.get("history")), Message(role="user", parts=(TextPart(prompt),)))


def _parse_history(history: Any) -> list[Message]:
    turns: list[Message] = []
    for entry in history if isinstance(history, list) else []:
        match entry:
            case {"user": str(user), "bot": str(bot)}:
                turns.append(Message(role="user", parts=(TextPart(user),)))
                turns.append(Message(role="assistant", parts=(TextPart(bot),)))
            case _:
                raise invalid_parameter("'history' must be an array of objects with 'user' and 'bot'")
    return turns


def _parse_text_content(content: Any) -> tuple[Part, ...]:
    if not isinstance(content, str):
        raise invalid_parameter("input content must be a string.")
    return (TextPart(content),)


def _parse_multimodal_content(content: Any) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (TextPart(content),)
    if not isinstance(content, list):
        raise invalid_parameter("input content must be a string or an array.")
    return tuple(part for item in content for part in _parse_part(item))


def _parse_part(item: Any) -> list[Part]:
    mark = read_cache_mark(item)
    match item:
        case {"text": str(text)}:
            return [TextPart(text, mark)]
        case {"image": str(url)}:
            return [MediaPart("image", url, mark)]
        case {"video": str(url)}:
            return [MediaPart("video", url, mark)]
        case {"video": [*frames]} if frames and all(isinstance(frame, str) for frame in frames):
            return [MediaPart("video", frame, mark) for frame in frames]
        case {"audio": str(url)}:
            return [MediaPart("audio", url, mark)]
        case _:
            raise invalid_parameter("Each content part should have one of 'text', 'image', 'video', 'audio'")


_CONTENT: Mapping[GenerationPath, ContentParser] = {
    "text": _parse_text_content,
    "multimodal": _parse_multimodal_content,
}
