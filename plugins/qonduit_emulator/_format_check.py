"""The first stage of the gate: what can be judged from the request alone.

Source: https://help.aliyun.com/zh/model-studio/error-code (2026-05-25), list of messages under 400
InvalidParameter.
"""

from __future__ import annotations

import re

from qonduit_emulator._exchange import ChatRequest, Message, Parameters
from qonduit_emulator._gate import Call, Stage
from qonduit_emulator._refusal import Refusal, invalid_parameter, invalid_value

MAX_SEED_NATIVE = 2**63 - 1
MAX_SEED_COMPATIBLE = 2**31 - 1
MAX_N = 4
MAX_TOP_LOGPROBS = 5
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_URL = re.compile(r"(https?|oss)://\S+|data:([\w.+-]+/[\w.+-]+)?;base64,[A-Za-z0-9+/_=-]*", re.ASCII)
"""Data without a media type is how films and sounds are sent to an omni model.

Source: https://help.aliyun.com/zh/model-studio/qwen-omni (2026-05-26).
"""


class FormatCheck:
    """Ranges of parameters, order of turns, names of tools, URLs of media."""

    stage = Stage.FORMAT

    def check(self, call: Call) -> None:
        """Refuse the first thing that is out of its range."""
        if call.request is None:
            return
        _check_messages(call.request.messages)
        _check_sampling(call.request.parameters)
        _check_seed(call.request.parameters.seed, native=call.wire == "native")
        _check_tools(call.request.parameters)
        _check_json_mode(call.request)


def _check_messages(messages: tuple[Message, ...]) -> None:
    calls_open = False
    for message in messages:
        if message.role == "tool" and not calls_open:
            raise invalid_value(
                'messages with role "tool" must be a response to a preceeding message with "tool_calls".'
            )
        if message.role != "tool":
            calls_open = bool(message.tool_calls)
        for part in message.media:
            if not _URL.fullmatch(part.url):
                raise invalid_value("The provided URL does not appear to be valid. Ensure it is correctly formatted.")
    if not any(message.role == "user" for message in messages):
        raise invalid_value("The input messages do not contain elements with the role of user.")


def _check_sampling(given: Parameters) -> None:
    budget = given.thinking_budget
    rules: tuple[tuple[bool, str], ...] = (
        (given.temperature is None or 0 <= given.temperature < 2, "Temperature should be in [0.0, 2.0)"),
        (given.top_p is None or 0 < given.top_p <= 1, "Range of top_p should be (0.0, 1.0]"),
        (given.top_k is None or given.top_k >= 0, "Parameter top_k be greater than or equal to 0"),
        (
            given.repetition_penalty is None or given.repetition_penalty > 0,
            "Repetition_penalty should be greater than 0.0",
        ),
        (
            given.presence_penalty is None or -2 <= given.presence_penalty <= 2,
            "Presence_penalty should be in [-2.0, 2.0]",
        ),
        (1 <= given.n <= MAX_N, f"Range of n should be [1, {MAX_N}]"),
        (given.n == 1 or not given.tools, "Range of n should be [1, 1]"),
        (
            0 <= given.top_logprobs <= MAX_TOP_LOGPROBS,
            f"Range of top_logprobs should be [0, {MAX_TOP_LOGPROBS}]",
        ),
        (budget is None or budget > 0, "The thinking_budget parameter must be a positive integer"),
    )
    for holds, message in rules:
        if not holds:
            raise invalid_value(message)


def _check_seed(seed: int | None, *, native: bool) -> None:
    if seed is None:
        return
    if native and not 0 <= seed <= MAX_SEED_NATIVE:
        raise invalid_value(f"Range of seed should be [0, {MAX_SEED_NATIVE}]")
    if not native and seed < 0:
        raise invalid_parameter(f"{seed} is lesser than the minimum of 0 - 'seed'")
    if not native and seed > MAX_SEED_COMPATIBLE:
        raise invalid_parameter(f"{seed} is greater than the maximum of {MAX_SEED_COMPATIBLE} - 'seed'")


def _check_tools(given: Parameters) -> None:
    for tool in given.tools:
        if tool.name == "search":
            raise invalid_value("Tool names are not allowed to be [search]")
        if not _TOOL_NAME.fullmatch(tool.name):
            raise invalid_value("Tool names should be 1 to 64 letters, digits, '_' or '-'")
    choice = given.tool_choice
    if choice.mode == "function" and choice.name not in {tool.name for tool in given.tools}:
        raise invalid_value(f"The function {choice.name} in tool_choice is not in tools")
    if choice.mode == "required" and not given.tools:
        raise _needs_tools()


def _needs_tools() -> Refusal:
    return invalid_value('tool_choice is one of the strings that should be ["none", "auto"]')


def _check_json_mode(request: ChatRequest) -> None:
    if request.parameters.response_format.type != "json_object":
        return
    if not any("json" in message.text.lower() for message in request.messages):
        raise invalid_value(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        )
