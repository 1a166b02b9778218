"""Resolution: from file, environment and arguments to one profile, its key and its plugins; later wins.

Every value keeps its origin, for `qonduit doctor` and for the rule on keys: a key goes to its provider's own hosts, or
to the base URL that was named in the same place as the key.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from qonduit import _plugins, configuration
from qonduit._key_choice import ARGUMENT, KeyChoice
from qonduit._mistakes import describe_mistakes, nearest
from qonduit._plugins import PLUGINS, PROVIDERS, PluginLike
from qonduit._warn import warn
from qonduit.configuration import Configuration, ProfileTable
from qonduit.credentials import Credentials, KeySource, Variables
from qonduit.errors import ConfigurationError, MissingCredentialsError
from qonduit.middlewares import Middleware
from qonduit.models import ModelTable
from qonduit.profile import Profile, Settings
from qonduit.provider import ProviderInfo
from qonduit.trust import check_trust

DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What a client is built from. `origins` says for each setting where its value comes from.

    `built` are the plugins that were made from their names, as opposed to those that the caller handed in. `routes` are
    the providers that a choice such as "auto" is between, in its order; empty where there is no choice. `fallbacks` are
    the profiles that serve a call where this one fails. `variables` are those of `.env`.
    """

    profile: Profile
    provider: object
    info: ProviderInfo
    credentials: Credentials
    plugins: Sequence[tuple[str, object]]
    origins: Mapping[str, str] = field(default_factory=dict)
    built: Sequence[object] = ()
    routes: tuple[Resolved, ...] = ()
    fallbacks: tuple[Resolved, ...] = ()
    variables: Variables = field(default_factory=Variables)


def resolve_profile(
    name: str | None,
    arguments: Mapping[str, Any],
    *,
    config: str | os.PathLike[str] | None = None,
    plugins: Sequence[PluginLike] | None = None,
    models: Mapping[str, Mapping[str, Any]] | None = None,
    fallback: Sequence[str] | None = None,
) -> Resolved:
    """Resolve a client's arguments. Raises: ConfigurationError and its kinds."""
    given = {key: value for key, value in arguments.items() if value is not None}
    key: KeySource | None = given.pop("api_key", None)
    found, table = _profile_table(name, given, key is not None, config)
    first = _resolve_profile(found, table, given, KeyChoice(key, found, table), plugins, models or {})
    names = _fallback_names(found, table, fallback)
    if not names:
        return first
    # What says where and whose stays with the profile that was named; a fallback has its own.
    general = {name: value for name, value in given.items() if name not in _OF_ONE_PROFILE}
    fallbacks: list[Resolved] = []
    for other in names:
        own = (other, found.file.profiles[other])
        choice = KeyChoice(None, found, own)
        try:
            resolved = _resolve_profile(found, own, general, choice, plugins, models or {}, after=(first, *fallbacks))
        except MissingCredentialsError as error:
            raise MissingCredentialsError(
                f"{error} '{other}' is a fallback of profile '{first.profile.name}'."
            ) from None
        fallbacks.append(resolved)
    return replace(
        first,
        profile=first.profile.replace(fallback=names),
        built=[plugin for resolved in (first, *fallbacks) for plugin in resolved.built],
        fallbacks=tuple(fallbacks),
    )


def _resolve_profile(
    found: Configuration,
    table: tuple[str, ProfileTable] | None,
    given: Mapping[str, Any],
    key: KeyChoice,
    plugins: Sequence[PluginLike] | None,
    models: Mapping[str, Mapping[str, Any]],
    after: Sequence[Resolved] = (),
) -> Resolved:
    """One profile; `after` are those that it is a fallback of, whose plugins serve it too."""
    settings = _settings(found, table, given, fallback=bool(after))
    values = {setting: value for setting, (value, _) in settings.items()}
    origins = {setting: origin for setting, (_, origin) in settings.items()}
    provider_name = values.pop("provider", None) or _recognize(values.get("base_url"))
    point = _plugins.entry_point(PROVIDERS, provider_name, "Provider")
    label = table[0] if table is not None else str(provider_name)
    if table is not None:
        for plugin in table[1].plugins:
            _plugins.entry_point(PLUGINS, plugin, "Plugin")  # a misspelt name is no stranger
        check_trust(found, label, table[1])  # before any code that the file names is imported
    info: ProviderInfo = getattr(point.load(), "info", ProviderInfo())
    where = f"{found.path}: profiles.{label}" if table is not None else "options"
    loaded, built = _load_plugins(plugins, table, where, after)
    shared = _Shared(
        label=label,
        provider=provider_name,
        values=values,
        origins=origins,
        options=table[1].options if table is not None else {},
        where=f"{where}.options",
        plugins=loaded,
        built=built,
        rows=(found.file.models, models),
        key=key,
    )
    if not info.routes:
        return _resolve_route(provider_name, point, info, shared)
    routes = tuple(_resolve_route(name, *_provider(name), shared, choice=info) for name in info.routes)
    first = routes[0]
    return replace(first, profile=first.profile.replace(provider=provider_name), info=info, routes=routes)


