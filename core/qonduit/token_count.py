"""Token counts: how many tokens messages are, by the provider's own tokenizer."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from qonduit.messages import Message
from qonduit.request import Request
from qonduit.response import Response


class TokenCount(Response):
    """The count."""

    input_tokens: int
    token_ids: tuple[int, ...] | None = Field(default=None, repr=False)
    tokens: tuple[str, ...] | None = Field(default=None, repr=False)


class TokenCountRequest(Request):
    """Ask how many tokens messages are for a model."""

    operation: ClassVar[str] = "count_tokens"
    response_type: ClassVar[type[Response]] = TokenCount

    messages: tuple[Message, ...] = Field(min_length=1)
