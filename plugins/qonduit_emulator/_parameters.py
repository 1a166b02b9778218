"""Parse the parameters that both wires name alike: types here, ranges in the gate."""

from __future__ import annotations

from typing import Any

from qonduit_emulator._exchange import Parameters, ResponseFormat, Search, Tool, ToolChoice
from qonduit_emulator._fields import (
    Fields,
    read_flag,
    read_integer,
    read_list,
    read_number,
    read_object,
    read_text,
)
from qonduit_emulator._refusal import Refusal, invalid_parameter, invalid_value


def parse_parameters(fields: Fields) -> Parameters:
    """Read the shared parameters from the object that holds them; unknown ones are ignored.

    Raises:
        Refusal: a parameter has the wrong type or shape.
    """
    n = read_integer(fields, "n")
    return Parameters(
        temperature=read_number(fields, "temperature"),
        top_p=read_number(fields, "top_p"),
        top_k=read_integer(fields, "top_k"),
        repetition_penalty=read_number(fields, "repetition_penalty"),
        presence_penalty=read_number(fields, "presence_penalty"),
        max_tokens=read_integer(fields, "max_tokens"),
        max_completion_tokens=read_integer(fields, "max_completion_tokens"),
        n=1 if n is None else n,
        seed=read_integer(fields, "seed"),
        stop=_parse_stop(fields.get("stop")),
        stop_tokens=_parse_stop_tokens(fields.get("stop")),
        search=_parse_search(fields),
        logprobs=bool(read_flag(fields, "logprobs")),
        top_logprobs=read_integer(fields, "top_logprobs") or 0,
        enable_thinking=read_flag(fields, "enable_thinking"),
        thinking_budget=read_integer(fields, "thinking_budget"),
        tools=_parse_tools(read_list(fields, "tools")),
        tool_choice=_parse_tool_choice(fields.get("tool_choice")),
        parallel_tool_calls=bool(read_flag(fields, "parallel_tool_calls")),
        response_format=_parse_response_format(fields.get("response_format")),
    )


def _parse_stop(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list):
        if all(isinstance(item, str) for item in value):
            return tuple(value)
        if all(_is_token_id(item) for item in value):
            return ()
        if all(isinstance(item, list) and all(map(_is_token_id, item)) for item in value):
            return ()
    raise invalid_parameter(
        'The "stop" parameter must be of type "str", "list[str]", "list[int]", or "list[list[int]]", '
        "and all elements within the list must be of the same type."
    )


def _parse_stop_tokens(value: Any) -> tuple[tuple[int, ...], ...]:
    """The stop sequences given as token ids; call it after `_parse_stop`, which refuses other shapes.

    An array of ids is an array of stop tokens, an array of arrays one of sequences.
    """
    if not isinstance(value, list):
        return ()
    return tuple((item,) if _is_token_id(item) else tuple(item) for item in value if not isinstance(item, str))


def _parse_search(fields: Fields) -> Search | None:
    options = read_object(fields, "search_options") or {}
    if not read_flag(fields, "enable_search"):
        return None
    form = options.get("citation_format", "[<number>]")
    if form not in {"[<number>]", "[ref_<number>]"}:
        raise invalid_parameter("citation_format should be '[<number>]' or '[ref_<number>]'")
    return Search(
        strategy=read_text(options, "search_strategy") or "turbo",
        source=bool(read_flag(options, "enable_source")),
        citation=bool(read_flag(options, "enable_citation")),
        citation_format=form,
        prepend=bool(read_flag(options, "prepend_search_result")),
    )


def _is_token_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _parse_tools(value: list[Any] | None) -> tuple[Tool, ...]:
    if value is None:
        return ()
    if not value:
        raise invalid_parameter("[] is too short - 'tools'")
    return tuple(_parse_tool(item, index) for index, item in enumerate(value))


def _parse_tool(item: Any, index: int) -> Tool:
    function = read_object(item, "function") if isinstance(item, dict) else None
    name = read_text(function, "name") if function else None
    if not function or not name:
        raise invalid_parameter(f"'name' is a required property - 'tools.{index}.function'")
    return Tool(
        name=name,
        description=read_text(function, "description") or "",
        parameters=read_object(function, "parameters") or {},
    )


def _parse_tool_choice(value: Any) -> ToolChoice:
    match value:
        case None | "auto":
            return ToolChoice()
        case "none" | "required":
            return ToolChoice(mode=value)
        case {"type": "function", "function": {"name": str(name)}}:
            return ToolChoice(mode="function", name=name)
        case _:
            raise _wrong_tool_choice()


def _wrong_tool_choice() -> Refusal:
    return invalid_value('tool_choice is one of the strings that should be ["none", "auto"]')


def _parse_response_format(value: Any) -> ResponseFormat:
    match value:
        case None | {"type": "text"}:
            return ResponseFormat()
        case {"type": "json_object"}:
            return ResponseFormat(type="json_object")
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return ResponseFormat(type="json_schema", json_schema=schema)
        case {"type": "json_schema"}:
            raise invalid_value("'schema' is a required property - 'response_format.json_schema'")
        case _:
            given = value.get("type") if isinstance(value, dict) else value
            raise invalid_value(
                "Unknown format of response_format, response_format should be a dict, includes 'type' and an "
                f"optional key 'json_schema'. The response_format type from user is {given}."
            )
