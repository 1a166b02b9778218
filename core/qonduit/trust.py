"""Trust: which configuration files, found in a working folder, may send a key to an address of their own.

A folder that was downloaded may hold a `qonduit.toml` that nobody named. It is read; but where it could carry a key
or a file to a stranger, or run a stranger's code, it is refused until `qonduit trust` has remembered its path.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from qonduit import _plugins
from qonduit.configuration import Configuration, ProfileTable
from qonduit.errors import ConfigurationError


def trusted_file() -> Path:
    """Where trusted paths are remembered, one JSON list."""
    import platformdirs  # noqa: PLC0415

    return platformdirs.user_data_path("qonduit") / "trusted.json"


def trusted_paths() -> list[str]:
    """The remembered paths. Raises: ConfigurationError when the list cannot be read."""
    path = trusted_file()
    if not path.is_file():
        return []
    try:
        paths = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ConfigurationError(f"{path} cannot be read as a list of paths. Delete it and trust again.") from None
    return [str(item) for item in paths]


def trust(path: Path) -> None:
    """Remember `path`; written whole or not at all."""
    target = trusted_file()
    target.parent.mkdir(parents=True, exist_ok=True)
    paths = sorted({*trusted_paths(), str(path.resolve())})
    part = target.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(paths, ensure_ascii=False, indent=1), encoding="utf-8")
    part.replace(target)


def demands(table: ProfileTable) -> list[str]:
    """What a profile asks for that only a trusted file may have, in words. Imports nothing that is not bundled.

    A bundled plugin says of its own options by `demands(options)`, which gets them as they stand in the file.
    """
    providers, plugins = _plugins.bundled(_plugins.PROVIDERS), _plugins.bundled(_plugins.PLUGINS)
    provider = providers.get(table.provider)
    wanted: list[str] = []
    if table.base_url is not None and not (provider and provider.load().info.owns(table.base_url)):
        wanted.append(f"base_url is not a host of provider '{table.provider}'")
    if table.proxy is not None:
        wanted.append("it sets a proxy")
    if table.api_key is not None and table.api_key.get_secret_value().startswith("file:"):
        wanted.append("api_key reads a file")
    strangers = [name for name in table.plugins if name not in plugins]
    if provider is None:
        strangers.insert(0, table.provider)
    if strangers:
        wanted.append(f"it loads what qonduit does not bundle ({', '.join(strangers)})")
    for name in table.plugins:
        if name in plugins and table.plugin.get(name):
            asks = getattr(plugins[name].load(), "demands", None)
            wanted += asks(table.plugin[name]) if asks is not None else []
    return wanted


def check_trust(configuration: Configuration, name: str, table: ProfileTable) -> None:
    """Raise ConfigurationError when the file was found, not named, and asks for what only a trusted one may."""
    if configuration.named or configuration.path is None:
        return
    reasons = demands(table)
    if not reasons or str(configuration.path.resolve()) in trusted_paths():
        return
    raise ConfigurationError(
        f"{configuration.path}: profile '{name}' is refused because this file was found in the working folder and "
        f"{'; '.join(reasons)}. Look at the file; if it is yours, run: qonduit trust {configuration.path}"
    )