def _provider(name: str) -> tuple[EntryPoint, ProviderInfo]:
    point = _plugins.entry_point(PROVIDERS, name, "Provider")
    return point, getattr(point.load(), "info", ProviderInfo())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """What the routes of one client have in common."""

    label: str
    provider: str
    values: Mapping[str, Any]
    origins: Mapping[str, str]
    options: Mapping[str, Any]
    where: str
    plugins: Sequence[tuple[str, object]]
    built: Sequence[object]
    rows: tuple[Mapping[str, Mapping[str, Any]], ...]
    key: KeyChoice


def _resolve_route(
    name: str, point: EntryPoint, info: ProviderInfo, shared: _Shared, choice: ProviderInfo | None = None
) -> Resolved:
    """One provider with the client's settings; `choice` is the provider that chose it as one of its routes."""
    values, origins = dict(shared.values), dict(shared.origins)
    provider = _plugins.load(point, "provider", shared.options, shared.where)
    base_url = values.pop("base_url", None)
    if base_url is None:
        base_url = info.base_url(shared.provider, values.get("region"), values.get("workspace"))
        origins["base_url"] = f"{DEFAULT}: provider '{name}'"
    elif choice is not None:
        base_url = _root(str(base_url), choice.routes) + info.path
    base_url = _checked_url(base_url, origins["base_url"], info)
    if values.get("region") is None and info.default_region:
        values["region"] = info.default_region
    table = ModelTable.of_package(info.models) if info.models else ModelTable()
    for rows in shared.rows:
        table = table.overlaid(rows)
    profile = _profile(
        {
            **values,
            "name": shared.label,
            "provider": name,
            "base_url": base_url,
            "options": shared.options,
            "plugins": tuple(plugin for plugin, _ in shared.plugins),
            "models": table,
        },
        origins,
    )
    credentials = shared.key.credentials(profile, info, origins)
    return Resolved(
        profile=profile.replace(key_id=credentials.key_id),
        provider=provider,
        info=info,
        credentials=credentials,
        plugins=shared.plugins,
        built=shared.built,
        origins=origins,
        variables=shared.key.found.variables,
    )


def _root(base_url: str, routes: Sequence[str]) -> str:
    """A base URL without the path that one of the routes' providers puts at its end."""
    root = base_url.rstrip("/")
    for name in routes:
        root = root.removesuffix(_provider(name)[1].path)
    return root


def _profile_table(
    name: str | None, given: Mapping[str, Any], keyed: bool, config: str | os.PathLike[str] | None
) -> tuple[Configuration, tuple[str, ProfileTable] | None]:
    """The configuration and the profile's table; neither is read when the arguments name the provider."""
    if name is None and (keyed or "provider" in given or "base_url" in given):
        if config is not None:
            raise ConfigurationError(
                "config= names a file, but provider=, base_url= and api_key= leave it unread. Name a profile too."
            )
        configuration.check_variables()
        return Configuration(), None
    found = configuration.load(config)
    if name is None and not found.file.profiles and os.environ.get("QONDUIT_PROVIDER"):
        return found, None
    chosen = found.profile_name(name)
    return found, (chosen, found.file.profiles[chosen])


def _fallback_names(
    found: Configuration, table: tuple[str, ProfileTable] | None, given: Sequence[str] | None
) -> tuple[str, ...]:
    """The profiles to fall back on, checked. Raises: ConfigurationError."""
    if table is None:
        if given:
            raise ConfigurationError(
                "fallback= names profiles of a configuration, but provider=, base_url= and api_key= leave it unread. "
                "Name a profile too."
            )
        return ()
    where = "fallback" if given is not None else f"{found.path}: profiles.{table[0]}.fallback"
    if isinstance(given, (str, bytes)):
        raise ConfigurationError(f"fallback: expected a list, e.g. fallback=[{given!r}].")
    names = tuple(given) if given is not None else table[1].fallback
    for place, name in enumerate(names):
        if name not in found.file.profiles:
            others = found.file.profiles.keys() - {table[0]}
            raise ConfigurationError(f"{where}: there is no profile '{name}'{nearest(str(name), others)}.")
        if name == table[0]:
            raise ConfigurationError(f"{where}: '{name}' is the profile itself. Remove it.")
        if name in names[:place]:
            raise ConfigurationError(f"{where}: '{name}' is there twice. Remove one.")
    return names


_OF_ONE_PROFILE = {"provider", "model", "base_url", "region", "workspace", "organization"}
"""Settings of arguments and variables that are not a fallback's: they say where a call goes and whose it is."""


def _settings(
    found: Configuration, table: tuple[str, ProfileTable] | None, given: Mapping[str, Any], *, fallback: bool
) -> dict[str, tuple[Any, str]]:
    """Value and origin of every setting that something sets."""
    settings: dict[str, tuple[Any, str]] = {}
    if table is not None:
        for name in table[1].model_fields_set - {"api_key", "plugins", "plugin", "options", "fallback"}:
            settings[name] = (getattr(table[1], name), f"{found.path} [profiles.{table[0]}]")
    for name, value in configuration.environment_settings().items():
        if fallback and name in _OF_ONE_PROFILE:
            continue
        settings[name] = (value, f"variable QONDUIT_{name.upper()}")
    for name, value in given.items():
        settings[name] = (value, ARGUMENT)
    return settings


