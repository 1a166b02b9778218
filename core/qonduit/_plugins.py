"""Plugins: found by name, imported when named, registered once a route, asked for their parts.

The only module that talks to pluggy's manager: `pm.hook` is untyped, and here each hook has one typed method.
"""

from __future__ import annotations

import importlib.metadata
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import pluggy
from pydantic import BaseModel, ValidationError

from qonduit import hookspecs, parts
from qonduit._building import made
from qonduit._defects import place_of
from qonduit._mistakes import describe_mistakes, nearest
from qonduit.credentials import Credentials
from qonduit.errors import ConfigurationError, PluginError, QonduitError
from qonduit.hookspecs import hookimpl
from qonduit.middlewares import Middleware
from qonduit.profile import Profile

PROVIDERS = "qonduit.providers"
PLUGINS = "qonduit.plugins"
HOOKS = tuple(name for name in vars(hookspecs) if name.startswith("qonduit_"))

PluginLike: TypeAlias = "str | tuple[str, Mapping[str, Any]] | Middleware | object"
"""A plugin by name, by name with options, as an object with hooks, or as a bare middleware."""


def entry_point(group: str, name: str, what: str) -> importlib.metadata.EntryPoint:
    """The entry point `name`; qonduit's own are reserved names. Raises: ConfigurationError with the nearest name."""
    own = bundled(group)
    if name in own:
        return own[name]
    found = importlib.metadata.entry_points(group=group, name=name)
    distributions = {point.dist.name: point for point in found if point.dist is not None}
    if len(distributions) > 1:
        raise PluginError(
            f"{what} '{name}' is offered by several distributions: {', '.join(sorted(distributions))}. Uninstall one."
        )
    if not found:
        names = importlib.metadata.entry_points(group=group).names
        raise ConfigurationError(
            f"{what} '{name}' is not known{nearest(name, names)}. Is the distribution that has it installed?"
        )
    return next(iter(found))


def bundled(group: str) -> dict[str, importlib.metadata.EntryPoint]:
    """qonduit's own entry points of a group, by name; read from its own distribution alone, which is quick."""
    points = importlib.metadata.distribution("qonduit").entry_points.select(group=group)
    return {point.name: point for point in points}


def load(point: importlib.metadata.EntryPoint, what: str, options: Mapping[str, Any], where: str) -> object:
    """The plugin of an entry point, built with its options. Raises: PluginError, ConfigurationError."""
    source = f"{what} '{point.name}' ({_distribution(point)})"
    try:
        factory = point.load()
    except Exception as error:
        raise PluginError(f"{source} cannot be imported: {type(error).__name__}: {error}.") from error
    model = getattr(factory, "Options", None)
    if model is None:
        if options:
            names = ", ".join(sorted(options))
            raise ConfigurationError(f"{where}: {what} '{point.name}' takes no options, but has: {names}.")
        return _built(factory, source)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise PluginError(f"{source}: its Options is no pydantic model.")
    try:
        checked = model.model_validate(dict(options))
    except ValidationError as error:
        mistakes = "; ".join(describe_mistakes(error, model))
    else:
        return _built(factory, source, checked)
    raise ConfigurationError(f"{where}: {mistakes}.")


def _built(factory: Any, source: str, *options: Any) -> object:
    try:
        plugin: object = factory(*options)
    except QonduitError:
        raise
    except Exception as error:
        raise PluginError(f"{source} cannot be built: {type(error).__name__}: {error}.") from error
    made(plugin)
    return plugin


