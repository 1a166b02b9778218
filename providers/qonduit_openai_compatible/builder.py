"""The request builder of OpenAI's chat wire, with the points at which its speakers differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json

from qonduit.errors import BadRequestError
from qonduit.messages import Message
from qonduit.profile import Profile
from qonduit.request import ChatRequest
from qonduit.wire import WireRequest

FIELDS = frozenset(
    {
        "model",
        "messages",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "seed",
        "n",
        "logprobs",
        "top_logprobs",
        "presence_penalty",
        "frequency_penalty",
        "user",
    }
)
"""The fields of a `ChatRequest` that OpenAI's wire has under the same name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Where one speaker of the wire differs.

    Attributes:
        fields: names of `ChatRequest` fields sent as they are.
        translate: gives further body fields for a request (reasoning, search).
        unsupported: names of `ChatRequest` fields that the provider cannot take.
        unsaid: what else of a request the provider has no word for, for warnings and errors.
        message: a message as the provider wants it in the history.
        headers: headers of every request of a profile.
        cut: a sentence when the headers of a plain answer say that the provider cut it short; else None.
    """

    fields: frozenset[str] = FIELDS
    translate: Callable[[ChatRequest], dict[str, Any]]
    unsupported: frozenset[str] = frozenset()
    unsaid: Callable[[ChatRequest], list[str]] = field(default=lambda _: [])
    message: Callable[[Message], Message]
    headers: Callable[[Profile], Mapping[str, str]] = field(default=lambda _: {})
    cut: Callable[[Mapping[str, str]], str | None] = field(default=lambda _: None)

    def refused(self, request: ChatRequest) -> list[str]:
        """What of `request` the provider cannot take."""
        names = sorted(self.unsupported & request.model_fields_set)
        return [name for name in names if getattr(request, name) is not None] + self.unsaid(request)


class CompatibleBuilder:
    """Turns a `ChatRequest` into `POST {base_url}/chat/completions`."""

    def __init__(self, profile: Profile, dialect: Dialect) -> None:
        self._dialect = dialect
        self._unsupported = profile.unsupported
        self._provider = profile.provider
        self._url = f"{profile.base_url}/chat/completions"
        headers = {"content-type": "application/json", **dialect.headers(profile)}
        self._plain = headers
        self._streamed = {**headers, "accept": "text/event-stream"}
        self._fields = set(dialect.fields - dialect.unsupported)

    def build(self, request: ChatRequest) -> WireRequest:
        """See `qonduit.parts.RequestBuilder`."""
        dialect = self._dialect
        if self._unsupported == "error":
            refused = dialect.refused(request)
            if refused:
                raise BadRequestError(
                    f"The request was not sent: provider '{self._provider}' takes no {', '.join(refused)}. "
                    'Leave it out, or set unsupported = "warn" in the profile.'
                )
        body = dialect.translate(request)
        fields = self._fields
        if request.tools == ():
            fields = fields - {"tools"}  # an empty list is refused by several servers
        if request.stream:
            body["stream"] = True
            # Usage is always asked for; the core keeps the chunk from callers who did not.
            body["stream_options"] = {**(request.stream_options or {}), "include_usage": True}
        if request.extra_body:
            body.update(request.extra_body)
        if body:
            fields = fields - body.keys()
        sent = request
        if any(_is_history(message) for message in request.messages):
            sent = request.model_copy(update={"messages": tuple(map(dialect.message, request.messages))})
        content = sent.__pydantic_serializer__.to_json(sent, include=fields, exclude_none=True)
        if body:
            content = content[:-1] + (b"," if len(content) > 2 else b"") + to_json(body)[1:]
        headers: Mapping[str, str] = self._streamed if request.stream else self._plain
        if request.extra_headers:
            headers = {**headers, **{name.lower(): value for name, value in request.extra_headers.items()}}
        return WireRequest("POST", self._url, headers, content, request.stream, request.operation)


def _is_history(message: Message) -> bool:
    """Whether a message may hold what a model said, in which the speakers differ."""
    return message.role == "assistant"
