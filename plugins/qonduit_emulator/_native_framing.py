"""How the native wire frames an answer: plain, or as numbered events.

Source: captured traffic, 2024-02 to 2025-07.
"""

from __future__ import annotations

from typing import Any

from qonduit_emulator._answer import Answer, Choice
from qonduit_emulator._exchange import (
    ChatRequest,
    Delta,
    FinishDelta,
    ReasoningDelta,
    SearchDelta,
    SearchResult,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from qonduit_emulator._models import Model
from qonduit_emulator._refusal import Refusal
from qonduit_emulator._wire import build_cache_details, dump, log_probabilities


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
        self._search_results: tuple[SearchResult, ...] | None = None
        self._events = 0

    def plain(self, answer: Answer) -> bytes:
        """The body of an answer that is not streamed."""
        choices = [
            self._build_choice(number, choice, _all_calls(choice), choice.finish_reason or "null")
            for number, choice in sorted(answer.choices.items())
        ]
        self._search_results = answer.search_results
        return dump(self._build_body(choices, self._build_usage(answer.usage)))

    def delta(self, delta: Delta) -> bytes:
        """The events for one delta; a tool call fragment is held until it is known whether it is the last."""
        if isinstance(delta, SearchDelta):
            return self._frame_search(delta)
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
        return frame_error(self._events, refusal, self._request_id)

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
        body = self._build_body([choice], self._build_usage(finish.usage if finish else delta.usage))
        return _frame_event(self._events, "result", 200, dump(body))

    def _frame_search(self, delta: SearchDelta) -> bytes:
        """The results stand in the first event; with `prepend_search_result` in one of their own, without usage.

        Source: captured traffic, 2025 (`usage` is `{}` there); https://help.aliyun.com/zh/model-studio/web-search.
        """
        self._search_results = delta.results
        asked = self._request.parameters.search
        if asked is None or not (asked.prepend and asked.source):
            return b""
        choice = self._build_choice(delta.choice, Choice(), [], "null")
        self._events += 1
        return _frame_event(self._events, "result", 200, dump(self._build_body([choice], {})))

    def _take_search_info(self) -> dict[str, Any] | None:
        """What was found, once, and only when the sources were asked for."""
        results, self._search_results = self._search_results, None
        asked = self._request.parameters.search
        if results is None or asked is None or not asked.source:
            return None
        return {"search_results": [_build_result(result) for result in results], "extra_tool_info": []}

    def _build_choice(self, number: int, choice: Choice, calls: list[dict[str, Any]], reason: str) -> dict[str, Any]:
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

    def _build_body(self, choices: list[dict[str, Any]], usage: dict[str, Any]) -> dict[str, Any]:
        output: dict[str, Any] = {"choices": choices}
        if not self._message_format:
            choice = choices[0]
            output = {"finish_reason": choice["finish_reason"], "text": choice["message"]["content"]}
        if (search_info := self._take_search_info()) is not None:
            output["search_info"] = search_info
        return {"output": output, "usage": usage, "request_id": self._request_id}

    def _build_usage(self, usage: Usage) -> dict[str, Any]:
        built: dict[str, Any] = {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "prompt_tokens_details": build_cache_details(usage),
        }
        if usage.searches and (asked := self._request.parameters.search) is not None:
            built["plugins"] = {"search": {"count": usage.searches, "strategy": asked.strategy}}
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
        case ToolCallDelta() | FinishDelta() | SearchDelta():
            return Choice()


def _build_result(result: SearchResult) -> dict[str, Any]:
    return {
        "icon": result.icon,
        "site_name": result.site_name,
        "index": result.index,
        "title": result.title,
        "url": result.url,
    }


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


def error_body(refusal: Refusal, request_id: str) -> dict[str, str]:
    """The flat body of an error."""
    return {"code": refusal.native.code, "message": refusal.native.message, "request_id": request_id}


def _frame_event(number: int, event: str, status: int, data: bytes) -> bytes:
    return b"id:%d\nevent:%s\n:HTTP_STATUS/%d\ndata:%s\n\n" % (number, event.encode(), status, data)


def frame_error(number: int, refusal: Refusal, request_id: str) -> bytes:
    """One error event."""
    return _frame_event(number, "error", refusal.native.status, dump(error_body(refusal, request_id)))
