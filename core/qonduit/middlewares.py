"""Middleware: a generator function, written once, that wraps plain and streamed, sync and async calls.

    @middleware(name="timing")
    def timing(call):
        started = call.clock()
        response = yield call.request
        call.log("answered", seconds=call.clock() - started)
        return response

It yields the request to go on with and gets the response back; an error is raised at the `yield`; what it returns is
the answer, and None keeps the response.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from qonduit.errors import PluginError

if TYPE_CHECKING:
    from qonduit.call import Call
    from qonduit.chunk import ChatChunk
    from qonduit.effects import Effect
    from qonduit.request import Request
    from qonduit.response import Response

Scope: TypeAlias = Literal["call", "attempt"]
StreamMode: TypeAlias = Literal["observe", "transform", "buffer"]
OnError: TypeAlias = Literal["raise", "ignore", "miss"]
MiddlewareFlow: TypeAlias = "Generator[Request | Effect, Any, Response | None]"
MiddlewareFunction: TypeAlias = "Callable[[Call], MiddlewareFlow]"
OnChunk: TypeAlias = "Callable[[Call, ChatChunk], ChatChunk | Iterable[ChatChunk] | None]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Middleware:
    """A middleware with its terms. Made by `middleware`; call it as the function that it holds.

    Attributes:
        scope: "call" wraps the whole call, retries included; "attempt" wraps every try.
        stream: what it does to streams. "observe" may annotate the answer (`cost`, `cached`, `warnings`) but not change
            `choices` or `usage` of what was delivered; "transform" changes chunks by `on_chunk`; "buffer" holds all
            chunks back until it has decided.
        on_chunk: for "transform": a pure function `(call, chunk) -> chunk, chunks or None` (None drops the chunk).
        wraps, wrapped_by: names of middleware that must be inside, or outside, of this one when both are present.
        on_error: what a failure of its own does. "raise" stops the call (a policy); "ignore" is counted, said once, and
            the call goes on (an observer); "miss" is the same for a cache.
    """

    function: MiddlewareFunction
    name: str
    scope: Scope = "call"
    stream: StreamMode = "observe"
    on_chunk: OnChunk | None = None
    wraps: tuple[str, ...] = ()
    wrapped_by: tuple[str, ...] = ()
    on_error: OnError = "raise"

    def __call__(self, call: Call) -> MiddlewareFlow:
        """The function's generator for one call."""
        return self.function(call)


def middleware(
    name: str,
    *,
    scope: Scope = "call",
    stream: StreamMode = "observe",
    on_chunk: OnChunk | None = None,
    wraps: Iterable[str] = (),
    wrapped_by: Iterable[str] = (),
    on_error: OnError = "raise",
) -> Callable[[MiddlewareFunction], Middleware]:
    """Make a middleware of a generator function. The terms are those of `Middleware`.

    Raises: PluginError when the function is no generator function or the terms contradict each other.
    """

    def decorate(function: MiddlewareFunction) -> Middleware:
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise PluginError(
                f"Middleware '{name}' is an async function. Write it with 'def' and 'yield': qonduit runs it in async "
                "calls too; for I/O use 'yield from call.io(function, async_function, …)'."
            )
        if not inspect.isgeneratorfunction(inspect.unwrap(function)):
            raise PluginError(
                f"Middleware '{name}' is not a generator function. It must contain 'response = yield call.request'."
            )
        for setting, value, known in (
            ("scope", scope, ("call", "attempt")),
            ("stream", stream, ("observe", "transform", "buffer")),
            ("on_error", on_error, ("raise", "ignore", "miss")),
        ):
            if value not in known:
                raise PluginError(f"Middleware '{name}': {setting}={value!r}; expected one of {', '.join(known)}.")
        if (stream == "transform") != (on_chunk is not None):
            raise PluginError(
                f"Middleware '{name}': stream='transform' and on_chunk belong together; give both or neither."
            )
        return Middleware(
            function=function,
            name=name,
            scope=scope,
            stream=stream,
            on_chunk=on_chunk,
            wraps=_names(wraps),
            wrapped_by=_names(wrapped_by),
            on_error=on_error,
        )

    return decorate


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def ordered(layers: Iterable[Middleware]) -> list[Middleware]:
    """`layers`, outermost first, moved as little as their constraints ask. Raises: PluginError that shows a cycle."""
    waiting = list(layers)
    names = [layer.name for layer in waiting]
    for name in names:
        if names.count(name) > 1:
            functions = [layer.function for layer in waiting if layer.name == name]
            places = " and ".join(f"{function.__module__}.{function.__qualname__}" for function in functions)
            raise PluginError(f"Two middlewares are named '{name}' ({places}); a name may be used once in a profile.")
    outside = {layer.name: set(layer.wrapped_by) & set(names) for layer in waiting}
    for layer in waiting:
        for inner in set(layer.wraps) & set(names):
            outside[inner].add(layer.name)
    scopes = {layer.name: layer.scope for layer in waiting}
    for inner in names:
        for outer in sorted(outside[inner]):
            if scopes[inner] == "call" and scopes[outer] == "attempt":
                raise PluginError(
                    f"Middleware '{outer}' cannot wrap '{inner}': '{outer}' has the scope \"attempt\", which is inside "
                    f"of every layer of the scope \"call\", as '{inner}' is. Give both one scope, or drop the rule."
                )
    result: list[Middleware] = []
    while waiting:
        placed = {layer.name for layer in result}
        free = next((layer for layer in waiting if outside[layer.name] <= placed), None)
        if free is None:
            raise PluginError(f"The order of the middlewares has a cycle: {_cycle(outside, waiting[0].name, placed)}.")
        waiting.remove(free)
        result.append(free)
    return sorted(result, key=lambda layer: layer.scope == "attempt")  # a stable sort


def _cycle(outside: dict[str, set[str]], name: str, placed: set[str]) -> str:
    path = [name]
    while path.count(path[-1]) < 2:
        path.append(min(outside[path[-1]] - placed))
    path = path[path.index(path[-1]) :]
    return " wraps ".join(reversed(path))
