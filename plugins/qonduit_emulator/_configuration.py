"""The emulator's configuration: a TOML file with a region, accounts and keys.

region = "cn-beijing"

[accounts.default]
token_quota = 100000

[accounts.default.limits]
requests_per_minute = 60

[keys."sk-mine"]
account = "default"
expires_at = 2027-01-31T12:00:00Z
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qonduit_emulator._accounts import Account, parse_account
from qonduit_emulator._keys import ApiKey, parse_key
from qonduit_emulator._scenario import Script, parse_script
from qonduit_emulator._settings import SettingError, nearest, text

DEFAULT_REGION = "cn-beijing"
_TABLES = ("region", "accounts", "keys", "rule", "fault", "pacing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The region this server plays, the accounts and keys it begins with, and its rules, faults and pace."""

    region: str = DEFAULT_REGION
    accounts: Mapping[str, Account] = field(default_factory=dict)
    keys: Mapping[str, ApiKey] = field(default_factory=dict)
    script: Script = field(default_factory=Script)


def read_configuration(path: Path) -> Configuration:
    """Read a file.

    Raises:
        SettingError: it cannot be read, is not TOML, or holds a mistake; the text names file, table and key.
    """
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return parse_configuration(source, str(path))


def parse_configuration(source: str, name: str) -> Configuration:
    """Read TOML; `name` is what errors call it.

    Raises:
        SettingError: not TOML, or a mistake in it.
    """
    try:
        document = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{name}: not TOML: {error}") from None
    for table in document:
        if table not in _TABLES:
            raise SettingError(f"{name}: unknown table or key {table!r}{nearest(table, _TABLES)}")
    accounts = {
        account: parse_account(account, record, f"{name}, table accounts.{account}")
        for account, record in _tables(document, "accounts", name).items()
    }
    keys = {
        key: parse_key(key, record, f'{name}, table keys."{key}"')
        for key, record in _tables(document, "keys", name).items()
    }
    for key in keys.values():
        if key.account != "default" and key.account not in accounts:
            known = nearest(key.account, {*accounts, "default"})
            raise SettingError(f'{name}, table keys."{key.key}": there is no account {key.account!r}{known}')
    script = parse_script(document.get("rule"), document.get("fault"), document.get("pacing"), name)
    return Configuration(region=_region(document, name), accounts=accounts, keys=keys, script=script)


def _tables(document: Mapping[str, Any], table: str, name: str) -> Mapping[str, Any]:
    tables = document.get(table, {})
    if not isinstance(tables, Mapping):
        raise SettingError(f"{name}: {table} must be a table of tables, such as [{table}.NAME]")
    return tables


def _region(document: Mapping[str, Any], name: str) -> str:
    try:
        return text(document.get("region", DEFAULT_REGION))
    except TypeError as error:
        raise SettingError(f"{name}: region must be {error}, not {document['region']!r}") from None
