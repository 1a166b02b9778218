"""Dialect: the points at which speakers of OpenAI's wire differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from qonduit.messages import Message
from qonduit.models import Model
from qonduit.profile import Profile
from qonduit.request import ChatRequest, Request
from qonduit.response import Response
from qonduit.wire import WireRequest, WireResponse

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


class ChatPlan(Protocol):
    """What a speaker makes of a chat request.

    Attributes:
        fields: body fields that go over what the request has under the same name.
        left_out: names of `ChatRequest` fields that are not sent.
        messages: the messages as the speaker takes them; the request's own object where nothing is changed.
        stream: whether the wire is streamed.
        unsupported, warnings: as `WireRequest` has them.
    """

    @property
    def fields(self) -> dict[str, Any]: ...
    @property
    def left_out(self) -> frozenset[str]: ...
    @property
    def messages(self) -> tuple[Message, ...]: ...
    @property
    def stream(self) -> bool: ...
    @property
    def unsupported(self) -> tuple[str, ...]: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...


class Operation(Protocol):
    """The codec of an operation that is no chat."""

    def build(self, request: Any, base_url: str, headers: Mapping[str, str]) -> WireRequest:
        """The request; `headers` are those of the profile. Raises: BadRequestError."""

    def read(self, request: Any, body: Any, response: WireResponse, provider: str) -> Response | None:
        """The answer in a parsed body; None when it is none."""


class Dialect:
    """One speaker. The defaults are those of a server that does as OpenAI does."""

    fields: frozenset[str] = FIELDS
    """Names of `ChatRequest` fields that are sent as they are."""
    operations: Mapping[str, Operation] = {}
    """The codecs of its other operations, by name."""

    def plan(self, request: ChatRequest, model: Model) -> ChatPlan:
        """What is sent of a chat request. Raises: BadRequestError for what is certain to be refused."""
        raise NotImplementedError

    def admit(self, request: Request, model: Model) -> tuple[str, ...]:
        """Warnings about a request that is no chat. Raises: BadRequestError for what is certain to be refused."""
        return () if model.retirement is None else (model.retirement,)

    def headers(self, profile: Profile) -> dict[str, str]:
        """The headers of every request of a profile."""
        return {"content-type": "application/json"}

    def part_headers(self, messages: tuple[Message, ...]) -> dict[str, str]:
        """Headers that content parts ask for."""
        return {}

    def cut(self, headers: Mapping[str, str]) -> str | None:
        """A sentence when the headers of a plain answer say that the provider cut it short."""
        return None
