"""`qonduit profiles` and `qonduit plugins`: what is configured and what is installed. Imports none of it."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from qonduit import configuration
from qonduit.configuration import Configuration, ProfileTable
from qonduit.errors import ConfigurationError
from qonduit_cli.output import note, say, table

GROUPS = {"qonduit.providers": "provider", "qonduit.plugins": "plugin"}


def list_profiles(config: Path | None) -> int:
    """Print the profiles. Raises: ConfigurationError when the file cannot be read."""
    found = configuration.load(config)
    if found.path is None:
        note("note", no_file())
        return 0
    default = _default(found)
    rows = [
        (
            "*" if name == default else "",
            name,
            profile.provider,
            profile.model or "-",
            profile.base_url or profile.workspace or profile.region or "-",
            ", ".join(profile.plugins) or "-",
        )
        for name, profile in found.file.profiles.items()
    ]
    table(("", "NAME", "PROVIDER", "MODEL", "ADDRESS", "PLUGINS"), rows)
    say(f"File: {found.path.absolute()}" + ("; * is the default" if default else ""))
    return 0


def no_file() -> str:
    """Where a configuration was looked for."""
    folder = configuration.user_file().parent
    return f"no {configuration.FILE_NAME} was found, neither in this folder nor in {folder}"


def _default(found: Configuration) -> str | None:
    try:
        return found.profile_name(None)
    except ConfigurationError as error:
        note("warning", error)
        return None


@dataclass(frozen=True, slots=True, order=True)
class Installed:
    """One entry point."""

    kind: str
    name: str
    distribution: str
    version: str


def installed() -> list[Installed]:
    """The installed providers and plugins, from the entry points of every distribution."""
    found = {
        Installed(
            kind,
            point.name,
            point.dist.name if point.dist else "?",
            point.dist.version if point.dist else "?",
        )
        for group, kind in GROUPS.items()
        for point in importlib.metadata.entry_points(group=group)
    }
    return sorted(found, key=lambda item: (item.kind != "provider", item.name, item.distribution))


def list_plugins(profile: str | None, config: Path | None) -> int:
    """Print providers and plugins; with a configuration that cannot be read, all of them as not active."""
    try:
        chosen = _chosen(profile, config)
    except ConfigurationError as error:
        if profile or config:
            raise
        note("warning", error)
        chosen = None
    name, settings = chosen or (None, None)
    active = {("provider", settings.provider), *(("plugin", p) for p in settings.plugins)} if settings else set()
    things = installed()
    rows = [
        (
            thing.name,
            thing.kind,
            thing.distribution,
            thing.version,
            "active" if (thing.kind, thing.name) in active else "-",
        )
        for thing in things
    ]
    table(("NAME", "KIND", "DISTRIBUTION", "VERSION", f"PROFILE {name}" if name else "ACTIVE"), rows)
    for kind, missing in sorted(active - {(thing.kind, thing.name) for thing in things}):
        note("warning", f"profile '{name}' names the {kind} '{missing}', which is not installed.")
    return 0


def _chosen(profile: str | None, config: Path | None) -> tuple[str, ProfileTable] | None:
    found = configuration.load(config)
    if found.path is None and profile is None:
        return None
    name = found.profile_name(profile)
    return name, found.file.profiles[name]
