"""The response normalizer of the native wire.

Source: https://help.aliyun.com/zh/model-studio/qwen-api-via-dashscope (2026-02). The wire has no id, no model and no
time of its own: the request id, the request's model and the `date` header stand in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic_core import from_json, to_json

from qonduit.answer_json import REPLACED, NotStrictError, Parsed, check, error_fields, finite, parse, parse_vectors
from qonduit.classification import Kind, classify
from qonduit.embeddings import EmbeddingRequest
from qonduit.errors import APIError, BadRequestError, ProtocolError
from qonduit.model_list import ModelsRequest
from qonduit.parts import Resend
from qonduit.profile import Profile
from qonduit.request import ChatRequest, Request
from qonduit.rerank import RerankRequest
from qonduit.response import ChatResponse, Response
from qonduit.retry_after import http_time
from qonduit.token_count import TokenCountRequest
from qonduit.usage import Usage, counted
from qonduit.wire import WireRequest, WireResponse
from qonduit_dashscope import embeddings, models, rerank
from qonduit_dashscope.decoder import NativeDecoder
from qonduit_dashscope.messages import is_marked, moved
from qonduit_dashscope.paths import MULTIMODAL, URL_ERROR, Paths, sibling
from qonduit_dashscope.search import search_of
from qonduit_model_studio import tokenizer
from qonduit_model_studio.errors import ERRORS, special
from qonduit_model_studio.limits import cut

_ONCE = (b'"input_tokens"', b'"output_tokens"')
_EACH = b'"finish_reason"'
"""Names on which money and meaning hang: an answer with one of them twice is not guessed at."""
_TEXT_ONLY = Kind(
    BadRequestError, False, "This model takes text only: leave pictures, films, sounds and cache_control out.", 400
)


class NativeNormalizer:
    """Turns native answers into qonduit's. See `qonduit.parts.ResponseNormalizer`."""

    def __init__(self, profile: Profile, paths: Paths) -> None:
        self._strict = profile.unsupported == "error"
        self._paths = paths

    def normalize(self, request: Request, response: WireResponse) -> Response:
        """The answer to the request's operation. A 200 with a code is an error."""
        try:
            body, replaced = _read(request, response)
        except NotStrictError as problem:
            fields = error_fields(response.content)
            if fields.get("code") or fields.get("error"):
                raise self._error_of(None, fields, response) from None
            raise _not_an_answer(response, problem) from None
        if not isinstance(body, dict):
            raise _not_an_answer(response)
        if body.get("code") or body.get("error"):
            raise self._error_of(None, body, response)
        try:
            answer: Response
            if isinstance(request, ChatRequest):
                answer = self._chat(request, body, response)
            else:
                answer = self._other(request, body, response)
        except (ValueError, TypeError, AttributeError, KeyError):  # pydantic's ValidationError is a ValueError
            raise _not_an_answer(response) from None
        return answer.replace(warnings=(*answer.warnings, REPLACED)) if replaced else answer

    def _chat(self, request: ChatRequest, body: dict[str, Any], response: WireResponse) -> ChatResponse:
        output = body.get("output")
        choices = choices_of(output)
        if not choices:
            raise _not_an_answer(response)
        ended_by = cut(response.headers)
        if ended_by:
            choices = [{**choice, "finish_reason": "length"} for choice in choices]
        answer = ChatResponse.model_validate(
            {
                "id": body.get("request_id"),
                "model": request.model,
                "created": http_time(response.headers),
                "choices": choices,
                "usage": counted(body.get("usage")),
                "search": search_of(output),
                "request_id": body.get("request_id") or response.headers.get("x-request-id"),
                "provider": "dashscope",
                "complete": not ended_by,
                "warnings": (ended_by,) if ended_by else (),
                "status_code": response.status,
                "content": (response.content,),
            }
        )
        self._paths.answered(request, response.request.url)
        return answer

    def _other(self, request: Request, body: dict[str, Any], response: WireResponse) -> Response:
        """The answer to an operation other than chat."""
        if isinstance(request, TokenCountRequest):
            count = tokenizer.read(request, body, response, "dashscope")
            if count is None:
                raise _not_an_answer(response)
            return count
        usage = counted(body.get("usage"))
        common = {
            "model": request.model,
            # All of what these operations count is input; the wire only says the total.
            "usage": usage and Usage(input_tokens=usage.total_tokens, total_tokens=usage.total_tokens, raw=usage.raw),
            "request_id": body.get("request_id") or response.headers.get("x-request-id"),
            "provider": "dashscope",
            "status_code": response.status,
            "content": (response.content,),
        }
        output = body["output"]
        match request:
            case EmbeddingRequest():
                return embeddings.read(request, output, common)
            case RerankRequest():
                return rerank.read(output, common)
            case ModelsRequest():
                return models.read(request, output, common)
        raise _not_an_answer(response)

    def decoder(self, request: ChatRequest, response: WireResponse) -> NativeDecoder:
        """A decoder; an in-stream error is the error that its body and status would be on their own."""
        kind = response.headers.get("content-type", "")
        if "html" in kind or "json" in kind:
            raise _not_a_stream(response, kind)
        return NativeDecoder(
            request,
            response,
            error=lambda status, body, begun: self._error_of(status, body, response, begun=begun),
            answered=lambda: self._paths.answered(request, response.request.url),
        )

    def error(self, response: WireResponse) -> APIError:
        """The error of an error status. Raises: Resend for the url error, with the sibling path."""
        return self._error_of(response.status, error_fields(response.content), response)

    def _error_of(
        self, status: int | None, body: Mapping[str, Any], response: WireResponse, *, begun: bool = False
    ) -> APIError:
        """The error of a body. Raises: Resend; not once an answer has `begun`, which another one must not follow."""
        nested = body.get("error")  # /files and some gateways answer in OpenAI's shape on native paths
        fields: Mapping[str, Any] = nested if isinstance(nested, dict) else body
        code = fields.get("code")
        message = fields.get("message")
        text = message if isinstance(message, str) else ""
        name = str(code) if code else None
        kind = special(name, text)
        if code == "InvalidParameter" and text.startswith(URL_ERROR) and not begun:
            url = sibling(response.request.url)
            if url is not None:
                if (resend := self._resend(response.request, url)) is not None:
                    raise resend
                kind = _TEXT_ONLY
        return classify(
            ERRORS,
            provider="dashscope",
            status=status,
            code=name,
            message=text,
            request_id=_text(body.get("request_id")) or response.headers.get("x-request-id"),
            headers=response.headers,
            kind=kind,
        )

    def _resend(self, wire: WireRequest, url: str) -> Resend | None:
        """The same request at `url`, its messages in the form of that path; None when that cannot carry them."""
        multimodal = url.endswith(MULTIMODAL)
        body = from_json(wire.content)
        content, note = body["input"], ""
        if isinstance(content, dict) and isinstance(content.get("messages"), list):  # else extra_body's own
            if not multimodal and is_marked(content["messages"]):
                if self._strict:
                    return None
                note = " The text path has no place for cache_control; it was left out."
            messages = moved(content["messages"], multimodal=multimodal)
            if messages is None:
                return None
            content["messages"] = messages
        name, word = body["model"], "multimodal" if multimodal else "text"
        return Resend(
            replace(wire, url=url, content=to_json(body)),
            f"Model '{name}' is not on the path that was known for it; it was asked again as {word}.{note} "
            f'To have it asked there at once, set path = "{word}" in [models."{name}"].',
        )