def _distribution(point: importlib.metadata.EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value


class _Bare:
    """A bare middleware as a plugin."""

    def __init__(self, middleware: Middleware) -> None:
        self.middleware = middleware

    @hookimpl
    def qonduit_middleware(self) -> Middleware:
        return self.middleware


class Plugins:
    """The plugins of one route: defaults, one provider, and those that the profile names."""

    def __init__(self, defaults: object, provider: tuple[str, object], plugins: Iterable[tuple[str, object]]) -> None:
        self._manager = pluggy.PluginManager("qonduit")
        self._manager.add_hookspecs(hookspecs)
        self._register("qonduit's defaults", defaults)
        self._register(f"provider {provider[0]}", provider[1])
        # pluggy asks the last registered first; so the first that is named is the outermost.
        for name, plugin in reversed(list(plugins)):
            self._register(f"plugin {name}", _Bare(plugin) if isinstance(plugin, Middleware) else plugin)

    def _register(self, name: str, plugin: object) -> None:
        _check_marks(name, plugin)
        try:
            self._manager.register(plugin, name=name)
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(_explain(_sourced(name, plugin), plugin, error)) from None
        except ValueError:
            other = self._manager.get_plugin(name)
            raise PluginError(
                f"{name} is named twice: by {_source(name, other)} and by {_source(name, plugin)}. Name each plugin "
                "once; give two of a kind different names."
            ) from None

    def auth(self, profile: Profile, credentials: Credentials) -> parts.Auth:
        """The route's auth."""
        found = self._ask("qonduit_auth", profile=profile, credentials=credentials)
        part: parts.Auth = self._checked("qonduit_auth", found, parts.Auth)
        return part

    def request_builder(self, profile: Profile) -> parts.RequestBuilder:
        """The route's request builder."""
        found = self._ask("qonduit_request_builder", profile=profile)
        part: parts.RequestBuilder = self._checked("qonduit_request_builder", found, parts.RequestBuilder)
        return part

    def transport(self, profile: Profile) -> parts.Transport:
        """The route's transport."""
        found = self._ask("qonduit_transport", profile=profile)
        part: parts.Transport = self._checked("qonduit_transport", found, parts.Transport)
        return part

    def response_normalizer(self, profile: Profile) -> parts.ResponseNormalizer:
        """The route's response normalizer."""
        found = self._ask("qonduit_response_normalizer", profile=profile)
        part: parts.ResponseNormalizer = self._checked("qonduit_response_normalizer", found, parts.ResponseNormalizer)
        return part

    def retry_policy(self, profile: Profile) -> parts.RetryPolicy:
        """The route's retry policy."""
        found = self._ask("qonduit_retry_policy", profile=profile)
        part: parts.RetryPolicy = self._checked("qonduit_retry_policy", found, parts.RetryPolicy)
        return part

    def middleware(self, profile: Profile) -> list[Middleware]:
        """All middleware, in the order in which the profile names the plugins."""
        return self._ask("qonduit_middleware", self._layers, profile=profile)  # type: ignore[no-any-return]

    def _layers(self, given: Iterable[Any]) -> list[Middleware]:
        layers: list[Middleware] = []
        for found in given:
            several = [found] if isinstance(found, Middleware) else found
            if inspect.iscoroutine(several) or not isinstance(several, Iterable):
                self._checked("qonduit_middleware", several, Middleware)
            layers.extend(self._checked("qonduit_middleware", layer, Middleware) for layer in several)
        return layers

    def _ask(self, hook: str, read: Callable[[Any], Any] | None = None, /, **given: Any) -> Any:
        """What a hook gives, as `read` reads it. Raises: PluginError that names the plugin whose hook failed."""
        try:
            found = getattr(self._manager.hook, hook)(**given)
            return found if read is None else read(found)
        except QonduitError as error:
            if not isinstance(error, PluginError):  # a plugin's own word on its set-up
                error.add_note(f"raised by {hook} of {self._giver(hook, error)}")
            raise
        except Exception as error:  # noqa: BLE001  # typed
            failure = PluginError(
                f"{hook} of {self._giver(hook, error)} failed: {type(error).__name__} in {place_of(error)}. "
                "The client was not built; this is a defect of the plugin."
            )
            if hook != "qonduit_auth":  # its text and its frames may hold the key
                failure.__cause__ = error
        raise failure

    def _giver(self, hook: str, error: BaseException) -> str:
        """The plugin in whose implementation of a hook an error was raised: the innermost that it came through."""
        trace, depths = error.__traceback__, dict[Any, int]()
        while trace is not None:
            depths[trace.tb_frame.f_code] = len(depths)
            trace = trace.tb_next
        implementations = {
            _sourced(implementation.plugin_name, implementation.plugin): depths.get(
                getattr(inspect.unwrap(implementation.function), "__code__", None), -1
            )
            for implementation in getattr(self._manager.hook, hook).get_hookimpls()
        }
        deepest = max(implementations.values())
        return " or ".join(name for name, depth in implementations.items() if depth == deepest)

    def _checked(self, hook: str, found: Any, kind: Any) -> Any:
        expected = sorted(name for name in vars(kind) if not name.startswith("_"))
        if kind is Middleware:
            fits = isinstance(found, Middleware)
        else:  # by what it answers to: a decorator may pass on what it does not change
            fits = all(callable(getattr(found, name, None)) for name in expected)
        if fits:
            return found
        givers = ", ".join(
            _sourced(implementation.plugin_name, implementation.plugin)
            for implementation in getattr(self._manager.hook, hook).get_hookimpls()
        )
        if inspect.iscoroutine(found):
            found.close()
            raise PluginError(f"{hook} of {givers} is an async function. Write it with 'def': hooks do no I/O.")
        if found is None:
            raise PluginError(f"No plugin gave a {kind.__name__}: {hook} is implemented by {givers or 'none'}.")
        raise PluginError(
            f"{hook} of one of {givers} gave {type(found).__name__}; expected a {kind.__name__}"
            + (f" with: {', '.join(expected)}." if kind is not Middleware else ", made by @middleware.")
        )


def _source(name: str, plugin: object) -> str:
    """Where a plugin comes from: its distribution, else its class or function."""
    described = _sourced(name, plugin)
    if described != name:
        return described.removeprefix(name).strip(" ()")
    code: Any = plugin.middleware.function if isinstance(plugin, _Bare) else type(plugin)
    return f"{code.__module__}.{code.__qualname__}"


def _sourced(name: str, plugin: object) -> str:
    """`name`, with the distribution where an entry point of that name gave the plugin."""
    kind, _, short = name.partition(" ")
    package = type(plugin).__module__.partition(".")[0]
    for point in importlib.metadata.entry_points(group=PROVIDERS if kind == "provider" else PLUGINS, name=short):
        if point.module.partition(".")[0] == package:
            return f"{name} ({_distribution(point)})"
    return name


def _check_marks(name: str, plugin: object) -> None:
    """A hook without its mark would never be called; a plugin without any is a mistake."""
    members = {member: getattr(plugin, member, None) for member in dir(plugin) if member.startswith("qonduit_")}
    if isinstance(plugin, type) and any(inspect.isfunction(inspect.getattr_static(plugin, hook)) for hook in members):
        raise PluginError(f"{name}: {plugin.__name__} is a class. Pass what it makes: {plugin.__name__}(…).")
    for member, function in members.items():
        if callable(function) and not hasattr(function, "qonduit_impl"):
            raise PluginError(
                f"{_sourced(name, plugin)}: {member} lacks the mark @hookimpl, so it would never be called. Add it."
            )
    if not members:
        raise PluginError(
            f"{_sourced(name, plugin)}: {type(plugin).__name__} implements no hook. Implement one of "
            f"{', '.join(HOOKS)}, marked @hookimpl; or pass a middleware made by @middleware."
        )


def _explain(name: str, plugin: object, error: pluggy.PluginValidationError) -> str:
    unknown = [
        member
        for member in dir(plugin)
        if member.startswith("qonduit_") and member not in HOOKS and hasattr(getattr(plugin, member), "qonduit_impl")
    ]
    if unknown:
        return f"{name}: there is no hook '{unknown[0]}'{nearest(unknown[0], HOOKS)}."
    detail = " ".join(str(error).split())
    return (
        f"{name}: a hook has a wrong signature. Take arguments of the spec by their names, or leave them out. {detail}"
    )
