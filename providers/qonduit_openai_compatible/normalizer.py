"""The response normalizer of OpenAI's chat wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from qonduit.answer_json import REPLACED, NotStrictError, check, error_fields, finite, parse, parse_vectors
from qonduit.classification import Kind, Table, classify
from qonduit.embeddings import EmbeddingRequest
from qonduit.errors import APIError, ContentFilterError, ProtocolError
from qonduit.request import ChatRequest, Request
from qonduit.response import ChatResponse, Choice, Response
from qonduit.usage import counted
from qonduit.value import json_parser, trusted
from qonduit.wire import WireResponse
from qonduit_openai_compatible.blocks import blocked
from qonduit_openai_compatible.decoder import CompatibleDecoder, finish_reason
from qonduit_openai_compatible.dialect import Dialect

_ONCE = (b'"prompt_tokens"', b'"completion_tokens"')
_EACH = b'"finish_reason"'
"""Names on which money and meaning hang: an answer with one of them twice is not guessed at."""


class _Completion(BaseModel):
    """The wire's answer, or an error in its place."""

    model_config = ConfigDict(extra="allow", defer_build=True, hide_input_in_errors=True, protected_namespaces=())

    id: str | None = None
    model: str | None = None
    created: int | None = None
    choices: tuple[Choice, ...] | None = None
    usage: Any = None
    request_id: str | None = None
    error: Any = None


class CompatibleNormalizer:
    """Turns answers of OpenAI's chat wire into qonduit's.

    `table` classifies error codes; `special` may classify a code whose meaning depends on the message.
    """

    def __init__(
        self,
        provider: str,
        dialect: Dialect,
        table: Table,
        *,
        special: Callable[[str | None, str], Kind | None] | None = None,
    ) -> None:
        self._provider = provider
        self._dialect = dialect
        self._table = table
        self._special = special

    def normalize(self, request: Request, response: WireResponse) -> Response:
        """See `qonduit.parts.ResponseNormalizer`."""
        if not isinstance(request, ChatRequest):
            return self._other(request, response)
        warnings: tuple[str, ...] = ()
        try:
            answer: _Completion = json_parser(_Completion)(response.content)
        except ValidationError:
            answer, replaced = self._mended(response)
            warnings = (REPLACED,) if replaced else ()
        body = answer.__dict__  # many attributes of one pydantic model cost more than those of its dict
        if body["error"] or not body["choices"]:
            if body["error"]:
                raise self.error(response)
            raise self._filtered(response) if blocked(answer.model_extra or {}) else self._not_an_answer(response)
        try:
            finite(answer.__pydantic_extra__)
            check(response.content, _ONCE, _EACH, len(body["choices"]))
            usage = counted(body["usage"])
        except NotStrictError as problem:
            raise self._not_an_answer(response, problem) from None
        choices = tuple(map(_normalized, body["choices"]))
        cut = self._dialect.cut(response.headers)
        if cut is not None:
            choices = tuple(choice.model_copy(update={"finish_reason": "length"}) for choice in choices)
            warnings = (*warnings, cut)
        return trusted(
            ChatResponse,
            {
                "id": body["id"],
                "model": body["model"] or request.model,
                "created": body["created"],
                "choices": choices,
                "search": None,
                "response_format": None,
                "usage": usage,
                "request_id": response.headers.get("x-request-id") or body["request_id"] or _uuid(body["id"]),
                "provider": self._provider,
                "complete": cut is None,
                "cached": False,
                "cost": None,
                "warnings": warnings,
                "status_code": response.status,
                "content": (response.content,),
            },
        )

    def _other(self, request: Request, response: WireResponse) -> Response:
        try:
            read = parse_vectors if isinstance(request, EmbeddingRequest) else parse
            body, replaced = read(response.content)
        except NotStrictError as problem:
            if error_fields(response.content).get("error"):
                raise self.error(response) from None
            raise self._not_an_answer(response, problem) from None
        if isinstance(body, dict):
            if body.get("error"):
                raise self.error(response)
            answer = self._dialect.operations[request.operation].read(request, body, response, self._provider)
            if answer is not None:
                return answer.replace(warnings=(*answer.warnings, REPLACED)) if replaced else answer
            if body.get("code"):  # what is asked beside the wire may answer in another form
                raise self.error(response)
        raise self._not_an_answer(response)

    def _mended(self, response: WireResponse) -> tuple[_Completion, bool]:
        """An answer whose small print is wrong, and whether halves of surrogate pairs in it were replaced.

        Raises: APIError for an error of any shape, ProtocolError.
        """
        problem: NotStrictError | None = None
        try:
            body, replaced = parse(response.content)
            if isinstance(body, dict) and not body.get("error"):
                return _Completion.model_validate(_without_small_print(body)), replaced
        except NotStrictError as refused:
            problem = refused
        except ValidationError:
            pass
        if error_fields(response.content).get("error"):
            raise self.error(response) from None
        raise self._not_an_answer(response, problem) from None

    def _not_an_answer(self, response: WireResponse, problem: NotStrictError | None = None) -> ProtocolError:
        return not_an_answer(self._provider, response, problem)

    def _filtered(self, response: WireResponse) -> ContentFilterError:
        """The error of an answer without a choice that says a filter kept it back."""
        return ContentFilterError(
            f"{self._provider} answered {response.status} without an answer: its content filter kept it back. "
            "Ask in other words.",
            provider=self._provider,
            status_code=response.status,
            request_id=response.headers.get("x-request-id"),
        )

    def decoder(self, request: ChatRequest, response: WireResponse) -> CompatibleDecoder:
        """See `qonduit.parts.ResponseNormalizer`."""
        kind = response.headers.get("content-type", "")
        if "html" in kind or "json" in kind:
            raise not_a_stream(self._provider, response, kind)
        return CompatibleDecoder(
            request,
            response,
            lambda body: self._error_of(None, body, response),
            lambda: self._filtered(response),
        )

    def error(self, response: WireResponse) -> APIError:
        """See `qonduit.parts.ResponseNormalizer`."""
        status = response.status if response.status >= 300 else None
        return self._error_of(status, error_fields(response.content), response)

    def _error_of(self, status: int | None, body: Mapping[str, Any], response: WireResponse) -> APIError:
        found = body.get("error", body)
        error: Mapping[str, Any] = found if isinstance(found, dict) else {"message": str(found)}
        code = error.get("code") or error.get("type")
        message = error.get("message")
        text = message if isinstance(message, str) else ""
        name = str(code) if code is not None else None
        if status is None and (said := error.get("code")).__class__ is int and 300 <= said < 600:
            status = said  # some gateways put the status there
        return classify(
            self._table,
            provider=self._provider,
            status=status,
            code=name,
            message=text,
            request_id=response.headers.get("x-request-id") or _text(body.get("request_id")),
            headers=response.headers,
            kind=self._special(name, text) if self._special is not None else None,
        )