def choices_of(output: Any) -> list[dict[str, Any]]:
    """The choices of `output`, in the field's vocabulary; both result formats are read."""
    if not isinstance(output, dict):
        return []
    choices = output.get("choices")
    if choices is None and isinstance(output.get("text"), str):
        message = {"role": "assistant", "content": output["text"]}
        choices = [{"message": message, "finish_reason": output.get("finish_reason")}]
    if not isinstance(choices, list):
        return []
    return [_choice(position, choice) for position, choice in enumerate(choices) if isinstance(choice, dict)]


def _choice(position: int, choice: dict[str, Any]) -> dict[str, Any]:
    message = choice.get("message")
    message = dict(message) if isinstance(message, dict) else {}
    message["role"] = message.get("role") or "assistant"
    message["content"] = text_of(message.get("content"))
    calls = message.get("tool_calls")
    if calls:
        message["tool_calls"] = [{**call, "index": index} for index, call in enumerate(calls)]
        message["content"] = message["content"] or None
    else:
        message.pop("tool_calls", None)
    message["reasoning_content"] = message.get("reasoning_content") or None
    return {
        **choice,
        "index": choice.get("index", position),
        "message": message,
        "finish_reason": finish_reason(choice.get("finish_reason"), calling=bool(calls)),
    }


def text_of(content: Any) -> Any:
    """Text parts joined to text; what holds other parts stays a list."""
    if not isinstance(content, list):
        return content
    if all(isinstance(part, dict) and part.keys() == {"text"} for part in content):
        return "".join(part["text"] for part in content)
    return content


def finish_reason(reason: Any, *, calling: bool) -> str | None:
    """One form: "null" (the text), null, "" and absence mean not ended; a forced call ends with "stop" on this wire."""
    if reason in {None, "", "null"}:
        return None
    return "tool_calls" if calling and reason == "stop" else str(reason)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _read(request: Request, response: WireResponse) -> Parsed:
    """The answer's JSON. An answer to a chat is read fast, and once more where there is a doubt."""
    if isinstance(request, EmbeddingRequest):
        return parse_vectors(response.content)
    if not isinstance(request, ChatRequest):
        return parse(response.content)
    try:
        body = from_json(response.content, allow_inf_nan=False)
    except ValueError:
        return parse(response.content)
    output = body.get("output") if isinstance(body, dict) else None
    choices = output.get("choices") if isinstance(output, dict) else None
    check(response.content, _ONCE, _EACH, len(choices) if isinstance(choices, list) else 1)
    return Parsed(finite(body), replaced=False)


def _not_an_answer(response: WireResponse, problem: NotStrictError | None = None) -> ProtocolError:
    start = response.content.lstrip()[:1]
    what = "HTML" if start == b"<" or "html" in response.headers.get("content-type", "") else "nothing"
    if start and what == "nothing":
        what = "JSON, but no answer" if start in b"{[" else "no JSON"
        if start in b"{[" and problem is not None:
            what = f"JSON, but no answer: {problem}"
    return ProtocolError(
        f"dashscope answered {response.status} with {what} ({len(response.content)} bytes). "
        "Is the base URL right, and does a proxy or a login page stand between?",
        status_code=response.status,
        request_id=response.headers.get("x-request-id"),
        outcome="unknown",
        retryable=what == "nothing",
    )


def _not_a_stream(response: WireResponse, kind: str) -> ProtocolError:
    return ProtocolError(
        f"dashscope answered {response.status} with {kind.partition(';')[0]!r} in place of an event stream. "
        "Is the base URL right, and does a proxy or a login page stand between?",
        status_code=response.status,
        request_id=response.headers.get("x-request-id"),
        outcome="unknown",
    )
