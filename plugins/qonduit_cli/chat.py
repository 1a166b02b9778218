"""`qonduit chat`: one question, its answer."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qonduit_cli.output import harmless, note, one_line, write
from qonduit_cli.parameters import parse_parameters, read_prompt
from qonduit_cli.selection import Target, open_client

if TYPE_CHECKING:
    from qonduit import Client
    from qonduit.messages import Message
    from qonduit.response import ChatResponse

EARLY_ENDS = {
    "length": "the answer was cut off at the token limit; raise max_tokens",
    "content_filter": "the provider's content filter ended the answer",
}
"""Finish reasons that a reader of the text alone would miss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Display:
    """How the answer is shown."""

    stream: bool
    as_json: bool
    reasoning: bool


def chat(target: Target, prompt: str | None, system: str | None, options: Sequence[str], display: Display) -> int:
    """Ask, and print the answer. Raises: UsageError, QonduitError."""
    fields = parse_parameters(options)
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    fields["messages"] = [*messages, {"role": "user", "content": read_prompt(prompt)}]
    with open_client(target) as (client, model):
        if model is not None:
            fields["model"] = model
        if display.as_json:
            response: ChatResponse = client.chat.completions.create(**fields)
            write(response.model_dump_json(indent=2, exclude={"usage": {"raw"}}) + "\n")
            return 0
        several = fields.get("n") not in (None, 1)  # the texts of several choices come mixed when streamed
        if display.stream and not several:
            response = _print_stream(client, fields, display)
        else:
            response = client.chat.completions.create(**fields)
            _print_choices(response, display)
    _remark(response)
    return 0


def _print_stream(client: Client, fields: dict[str, Any], display: Display) -> ChatResponse:
    page = _Page(display.reasoning)
    try:
        with client.chat.completions.create(stream=True, **fields) as stream:
            for chunk in stream:
                for choice in chunk.choices[:1]:
                    page.reason(choice.delta.reasoning_content)
                    page.write(choice.delta.content)
    finally:
        page.end_line()
    response: ChatResponse = stream.response
    for choice in response.choices[:1]:
        _print_tool_calls(choice.message)
    return response


def _print_choices(response: ChatResponse, display: Display) -> None:
    page = _Page(display.reasoning)
    for choice in response.choices:
        if len(response.choices) > 1:
            page.write(f"[{choice.index}] ")
        page.reason(choice.message.reasoning_content)
        page.write(choice.message.text)
        page.end_line()
        _print_tool_calls(choice.message)


def _print_tool_calls(message: Message) -> None:
    for call in message.tool_calls or ():
        write(one_line(f"{call.function.name}({call.function.arguments})") + "\n")


def _remark(response: ChatResponse) -> None:
    for page in response.search.results if response.search is not None else ():
        note(f"[{page.index}]", f"{page.title or ''} {page.url or ''}".strip())
    for warning in response.warnings:
        note("warning", warning)
    for choice in response.choices:
        if choice.finish_reason in EARLY_ENDS:
            note("warning", EARLY_ENDS[choice.finish_reason])


class _Page:
    """Text on standard output, reasoning on standard error; knows whether a line is open on either."""

    def __init__(self, reasoning: bool) -> None:
        self._reasoning = reasoning
        self._open = False
        self._thinking = False
        dim = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        self._dim, self._plain = ("\x1b[2m", "\x1b[0m") if dim else ("", "")

    def write(self, text: str | None) -> None:
        if not text:
            return
        self._end_thinking()
        self._open = True  # before it is: Ctrl-C may come between the two
        write(harmless(text, sys.stdout))
        self._open = not text.endswith("\n")

    def reason(self, text: str | None) -> None:
        if not text or not self._reasoning:
            return
        sys.stderr.write(f"{self._dim}{harmless(text, sys.stderr)}{self._plain}")
        sys.stderr.flush()
        self._thinking = True

    def end_line(self) -> None:
        self._end_thinking()
        if self._open:
            self._open = False
            write("\n")

    def _end_thinking(self) -> None:
        if self._thinking:
            self._thinking = False
            sys.stderr.write("\n")
            sys.stderr.flush()
