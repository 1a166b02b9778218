"""`qonduit cache`: look at what the cache of a profile keeps, and clear it. Needs no key, and sends nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qonduit_cli.emulator_words import Work

if TYPE_CHECKING:
    from qonduit_cache.examination import Examined
    from qonduit_cache.options import CacheOptions
    from qonduit_cache.store import Store

cache_app = typer.Typer(
    name="cache",
    help="What the plugin 'cache' keeps in a file or in Redis.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Profile = Annotated[str | None, typer.Option("--profile", "-p", metavar="NAME", help="A profile of the configuration.")]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The configuration file.")]
MAX_KEYS = 100_000
"""Keys among which the beginning of one is looked for."""


@cache_app.command()
def stats(profile: Profile = None, config: Config = None) -> Work:
    """Show how much is kept, and where."""
    return lambda: _with_store(profile, config, _stats)


@cache_app.command()
def clear(profile: Profile = None, config: Config = None) -> Work:
    """Forget all that is kept."""
    return lambda: _with_store(profile, config, _clear)


@cache_app.command()
def inspect(
    key: Annotated[str | None, typer.Argument(metavar="KEY", help="An entry's key, or how it begins.")] = None,
    *,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="So many entries of the list.")] = 20,
    profile: Profile = None,
    config: Config = None,
) -> Work:
    """List entries, or print one as JSON, with its answer."""
    if key is None:
        return lambda: _with_store(profile, config, lambda store, options: _list(store, options, limit))
    return lambda: _with_store(profile, config, lambda store, options: _show(store, options, key))


def _with_store(profile: str | None, config: Path | None, work: Callable[[Store, CacheOptions], int]) -> int:
    from qonduit_cache.store import open_store
    from qonduit_cli.output import say

    name, options = _options(profile, config)
    if options.store == "memory":
        say(f"Profile '{name}' keeps answers in memory: they live in the process that asks, and end with it.")
        return 0
    store = open_store(options)
    try:
        with _said(f"{options.store} store of profile '{name}'", address=options.store != "sqlite"):
            return work(store, options)
    finally:
        store.close()


def _options(profile: str | None, config: Path | None) -> tuple[str, CacheOptions]:
    """The profile's name and its cache's options. Raises: ConfigurationError."""
    from pydantic import ValidationError

    from qonduit import configuration
    from qonduit._mistakes import describe_mistakes
    from qonduit.errors import ConfigurationError
    from qonduit.trust import check_trust
    from qonduit_cache.options import CacheOptions

    found = configuration.load(config)
    name = found.profile_name(profile)
    table = found.file.profiles[name]
    check_trust(found, name, table)
    try:
        return name, CacheOptions.model_validate(table.plugin.get("cache", {}))
    except ValidationError as error:
        mistakes = "; ".join(describe_mistakes(error, CacheOptions))
    raise ConfigurationError(f"{found.path}: profiles.{name}.plugin.cache: {mistakes}.")


@contextmanager
def _said(what: str, *, address: bool) -> Iterator[None]:
    """What a store raises, in a sentence; only its kind where its text may hold an `address` with a password."""
    from qonduit.errors import QonduitError

    try:
        yield
    except QonduitError:
        raise
    except Exception as error:  # noqa: BLE001  # stores raise what they like
        reason = type(error).__name__ if address else f"{error}".rstrip(".") or type(error).__name__
        raise QonduitError(
            f"The {what} cannot be used: {reason}. Is it there, and is it a cache of qonduit's?"
        ) from None


def _stats(store: Store, _options: CacheOptions) -> int:
    from qonduit_cli.output import say

    found = store.stats()
    say(f"{found.where}: {found.entries} entries, {found.bytes} bytes")
    return 0


def _clear(store: Store, _options: CacheOptions) -> int:
    from qonduit_cli.output import say

    say(f"{store.clear()} entries were forgotten.")
    return 0


def _list(store: Store, options: CacheOptions, limit: int) -> int:
    from qonduit_cli.output import table

    entries = [entry for key in store.keys(limit) if (entry := _examined(store, options, key))]
    now = time.time()
    rows = [
        (
            entry.key[:16],
            entry.operation or "-",
            entry.model or "-",
            _seconds(entry.created and now - entry.created),
            _seconds(entry.expires and entry.expires - now),
            str(entry.size),
            entry.fault or "",
        )
        for entry in entries
    ]
    table(("KEY", "OPERATION", "MODEL", "AGE", "ENDS IN", "BYTES", "FAULT"), rows)
    return 0


def _show(store: Store, options: CacheOptions, begins: str) -> int:
    from qonduit.errors import ConfigurationError
    from qonduit_cli.output import note, write

    keys = [key for key in store.keys(MAX_KEYS) if key.startswith(begins)]
    entry = _examined(store, options, keys[0]) if len(keys) == 1 else None
    if entry is None:
        raise ConfigurationError(
            f"{len(keys) or 'No'} entries have a key that begins with '{begins}'. See: qonduit cache inspect"
        )
    if entry.fault:
        note("warning", f"it would not be given: {entry.fault}.")
    if entry.document is not None:
        write(json.dumps(entry.document, ensure_ascii=True, indent=2) + "\n")
    return 0


def _examined(store: Store, options: CacheOptions, key: str) -> Examined | None:
    from qonduit_cache.examination import examine
    from qonduit_cache.plugin import read_secret

    entry: Any = store.get(key)
    return None if entry is None else examine(entry, key, secret=read_secret(options.secret), now=time.time())


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} s"
