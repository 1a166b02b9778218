"""What is expected of a fault: an error with all that is known of it, or an answer."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from tests.faults.canaries import ANSWER
from tests.faults.told import Told

from qonduit import APIConnectionError, APIError, APITimeoutError, StreamInterruptedError
from qonduit.errors import Outcome

MAX_RETRIES = 2
"""Of the client: so that an outcome that is unknown (one more attempt) differs from a refusal (two more)."""


@dataclass(frozen=True)
class Failed:
    """The call raises.

    `partial` is the text of the error's `response`, None for no response; `delays` are the least seconds that each
    retry waits for; `seen` is what the server saw, where it differs from the attempts; `says` is a pattern.
    """

    kind: type[APIError]
    outcome: Outcome = "rejected"
    attempts: int = 1
    retryable: bool = False
    status: int | None = None
    code: str | None = None
    retry_after: float | None = None
    partial: str | None = None
    says: str = ""
    seen: int | None = None
    delays: tuple[float, ...] | None = None
    usage: tuple[int | None, int | None] | None = None
    answers_with_fault = True

    @property
    def rows(self) -> list[tuple[str, str | None]]:
        return [("failed", self.outcome)] * self.attempts

    def check(self, told: Told) -> None:
        error = told.error
        assert error is not None, f"an answer came: {told.response!r}"
        assert type(error) is self.kind, repr(error)
        assert isinstance(error, APIError)
        found = (error.outcome, error.attempts, error.retryable, error.status_code, error.retry_after)
        assert found == (self.outcome, self.attempts, self.retryable, self.status, self.retry_after), str(error)
        assert self.code is None or error.code == self.code
        assert re.search(self.says, error.message), error.message
        partial = error.response
        assert (None if partial is None else partial.text) == self.partial
        assert "".join(told.pieces) == (self.partial or "")
        if partial is not None:
            assert not partial.complete
            calls = [call for choice in partial.choices for call in choice.message.tool_calls or ()]
            assert all(call.type != "function" for call in calls if not call.function.arguments.endswith("}"))
            usage = partial.usage
            assert self.usage is None or (usage.input_tokens, usage.output_tokens) == self.usage


@dataclass(frozen=True)
class Answered:
    """The call is answered.

    `calls` are the tool calls: id, name, arguments; they may be run when `whole`. `warns` is a pattern that a warning
    has; None for no warning. With `attempts=1` the fault itself is the answer; otherwise it is what the attempts before
    the last one met.
    """

    text: str = ANSWER
    attempts: int = 1
    finish_reason: str | None = "stop"
    usage: tuple[int | None, int | None] | None = (5, 2)
    complete: bool = True
    warns: str | None = None
    calls: tuple[tuple[str | None, str, str], ...] = ()
    whole: bool = True
    seen: int | None = None
    delays: tuple[float, ...] | None = None

    @property
    def answers_with_fault(self) -> bool:
        return self.attempts == 1

    @property
    def rows(self) -> list[tuple[str, str | None]]:
        last = ("answered" if self.complete else "incomplete", None)
        return [*[("failed", "")] * (self.attempts - 1), last]

    def check(self, told: Told) -> None:
        if told.error is not None:
            raise AssertionError("an error came") from told.error
        response = told.response
        assert response is not None
        choice = response.choices[0]
        assert (response.text, choice.finish_reason, response.complete) == (
            self.text,
            self.finish_reason,
            self.complete,
        )
        usage = response.usage
        found = None if usage is None else (usage.input_tokens, usage.output_tokens)
        assert found == self.usage
        calls = choice.message.tool_calls or ()
        assert [(call.id, call.function.name, call.function.arguments) for call in calls] == list(self.calls)
        assert all((call.type == "function") == self.whole for call in calls)
        if self.warns is None:
            assert response.warnings == ()
        else:
            assert any(re.search(self.warns, warning) for warning in response.warnings), response.warnings
        if told.streamed:
            assert "".join(told.pieces) == self.text


@dataclass(frozen=True)
class Left:
    """A stream is left before its end: `text` had been read, and `error` is what the caller's own code raised.

    `settled_later`: nobody closed it; the client settles it at its next call.
    """

    text: str
    error: type[BaseException] | None = None
    settled_later: bool = False
    attempts = 1
    seen = None
    delays = None
    answers_with_fault = True

    def check(self, told: Told) -> None:
        assert type(told.error) is (self.error or type(None)), repr(told.error)
        assert "".join(told.pieces) == self.text
        if self.settled_later:
            assert told.response is None
            return
        response = told.response
        assert response is not None
        assert not response.complete
        assert ANSWER.startswith(response.text)
        assert response.text.startswith(self.text)

    @property
    def rows(self) -> list[tuple[str, str | None]]:
        return [("incomplete", None)]


Expected: TypeAlias = Failed | Answered | Left


def unreachable(**more: Any) -> Failed:
    """The provider was not reached: tried as often as may be."""
    return replace(Failed(APIConnectionError, "not_sent", 1 + MAX_RETRIES, retryable=True), **more)


def broken(**more: Any) -> Failed:
    """The connection broke when the request had been sent: tried once more."""
    return replace(Failed(APIConnectionError, "unknown", 2, retryable=True), **more)


def late(**more: Any) -> Failed:
    """The answer did not come in time: tried once more."""
    return broken(**{"kind": APITimeoutError, **more})


def interrupted(partial: str, **more: Any) -> Failed:
    """A stream broke off after it had begun: never tried again."""
    return replace(Failed(StreamInterruptedError, "unknown", partial=partial), **more)
