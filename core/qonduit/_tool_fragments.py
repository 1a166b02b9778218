"""Tool fragments: the tool calls of one choice, put together from the pieces of a stream."""

from __future__ import annotations

from typing import NoReturn

from qonduit.errors import ProtocolError
from qonduit.messages import INCOMPLETE, FunctionCall, ToolCall, ToolCallDelta
from qonduit.response import ChatResponse, Choice

_CUT = frozenset({"length", "content_filter"})
"""Finish reasons of an answer that did not say all that it meant to."""


def marked(response: ChatResponse) -> ChatResponse:
    """`response`; where it was cut, its tool calls that are not whole are incomplete: nobody shall run them."""
    for choice in response.choices:
        if choice.message.tool_calls and (not response.complete or choice.finish_reason in _CUT):
            return response.model_copy(
                update={"choices": tuple(_marked(each, response.complete) for each in response.choices)}
            )
    return response


def _marked(choice: Choice, complete: bool) -> Choice:
    calls = choice.message.tool_calls
    if not calls or (complete and choice.finish_reason not in _CUT):
        return choice
    calls = tuple(call if call.whole else call.model_copy(update={"type": INCOMPLETE}) for call in calls)
    return choice.model_copy(update={"message": choice.message.model_copy(update={"tool_calls": calls})})


class ToolFragments:
    """Takes fragments as they come; `all` gives the calls.

    A fragment belongs to the call of its id; without an id, to the latest call at its index; without either, to the
    latest call. A new id at a used index is a new call, and so is another name. What fits nowhere, and what could be
    either, is an error: two calls' arguments are never joined.
    """

    __slots__ = ("_by_id", "_by_index", "_calls", "_guessed", "_shared")

    def __init__(self) -> None:
        self._calls: list[_Parts] = []
        self._by_id: dict[str, _Parts] = {}
        self._by_index: dict[int, _Parts] = {}
        self._shared: set[int] = set()  # indices that were said of more than one call
        self._guessed = False  # what a fragment said of itself could have meant another call, too

    def add(self, fragment: ToolCallDelta) -> None:
        """Put a fragment where it belongs. Raises: ProtocolError where that cannot be told."""
        function = fragment.function
        name = function.name if function is not None else None
        arguments = function.arguments if function is not None else None
        call = self._find(fragment, name, arguments)
        if call is None:
            if not name:
                _refuse("belongs to no call: it has no known id, no known index and no name")
            call = _Parts(fragment.id or None, fragment.type or "function", name)
            self._calls.append(call)
        elif name or arguments:
            call.go_on(name, arguments)
            if name and not fragment.id:
                self._guessed = True
                if fragment.index is None:
                    _refuse("may begin a call or go on with one: it says a name, and neither id nor index")
        if fragment.id:
            call.id = fragment.id
            self._by_id[fragment.id] = call
        index = fragment.index
        if index is not None:
            if self._by_index.get(index, call) is not call:
                self._shared.add(index)
            self._by_index[index] = call
        if not fragment.id and (index in self._shared if index is not None else len(self._calls) > 1):
            self._guessed = True
        if arguments:
            call.arguments.append(arguments)

    def _find(self, fragment: ToolCallDelta, name: str | None, arguments: str | None) -> _Parts | None:
        """The call that a fragment goes on with; None where it begins one."""
        if fragment.id:
            call = self._by_id.get(fragment.id)
            if call is None and fragment.index is not None:
                held = self._by_index.get(fragment.index)
                call = held if held is not None and held.id is None and not held.ends_before(name, arguments) else None
            return call
        if fragment.index is not None:
            call = self._by_index.get(fragment.index)
        else:
            call = self._calls[-1] if self._calls else None
        return None if call is not None and call.ends_before(name, arguments) else call

    def all(self) -> tuple[ToolCall, ...]:
        """The calls. Where fragments were guessed at and a call is not whole, none of them is to be relied on."""
        calls = tuple(parts.call(index) for index, parts in enumerate(self._calls))
        if self._guessed and not all(call.whole for call in calls):
            return tuple(call.model_copy(update={"type": INCOMPLETE}) for call in calls)
        return calls


class _Parts:
    __slots__ = ("arguments", "id", "name", "repeats", "type")

    def __init__(self, identifier: str | None, kind: str, name: str) -> None:
        self.id = identifier
        self.type = kind
        self.name = name
        self.arguments: list[str] = []
        self.repeats: bool | None = None  # whether fragments after the first say the name again

    def call(self, index: int) -> ToolCall:
        """The call so far."""
        function = FunctionCall(name=self.name, arguments="".join(self.arguments))
        return ToolCall(id=self.id, type=self.type, function=function, index=index)

    def ends_before(self, name: str | None, arguments: str | None) -> bool:
        """Whether a fragment that says no id of its own begins another call."""
        if not name:
            return False
        return name != self.name or self._joins(arguments)

    def go_on(self, name: str | None, arguments: str | None) -> None:
        """Check that a fragment may be the next of this call. Raises: ProtocolError."""
        if self.repeats is not None and self.repeats != bool(name):
            _refuse("may belong to two calls: some say their name again, and some do not")
        self.repeats = bool(name)
        if name and name != self.name:
            _refuse("says the id of another call")
        if self._joins(arguments):
            _refuse("begins new arguments for a call whose arguments are whole")

    def _joins(self, arguments: str | None) -> bool:
        """Whether `arguments` would begin a second JSON object after a whole one."""
        if not arguments or not self.arguments or not arguments.lstrip().startswith("{"):
            return False
        return self.arguments[-1].rstrip().endswith("}") and self.call(0).whole


def _refuse(what: str) -> NoReturn:
    raise ProtocolError(f"A fragment of a tool call {what}.", outcome="unknown")
