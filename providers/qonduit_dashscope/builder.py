"""The request builder of the native wire.

Source: https://help.aliyun.com/zh/model-studio/qwen-api-via-dashscope (2026-02) and Alibaba's SDK, dashscope 2.0.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qonduit.embeddings import EmbeddingRequest
from qonduit.errors import BadRequestError
from qonduit.model_list import ModelsRequest
from qonduit.profile import Profile
from qonduit.request import ChatRequest, Request
from qonduit.rerank import RerankRequest
from qonduit.token_count import TokenCountRequest
from qonduit.wire import WireRequest
from qonduit_dashscope import embeddings, envelope, models, rerank
from qonduit_dashscope.messages import has_media, lost, native_messages
from qonduit_dashscope.paths import MULTIMODAL, Paths
from qonduit_model_studio import tokenizer
from qonduit_model_studio.options import ModelStudioOptions
from qonduit_model_studio.plan import plan, served_by
from qonduit_model_studio.ranges import check

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

SEED_LIMIT = 2**63 - 1
_PARAMETERS = frozenset(PARAMETERS)


class NativeBuilder:
    """Turns requests into native ones. See `qonduit.parts.RequestBuilder`."""

    def __init__(self, profile: Profile, options: ModelStudioOptions, paths: Paths) -> None:
        self._base_url = profile.base_url
        self._models = profile.models
        self._paths = paths
        self._options = options
        self._plain: Mapping[str, str] = options.headers(profile)
        # Either of the two headers asks for a stream; a gateway may strip one.
        self._streamed = {**self._plain, "accept": "text/event-stream", "x-dashscope-sse": "enable"}

    def build(self, request: Request) -> WireRequest:
        """The request of its operation. Raises: BadRequestError for what the wire cannot say, and for no operation."""
        match request:
            case ChatRequest():
                return self._chat(request)
            case EmbeddingRequest():
                return self._post(request, embeddings.PATH, *embeddings.write(request))
            case RerankRequest():
                return self._post(request, rerank.PATH, *rerank.write(request))
            case ModelsRequest():
                url = self._base_url + models.path(request)
                headers = envelope.with_own(self._plain, request)
                nowhere = ("extra_body",) if request.extra_body else ()
                return WireRequest("GET", url, headers, b"", operation=request.operation, unsupported=nowhere)
            case TokenCountRequest():
                # This wire has it at its own base URL, whatever that ends with.
                root = tokenizer.NATIVE
                model = self._models.get(request.model or "")
                served_by(model, "dashscope")
                wire = tokenizer.build(request, base_url=root, path=root, headers=self._plain)
                warnings = (model.retirement,) if model.retirement else ()
                return replace(wire, url=f"{self._base_url}/tokenizer", warnings=warnings)
        operation = request.operation
        raise BadRequestError(
            f"The request was not sent: provider 'dashscope' has no operation '{operation}'.", outcome="not_sent"
        )

    def _chat(self, request: ChatRequest) -> WireRequest:
        """A generation, on the path that the model is bound to, as far as that is known."""
        check(request, seed_limit=SEED_LIMIT)
        model = self._models.get(request.model or "")
        planned = plan(request, model, provider="dashscope", search_results=True)
        messages = planned.messages
        path = self._paths.of(model)
        headers: Mapping[str, str] = self._streamed if planned.stream else self._plain
        unsupported = planned.unsupported
        for message in messages:
            if message.content.__class__ is tuple:
                if has_media(messages):
                    path = MULTIMODAL
                unsupported += lost(messages, multimodal=path == MULTIMODAL)
                headers = {**headers, **self._options.resource_headers(messages)}
                break
        # Both are always said: their defaults differ from model to model.
        parameters: dict[str, Any] = {"result_format": "message", "incremental_output": planned.stream}
        given = request.__pydantic_fields_set__ & _PARAMETERS
        if given:
            given -= planned.left_out
            for name in PARAMETERS:
                if name in given and (value := getattr(request, name)) is not None and value != ():
                    parameters[name] = value
        parameters.update(planned.fields)
        content = {"messages": native_messages(messages, multimodal=path == MULTIMODAL)}
        return WireRequest(
            "POST",
            self._base_url + path,
            envelope.with_own(headers, request),
            envelope.write(request, content, parameters),
            planned.stream,
            request.operation,
            unsupported,
            planned.warnings,
        )

    def _post(self, request: Request, path: str, content: dict[str, Any], parameters: dict[str, Any]) -> WireRequest:
        model = self._models.get(request.model or "")
        served_by(model, "dashscope")
        return envelope.wire_request(request, model, self._base_url + path, self._plain, content, parameters)
