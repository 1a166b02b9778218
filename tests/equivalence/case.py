"""Case: one thing that is asked of every provider in every mode, as data; and the words it is said in."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qonduit import Message

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that is asked.

    Attributes:
        request: the arguments of `create`, but for `stream`.
        then: messages of a second call, which follow those of the first and its answer, or a function that makes them
            of the answer; the second outcome is looked at.
        twice: the same call is made once before, so that its prompt is cached.
        rules: what the emulator's model says, as `Rules.set` takes it.
        client: options of the client that differ from the usual.
        expect: fields of the reference.
    """

    name: str
    request: Fields
    then: Sequence[Fields] | Callable[[Message], Sequence[Message]] = ()
    twice: bool = False
    rules: Sequence[Fields] = ()
    client: Fields = field(default_factory=dict)
    expect: Fields = field(default_factory=dict)


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any = None, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def system(content: str) -> dict[str, Any]:
    return {"role": "system", "content": content}


def tool_result(identifier: str, content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": identifier, "content": content}


def call(identifier: str, name: str, arguments: str, **more: Any) -> dict[str, Any]:
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def function(name: str, **properties: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {key: {"type": kind} for key, kind in properties.items()}}
    return {"type": "function", "function": {"name": name, "parameters": {**schema, "required": list(properties)}}}


def described(description: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"城市": {"type": "string", "description": "城市名"}}}
    return {"type": "function", "function": {"name": "weather", "description": description, "parameters": parameters}}


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


def image(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def asking(name: str, content: Any = "Hello", **more: Any) -> Case:
    """A case of one user message; `more` are parameters, but for the fields of `Case`."""
    own = {key: more.pop(key) for key in ("then", "twice", "rules", "client", "expect") if key in more}
    return Case(name=name, request={"messages": [user(content)], **more}, **own)


def talking(name: str, *messages: Fields, **more: Any) -> Case:
    """A case of several messages."""
    case = asking(name, **more)
    return Case(
        name=name,
        request={**case.request, "messages": list(messages)},
        then=case.then,
        twice=case.twice,
        rules=case.rules,
        client=case.client,
        expect=case.expect,
    )


def failing(name: str, error: str, content: Any = "Hello", *, status: int | None = 400, **more: Any) -> Case:
    """A case that ends with an error of the class `error`."""
    return asking(name, content, expect={"error": error, "status": status, **more.pop("expect", {})}, **more)


def unsent(name: str, content: Any = "Hello", **more: Any) -> Case:
    """A case that is refused on this side: nothing is sent, and no attempt is made."""
    expect = {"outcome": "not_sent", "attempts": 0, "sent.count": 0, **more.pop("expect", {})}
    return failing(name, "BadRequestError", content, status=None, expect=expect, **more)


def refused(name: str, code: str, error: str, *, status: int, retryable: bool) -> Case:
    """The emulator refuses the call with the vendor's `code` in the answer's head."""
    expect = {"error": error, "status": status, "retryable": retryable}
    return asking(name, extra_headers={"x-emulator-fault": f"error={code}"}, expect=expect)


PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PIXEL = base64.b64decode(PNG.partition(",")[2])
LINK = "https://example.com/cat.jpg"
WEATHER = function("get_weather", city="string")
TIME = function("get_time", zone="string")
TOOLS = [WEATHER, TIME]
FORCED = {"type": "function", "function": {"name": "get_time"}}
LONG = "All work and no play makes Jack a dull boy. " * 120
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "city",
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
            "required": ["name", "people"],
        },
    },
}
ASKED = [user("What is the weather?"), assistant(None, tool_calls=[call("call_1", "get_weather", '{"city":"北京"}')])]
TWO_CALLS = [
    user("Weather and time?"),
    assistant(
        "", tool_calls=[call("call_1", "get_weather", "{}", index=0), call("call_2", "get_time", '{"zone":"UTC"}')]
    ),
]
