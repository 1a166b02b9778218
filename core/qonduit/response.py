"""ChatResponse: the answer to a call, one shape for every provider."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Self

from pydantic import ConfigDict, Field

from qonduit.cost import Cost
from qonduit.messages import Message
from qonduit.usage import Usage
from qonduit.value import Value


class Choice(Value):
    """One of the answers. `finish_reason`: "stop", "length", "tool_calls", "content_filter", or the provider's word."""

    index: int = 0
    message: Message
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class ChatResponse(Value):
    """A whole answer, plain or put together from a stream.

    Attributes:
        created: the provider's time, in unix seconds.
        request_id: the provider's id of the request, for its support.
        provider: the name of the provider that answered.
        complete: False when a stream was left, cancelled or broke before its end.
        cached: True when a cache answered in place of the provider.
        cost: filled by a cost plugin; None without one.
        warnings: what was bent on the way, in sentences.
        raw: the provider's own JSON: an object, or for a stream the list of its events.
    """

    model_config = ConfigDict(extra="forbid")

    id: str | None = None
    model: str | None = None
    created: int | None = None
    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None
    request_id: str | None = None
    provider: str | None = None
    complete: bool = True
    cached: bool = False
    cost: Cost | None = None
    warnings: tuple[str, ...] = ()
    status_code: int | None = 200
    """The HTTP status of the provider's answer; None when there was none."""
    content: tuple[bytes, ...] = Field(default=(), repr=False, exclude=True)
    """The bytes that `raw` is read from, as they came."""

    @property
    def text(self) -> str:
        """The text of the first choice; "" when it has none."""
        return self.choices[0].message.text if self.choices else ""

    @cached_property
    def raw(self) -> Any:
        """The provider's own JSON, parsed when first asked for; None when there is none."""
        from pydantic_core import from_json  # noqa: PLC0415  # only who asks for raw pays for it

        from qonduit.sse import decode_events  # noqa: PLC0415

        body = b"".join(self.content)
        if not body:
            return None
        if body.lstrip()[:1] in (b"{", b"["):
            return from_json(body)
        return [from_json(event.data) for event in decode_events(body) if event.data[:1] == b"{"]

    def __eq__(self, other: object) -> bool:
        """Equal when every field but the bytes of `raw` is."""
        if not isinstance(other, ChatResponse):
            return False
        return all(self.__dict__[name] == other.__dict__[name] for name in _COMPARED)

    __hash__ = None

    def replace(self, **changes: Any) -> Self:
        """A copy with `changes`, checked like a new one. Raises: pydantic.ValidationError."""
        if all(value.__class__ is _OWN.get(name) for name, value in changes.items()):
            return self.model_copy(update=changes)  # of the very types: there is nothing to check
        fields = {name: self.__dict__[name] for name in type(self).model_fields}
        return type(self).model_validate({**fields, **changes})


_COMPARED = tuple(name for name in ChatResponse.model_fields if name != "content")
_OWN = {"complete": bool, "cached": bool, "cost": Cost, "warnings": tuple, "request_id": str}
"""Fields that layers annotate, with the types that need no checking."""
