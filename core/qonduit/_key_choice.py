"""KeyChoice: where a client's key comes from, and the rule on keys.

A key goes to its provider's own hosts, or to the base URL that was named in the same place as the key.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from qonduit._warn import warn
from qonduit.configuration import Configuration, ProfileTable
from qonduit.credentials import Credentials, KeySource, resolve
from qonduit.errors import MissingCredentialsError
from qonduit.profile import Profile
from qonduit.provider import ProviderInfo

ARGUMENT = "argument"


@dataclass(frozen=True, slots=True)
class KeyChoice:
    """Where the key of a client may come from: an argument, the profile's table, the environment."""

    given: KeySource | None = field(repr=False)
    found: Configuration
    table: tuple[str, ProfileTable] | None

    def credentials(self, profile: Profile, info: ProviderInfo, origins: dict[str, str]) -> Credentials:
        """The key for a route. Raises: MissingCredentialsError, also for a key that may not go to its base URL."""
        found, table = self.found, self.table
        where = f"{found.path} [profiles.{profile.name}]"
        if self.given is not None:
            credentials, origin = resolve(self.given, "api_key", found.variables), ARGUMENT
        elif table is not None and table[1].api_key is not None:
            secret = table[1].api_key
            if secret.get_secret_value().partition(":")[0] not in {"env", "file", "keyring"}:
                warn(
                    f"{where} holds a key in plain text; a reference keeps it out of the file: api_key = "
                    f'"env:{info.key_variables[0] if info.key_variables else "MY_KEY"}"'
                )
            credentials, origin = resolve(secret, f"{where} api_key", found.variables), where
        else:
            origin = "environment"
            variable = next(
                (name for name in info.key_variables if os.environ.get(name) or found.variables.get(name)), None
            )
            if variable is None:
                raise MissingCredentialsError(_missing(profile, info, table is not None, where))
            credentials = resolve(f"env:{variable}", variable, found.variables)
        if not info.owns(profile.base_url) and origin not in {ARGUMENT, origins["base_url"]}:
            raise MissingCredentialsError(
                f"The key from {credentials.origin} is not sent to {urlsplit(profile.base_url).netloc}: that is no "
                f"host of provider '{profile.provider}', and the base URL ({origins['base_url']}) was named without a "
                "key. Name the key where the base URL is named: api_key= beside base_url=, or api_key in the same "
                "profile. For a server that checks no key any text will do."
            )
        origins["api_key"] = credentials.origin
        return credentials


def _missing(profile: Profile, info: ProviderInfo, from_file: bool, where: str) -> str:
    variables = " or ".join(info.key_variables) or "a variable of your choice"
    setting = f"api_key in {where}" if from_file else "pass api_key"
    page = f" Keys are made at {info.key_page}." if info.key_page else ""
    return (
        f"No API key was found for profile '{profile.name}' (provider '{profile.provider}'). Set the variable "
        f"{variables}, or {setting}.{page}"
    )
