"""The last stage of the gate: what depends on the model.

Source: https://help.aliyun.com/zh/model-studio/error-code and .../deep-thinking (2026-05-25).
"""

from __future__ import annotations

from qonduit_emulator import _tokens
from qonduit_emulator._exchange import ChatRequest
from qonduit_emulator._gate import Call, Stage
from qonduit_emulator._models import Catalogue, Model
from qonduit_emulator._refusal import (
    Refusal,
    invalid_parameter,
    invalid_value,
    thinking_unsupported,
    unknown_model,
    wrong_generation_path,
)


class ModelCheck:
    """The model must exist, live on the path that was called, and be able to do what is asked."""

    stage = Stage.MODEL

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def check(self, call: Call) -> None:
        """Refuse an unknown model, the wrong path, and options the model does not have."""
        request = call.request
        if request is None:
            if call.check_model is not None:
                call.check_model()
            return
        model = self._catalogue.get(request.model)
        if model is None or model.kind != "chat":
            raise unknown_model(request.model)
        if request.path is not None and request.path != model.generation_path:
            raise wrong_generation_path()
        _check_stream(request, model)
        _check_thinking(request, model)
        _check_abilities(request, model)
        _check_sizes(request, model)


def _check_stream(request: ChatRequest, model: Model) -> None:
    if request.stream:
        return
    if model.stream_only == "always":
        raise invalid_parameter(
            "current user api does not support http call.",
            compatible_message="This model only support stream mode, please enable the stream parameter to "
            "access the model.",
        )
    if model.stream_only == "thinking" and model.thinks(request.parameters.enable_thinking):
        raise invalid_parameter("parameter.enable_thinking must be set to false for non-streaming calls")


def _check_thinking(request: ChatRequest, model: Model) -> None:
    given = request.parameters
    if given.enable_thinking and model.thinking == "off":
        raise thinking_unsupported(model.name)
    if given.enable_thinking is False and model.thinking == "only":
        raise invalid_value("The value of the enable_thinking parameter is restricted to True.")
    if not model.thinks(given.enable_thinking):
        return
    budget, cap = given.thinking_budget, model.max_thinking
    if budget is not None and cap is not None and budget > cap:
        raise invalid_value(f"The thinking_budget parameter must be a positive integer and not greater than {cap}")
    if given.response_format.type == "json_object":
        raise invalid_value("Json mode response is not supported when enable_thinking is true")
    if given.tool_choice.mode in {"required", "function"}:
        raise invalid_value(
            "The tool_choice parameter does not support being set to required or object in thinking mode"
        )
    if request.path is not None:
        _check_native_thinking(request, model)


def _check_native_thinking(request: ChatRequest, model: Model) -> None:
    incremental = request.incremental_output
    if request.stream and not (model.incremental_output if incremental is None else incremental):
        raise invalid_value('The incremental_output parameter must be "true" when enable_thinking is true')
    if request.path == "text" and (request.result_format or model.result_format) == "text":
        raise invalid_value('The result_format parameter must be "message" when enable_thinking is true')


def _check_abilities(request: ChatRequest, model: Model) -> None:
    if request.parameters.tools and not model.tools:
        raise invalid_value("The tool call is not supported.")
    if not model.vision and any(message.media for message in request.messages):
        raise content_not_text()


def content_not_text() -> Refusal:
    """400: parts where the model takes text only."""
    return invalid_value("input content must be a string.")


def _check_sizes(request: ChatRequest, model: Model) -> None:
    given = request.parameters
    _check_limit("max_tokens", given.max_tokens, model.max_output)
    ceiling = model.max_output
    if ceiling is not None and model.thinking != "off":
        ceiling = None if model.max_thinking is None else ceiling + model.max_thinking
    _check_limit("max_completion_tokens", given.max_completion_tokens, ceiling)
    if model.max_input is not None and _tokens.count_input(request) > model.max_input:
        raise invalid_value(f"Range of input length should be [1, {model.max_input}]")


def _check_limit(name: str, limit: int | None, ceiling: int | None) -> None:
    """Refuse a limit below 1, or above what the model can, where that is known."""
    if limit is None or (limit >= 1 and (ceiling is None or limit <= ceiling)):
        return
    known = f"be [1, {ceiling}]" if ceiling is not None else "start at 1"
    raise invalid_value(f"Range of {name} should {known}")
