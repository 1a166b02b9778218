"""The response normalizer of the native wire.

Source: https://help.aliyun.com/zh/model-studio/qwen-api-via-dashscope (2026-02). The wire has no id, no model and no
time of its own: the request id, the request's model and the `date` header stand in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from qonduit.classification import Kind, classify
from qonduit.errors import APIError, BadRequestError, ProtocolError
from qonduit.parts import Resend
from qonduit.profile import Profile
from qonduit.request import ChatRequest
from qonduit.response import ChatResponse
from qonduit.retry_after import http_time
from qonduit.wire import WireResponse
from qonduit_dashscope.builder import cumulative, messages_for, unsupported
from qonduit_dashscope.decoder import NativeDecoder
from qonduit_dashscope.errors import ERRORS, special
from qonduit_dashscope.paths import TEXT, URL_ERROR, sibling

_TEXT_ONLY = Kind(BadRequestError, False, "This model takes text only: leave pictures, films and sounds out.", 400)


_CUT = ("The provider's own time limit cut the answer short. Stream long answers.",)


class NativeNormalizer:
    """Turns native answers into qonduit's. See `qonduit.parts.ResponseNormalizer`."""

    def __init__(self, profile: Profile) -> None:
        self._warn = profile.unsupported == "warn"

    def normalize(self, request: ChatRequest, response: WireResponse) -> ChatResponse:
        """The answer. A 200 with a code is an error."""
        body = _json(response.content)
        if not isinstance(body, dict):
            raise _not_an_answer(response)
        if body.get("code"):
            raise self._error_of(None, body, response)
        try:
            choices = choices_of(body.get("output"))
            # A plain answer that ran into the server's time limit is a 200 with the text so far; only this header says
            # so. Source: https://help.aliyun.com/zh/model-studio/error-code (2026-05-25), RequestTimeOut.
            cut = response.headers.get("x-dashscope-partialresponse", "").lower() == "true"
            if cut:
                choices = [{**choice, "finish_reason": "length"} for choice in choices]
            answer = ChatResponse.model_validate(
                {
                    "id": body.get("request_id"),
                    "model": request.model,
                    "created": http_time(response.headers),
                    "choices": choices,
                    "usage": usage_of(body.get("usage")),
                    "request_id": body.get("request_id") or response.headers.get("x-request-id"),
                    "provider": "dashscope",
                    "complete": not cut,
                    "warnings": self._warnings(request) + (_CUT if cut else ()),
                    "status_code": response.status,
                    "content": (response.content,),
                }
            )
        except (ValidationError, TypeError, AttributeError):
            raise _not_an_answer(response) from None
        if not answer.choices:
            raise _not_an_answer(response)
        return answer

    def decoder(self, request: ChatRequest, response: WireResponse) -> NativeDecoder:
        """A decoder; an in-stream error is the error that its body and status would be on their own."""
        kind = response.headers.get("content-type", "")
        if "html" in kind:
            raise _not_an_answer(response)
        return NativeDecoder(
            request,
            response,
            lambda status, body: self._error_of(status, body, response),
            cumulative=cumulative(request),
            warnings=self._warnings(request),
        )

    def error(self, response: WireResponse) -> APIError:
        """The error of an error status. Raises: Resend for the url error, with the sibling path."""
        body = _json(response.content)
        return self._error_of(response.status, body if isinstance(body, dict) else {}, response)

    def _error_of(self, status: int | None, body: Mapping[str, Any], response: WireResponse) -> APIError:
        nested = body.get("error")  # /files and some gateways answer in OpenAI's shape on native paths
        fields: Mapping[str, Any] = nested if isinstance(nested, dict) else body
        code = fields.get("code")
        message = fields.get("message")
        text = message if isinstance(message, str) else ""
        name = str(code) if code else None
        kind = special(name, text)
        if code == "InvalidParameter" and text.startswith(URL_ERROR):
            if (resend := _resend(response)) is not None:
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

    def _warnings(self, request: ChatRequest) -> tuple[str, ...]:
        if not self._warn:
            return ()
        return tuple(f"Provider 'dashscope' takes no {name}; it was left out." for name in unsupported(request))


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
    message.setdefault("role", "assistant")
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


def usage_of(usage: Any) -> dict[str, Any] | None:
    """The usage object; an empty one says nothing."""
    return usage if isinstance(usage, dict) and usage else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _json(content: bytes) -> Any:
    try:
        return from_json(content)
    except ValueError:
        return None


def _resend(response: WireResponse) -> Resend | None:
    """The same request on the sibling path, its messages in that path's form; None when that has no such form."""
    wire = response.request
    url = sibling(wire.url)
    body = from_json(wire.content)
    if url.endswith(TEXT) and any(map(_holds_media, body["input"]["messages"])):
        return None
    path = url.removeprefix(wire.url[: wire.url.rindex("/services/")])
    from qonduit.messages import Message  # noqa: PLC0415  # the seldom way

    messages = [Message.model_validate(_neutral(message)) for message in body["input"]["messages"]]
    body["input"]["messages"] = messages_for(path, messages)
    return Resend(
        wire._replace(url=url, content=to_json(body)),
        f"Model '{body['model']}' is not on the path that its name suggests; it was asked again on {path}.",
    )


def _holds_media(message: dict[str, Any]) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any("text" not in part for part in content)


def _neutral(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    return {**message, "content": text_of(content)}


def _not_an_answer(response: WireResponse) -> ProtocolError:
    start = response.content.lstrip()[:1]
    what = "HTML" if start == b"<" or "html" in response.headers.get("content-type", "") else "nothing"
    if start and what == "nothing":
        what = "JSON, but no answer" if start in b"{[" else "no JSON"
    return ProtocolError(
        f"dashscope answered {response.status} with {what} ({len(response.content)} bytes). "
        "Is the base URL right, and does a proxy or a login page stand between?",
        status_code=response.status,
        request_id=response.headers.get("x-request-id"),
        outcome="unknown",
        retryable=what == "nothing",
    )
