"""The request builder of the native wire.

Source: https://help.aliyun.com/zh/model-studio/qwen-api-via-dashscope (2026-02) and Alibaba's SDK, dashscope 2.0.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from qonduit.errors import BadRequestError
from qonduit.messages import ContentPart, Message
from qonduit.profile import Profile
from qonduit.request import ChatRequest
from qonduit.wire import WireRequest
from qonduit_dashscope.paths import MULTIMODAL, TEXT, path_of

PARAMETERS = (
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "seed",
    "n",
    "logprobs",
    "top_logprobs",
    "presence_penalty",
    "repetition_penalty",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
)
"""The fields of a `ChatRequest` that the native wire has under the same name."""

UNSUPPORTED = ("frequency_penalty", "user")
_TOP_LEVEL = ("model", "input", "parameters")
_PART_NAMES = {"image_url": "image", "video_url": "video", "input_audio": "audio", "video": "video"}


class NativeBuilder:
    """Turns a `ChatRequest` into a native generation request. See `qonduit.parts.RequestBuilder`."""

    def __init__(self, profile: Profile) -> None:
        self._base_url = profile.base_url
        self._unsupported = profile.unsupported
        headers = {"content-type": "application/json"}
        if profile.workspace:
            headers["x-dashscope-workspace"] = profile.workspace
        self._plain = headers
        # Either of the two headers asks for a stream; a gateway may strip one.
        self._streamed = {**headers, "accept": "text/event-stream", "x-dashscope-sse": "enable"}

    def build(self, request: ChatRequest) -> WireRequest:
        """The request on the path that the model is bound to, as far as that is known."""
        refused = unsupported(request)
        if refused and self._unsupported == "error":
            raise BadRequestError(
                f"The request was not sent: provider 'dashscope' takes no {', '.join(refused)}. "
                'Leave it out, or set unsupported = "warn" in the profile.'
            )
        path = path_of(request.model or "", parts=any(map(_has_media, request.messages)))
        body: dict[str, Any] = {
            "model": request.model,
            "input": {"messages": messages_for(path, request.messages)},
            "parameters": _parameters(request),
        }
        for name, value in (request.extra_body or {}).items():
            if name in _TOP_LEVEL and isinstance(value, Mapping):
                body[name] = {**body[name], **value}
            elif name in _TOP_LEVEL:
                body[name] = value
            else:
                body["parameters"][name] = value
        headers: Mapping[str, str] = self._streamed if request.stream else self._plain
        if request.extra_headers:
            headers = {**headers, **{name.lower(): value for name, value in request.extra_headers.items()}}
        return WireRequest("POST", self._base_url + path, headers, to_json(body), request.stream, request.operation)


def unsupported(request: ChatRequest) -> list[str]:
    """The fields of `request` that the native wire cannot take."""
    names = [name for name in UNSUPPORTED if getattr(request, name) is not None]
    parts = [part for message in request.messages if isinstance(message.content, tuple) for part in message.content]
    if not parts:
        return names
    if any(part.get("cache_control") for part in parts):
        media = any(map(_has_media, request.messages))
        if path_of(request.model or "", parts=media) == TEXT:
            names.append("cache_control of a text model")  # its content is a string: a mark has no place
    pictures = [part["image_url"] for part in parts if isinstance(part.get("image_url"), Mapping)]
    if any(picture.get("detail") not in {None, "auto"} for picture in pictures):
        names.append("detail of a picture")
    return names


def cumulative(request: ChatRequest) -> bool:
    """Whether the caller asked for chunks that repeat everything so far."""
    extra = request.extra_body or {}
    parameters = extra.get("parameters")
    asked = extra.get(
        "incremental_output", parameters.get("incremental_output") if isinstance(parameters, dict) else None
    )
    return asked is False


def _parameters(request: ChatRequest) -> dict[str, Any]:
    # Both are always said: their defaults differ from model to model.
    parameters: dict[str, Any] = {"result_format": "message", "incremental_output": request.stream}
    for name in PARAMETERS:
        value = getattr(request, name)
        if value is not None and value != ():
            parameters[name] = value
    reasoning = request.reasoning
    if reasoning is not None:
        if reasoning.enabled is not None:
            parameters["enable_thinking"] = reasoning.enabled
        if reasoning.budget is not None:
            parameters["thinking_budget"] = reasoning.budget
        if reasoning.effort is not None:
            parameters["reasoning_effort"] = reasoning.effort
    if request.search is not None:
        parameters["enable_search"] = bool(request.search) or isinstance(request.search, dict)
        if isinstance(request.search, dict):
            parameters["search_options"] = request.search
    return parameters


def messages_for(path: str, messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages as `path` wants them: text on the text path, lists of one-key parts on the multimodal one."""
    multimodal = path == MULTIMODAL
    return [_message(message, multimodal=multimodal) for message in messages]


def _message(message: Message, *, multimodal: bool) -> dict[str, Any]:
    fields = message.model_dump(exclude_none=True, exclude={"content"})
    if not message.tool_calls:
        fields.pop("tool_calls", None)  # an empty list is refused
    content = message.content
    if not multimodal:
        fields["content"] = message.text
    elif isinstance(content, tuple):
        fields["content"] = [_part(part) for part in content]
    else:
        fields["content"] = [{"text": content or ""}]
    return fields


def _has_media(message: Message) -> bool:
    return isinstance(message.content, tuple) and any(part.get("type", "text") != "text" for part in message.content)


def _part(part: ContentPart) -> dict[str, Any]:
    """One of OpenAI's parts as a native one: one key for the kind, no `type`; siblings are kept."""
    kind = part.get("type")
    if kind is None:  # already a native part
        return part
    if kind == "text":
        return {name: value for name, value in part.items() if name != "type"}
    name = _PART_NAMES.get(kind)
    if name is None or kind not in part:
        raise BadRequestError(
            f"The request was not sent: messages: provider 'dashscope' knows no part of type {kind!r}; "
            f"known: text, {', '.join(sorted(_PART_NAMES))}."
        )
    value = part[kind]
    siblings = {key: item for key, item in part.items() if key not in {"type", kind}}
    if isinstance(value, Mapping):
        siblings |= {key: item for key, item in value.items() if key not in {"url", "data", "format", "detail"}}
        value = value.get("url") or _audio_url(value)
    return {name: value, **siblings}


def _audio_url(audio: Mapping[str, Any]) -> Any:
    """Sound as this wire takes it, by URL: bare base64, OpenAI's form, becomes a data URL."""
    data, form = audio.get("data"), audio.get("format")
    if isinstance(data, str) and form and not data.startswith(("http:", "https:", "data:", "oss:")):
        return f"data:audio/{form};base64,{data}"
    return data
