"""Response: what every answer has in common; ChatResponse: the answer to a chat call, one shape for every provider."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Self

from pydantic import ConfigDict, Field

from qonduit.answer_json import parse
from qonduit.cost import Cost
from qonduit.errors import ProtocolError
from qonduit.messages import Message
from qonduit.search import Search
from qonduit.usage import Usage
from qonduit.value import Finite, FiniteValue, Value, trusted


class Response(Value):
    """What the answers of all operations have in common: what middleware reads and annotates.

    Attributes:
        model: the model that answered, as the provider names it.
        request_id: the provider's id of the request, for its support.
        provider: the name of the provider that answered.
        complete: False when an answer was left, cancelled or cut before its end.
        cached: True when a cache answered in place of the provider.
        cost: filled by a cost plugin; None without one.
        warnings: what was bent on the way, in sentences.
        raw: the provider's own JSON: an object, or the list of them where several came.
    """

    model_config = ConfigDict(extra="forbid")
    _not_compared: ClassVar[frozenset[str]] = frozenset({"content"})

    model: str | None = None
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

    @cached_property
    def raw(self) -> Any:
        """The provider's own JSON, parsed when first asked for; None when there is none."""
        from qonduit.sse import decode_events  # noqa: PLC0415  # only who asks for raw pays for it

        body = b"".join(self.content)
        if not body:
            return None
        if body.lstrip()[:1] in (b"{", b"["):
            try:
                return _raw(body)
            except ValueError:  # several answers, where the request was cut
                return [_raw(part) for part in self.content]
        return [_raw(event.data) for event in decode_events(body) if event.data[:1] == b"{"]

    def __eq__(self, other: object) -> bool:
        """Equal when every field is, but for the bytes of `raw` and what `parsed` reads with."""
        if type(self) is not type(other):
            return False
        mine, others = self.__dict__, other.__dict__
        return all(mine[name] == others[name] for name in type(self).model_fields if name not in self._not_compared)

    __hash__ = None

    def replace(self, **changes: Any) -> Self:
        """A copy with `changes`, checked like a new one. Raises: pydantic.ValidationError."""
        for name, value in changes.items():
            if value.__class__ is not _OWN.get(name):
                fields = {name: self.__dict__[name] for name in type(self).model_fields}
                return type(self).model_validate({**fields, **changes})
        # Of the very types: there is nothing to check.
        return trusted(type(self), {**self.__dict__, **changes}, {*self.__pydantic_fields_set__, *changes})


_OWN = {"complete": bool, "cached": bool, "cost": Cost, "warnings": tuple, "request_id": str}
"""Fields that layers annotate, with the types that need no checking."""


class Choice(FiniteValue):
    """One of the answers. `finish_reason`: "stop", "length", "tool_calls", "content_filter", or the provider's word."""

    index: int = 0
    message: Message
    finish_reason: str | None = None
    logprobs: dict[str, Finite] | None = None


class ChatResponse(Response):
    """A whole answer, plain or put together from a stream.

    Attributes:
        created: the provider's time, in unix seconds.
        search: what was found where the model searched the web; None where it did not, or the wire does not say.
        parsed: the first choice's text in the type of `response_format`.
    """

    _not_compared: ClassVar[frozenset[str]] = frozenset({"content", "response_format"})

    id: str | None = None
    created: int | None = None
    choices: tuple[Choice, ...] = ()
    search: Search | None = None
    response_format: Any = Field(default=None, repr=False, exclude=True)
    """What the caller gave as `response_format`; `parsed` reads the answer by it."""

    @property
    def text(self) -> str:
        """The text of the first choice; "" when it has none."""
        return self.choices[0].message.text if self.choices else ""

    @property
    def parsed(self) -> Any:
        """The first choice's text in the type that was asked for by `response_format`.

        A value of that type where a type was given, plain JSON data where a schema or "json_object" was; None where
        nothing of the kind was asked for, or the model called tools instead. The text itself is always in `text`.

        Raises: ProtocolError when the text does not fit; it says where, and whether the answer was cut.
        """
        if self.response_format is None or not self.text:
            return None
        return _parse(self)


def _raw(data: bytes) -> Any:
    """The provider's JSON as it came; halves of surrogate pairs replaced, as they are in the answer."""
    from pydantic_core import from_json  # noqa: PLC0415  # only who asks for raw pays for it

    try:
        return from_json(data)
    except ValueError:
        return parse(data).value


def _parse(response: ChatResponse) -> Any:
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415  # only who asks for it pays for it

    wanted = response.response_format
    if isinstance(wanted, Mapping) and wanted.get("type") == "text":
        return None
    try:
        found, _ = parse(response.text.encode())
        return found if isinstance(wanted, Mapping) else TypeAdapter(wanted).validate_json(response.text)
    except ValidationError as error:
        mistakes = error.errors(include_url=False, include_input=False)
        place = ".".join(map(str, mistakes[0]["loc"]))
        what = f"{place + ': ' if place else ''}{mistakes[0]['msg']}"
    except ValueError as error:
        what = str(error)
    cut = response.choices[0].finish_reason == "length" or not response.complete
    raise ProtocolError(
        f"The answer does not fit the response_format ({what}). "
        + (
            "It was cut: raise max_tokens." if cut else "The text is in 'text'; ask again, or describe the form better."
        ),
        provider=response.provider,
        model=response.model,
        status_code=response.status_code,
        request_id=response.request_id,
        outcome="rejected",
    )