def _recognize(base_url: str | None) -> str:
    """The provider whose base URL this is."""
    fallback, owner = "", ""
    for name, point in _plugins.bundled(PROVIDERS).items():
        info: ProviderInfo = point.load().info
        if base_url is not None and info.recognizes(base_url):
            return name
        if info.fallback:
            fallback = name
        elif base_url is not None and info.owns(base_url):
            owner = name
    if owner and not urlsplit(str(base_url)).path.strip("/"):
        raise ConfigurationError(
            f"base_url: {base_url} is on a host of provider '{owner}', but has no path, so its API cannot be told. "
            f"Name the provider beside it, or leave base_url out: Client(provider='{owner}')."
        )
    return fallback


def _load_plugins(
    plugins: Sequence[PluginLike] | None,
    table: tuple[str, ProfileTable] | None,
    where: str,
    after: Sequence[Resolved],
) -> tuple[list[tuple[str, object]], list[object]]:
    """The plugins with their names, and those of them that were made here.

    A fallback gets those of the profile that names it, and then its own; plugins of one name are made once.
    """
    tables = table[1].plugin if table is not None else {}
    named: Sequence[PluginLike] = plugins if plugins is not None else table[1].plugins if table is not None else ()
    if isinstance(named, (str, bytes)):
        raise ConfigurationError(f"plugins: expected a list, e.g. plugins=[{named!r}].")
    if table is not None:
        idle = [name for name in tables if name not in table[1].plugins]
        if idle:
            raise ConfigurationError(
                f"{where}.plugin.{idle[0]}: has options, but '{idle[0]}' is not in the profile's plugins. Add it there."
            )
    known = {name: plugin for resolved in after for name, plugin in resolved.plugins}
    loaded: list[tuple[str, object]] = list(after[0].plugins) if after else []
    built: list[object] = []
    if after and plugins is not None:
        return loaded, built  # what was handed in takes the place of every profile's own
    for plugin in named:
        if isinstance(plugin, str) and plugin in known:
            if (plugin, known[plugin]) not in loaded:
                loaded.append((plugin, known[plugin]))
            continue
        match plugin:
            case str():
                built.append(_named_plugin(plugin, tables.get(plugin, {}), f"{where}.plugin.{plugin}"))
                loaded.append((plugin, built[-1]))
            case (str(name), Mapping() as options):
                built.append(_named_plugin(name, options, f"plugins: '{name}'"))
                loaded.append((name, built[-1]))
            case Middleware():
                loaded.append((plugin.name, plugin))
            case tuple():
                raise ConfigurationError("plugins: a pair must be a name and a mapping of options.")
            case _:
                loaded.append((getattr(plugin, "name", None) or type(plugin).__name__, plugin))
    return loaded, built


def _named_plugin(name: str, options: Mapping[str, Any], where: str) -> object:
    return _plugins.load(_plugins.entry_point(PLUGINS, name, "Plugin"), "plugin", options, where)


def _checked_url(base_url: str, origin: str, info: ProviderInfo) -> str:
    try:
        parts = urlsplit(str(base_url))
        host = (parts.hostname or "").removesuffix(".")
        fits = all(0 < len(label) < 64 for label in host.split("."))  # what DNS can carry
        usable = parts.scheme in {"http", "https"} and fits and parts.port != 0
    except ValueError:  # a port that is no number, an unclosed bracket
        usable = False
    if not usable:
        shown = "the value" if "@" in str(base_url) else repr(str(base_url))  # before an @ stands a password
        raise ConfigurationError(
            f"base_url ({origin}): {shown} is no URL with a scheme and a host; expected https://HOST/PATH."
        )
    if not str(base_url).isascii() or not str(base_url).isprintable() or " " in str(base_url):
        raise ConfigurationError(
            f"base_url ({origin}) holds a space, a line break or a character outside ASCII. Remove it, or write it as "
            "URLs do: a path percent-encoded, a host as xn--…."
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigurationError(
            f"base_url ({origin}) must hold neither user, password, query nor fragment; give the key as api_key."
        )
    right = info.mistaken_hosts.get(parts.hostname or "")
    if right is not None:
        warn(f"base_url ({origin}) is on {parts.hostname}, which is a web site; the API answers on {right}.")
    return str(base_url).rstrip("/")


def changed_profile(profile: Profile, changes: Mapping[str, Any]) -> Profile:
    """`profile` with `changes`, given as arguments. Raises: ConfigurationError."""
    return _profile({**profile.__dict__, **changes}, dict.fromkeys(changes, ARGUMENT))


def _profile(values: dict[str, Any], origins: Mapping[str, str]) -> Profile:
    try:
        return Profile.model_validate(values)
    except ValidationError as error:
        mistakes = describe_mistakes(error, Settings)
    places = [f"{text} ({origins[name]})" if (name := text.split(":")[0]) in origins else text for text in mistakes]
    raise ConfigurationError("; ".join(places) + ".")
