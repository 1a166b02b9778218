"""Messages: what is sent to a model and what it says, one shape for both, so that an answer goes back as history."""

from __future__ import annotations

from typing import Literal, TypeAlias

from qonduit.answer_json import NotStrictError, parse
from qonduit.value import Finite, FiniteValue

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]
INCOMPLETE = "incomplete"
"""The type of a tool call that broke off."""
ContentPart: TypeAlias = dict[str, Finite]
"""One part of a message, as OpenAI writes it: `{"type": "image_url", "image_url": {"url": …}}`."""


class FunctionCall(FiniteValue):
    """The function that a model wants called; `arguments` is JSON text as the model wrote it."""

    name: str
    arguments: str = ""


class ToolCall(FiniteValue):
    """One tool call of an answer, or of the history.

    `type` is "function"; "incomplete" where the answer broke off before the arguments were whole: it is not run.
    """

    id: str | None = None
    type: str = "function"
    function: FunctionCall
    index: int | None = None

    @property
    def whole(self) -> bool:
        """Whether the arguments are JSON: no beginning of an object is."""
        try:
            parse(self.function.arguments.encode(errors="replace"))
        except NotStrictError:
            return False
        return True


class Message(FiniteValue):
    """One message.

    `content` is text, a list of parts, or None (an assistant that only calls tools). `reasoning_content` is the
    model's thinking, where the provider shows it. `tool_call_id` ties a message of the role "tool" to its call.
    `partial` on a last message of the role "assistant" asks the model to go on from its text.
    """

    role: Role
    content: str | tuple[ContentPart, ...] | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    partial: bool | None = None

    @property
    def text(self) -> str:
        """The text of the message: its content, or its text parts joined; "" when it has none."""
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        return "".join(text for part in self.content if isinstance(text := part.get("text"), str))


class FunctionCallDelta(FiniteValue):
    """A fragment of a function call."""

    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(FiniteValue):
    """A fragment of a tool call; fragments of one call share `index`, and only the first carries `id` and the name."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: FunctionCallDelta | None = None


class Delta(FiniteValue):
    """What one chunk adds to one choice."""

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[ToolCallDelta, ...] | None = None
