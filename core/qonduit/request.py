"""Request: what the requests of all operations have in common; ChatRequest: a chat call, validated once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypedDict

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from qonduit._mistakes import describe_mistakes
from qonduit.errors import BadRequestError
from qonduit.messages import Message
from qonduit.response import ChatResponse, Response
from qonduit.value import Value

if TYPE_CHECKING:
    from qonduit.tools import Tool

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
"""True or false; pydantic would take "yes" and 1 as well."""


class Reasoning(Value):
    """Whether and how much a model thinks before it answers.

    `enabled` switches it, `effort` ("low", "medium", "high", …) and `budget` (tokens) bound it. None leaves the
    provider's default. Given as True, False, an effort, a budget, or a mapping of these; who names an effort or a
    budget wants reasoning, unless `enabled` says otherwise.
    """

    model_config = ConfigDict(extra="forbid")

    enabled: Flag | None = None
    effort: str | None = None
    budget: Annotated[Count, Field(ge=0)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _wanted(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("enabled") is None and (data.get("effort") or data.get("budget")):
            return {**data, "enabled": True}
        return data


def _tool(value: Any) -> Any:
    """A tool as a mapping; one made by `qonduit.tool` knows its own."""
    return getattr(value, "definition", value)


def _format(value: Any) -> Any:
    """A response format as a mapping; of a type, its JSON schema."""
    if value is None or isinstance(value, Mapping):
        return value
    from qonduit.schema import response_format  # noqa: PLC0415  # only who gives a type pays for it

    return response_format(value)


def _reasoning(value: Any) -> Any:
    match value:
        case bool():
            return {"enabled": value}
        case int():
            return {"enabled": True, "budget": value}
        case "off" | "none":
            return {"enabled": False}
        case "on":
            return {"enabled": True}
        case str():
            return {"enabled": True, "effort": value}
        case _:
            return value


class _Hidden:
    """Stands for a value that is not shown."""

    def __init__(self, value: Any) -> None:
        self._text = f"<{len(value)}>" if hasattr(value, "__len__") else "<…>"

    def __repr__(self) -> str:
        return self._text


class Request(Value):
    """What every operation's request has in common: what middleware, auth, retry and transport read of it."""

    model_config = ConfigDict(extra="forbid")

    operation: ClassVar[str]
    response_type: ClassVar[type[Response]]
    needs_model: ClassVar[bool] = True

    model: str | None = None
    stream: Flag = False
    extra_body: dict[str, Any] | None = None
    """Fields passed to the provider untouched, over what qonduit would send."""
    extra_headers: dict[str, str] | None = None
    timeout: Annotated[Number, Field(gt=0)] | None = None
    """Seconds for one attempt; of a stream, for the first event and every gap. Default: the profile's."""
    deadline: Annotated[Number, Field(gt=0)] | None = None
    """Seconds for all of the call: attempts, sleeps and the stream. Default: the profile's."""
    tags: dict[str, str] = Field(default_factory=dict)
    """Labels of the caller's own, for logs and costs; never sent."""

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """What was set, by name; of contents only how much, so that a log of a request holds no prompt."""
        for name in type(self).model_fields:
            if name in self.model_fields_set:
                value = self.__dict__[name]
                shown = name == "model" or value is None or isinstance(value, (bool, int, float))
                yield name, value if shown else _Hidden(value)

    @property
    def wants_usage_chunk(self) -> bool:
        """Whether the caller of a stream asked for a last chunk that carries the usage."""
        return False

    def replace(self, **changes: Any) -> Self:
        """A copy with `changes`, checked like a new one. Raises: BadRequestError."""
        fields = {name: self.__dict__[name] for name in self.model_fields_set}
        return type(self).of({**fields, **changes})

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """A request of `fields`. Raises: BadRequestError that names each wrong one, with `attempts=0`."""
        try:
            return cls.__pydantic_validator__.validate_python(fields)  # type: ignore[no-any-return]  # one of this type
        except ValidationError as error:
            problems = describe_mistakes(error, cls, unknown="what only the provider knows goes into extra_body")
        raise BadRequestError("The request was not sent: " + "; ".join(problems) + ".", outcome="not_sent")


class ChatRequest(Request):
    """A chat call. The fields are OpenAI's where it has them; `top_k`, `repetition_penalty` and `search` are Qwen's.

    A provider that cannot take a parameter warns, refuses or drops it, as the profile's `unsupported` says.
    """

    operation: ClassVar[str] = "chat"
    response_type: ClassVar[type[Response]] = ChatResponse

    messages: tuple[Message, ...] = Field(min_length=1)
    tools: tuple[Annotated[dict[str, Any], BeforeValidator(_tool)], ...] | None = None
    """Tools as OpenAI writes them; `qonduit.tool` makes one of a typed function."""
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: Flag | None = None
    response_format: Annotated[dict[str, Any] | None, BeforeValidator(_format)] = None
    """A mapping as OpenAI writes it, or a pydantic model or another type whose JSON schema the answer is to fit."""
    temperature: Number | None = None
    top_p: Number | None = None
    top_k: Count | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    stop: str | tuple[Any, ...] | None = None
    seed: Count | None = None
    n: Annotated[Count, Field(ge=1)] | None = None
    logprobs: Flag | None = None
    top_logprobs: Count | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None
    repetition_penalty: Number | None = None
    reasoning: Annotated[Reasoning | None, BeforeValidator(_reasoning)] = None
    search: Flag | dict[str, Any] | None = None
    stream_options: dict[str, Any] | None = None
    user: str | None = None

    @property
    def wants_usage_chunk(self) -> bool:
        """Whether the caller asked for a last chunk that carries the usage."""
        return bool(self.stream_options and self.stream_options.get("include_usage"))


class Parameters(TypedDict, total=False):
    """The keyword arguments that every operation takes."""

    extra_body: Mapping[str, Any] | None
    extra_headers: Mapping[str, str] | None
    timeout: float | None
    deadline: float | None
    tags: Mapping[str, str]


class ChatParameters(Parameters, total=False):
    """The keyword arguments of `chat.completions.create`, but for `messages` and `stream`."""

    model: str | None
    tools: Iterable[Mapping[str, Any] | Tool[..., Any]] | None
    tool_choice: str | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    response_format: Mapping[str, Any] | type[Any] | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    max_tokens: int | None
    max_completion_tokens: int | None
    stop: str | Sequence[Any] | None
    seed: int | None
    n: int | None
    logprobs: bool | None
    top_logprobs: int | None
    presence_penalty: float | None
    frequency_penalty: float | None
    repetition_penalty: float | None
    reasoning: Reasoning | bool | int | str | Mapping[str, Any] | None
    search: bool | Mapping[str, Any] | None
    stream_options: Mapping[str, Any] | None
    user: str | None


MessageLike = Message | Mapping[str, Any]
"""What `messages` takes: mappings as OpenAI writes them, or messages of an earlier answer."""

Unsupported = Literal["warn", "error", "drop"]
"""What to do with a parameter that the provider cannot take."""
