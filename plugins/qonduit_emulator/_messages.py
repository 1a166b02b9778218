"""Parse the conversation. Turns are alike on both wires; only the form of `content` is a wire's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from qonduit_emulator._exchange import Message, Part, Role, ToolCall
from qonduit_emulator._fields import Fields, read_flag, read_list, read_text
from qonduit_emulator._refusal import Refusal, invalid_parameter

ROLES = get_args(Role)

ContentParser = Callable[[Any], tuple[Part, ...]]
"""Reads a `content` that is present into parts."""


def parse_messages(value: Any, parse_content: ContentParser) -> tuple[Message, ...]:
    """Read the array of messages.

    Raises:
        Refusal: not an array, empty, or a turn of the wrong shape.
    """
    if not isinstance(value, list):
        raise invalid_parameter("'messages' must be Array")
    if not value:
        raise invalid_parameter("[] is too short", compatible_message="[] is too short - 'messages'")
    return tuple(_parse_message(item, index, parse_content) for index, item in enumerate(value))


def _parse_message(item: Any, index: int, parse_content: ContentParser) -> Message:
    if not isinstance(item, dict):
        raise invalid_parameter("Input should be a valid dictionary or instance of GPT3Message")
    role: Role | None = item.get("role")
    if role is None or role not in ROLES:
        raise unknown_role(role, index)
    tool_calls = _parse_tool_calls(read_list(item, "tool_calls"))
    content = item.get("content")
    if content is None and not tool_calls:
        raise invalid_parameter("The content field is a required field.")
    return Message(
        role=role,
        parts=() if content is None else parse_content(content),
        tool_calls=tool_calls,
        tool_call_id=read_text(item, "tool_call_id"),
        partial=bool(read_flag(item, "partial")),
    )


def unknown_role(role: Any, index: int) -> Refusal:
    """400: a role that is not one of the four.

    Source: native: captured traffic, 2024-02-26; compatible: public issue threads quoting it, seen 2026-11.
    """
    return invalid_parameter(
        "Role must be user or assistant and Content length must be greater than 0",
        compatible_message=f"{role!r} is not one of {list(ROLES)} - 'messages.['{index}'].role'",
    )


def read_cache_mark(item: Any) -> bool:
    """Whether a content part has `cache_control`.

    Raises:
        Refusal: it has another type than `ephemeral`, the only one.
    """
    match item:
        case {"cache_control": {"type": "ephemeral"}}:
            return True
        case {"cache_control": marked} if marked is not None:
            raise invalid_parameter("cache_control should be {'type': 'ephemeral'}")
        case _:
            return False


def _parse_tool_calls(value: list[Any] | None) -> tuple[ToolCall, ...]:
    if value is None:
        return ()
    if not value:
        raise invalid_parameter("Empty tool_calls is not supported in message")
    return tuple(_parse_tool_call(item) for item in value)


def _parse_tool_call(item: Any) -> ToolCall:
    function: Fields | None = item.get("function") if isinstance(item, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise invalid_parameter("'function' with a 'name' is a required property - 'messages.tool_calls'")
    return ToolCall(
        id=read_text(item, "id") or "",
        name=function["name"],
        arguments=read_text(function, "arguments") or "",
    )
