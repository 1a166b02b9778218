"""Building: what holds while a client is made of arguments, which may be secrets, and of plugins, which may fail."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Concatenate, ParamSpec, TypeVar

from pydantic import SecretStr

from qonduit.errors import ConfigurationError, QonduitError

S = TypeVar("S")
P = ParamSpec("P")
T = TypeVar("T")

_made: ContextVar[list[Any] | None] = ContextVar("qonduit_made", default=None)


def made(plugin: Any) -> None:
    """Note a plugin that was made for the client that is being built, if one is."""
    plugins = _made.get()
    if plugins is not None and callable(getattr(plugin, "close", None)):
        plugins.append(plugin)


def checked_tags(tags: Any) -> dict[str, str]:
    """A client's tags. Raises: ConfigurationError; a tag is not shown, as it may be of a person."""
    if tags is None:
        return {}
    if not isinstance(tags, Mapping):
        raise ConfigurationError(f"tags: expected a mapping of text to text, got {type(tags).__name__}.")
    for name, value in tags.items():
        if not isinstance(name, str) or not isinstance(value, str):
            place = f"tags.{name}" if isinstance(name, str) else "tags: a name"
            raise ConfigurationError(
                f"{place}: expected text, got {type(value if isinstance(name, str) else name).__name__}."
            )
    return dict(tags)


def building(function: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """`function` as what makes a client: when it fails, the plugins that were made for it are closed.

    Its error comes without the frames that it was raised in: arguments, environment and `.env` are their variables.
    """

    @functools.wraps(function)
    def build(self: S, /, *arguments: P.args, **options: P.kwargs) -> T:
        if isinstance(options.get("api_key"), str):
            options["api_key"] = SecretStr(str(options["api_key"]))
        token = _made.set([])
        try:
            return function(self, *arguments, **options)
        except BaseException as error:
            options.clear()
            for plugin in reversed(_made.get() or ()):
                with contextlib.suppress(Exception):  # the first failure is the one to tell
                    plugin.close()
            if not isinstance(error, QonduitError):
                raise
            failure = error.with_traceback(None)
            if failure.__suppress_context__:
                failure.__context__ = None
        finally:
            _made.reset(token)
        raise failure

    return build
