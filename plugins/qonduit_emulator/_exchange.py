"""The values that pass between the wires, the gate and the backend.

They belong to neither wire: a wire reads bytes into a `ChatRequest` and frames `Delta` values back into
bytes, and a backend sees nothing else. So a backend answers both wires alike, and a wire never learns who
answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
GenerationPath = Literal["text", "multimodal"]
FinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of text in a message; `cache_mark` asks to keep everything up to its end in the cache."""

    text: str
    cache_mark: bool = False


@dataclass(frozen=True, slots=True)
class MediaPart:
    """A picture, film or sound in a message, by its URL (`https:`, `data:` or `oss:`)."""

    kind: Literal["image", "video", "audio"]
    url: str
    cache_mark: bool = False


Part = TextPart | MediaPart


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call in an assistant's turn; `arguments` is the JSON text as it was sent."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the conversation; `partial` marks a last turn that the answer has to go on with."""

    role: Role
    parts: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    partial: bool = False

    @property
    def text(self) -> str:
        """The text of all text parts, joined; empty when there is none."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def media(self) -> tuple[MediaPart, ...]:
        """The parts that are not text, in their order."""
        return tuple(part for part in self.parts if isinstance(part, MediaPart))


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call; `parameters` is its JSON Schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """How tools may be used; `name` is set only for `function`, which forces that one."""

    mode: Literal["auto", "none", "required", "function"] = "auto"
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """The form of the answer's text; `json_schema` is set only for that type."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A web search before the answer: what of it the answer shows, and how."""

    strategy: str = "turbo"
    source: bool = False
    citation: bool = False
    citation_format: Literal["[<number>]", "[ref_<number>]"] = "[<number>]"
    prepend: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """The parameters both wires name alike. `None`: the caller did not say.

    Stop sequences are strings in `stop`, or token ids in `stop_tokens`. `search` is `None` without one.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int = 1
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stop_tokens: tuple[tuple[int, ...], ...] = ()
    search: Search | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    enable_thinking: bool | None = None
    thinking_budget: int | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = False
    response_format: ResponseFormat = ResponseFormat()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A request as its wire gave it.

    `path`, `result_format` and `incremental_output` exist on the native wire only, `include_usage` on the
    compatible one only. `thinking` is false until the gate has found the model: then it is what the caller
    and the model's default together decide. `caller` is who pays, empty until the gate knows: a cache of
    prompts belongs to one.
    """

    model: str
    messages: tuple[Message, ...]
    parameters: Parameters
    stream: bool = False
    thinking: bool = False
    path: GenerationPath | None = None
    result_format: Literal["text", "message"] | None = None
    incremental_output: bool | None = None
    include_usage: bool = False
    caller: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens counted so far.

    `output_tokens` includes `reasoning_tokens`; `input_tokens` includes `image_tokens`, `cached_tokens` and
    `cache_creation_tokens`. `reasoning_tokens` is `None` without thinking, `image_tokens` is `None` without
    media, `cache_creation_tokens` is `None` without a cache mark in the request. `searches` counts web
    searches.
    """

    input_tokens: int
    output_tokens: int = 0
    reasoning_tokens: int | None = None
    image_tokens: int | None = None
    cached_tokens: int = 0
    cache_creation_tokens: int | None = None
    searches: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of one choice (from 0); `tokens` are its tokens when log probabilities were asked for."""

    choice: int
    text: str
    usage: Usage
    tokens: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More reasoning of one choice."""

    choice: int
    text: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A fragment of tool call `index` (from 0); only a call's first fragment has `id` and `name`."""

    choice: int
    index: int
    arguments: str
    usage: Usage
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class FinishDelta:
    """The end of one choice."""

    choice: int
    reason: FinishReason
    usage: Usage


@dataclass(frozen=True, slots=True)
class SearchResult:
    """One page a web search found; `index` counts from 1."""

    index: int
    title: str
    url: str
    site_name: str
    icon: str


@dataclass(frozen=True, slots=True)
class SearchDelta:
    """What a web search found; comes at most once, before everything else."""

    choice: int
    results: tuple[SearchResult, ...]
    usage: Usage


Delta = TextDelta | ReasoningDelta | ToolCallDelta | FinishDelta | SearchDelta
"""What a backend yields. Each carries the usage of the whole request up to and including itself."""