def not_an_answer(provider: str, response: WireResponse, problem: NotStrictError | None = None) -> ProtocolError:
    """The error of a 200 that is no answer. Says what it is, not what it says: it may be a stranger's page."""
    content = response.content.lstrip()[:1]
    what = "nothing" if not content else "HTML" if content == b"<" else "JSON, but no answer"
    if content and content not in b"<{[":
        what = "no JSON"
    elif content and content in b"{[" and problem is not None:
        what = f"JSON, but no answer: {problem}"
    return ProtocolError(
        f"{provider} answered {response.status} with {what} ({len(response.content)} bytes). "
        "Is the base URL right, and does a proxy or a login page stand between?",
        status_code=response.status,
        request_id=response.headers.get("x-request-id"),
        outcome="unknown",
        retryable=not content,
    )


def not_a_stream(provider: str, response: WireResponse, kind: str) -> ProtocolError:
    """The error of a 200 on a streamed call that is no event stream."""
    return ProtocolError(
        f"{provider} answered {response.status} with {kind.partition(';')[0]!r} in place of an event stream. "
        "Is the base URL right, and does a proxy or a login page stand between?",
        status_code=response.status,
        request_id=response.headers.get("x-request-id"),
        outcome="unknown",
    )


def _normalized(choice: Choice) -> Choice:
    """A choice in the one form that all wires share."""
    message = choice.message
    changes: dict[str, Any] = {}
    if message.tool_calls is not None:
        calls = tuple(
            call if call.index == index else call.model_copy(update={"index": index})
            for index, call in enumerate(message.tool_calls)
        )
        changes["tool_calls"] = calls or None
        if calls and not message.content:
            changes["content"] = None  # some wires say "", others null
    if message.reasoning_content == "":
        changes["reasoning_content"] = None
    if message.partial is not None:
        changes["partial"] = None  # of requests only: back in the history, it would ask to go on from here
    if changes:
        choice = choice.model_copy(update={"message": message.model_copy(update=changes)})
    reason = finish_reason(choice.finish_reason, calling=choice.message.tool_calls is not None)
    return choice if reason == choice.finish_reason else choice.model_copy(update={"finish_reason": reason})


def _without_small_print(body: dict[str, Any]) -> dict[str, Any]:
    """An answer without what is not of its type but makes no difference to what was said."""
    kinds = {"id": str, "model": str, "created": int, "usage": dict, "request_id": str}
    kept = {name: value for name, value in body.items() if isinstance(value, kinds.get(name, object))}
    choices = body.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and isinstance(choice.get("message"), dict):
            choice["message"]["role"] = choice["message"].get("role") or "assistant"
            choice["message"].pop("partial", None)  # no field of an answer
    return kept


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _uuid(identifier: str | None) -> str | None:
    """The request id inside `chatcmpl-<uuid>`."""
    return identifier.removeprefix("chatcmpl-") if identifier else None
