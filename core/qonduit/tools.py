"""Tools made of functions: a typed function becomes what a model may call, and its calls become messages.

A model's mistake is an answer, not an exception: arguments that do not fit come back to the model as a message that
says what was wrong, so that it can call again. An error of the function itself is the application's: it is raised as it
is.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, TypeVar, overload

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from qonduit._mistakes import describe_mistakes
from qonduit._signature import first_paragraph, signature_of
from qonduit.answer_json import NotStrictError, parse
from qonduit.errors import ConfigurationError
from qonduit.messages import INCOMPLETE, Message, ToolCall

P = ParamSpec("P")
R = TypeVar("R")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, eq=False)
class Tool(Generic[P, R]):
    """A function that a model may call. Made by `tool`; called, it is the function.

    Attributes:
        function: the function itself; a coroutine function is run by `arun` only.
        name: what the model calls it, `[A-Za-z0-9_-]{1,64}`.
        description: what it does, for the model; None when nobody said.
        parameters: the JSON schema of its arguments.
    """

    function: Callable[P, R]
    name: str
    description: str | None
    parameters: dict[str, Any]
    _model: type[BaseModel] = field(repr=False)
    _fields: dict[str, str] = field(repr=False)

    @property
    def definition(self) -> dict[str, Any]:
        """The tool as OpenAI writes it: `{"type": "function", "function": {…}}`."""
        described = {} if self.description is None else {"description": self.description}
        return {"type": "function", "function": {"name": self.name, **described, "parameters": self.parameters}}

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function. Its arguments are not checked."""
        return self.function(*args, **kwargs)

    def run(self, call: ToolCall) -> Message:
        """The message that answers `call`: the function's result, or what was wrong with the arguments.

        Text is the content as it is; everything else is written as JSON, as pydantic writes it.

        Raises:
            ConfigurationError: the function is async, or its result cannot be JSON.
            Exception: what the function raises.
        """
        if inspect.iscoroutinefunction(self.function):
            raise ConfigurationError(f"Tool {self.name!r} is async: use `await tool.arun(call)` or `arun_tools`.")
        arguments = self._parse(call)
        if isinstance(arguments, str):
            return _answer(call, arguments)
        return _answer(call, self._dump(self._call(arguments)))

    async def arun(self, call: ToolCall) -> Message:
        """Like `run`. A coroutine function is awaited; any other runs in a worker thread, so that the loop goes on.

        A thread cannot be stopped: when the task is cancelled, such a function runs to its end and its result is lost.
        """
        arguments = self._parse(call)
        if isinstance(arguments, str):
            return _answer(call, arguments)
        if inspect.iscoroutinefunction(self.function):
            result = await self._call(arguments)
        else:
            result = await asyncio.to_thread(self._call, arguments)
        return _answer(call, self._dump(result))

    def _call(self, arguments: dict[str, Any]) -> Any:
        function: Callable[..., Any] = self.function
        return function(**arguments)

    def _parse(self, call: ToolCall) -> dict[str, Any] | str:
        """The arguments in the signature's types, or what is wrong with them, for the model."""
        if call.type == INCOMPLETE:
            return f"The tool '{self.name}' was not run: the call broke off before its end. Call it again."
        # Some models write nothing at all for a function without parameters.
        text = call.function.arguments.strip() or "{}"
        try:
            checked = self._model.model_validate_json(text)
            parse(text.encode())  # what pydantic lets pass: NaN, a name that stands twice
        except NotStrictError as error:
            problem = f"its arguments are no JSON that can be read ({error})"
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            if first["type"] in {"json_invalid", "string_unicode"}:
                problem = f"its arguments are no JSON that can be read ({first['msg']})"
            else:
                problem = "; ".join(describe_mistakes(error, self._model))
        else:
            return {name: getattr(checked, place) for name, place in self._fields.items()}
        return f"The tool '{self.name}' was not run: {problem}. Call it again with arguments that fit its schema."

    def _dump(self, result: Any) -> str:
        if isinstance(result, str):
            return result
        try:
            return to_json(result).decode()
        except PydanticSerializationError:
            pass  # its text may hold the result
        raise ConfigurationError(
            f"Tool {self.name!r} gave a {type(result).__name__} that cannot be written as JSON. "
            "Return text, numbers, lists, mappings, dataclasses or pydantic models of these."
        )


