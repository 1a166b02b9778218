"""The native wire, `/api/v1/services/aigc/…/generation`.

Streaming is asked for by header. Events are `id:`, `event:`, a comment with the HTTP status, and one
`data:` line, without a space after the colon and closed by a blank line; there is no `[DONE]`. Until its
end a choice has the finish reason `"null"`, a string. Usage is in every event, cumulative.

Source: captured traffic, 2024-02 to 2025-07; https://help.aliyun.com/zh/model-studio/qwen-api-via-dashscope.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from qonduit_emulator._answer import Answer, Choice
from qonduit_emulator._exchange import (
    ChatRequest,
    Delta,
    FinishDelta,
    GenerationPath,
    MediaPart,
    Message,
    Part,
    ReasoningDelta,
    TextDelta,
    TextPart,
    ToolCallDelta,
    Usage,
)
from qonduit_emulator._fields import Fields, parse_body, read_flag, read_object, read_text
from qonduit_emulator._messages import ContentParser, parse_messages
from qonduit_emulator._models import Model
from qonduit_emulator._parameters import parse_parameters
from qonduit_emulator._refusal import Refusal, invalid_parameter, missing_input, missing_model
from qonduit_emulator._wire import dump, log_probabilities


class NativeWire:
    """One of the two generation paths."""

    name: Literal["native"] = "native"

    def __init__(self, path: GenerationPath) -> None:
        self._path = path

    def parse(self, body: bytes, headers: Mapping[str, str]) -> ChatRequest:
        """Read `{"model", "input", "parameters"}`."""
        fields = parse_body(body)
        model = read_text(fields, "model")
        if not model:
            raise missing_model()
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
        return refusal.native.status, dump(_error_body(refusal, request_id))

    def error_stream(self, refusal: Refusal, request_id: str, headers: Mapping[str, str]) -> bytes | None:
        """A refused stream is HTTP 200 with one error event, but for what is refused before the stream.

        Source: captured traffic, 2024-02-26 (400 in a stream) and 2024-11-25 (plain 401).
        """
        if refusal.before_stream or not wants_stream(headers):
            return None
        return _frame_error(1, refusal, request_id)


def wants_stream(headers: Mapping[str, str]) -> bool:
    """Whether the headers ask for a stream: either of two is enough. Header names are lower case."""
    return headers.get("x-dashscope-sse", "").lower() == "enable" or "text/event-stream" in headers.get(
        "accept", ""
    )


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
    match item:
        case {"text": str(text)}:
            return [TextPart(text)]
        case {"image": str(url)}:
            return [MediaPart("image", url)]
        case {"video": str(url)}:
            return [MediaPart("video", url)]
        case {"video": [*frames]} if frames and all(isinstance(frame, str) for frame in frames):
            return [MediaPart("video", frame) for frame in frames]
        case {"audio": str(url)}:
            return [MediaPart("audio", url)]
        case _:
            raise invalid_parameter("Each content part should have one of 'text', 'image', 'video', 'audio'")


_CONTENT: Mapping[GenerationPath, ContentParser] = {
    "text": _parse_text_content,
    "multimodal": _parse_multimodal_content,
}


class NativeFraming:
    """Frames one answer: plain, or as events numbered from 1.

    Two habits of the real stream are kept: the last argument fragment of a tool call comes in the event
    that carries the finish reason, and the event that opens the next tool call closes the one before with
    empty arguments.
    Source: captured traffic, 2025 (function calling, incremental).
    """

    def __init__(self, request: ChatRequest, model: Model, request_id: str) -> None:
        self._request = request
        self._model = model
        self._request_id = request_id
        asked = request.incremental_output
        self._incremental = model.incremental_output if asked is None else asked
        self._message_format = (
            request.path == "multimodal"
            or (request.result_format or model.result_format) == "message"
            or bool(request.parameters.tools)
            or request.parameters.n > 1
        )
        self._so_far = Answer()
        self._held: ToolCallDelta | None = None
        self._events = 0

    def plain(self, answer: Answer) -> bytes:
        """The body of an answer that is not streamed."""
        choices = [
            self._build_choice(number, choice, _all_calls(choice), choice.finish_reason or "null")
            for number, choice in sorted(answer.choices.items())
        ]
        return dump(self._build_body(choices, answer.usage))

    def delta(self, delta: Delta) -> bytes:
        """The events for one delta; a tool call fragment is held until it is known whether it is the last."""
        held, self._held = self._held, None
        if isinstance(delta, ToolCallDelta):
            self._held = delta
            return self._frame(held) if held else b""
        if held and isinstance(delta, FinishDelta):
            return self._frame(held, delta)
        return (self._frame(held) if held else b"") + self._frame(delta)

    def end(self) -> bytes:
        """Nothing: the stream ends with the connection."""
        return b""

    def error(self, refusal: Refusal) -> bytes:
        """An error event with the next number."""
        self._events += 1
        return _frame_error(self._events, refusal, self._request_id)

    def _frame(self, delta: Delta, finish: FinishDelta | None = None) -> bytes:
        so_far = self._so_far.add(delta)
        if finish is not None:
            so_far = self._so_far.add(finish)
        if self._incremental:
            shown, calls = _only(delta), _fragments(delta)
        else:
            shown, calls = so_far, _all_calls(so_far)
        reason = so_far.finish_reason or "null"
        choice = self._build_choice(delta.choice, shown, calls, reason)
        self._events += 1
        body = self._build_body([choice], finish.usage if finish else delta.usage)
        return _frame_event(self._events, "result", 200, dump(body))

    def _build_choice(
        self, number: int, choice: Choice, calls: list[dict[str, Any]], reason: str
    ) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self._build_content(choice.text)}
        if self._request.thinking:
            message["reasoning_content"] = choice.reasoning
        if calls:
            message["tool_calls"] = calls
        built: dict[str, Any] = {"message": message, "index": number, "finish_reason": reason}
        if choice.tokens is not None:
            built["logprobs"] = log_probabilities(choice.tokens, self._request.parameters.top_logprobs)
        return built

    def _build_content(self, text: str) -> str | list[dict[str, str]]:
        if self._request.path == "text":
            return text
        return [{"text": text}] if text else []

    def _build_body(self, choices: list[dict[str, Any]], usage: Usage) -> dict[str, Any]:
        output: dict[str, Any] = {"choices": choices}
        if not self._message_format:
            choice = choices[0]
            output = {"finish_reason": choice["finish_reason"], "text": choice["message"]["content"]}
        return {"output": output, "usage": self._build_usage(usage), "request_id": self._request_id}

    def _build_usage(self, usage: Usage) -> dict[str, Any]:
        built: dict[str, Any] = {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        }
        if self._model.total_tokens:
            built["total_tokens"] = usage.total_tokens
        if usage.reasoning_tokens is not None:
            built["output_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
        if usage.image_tokens is not None:
            built["image_tokens"] = usage.image_tokens
            built["input_tokens_details"] = {
                "text_tokens": usage.input_tokens - usage.image_tokens,
                "image_tokens": usage.image_tokens,
            }
        return built


def _only(delta: Delta) -> Choice:
    """A choice that holds this delta's own text and nothing before it."""
    match delta:
        case TextDelta():
            return Choice(text=delta.text, tokens=None if delta.tokens is None else list(delta.tokens))
        case ReasoningDelta():
            return Choice(reasoning=delta.text)
        case ToolCallDelta() | FinishDelta():
            return Choice()


