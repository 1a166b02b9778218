"""Configuration: `qonduit.toml` and the environment, and what they and a client's arguments come to.

The file is the one that is named (`config=`, QONDUIT_CONFIG), else the working folder's `qonduit.toml`, else the user's
configuration folder's. `.env` of the working folder serves look-ups of keys only; it never sets QONDUIT_*.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from qonduit._mistakes import describe_mistakes, nearest
from qonduit.credentials import Variables
from qonduit.errors import ConfigurationError
from qonduit.profile import Settings

FILE_NAME = "qonduit.toml"
VARIABLES = {
    f"QONDUIT_{name.upper()}": name
    for name in ("provider", *Settings.model_fields)
    if name not in {"proxy"}  # HTTPS_PROXY is the variable that everybody knows
}
"""Environment variables that set a profile's value, with the value that they set."""
PLUGINS_OWN = "QONDUIT_EMULATOR_"
"""The prefix of variables that are not the configuration's."""
OTHER_VARIABLES = ("QONDUIT_CONFIG", "QONDUIT_PROFILE")


class ProfileTable(Settings):
    """`[profiles.NAME]` of the file."""

    provider: str
    api_key: SecretStr | None = None
    fallback: tuple[str, ...] = ()
    """Profiles that serve a call, in order, where this one fails before its first chunk."""
    plugins: tuple[str, ...] = ()
    plugin: dict[str, dict[str, Any]] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)


class ConfigurationFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, defer_build=True)

    default: str | None = None
    profiles: dict[str, ProfileTable] = Field(default_factory=dict)
    models: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """`[models."NAME"]`: rows over the providers' model tables, for every profile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What was found. `path` is None without a file; `named` whether somebody named it; `variables` those of `.env`."""

    path: Path | None = None
    named: bool = False
    file: ConfigurationFile = field(default_factory=ConfigurationFile)
    variables: Variables = field(default_factory=Variables)

    def profile_name(self, name: str | None) -> str:
        """The profile to use: `name`, QONDUIT_PROFILE, or the file's default. Raises: ConfigurationError."""
        chosen = name or os.environ.get("QONDUIT_PROFILE") or self.file.default
        if chosen is None and len(self.file.profiles) == 1:
            chosen = next(iter(self.file.profiles))
        if chosen is None:
            where = f"{self.path} names no default" if self.path else f"no {FILE_NAME} was found"
            raise ConfigurationError(
                f"No profile was named and {where}. Name a profile, or a provider: Client(provider=…, model=…)."
            )
        if chosen not in self.file.profiles:
            if self.path is None:
                raise ConfigurationError(
                    f"There is no profile '{chosen}': no {FILE_NAME} was found here or in {user_file().parent}. "
                    f"Write one, or name the provider: Client(provider='{chosen}')."
                )
            raise ConfigurationError(
                f"{self.path}: there is no profile '{chosen}'{nearest(chosen, self.file.profiles)}."
            )
        return chosen

    def __reduce__(self) -> tuple[object, ...]:
        """Refused: a pickle would hold the keys of the file and of `.env`."""
        raise TypeError("A configuration is not pickled: its keys would be in the pickle. Load it where it is used.")


def user_file() -> Path:
    """The file in the user's configuration folder."""
    import platformdirs  # noqa: PLC0415  # only who reads a file pays for it

    return platformdirs.user_config_path("qonduit") / FILE_NAME


def load(config: str | os.PathLike[str] | None = None) -> Configuration:
    """Find and read the file and `.env`. Raises: ConfigurationError that names file, table, key and the mend."""
    check_variables()
    named = config if config is not None else os.environ.get("QONDUIT_CONFIG")
    variables = _dotenv(Path(".env"))
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            setting = "config" if config is not None else "QONDUIT_CONFIG"
            raise ConfigurationError(f"{setting} names {path}, but there is no such file.")
        return Configuration(path=path, named=True, file=_read(path), variables=variables)
    local = Path(FILE_NAME)
    if local.is_file():
        return Configuration(path=local.absolute(), file=_read(local), variables=variables)
    if user_file().is_file():
        return Configuration(path=user_file(), named=True, file=_read(user_file()), variables=variables)
    return Configuration(variables=variables)


def check_variables() -> None:
    """Raise ConfigurationError for a QONDUIT_* variable that nobody knows: a typo would be passed over in silence."""
    known = (*VARIABLES, *OTHER_VARIABLES)
    for name in os.environ:
        if name.startswith("QONDUIT_") and name not in known and not name.startswith(PLUGINS_OWN):
            raise ConfigurationError(f"The environment variable {name} is not known{nearest(name, known)}.")


def environment_settings() -> dict[str, str]:
    """The values that QONDUIT_* variables set, by field."""
    return {name: os.environ[variable] for variable, name in VARIABLES.items() if os.environ.get(variable)}


def _read(path: Path) -> ConfigurationFile:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not TOML: {error}. Mend that place.") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"{path} cannot be read: {reason}.") from None
    try:
        return ConfigurationFile.model_validate(data)
    except ValidationError as error:
        mistakes = "; ".join(describe_mistakes(error, ConfigurationFile))
    raise ConfigurationError(f"{path}: {mistakes}.")  # out here pydantic's error, which holds the input, is no context


def _dotenv(path: Path) -> Variables:
    if not path.is_file():
        return Variables()
    from dotenv import dotenv_values  # noqa: PLC0415  # only who has a .env pays for it

    values = dotenv_values(path)
    return Variables({name: value for name, value in values.items() if value and not name.startswith("QONDUIT_")})