@overload
def tool(function: Callable[P, R], *, name: str | None = None, description: str | None = None) -> Tool[P, R]: ...


@overload
def tool(
    function: None = None, *, name: str | None = None, description: str | None = None
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...


def tool(function: Callable[..., Any] | None = None, *, name: str | None = None, description: str | None = None) -> Any:
    """Make a `Tool` of a function; as a decorator with or without arguments, or as a call.

        @tool
        def get_weather(city: str, days: int = 1) -> dict[str, str]:
            '''The weather of a city.

            Args:
                city: its name, e.g. "Paris".
            '''

    The schema of the arguments is made of the signature: types (pydantic models, `Literal`, …), defaults, and
    `Annotated[int, Field(ge=1, description="…")]`. A parameter without a Field description takes its line below
    `Args:`.

    Args:
        function: a function, a coroutine function or a bound method; each parameter is annotated and can be given by
            name.
        name: what the model calls it. Default: the function's name.
        description: what it does, for the model. Default: the first paragraph of the docstring.

    Raises:
        ConfigurationError: the function or the name does not serve.
    """
    if function is None:
        return lambda decorated: tool(decorated, name=name, description=description)
    name = getattr(function, "__name__", type(function).__name__) if name is None else name
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"Tool {name!r}: a name is 1 to 64 of the letters A-Z and a-z, digits, '_' and '-'. Say another with name=…"
        )
    model, fields, schema = signature_of(function, name)
    said = first_paragraph(function) if description is None else description
    return Tool(function, name, said, schema, model, fields)


def run_tools(message: Message, tools: Iterable[Tool[..., Any]]) -> list[Message]:
    """The answers to every tool call of `message`, one message for each call, in order; [] when it calls nothing.

    A call of a tool that is not there is answered with the names of those that are. Other errors are those of
    `Tool.run`; the first ends the run.

    Args:
        message: what the model said: `response.choices[0].message`.
        tools: the tools that the model was given.

    Raises:
        ConfigurationError: two tools have the same name, or see `Tool.run`.
    """
    known = _by_name(tools)
    return [
        found.run(call) if (found := known.get(call.function.name)) else _unknown(call, known)
        for call in message.tool_calls or ()
    ]


async def arun_tools(message: Message, tools: Iterable[Tool[..., Any]]) -> list[Message]:
    """Like `run_tools`, with `Tool.arun` and all calls at the same time. When one fails, the others are cancelled."""
    known = _by_name(tools)

    async def answer(call: ToolCall) -> Message:
        found = known.get(call.function.name)
        return await found.arun(call) if found else _unknown(call, known)

    tasks = [asyncio.ensure_future(answer(call)) for call in message.tool_calls or ()]
    try:
        return await asyncio.gather(*tasks)
    finally:  # gather leaves the others running when one fails
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _by_name(tools: Iterable[Tool[..., Any]]) -> dict[str, Tool[..., Any]]:
    known: dict[str, Tool[..., Any]] = {}
    for each in tools:
        if each.name in known:
            raise ConfigurationError(
                f"Two tools are named {each.name!r}. Give one of them another name: tool(…, name=…)."
            )
        known[each.name] = each
    return known


def _unknown(call: ToolCall, known: Iterable[str]) -> Message:
    return _answer(call, f"There is no tool '{call.function.name}'. Known tools: {', '.join(known) or 'none'}.")


def _answer(call: ToolCall, content: str) -> Message:
    return Message(role="tool", tool_call_id=call.id, content=content)