def _fragments(delta: Delta) -> list[dict[str, Any]]:
    if not isinstance(delta, ToolCallDelta):
        return []
    if delta.name is None:
        return [_continuation(delta.index, delta.arguments)]
    opening = {
        "index": delta.index,
        "id": delta.id,
        "type": "function",
        "function": {"name": delta.name, "arguments": delta.arguments},
    }
    return [_continuation(delta.index - 1, ""), opening] if delta.index else [opening]


def _continuation(index: int, arguments: str) -> dict[str, Any]:
    return {"index": index, "id": "", "type": "function", "function": {"arguments": arguments}}


def _all_calls(choice: Choice) -> list[dict[str, Any]]:
    return [
        {
            "index": index,
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for index, call in enumerate(choice.tool_calls)
    ]


def _error_body(refusal: Refusal, request_id: str) -> dict[str, str]:
    return {"code": refusal.native.code, "message": refusal.native.message, "request_id": request_id}


def _frame_event(number: int, event: str, status: int, data: bytes) -> bytes:
    return b"id:%d\nevent:%s\n:HTTP_STATUS/%d\ndata:%s\n\n" % (number, event.encode(), status, data)


def _frame_error(number: int, refusal: Refusal, request_id: str) -> bytes:
    return _frame_event(number, "error", refusal.native.status, dump(_error_body(refusal, request_id)))
