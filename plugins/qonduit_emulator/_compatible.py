"""The OpenAI-compatible wire, `…/chat/completions`.

Events are `data: ` (with a space) and a blank line, closed by `data: [DONE]`. `usage` is null in every
chunk; one more chunk without choices carries it when `stream_options.include_usage` asks. A running choice
has the finish reason null.

Source: captured traffic, 2026-02 (qwen3-max: text, tools, thinking);
https://help.aliyun.com/zh/model-studio/compatibility-of-openai-with-dashscope.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, assert_never

from qonduit_emulator._answer import Answer, Choice
from qonduit_emulator._exchange import (
    ChatRequest,
    Delta,
    FinishDelta,
    MediaPart,
    Part,
    ReasoningDelta,
    SearchDelta,
    TextDelta,
    TextPart,
    ToolCallDelta,
    Usage,
)
from qonduit_emulator._fields import parse_body, read_flag, read_model_name, read_object
from qonduit_emulator._messages import parse_messages, read_cache_mark
from qonduit_emulator._models import Model
from qonduit_emulator._parameters import parse_parameters
from qonduit_emulator._refusal import Refusal, invalid_parameter
from qonduit_emulator._wire import build_cache_details, dump, log_probabilities


class CompatibleWire:
    """Chat completions, under `/compatible-mode/v1` and as plain OpenAI under `/v1`."""

    name: Literal["compatible"] = "compatible"

    def parse(self, body: bytes, headers: Mapping[str, str]) -> ChatRequest:
        """Read a chat completion request; DashScope's own options stand beside OpenAI's."""
        fields = parse_body(body)
        model = read_model_name(fields)
        if fields.get("messages") is None:
            raise invalid_parameter('Either "prompt" or "messages" must exist and cannot both be none')
        stream_options = read_object(fields, "stream_options") or {}
        return ChatRequest(
            model=model,
            messages=parse_messages(fields["messages"], _parse_content),
            parameters=parse_parameters(fields),
            stream=bool(read_flag(fields, "stream")),
            include_usage=bool(read_flag(stream_options, "include_usage")),
        )

    def framing(self, request: ChatRequest, model: Model, request_id: str, created: int) -> CompatibleFraming:
        """The framing of an admitted request's answer."""
        return CompatibleFraming(request, model, request_id, created)

    def error(self, refusal: Refusal, request_id: str) -> tuple[int, bytes]:
        """Status and body of an error answer."""
        return refusal.compatible.status, dump(_error_body(refusal, request_id))

    def error_stream(self, refusal: Refusal, request_id: str, headers: Mapping[str, str]) -> bytes | None:
        """`None`: a refused stream gets a plain error with the real status."""
        return None


def _parse_content(content: Any) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (TextPart(content),)
    if not isinstance(content, list):
        raise invalid_parameter("'content' must be String or Array")
    return tuple(part for item in content for part in _parse_part(item))


def _parse_part(item: Any) -> list[Part]:
    mark = read_cache_mark(item)
    match item:
        case {"type": "text", "text": str(text)}:
            return [TextPart(text, mark)]
        case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
            return [MediaPart("image", url, mark)]
        case {"type": "video_url", "video_url": {"url": str(url)}}:
            return [MediaPart("video", url, mark)]
        case {"type": "video", "video": [*frames]} if frames and all(isinstance(f, str) for f in frames):
            return [MediaPart("video", frame, mark) for frame in frames]
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(form)}}:
            return [MediaPart("audio", _sound_url(data, form), mark)]
        case _:
            raise invalid_parameter(
                "Each content part should be of type text, image_url, video_url, video or input_audio"
            )


def _sound_url(data: str, form: str) -> str:
    """The URL of a sound: its own, or a data URL of its type; `data:;base64,` leaves the type to `format`."""
    if data.startswith("data:;base64,"):
        return f"data:audio/{form}{data.removeprefix('data:')}"
    return data if data.startswith(("http:", "https:", "data:", "oss:")) else f"data:audio/{form};base64,{data}"


