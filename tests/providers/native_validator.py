"""What a native generation request may say: a strict reading of the wire, which every body has to pass.

Source: https://help.aliyun.com/zh/model-studio/qwen-api-via-dashscope (2026-02); for what the server refuses
https://help.aliyun.com/zh/model-studio/error-code (2026-05-25); for shapes Alibaba's SDK, dashscope 2.0.2.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from qonduit import WireRequest

TEXT_PATH = "/services/aigc/text-generation/generation"
MULTIMODAL_PATH = "/services/aigc/multimodal-generation/generation"
MAX_DATA_URL = 10 * 1024 * 1024
HEADERS = {
    "content-type",
    "accept",
    "x-dashscope-sse",
    "x-dashscope-workspace",
    "x-dashscope-ossresourceresolve",
    "x-dashscope-datainspection",
    "x-dashscope-wait-timeout",
}


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


def _url(url: str) -> str:
    assert re.match(r"(https?|oss)://|data:[a-z]+/", url), f"no URL that the server can read: {url[:30]}"
    assert not url.startswith("data:") or len(url) <= MAX_DATA_URL
    return url


def _tool_name(name: str) -> str:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name)
    assert name != "search"
    return name


Url = Annotated[str, AfterValidator(_url)]
ToolName = Annotated[str, AfterValidator(_tool_name)]


class FunctionCall(Strict):
    name: str
    arguments: str


class ToolCall(Strict):
    id: str | None = None
    type: Literal["function"]
    function: FunctionCall
    index: int | None = None


class Said(Strict):
    role: Literal["system", "user", "assistant", "tool"]
    reasoning_content: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(min_length=1)] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    partial: bool | None = None

    @model_validator(mode="after")
    def _roles(self) -> Said:
        assert self.tool_calls is None or self.role == "assistant"
        assert (self.tool_call_id is not None) == (self.role == "tool")
        assert self.partial is None or self.role == "assistant"
        return self


class TextMessage(Said):
    content: str


class CacheControl(Strict):
    type: Literal["ephemeral"]


class Part(Strict):
    cache_control: CacheControl | None = None


class TextPart(Part):
    text: str


class ImagePart(Part):
    image: Url
    min_pixels: int | None = None
    max_pixels: int | None = None


class VideoPart(Part):
    video: Url | Annotated[list[Url], Field(min_length=1)]
    fps: Annotated[float, Field(ge=0.1, le=10, strict=False)] | None = None
    max_frames: int | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    total_pixels: int | None = None


class AudioPart(Part):
    audio: Url


class PartsMessage(Said):
    content: list[TextPart | ImagePart | VideoPart | AudioPart]


def _history(messages: list[Any]) -> list[Any]:
    assert any(message.role == "user" for message in messages)
    assert all(message.partial is None for message in messages[:-1])
    open_calls: set[str | None] = set()
    for message in messages:
        if message.role == "tool":
            assert message.tool_call_id in open_calls, "a tool's message must answer a call before it"
        elif message.tool_calls:
            open_calls = {call.id for call in message.tool_calls}
        else:
            open_calls = set()
    return messages


class Function(Strict):
    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Strict):
    type: Literal["function"]
    function: Function


class ChosenFunction(Strict):
    name: ToolName


class Choice(Strict):
    type: Literal["function"]
    function: ChosenFunction


class SearchOptions(Strict):
    enable_source: bool | None = None
    enable_citation: bool | None = None
    citation_format: Literal["[<number>]", "[ref_<number>]"] | None = None
    forced_search: bool | None = None
    search_strategy: Literal["turbo", "max", "agent", "agent_max", "standard", "pro"] | None = None
    prepend_search_result: bool | None = None
    enable_search_extension: bool | None = None
    freshness: Literal[7, 30, 180, 365] | None = None
    assigned_site_list: list[str] | None = None
    intention_options: dict[str, str] | None = None


class NamedSchema(Strict):
    name: str
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class PlainFormat(Strict):
    type: Literal["text", "json_object"]


class SchemaFormat(Strict):
    type: Literal["json_schema"]
    json_schema: NamedSchema


Number = Annotated[float, Field(strict=False)]


class Parameters(Strict):
    result_format: Literal["message"]
    incremental_output: bool
    temperature: Annotated[Number, Field(ge=0, lt=2)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    repetition_penalty: Annotated[Number, Field(gt=0)] | None = None
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    max_input_tokens: Annotated[int, Field(ge=1)] | None = None
    thinking_budget: Annotated[int, Field(ge=1)] | None = None
    enable_thinking: bool | None = None
    reasoning_effort: str | None = None
    preserve_thinking: bool | None = None
    enable_search: bool | None = None
    search_options: SearchOptions | None = None
    enable_text_image_mixed: bool | None = None
    enable_code_interpreter: bool | None = None
    tools: Annotated[list[Tool], Field(min_length=1)] | None = None
    tool_choice: Literal["auto", "none", "required"] | Choice | None = None
    parallel_tool_calls: bool | None = None
    tool_stream: bool | None = None
    response_format: PlainFormat | SchemaFormat | None = None
    n: Annotated[int, Field(ge=1, le=4)] | None = None
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None
    stop: str | list[str] | list[int] | list[list[int]] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    logit_bias: dict[str, float] | None = None
    vl_high_resolution_images: bool | None = None
    vl_enable_image_hw_output: bool | None = None
    ocr_options: dict[str, Any] | None = None
    translation_options: dict[str, Any] | None = None
    audio: dict[str, Any] | None = None
    modalities: list[str] | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_nulls(cls, given: Any) -> Any:
        assert None not in given.values(), "what is not set is left out, not sent as null"
        return given


class TextInput(Strict):
    messages: Annotated[list[TextMessage], AfterValidator(_history)]


class PartsInput(Strict):
    messages: Annotated[list[PartsMessage], AfterValidator(_history)]


class TextBody(Strict):
    model: Annotated[str, Field(min_length=1)]
    input: TextInput
    parameters: Parameters


class PartsBody(TextBody):
    input: PartsInput  # type: ignore[assignment]  # the other path's


def check_generation(wire: WireRequest) -> None:
    """Hold a generation request to the wire. Raises: ValidationError, AssertionError that say what is wrong."""
    path = TEXT_PATH if wire.url.endswith(TEXT_PATH) else MULTIMODAL_PATH
    assert wire.method == "POST"
    assert wire.url.endswith(path)
    body = json.loads(wire.content)
    TypeAdapter(TextBody if path == TEXT_PATH else PartsBody).validate_python(body)
    check_headers(wire)
    said = json.dumps(body["input"], ensure_ascii=False).lower()
    parameters = body["parameters"]
    assert parameters["incremental_output"] is wire.stream
    if parameters.get("response_format") == {"type": "json_object"}:
        assert "json" in said, "without the word the server refuses JSON mode"
    assert (wire.headers.get("x-dashscope-ossresourceresolve") == "enable") == ('"oss://' in said)


def check_headers(wire: WireRequest) -> None:
    """Both headers of a stream on a streamed request, neither on a plain one; nothing that is not known."""
    asked = {name: wire.headers.get(name) for name in ("accept", "x-dashscope-sse")}
    streamed = {"accept": "text/event-stream", "x-dashscope-sse": "enable"}
    assert asked == (streamed if wire.stream else dict.fromkeys(streamed))
    assert wire.headers["content-type"] == "application/json"
    assert set(wire.headers) <= HEADERS
