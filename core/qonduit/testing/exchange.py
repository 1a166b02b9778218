"""Exchanges: what a provider's server says, in the bytes of its wire, and what must be read of it.

    Answer("plain", b'{"choices": …}', expect={"text": "你好", "finish_reason": "stop", "usage": (5, 2)})

The author of a provider writes them from recorded traffic. An answer and a stream of the same name mean the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, TypedDict

from pydantic_core import from_json

from qonduit.errors import APIError
from qonduit.parts import Resend
from qonduit.request import Request
from qonduit.testing.case import hold, hold_known


class Expected(TypedDict, total=False):
    """What must be read of an answer. What is left out is not looked at.

    `usage` is the pair of input and output tokens, None where the provider does not say. A tool call is the pair of its
    name and its arguments as JSON data. `texts` are those of all choices, `search` the URLs of what was found,
    `ranking` the indices of a rerank, `models` the ids of a list, `input_tokens` what a token count says.
    """

    text: str
    texts: Sequence[str]
    reasoning: str | None
    tool_calls: Sequence[tuple[str, Any]]
    finish_reason: str | None
    usage: tuple[int | None, int | None] | None
    search: Sequence[str]
    model: str | None
    request_id: str | None
    complete: bool
    vectors: Sequence[Sequence[float]]
    ranking: Sequence[int]
    models: Sequence[str]
    input_tokens: int


def _tool_calls(response: Any) -> list[tuple[str, Any]]:
    calls = []
    for call in (response.choices[0].message.tool_calls or ()) if response.choices else ():
        arguments: Any = call.function.arguments
        with contextlib.suppress(ValueError):
            arguments = from_json(arguments)
        calls.append((call.function.name, arguments))
    return calls


READERS: Mapping[str, Callable[[Any], Any]] = {
    "text": lambda response: response.text,
    "texts": lambda response: [choice.message.text for choice in response.choices],
    "reasoning": lambda response: response.choices[0].message.reasoning_content if response.choices else None,
    "tool_calls": _tool_calls,
    "finish_reason": lambda response: response.choices[0].finish_reason if response.choices else None,
    "usage": lambda response: response.usage and (response.usage.input_tokens, response.usage.output_tokens),
    "search": lambda response: [result.url for result in response.search.results] if response.search else [],
    "model": lambda response: response.model,
    "request_id": lambda response: response.request_id,
    "complete": lambda response: response.complete,
    "vectors": lambda response: [item.embedding for item in response.data],
    "ranking": lambda response: [result.index for result in response.results],
    "models": lambda response: [item.id for item in response.data],
    "input_tokens": lambda response: response.input_tokens,
}
"""How each word of `Expected` is read of a response."""
SAID = ("text", "texts", "reasoning", "tool_calls", "finish_reason")
"""The words of what a model said: an answer that lacks a part of them is not whole."""


def hold_expected(response: Any, expected: Expected, what: str) -> None:
    """Hold that `response` says what is `expected`. Raises: AssertionError that names each difference."""
    differences = []
    for name, wanted in expected.items():
        got = READERS[name](response)
        if _plain(got) != _plain(wanted):
            differences.append(f"{name} is {got!r}, expected {wanted!r}")
    hold(not differences, f"{what}: {'; '.join(differences)}.")


def _plain(value: Any) -> Any:
    return list(map(_plain, value)) if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class Answer:
    """A whole answer.

    Attributes:
        name: what it shows; a stream of the same name means the same.
        content: the body, as it comes over the wire.
        expect: what must be read of it.
        request: what it answers: fields of a `ChatRequest` over the suite's own, or a request of another operation.
        headers: headers of the answer, over its content type.
    """

    name: str
    content: bytes
    _: KW_ONLY
    expect: Expected
    request: Request | Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        hold_known(f"{type(self).__name__} '{self.name}', expect", self.expect, READERS)


class StreamedAnswer(Answer):
    """A streamed answer; `content` is all of the stream. Events that are server-sent are cut and mixed with comments.

    Its content type is "text/event-stream" where `headers` do not say another.
    """


@dataclass(frozen=True)
class Refusal:
    """An answer that is an error.

    Attributes:
        name: what it shows.
        status: the HTTP status. Below 300 the error stands in an answer's place, as some servers have it.
        content: the body.
        error: the class that the error must have; `Resend` where the provider asks once more in another way.
        retryable: what the error must say of it; None: not looked at.
        code: the provider's own code that must be on the error; None: not looked at.
        in_stream: whether it is an event of a stream: `content` is then all of the stream, and `status` what the error
            must have as its `status_code`, or None.
        request: what it answers, as `Answer` has it.
        headers: headers of the answer, over its content type.
    """

    name: str
    status: int | None
    content: bytes
    _: KW_ONLY
    error: type[APIError | Resend]
    retryable: bool | None = None
    code: str | None = None
    in_stream: bool = False
    request: Request | Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        hold(self.in_stream or self.status is not None, f"Refusal '{self.name}': its status is missing")