class CompatibleFraming:
    """Frames one answer: plain, or as chunks."""

    def __init__(self, request: ChatRequest, model: Model, request_id: str, created: int) -> None:
        self._request = request
        self._model = model
        self._request_id = request_id
        self._created = created
        self._started: set[int] = set()
        self._last_call: dict[int, int] = {}
        self._usage: Usage | None = None

    def plain(self, answer: Answer) -> bytes:
        """The body of an answer that is not streamed."""
        choices = [self._build_choice(number, choice) for number, choice in sorted(answer.choices.items())]
        return dump(self._build_body("chat.completion", choices, _build_usage(answer.usage)))

    def delta(self, delta: Delta) -> bytes:
        """The chunks for one delta: a choice's first one is preceded by, or carries, its role.

        What a search found is not shown on this wire.
        """
        self._usage = delta.usage
        if isinstance(delta, SearchDelta):
            return b""
        first = delta.choice not in self._started
        self._started.add(delta.choice)
        match delta:
            case TextDelta():
                opening = self._frame_opening(delta.choice) if first else b""
                return opening + self._frame_text(delta)
            case ReasoningDelta():
                opening = self._frame_opening(delta.choice) if first else b""
                return opening + self._frame(delta.choice, {"content": None, "reasoning_content": delta.text})
            case ToolCallDelta():
                self._last_call[delta.choice] = delta.index
                return self._frame_fragment(delta, first=first)
            case FinishDelta():
                opening = self._frame_opening(delta.choice) if first else b""
                return opening + self._frame_finish(delta)
            case _:
                assert_never(delta)

    def end(self) -> bytes:
        """The usage chunk if it was asked for, and the terminator."""
        usage = b""
        if self._request.include_usage and self._usage is not None:
            usage = _event(dump(self._build_body("chat.completion.chunk", [], _build_usage(self._usage))))
        return usage + _event(b"[DONE]")

    def error(self, refusal: Refusal) -> bytes:
        """An error object in the place of a chunk."""
        return _event(dump(_error_body(refusal, self._request_id)))

    def _frame_opening(self, number: int) -> bytes:
        if self._request.thinking:
            return self._frame(number, {"content": None, "role": "assistant", "reasoning_content": ""})
        return self._frame(number, {"content": "", "role": "assistant"})

    def _frame_text(self, delta: TextDelta) -> bytes:
        fields: dict[str, Any] = {"content": delta.text}
        if self._request.thinking:
            fields["reasoning_content"] = None
        logprobs = None
        if delta.tokens is not None:
            logprobs = log_probabilities(delta.tokens, self._request.parameters.top_logprobs)
        return self._frame(delta.choice, fields, logprobs=logprobs)

    def _frame_fragment(self, delta: ToolCallDelta, *, first: bool) -> bytes:
        function = {"arguments": delta.arguments}
        if delta.name is not None:
            function = {"name": delta.name, "arguments": delta.arguments}
        call = {"index": delta.index, "id": delta.id or "", "type": "function", "function": function}
        fields: dict[str, Any] = {"content": None, "tool_calls": [call]}
        if self._request.thinking:
            fields["reasoning_content"] = None
        if first:
            fields["role"] = "assistant"
        return self._frame(delta.choice, fields)

    def _frame_finish(self, delta: FinishDelta) -> bytes:
        if delta.choice in self._last_call:
            return self._frame_last_fragment(delta.choice) + self._frame(delta.choice, {}, delta.reason)
        fields: dict[str, Any] = {"content": ""}
        if self._request.thinking:
            fields["reasoning_content"] = None
        return self._frame(delta.choice, fields, delta.reason)

    def _frame_last_fragment(self, number: int) -> bytes:
        """Tool calls end with an empty fragment whose choice lacks `finish_reason` and `logprobs`.

        Source: captured traffic, 2026-02-10.
        """
        call = {
            "index": self._last_call[number],
            "id": "",
            "type": "function",
            "function": {"arguments": ""},
        }
        choice = {"delta": {"tool_calls": [call]}, "index": number}
        return _event(dump(self._build_body("chat.completion.chunk", [choice], None)))

    def _frame(
        self,
        number: int,
        fields: dict[str, Any],
        reason: str | None = None,
        logprobs: dict[str, Any] | None = None,
    ) -> bytes:
        choice = {"delta": fields, "finish_reason": reason, "index": number, "logprobs": logprobs}
        return _event(dump(self._build_body("chat.completion.chunk", [choice], None)))

    def _build_choice(self, number: int, choice: Choice) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": choice.text}
        if self._request.thinking:
            message["reasoning_content"] = choice.reasoning
        if choice.tool_calls:
            message["tool_calls"] = [
                {
                    "index": index,
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for index, call in enumerate(choice.tool_calls)
            ]
        logprobs = None
        if choice.tokens is not None:
            logprobs = log_probabilities(choice.tokens, self._request.parameters.top_logprobs)
        return {
            "message": message,
            "finish_reason": choice.finish_reason,
            "index": number,
            "logprobs": logprobs,
        }

    def _build_body(self, kind: str, choices: list[dict[str, Any]], usage: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "choices": choices,
            "object": kind,
            "usage": usage,
            "created": self._created,
            "system_fingerprint": None,
            "model": self._model.name,
            "id": f"chatcmpl-{self._request_id}",
        }


def _build_usage(usage: Usage) -> dict[str, Any]:
    details = build_cache_details(usage)
    if usage.image_tokens is not None:
        details["text_tokens"] = usage.input_tokens - usage.image_tokens
        details["image_tokens"] = usage.image_tokens
    built: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": details,
    }
    if usage.reasoning_tokens is not None:
        built["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return built


def _error_body(refusal: Refusal, request_id: str) -> dict[str, Any]:
    error = refusal.compatible
    return {
        "error": {"message": error.message, "type": error.type, "param": None, "code": error.code},
        "id": f"chatcmpl-{request_id}",
        "request_id": request_id,
    }


def _event(data: bytes) -> bytes:
    return b"data: %s\n\n" % data
