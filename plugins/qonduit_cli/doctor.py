"""`qonduit doctor`: what is set and by whom, and what is wrong. Shows where a key is, never the key."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from qonduit import QonduitError, configuration
from qonduit.configuration import Configuration
from qonduit.errors import ConfigurationError, MissingCredentialsError
from qonduit_cli.endpoint import describe, probe, problem_of
from qonduit_cli.failures import FAILED
from qonduit_cli.inventory import no_file
from qonduit_cli.output import one_line, say, write
from qonduit_cli.selection import KEY_PAGE, Selection, Target, select

if TYPE_CHECKING:
    from qonduit.profile import Profile
    from qonduit.resolution import Resolved

LIBRARIES = ("qonduit", "httpx", "pydantic")
SHOWN_DEFAULTS = ("timeout", "max_retries")
"""Settings that are shown even where nothing sets them."""


class Report:
    """Lines of `label  text`, and a count of the problems."""

    def __init__(self) -> None:
        self.problems = 0

    def row(self, label: str, text: object) -> None:
        """A finding."""
        write(f"{label:<15} {one_line(text)}\n")

    def problem(self, text: object) -> None:
        """Something to mend."""
        self.problems += 1
        self.row("PROBLEM", text)


def examine(target: Target) -> int:
    """Print the report. Returns 0 when all is well."""
    report = Report()
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    report.row("versions", f"Python {platform.python_version()}, {versions}")
    try:
        _examine(target, report)
    except QonduitError as error:
        report.problem(error)
    except Exception as error:  # noqa: BLE001  # a plugin's fault, too, is a finding
        report.problem(f"{type(error).__name__}: {error}")
    say()
    say("All is well." if not report.problems else f"To mend: {report.problems}.")
    return FAILED if report.problems else 0


def _examine(target: Target, report: Report) -> None:
    selection = select(target)
    found = Configuration() if selection.reason.startswith("the options") else configuration.load(target.config)
    _configuration(found, selection, report)
    if selection.emulated:
        report.row("key", "none")
        report.problem(
            "No configuration and no API key. Set DASHSCOPE_API_KEY (keys are made at "
            f"{KEY_PAGE}), or write a {configuration.FILE_NAME}. "
            "Until then 'qonduit chat' asks the built-in emulator."
        )
        return
    resolved = _resolve(found, selection, report)
    if resolved is None:
        return
    keyed = "api_key" in resolved.origins
    _settings(resolved.profile, resolved.origins, report)
    _routes(resolved, report)
    _fallbacks(resolved, report)
    report.row("key", f"from {resolved.origins['api_key']}" if keyed else "none")
    _plugins(selection, resolved, report)
    _retries(resolved.profile, report)
    _network(resolved, resolved.credentials.value if keyed else None, report)


def _configuration(found: Configuration, selection: Selection, report: Report) -> None:
    if selection.reason.startswith("the options"):
        report.row("configuration", "not read: the options of the command name a provider")
    else:
        report.row("configuration", found.path.absolute() if found.path else no_file())
    if Path(".env").is_file():
        report.row("", f"{Path('.env').absolute()} (keys only)")
    report.row("chosen by", selection.reason)


def _resolve(found: Configuration, selection: Selection, report: Report) -> Resolved | None:
    """What a client would get; without a key a stand-in takes its place, so that the rest can be seen."""
    from qonduit.resolution import resolve_profile

    try:
        return resolve_profile(selection.profile, selection.arguments, config=selection.config)
    except MissingCredentialsError as error:
        report.problem(error)
    try:  # where only a fallback has none, the profile itself can be seen
        return resolve_profile(selection.profile, selection.arguments, config=selection.config, fallback=())
    except MissingCredentialsError:
        pass
    arguments = {**selection.arguments, "api_key": "none"}
    name = found.profile_name(selection.profile) if found.file.profiles else None
    try:
        resolved = resolve_profile(name, arguments, config=selection.config, fallback=())
    except MissingCredentialsError:  # a base URL of its own in the file, and no key beside it
        return None
    origins = {setting: origin for setting, origin in resolved.origins.items() if setting != "api_key"}
    return replace(resolved, origins=origins)


def _settings(profile: Profile, origins: Mapping[str, str], report: Report) -> None:
    report.row("profile", profile.name)
    values = {"provider": profile.provider, "base_url": profile.base_url}
    names = ["provider", "base_url", *sorted(origins.keys() - {"provider", "base_url", "api_key", "proxy"})]
    for name in (*names, *(name for name in SHOWN_DEFAULTS if name not in origins)):
        value: Any = values.get(name, getattr(profile, name, None))
        origin = origins.get(name) or ("default" if name != "provider" else "read off the base URL")
        report.row(f"  {name}", f"{value}  ({origin})")
    if profile.model is None:
        report.row("  model", "none: every call has to name one")


def _routes(resolved: Resolved, report: Report) -> None:
    """Of a provider that is a choice: what it is between, and what decides."""
    for place, route in enumerate(resolved.routes):
        reason = "serves the requests that it can express in full"
        if place:
            first = resolved.routes[0]
            more = sorted(_abilities(route) - _abilities(first))
            reason = f"serves what {first.profile.provider} cannot express" + (f": {', '.join(more)}" if more else "")
        report.row(f"  route {place + 1}", f"{route.profile.provider} at {route.profile.base_url} {reason}")


def _fallbacks(resolved: Resolved, report: Report) -> None:
    """The profiles that serve where this one fails, and where their keys are."""
    for place, other in enumerate(resolved.fallbacks, start=1):
        profile = other.profile
        report.row(
            f"  fallback {place}",
            f"'{profile.name}': {profile.provider} at {profile.base_url}, model {profile.model or 'of the call'}, "
            f"key from {other.origins['api_key']}",
        )


def _abilities(route: Resolved) -> frozenset[str]:
    able = route.info.capabilities
    return able.operations | able.parameters | able.parts | able.features


def _plugins(selection: Selection, resolved: Resolved, report: Report) -> None:
    """Build a client, which sends nothing: a plugin that breaks its contract is found here."""
    from qonduit import Client

    if "api_key" in resolved.origins:
        fallback = resolved.profile.fallback
        with Client(selection.profile, config=selection.config, fallback=fallback, **selection.arguments) as client:
            layers = ", ".join(layer.name for layer in client.middleware)
    else:
        layers = ", ".join(resolved.profile.plugins)
    report.row("middleware", layers or "none")


def _retries(profile: Profile, report: Report) -> None:
    import stamina

    if stamina.is_active():
        report.row("retries", f"at most {profile.max_retries}; stamina is active")
        return
    report.problem("stamina is switched off in this process: nothing is retried. Call stamina.set_active(True).")


def _network(resolved: Resolved, key: str | None, report: Report) -> None:
    profile = resolved.profile
    proxy = profile.proxy.get_secret_value() if profile.proxy is not None else None
    report.row("proxies", _proxies(proxy, profile.trust_env))
    _endpoint(profile, key, report)
    for other in resolved.fallbacks:
        _endpoint(other.profile, other.credentials.value, report)


def _http(profile: Profile, report: Report) -> None:
    """What serves direct connections, as the first call would decide it."""
    from qonduit._libraries import serving

    try:
        found = serving(profile.http_library)
    except ConfigurationError as error:
        report.problem(error)
        return
    hint = '; with httptools a call takes half the CPU time: pip install "qonduit[httptools]"'
    slower = profile.http_library == "auto" and found.__name__ != "httptools"
    report.row("http", f"direct connections by {found.__name__} {found.__version__}{hint if slower else ''}")


def _endpoint(profile: Profile, key: str | None, report: Report) -> None:
    _http(profile, report)
    proxy = profile.proxy.get_secret_value() if profile.proxy is not None else None
    answer = probe(profile.base_url, key, proxy=proxy, trust_env=profile.trust_env)
    problem = problem_of(answer, profile.base_url, key is not None)
    if problem is not None:
        report.problem(problem)
        return
    report.row("endpoint", f"{urlsplit(profile.base_url).netloc} {describe(answer, key is not None)}")


def _proxies(proxy: str | None, trust_env: bool) -> str:
    import urllib.request

    if proxy is not None:
        return f"{_without_password(proxy)}  (the profile's)"
    if not trust_env:
        return "none: trust_env is false"
    proxies = urllib.request.getproxies()
    shown = [f"{scheme} {_without_password(url)}" for scheme, url in sorted(proxies.items()) if scheme != "no"]
    exceptions = os.environ.get("NO_PROXY") or os.environ.get("no_proxy")
    return (", ".join(shown) or "none") + (f"; not for {exceptions}" if shown and exceptions else "")


def _without_password(url: str) -> str:
    scheme, separator, rest = url.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
