"""The books: which keys and accounts there are. What they have used is in the ledger beside them.

What the configuration says is entered once: a later start enters only what has changed in the configuration
since, so keys and accounts that were changed or removed at run time stay as they were left.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from qonduit_emulator._accounts import Account, parse_account
from qonduit_emulator._configuration import Configuration, read_configuration
from qonduit_emulator._keys import ApiKey, parse_key, temporary_key
from qonduit_emulator._ledger import Clock, Ledger
from qonduit_emulator._settings import SettingError, nearest
from qonduit_emulator._state import MemoryState, State
from qonduit_emulator._state_file import StateFile

DEFAULT_ACCOUNT = "default"


class UnknownRecordError(LookupError):
    """There is no such key or account."""


class Books:
    """Keys and accounts, in memory and in the state. Safe to use from any thread."""

    def __init__(
        self,
        configuration: Configuration | None = None,
        *,
        state: State | None = None,
        clock: Clock = time.time,
    ) -> None:
        """Open the books.

        Raises:
            SettingError: the configuration names an account there is not.
            StateError: the state cannot be read or written.
        """
        configuration = configuration or Configuration()
        self.region = configuration.region
        self.script = configuration.script
        self.clock = clock
        self._state = state or MemoryState()
        self._lock = threading.RLock()
        self._keys: dict[str, ApiKey] = {}
        self._accounts: dict[str, Account] = {}
        self._load(configuration)
        self.ledger = Ledger(clock=clock, state=self._state)

    def _load(self, configuration: Configuration) -> None:
        records, configured = self._state.load_records()
        for (kind, name), record in records.items():
            if kind == "account":
                self._accounts[name] = parse_account(name, record, f"state, account {name}")
            else:
                self._keys[name] = parse_key(name, record, f"state, key {name}")
        accounts = {DEFAULT_ACCOUNT: Account(name=DEFAULT_ACCOUNT), **configuration.accounts}
        for account in accounts.values():
            if configured.get(("account", account.name)) != account.record():
                self.put_account(account, configured=True)
        for key in configuration.keys.values():
            if configured.get(("key", key.key)) != key.record():
                self.put_key(key, configured=True)

    def close(self) -> None:
        """Let go of the state."""
        with self._lock:
            self._state.close()

    @property
    def keys(self) -> Mapping[str, ApiKey]:
        """All keys as they are now."""
        with self._lock:
            return dict(self._keys)

    @property
    def accounts(self) -> Mapping[str, Account]:
        """All accounts as they are now."""
        with self._lock:
            return dict(self._accounts)

    def key_to_announce(self, api_key: str) -> str:
        """That key if it is valid, else the first that is; an empty text when none is."""
        now = self.clock()
        valid = [key.key for key in self.keys.values() if key.valid(now)]
        return api_key if api_key in valid else next(iter(valid), "")

    def find_key(self, key: str) -> ApiKey | None:
        """A key, whether valid or not."""
        return self._keys.get(key)

    def account_of(self, key: ApiKey) -> Account:
        """The account a key belongs to. Raises `UnknownRecordError`."""
        return self._account(key.account)

    def workspaces(self, account: str) -> frozenset[str]:
        """The workspaces of an account, as its keys name them."""
        with self._lock:
            return frozenset(key.workspace for key in self._keys.values() if key.account == account and key.workspace)

    def put_key(self, key: ApiKey, *, configured: bool = False) -> None:
        """Add a key, or replace the one of the same name. Raises `SettingError` without its account."""
        with self._lock:
            if key.account not in self._accounts:
                raise SettingError(f"there is no account {key.account!r}{nearest(key.account, self._accounts)}")
            self._state.save_record("key", key.key, key.record(), configured=configured)
            self._keys[key.key] = key

    def put_account(self, account: Account, *, configured: bool = False) -> None:
        """Add an account, or replace the one of the same name; what it has used stays."""
        with self._lock:
            self._state.save_record("account", account.name, account.record(), configured=configured)
            self._accounts[account.name] = account

    def change_key(self, key: str, patch: Mapping[str, Any]) -> ApiKey:
        """Change some settings of a key; `None` takes one back to its default.

        Raises:
            UnknownRecordError: no such key.
            SettingError: an unknown setting or a wrong value.
        """
        with self._lock:
            if key not in self._keys:
                raise UnknownRecordError(f"there is no key {key!r}")
            changed = parse_key(key, _merge(self._keys[key].record(), patch), f"key {key}")
            self.put_key(changed)
            return changed

    def change_account(self, name: str, patch: Mapping[str, Any]) -> Account:
        """Change some settings of an account, also inside `limits`; `None` takes one back to its default.

        Raises:
            UnknownRecordError: no such account.
            SettingError: an unknown setting or a wrong value.
        """
        with self._lock:
            record = _merge(self._account(name).record(), patch)
            changed = parse_account(name, record, f"account {name}")
            self.put_account(changed)
            return changed

    def remove_key(self, key: str) -> None:
        """Forget a key. Raises `UnknownRecordError`."""
        with self._lock:
            if key not in self._keys:
                raise UnknownRecordError(f"there is no key {key!r}")
            self._state.remove_record("key", key)
            del self._keys[key]

    def remove_account(self, name: str) -> None:
        """Forget an account and what it has used.

        Raises:
            UnknownRecordError: no such account.
            SettingError: keys belong to it.
        """
        with self._lock:
            self._account(name)
            if held := [key.key for key in self._keys.values() if key.account == name]:
                raise SettingError(f"account {name}: its keys come first: {', '.join(held)}")
            self._state.remove_record("account", name)
            del self._accounts[name]
        self.ledger.reset(name)

    def create_temporary(self, parent: str, seconds: float) -> ApiKey:
        """A new `st-` key that may do what `parent` may, for so many seconds. Expired ones are swept out.

        Raises:
            UnknownRecordError: no such parent.
        """
        with self._lock:
            if parent not in self._keys:
                raise UnknownRecordError(f"there is no key {parent!r}")
            now = self.clock()
            for old in [key for key in self._keys.values() if key.parent and not key.valid(now)]:
                self.remove_key(old.key)
            made = temporary_key(self._keys[parent], now + seconds)
            self.put_key(made)
            return made

    def restore(self, keys: Mapping[str, ApiKey], accounts: Mapping[str, Account]) -> None:
        """Have these keys and accounts and no others, and nothing used."""
        with self._lock:
            for account in accounts.values():
                self.put_account(account)
            for key in keys.values():
                self.put_key(key)
            for name in [name for name in self._keys if name not in keys]:
                self.remove_key(name)
            for name in [name for name in self._accounts if name not in accounts]:
                self.remove_account(name)
            for name in accounts:
                self.ledger.reset(name)

    def expire_key(self, key: str, seconds: float = 0) -> ApiKey:
        """Let a key expire in so many seconds. Raises `UnknownRecordError`."""
        return self.change_key(key, {"expires_at": self.clock() + seconds})

    def _account(self, name: str) -> Account:
        account = self._accounts.get(name)
        if account is None:
            raise UnknownRecordError(f"there is no account {name!r}{nearest(name, self._accounts)}")
        return account


def with_key(configuration: Configuration, api_key: str | None, default: str) -> Configuration:
    """The configuration with one more key: the given one, or, where it has none at all, the default one."""
    key = api_key or (None if configuration.keys else default)
    if key is None or key in configuration.keys:
        return configuration
    return replace(configuration, keys={key: parse_key(key, {}, "the API key"), **configuration.keys})


def _merge(record: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """JSON Merge Patch, RFC 7396."""
    merged = dict(record)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            inner = merged.get(name)
            merged[name] = _merge(inner if isinstance(inner, Mapping) else {}, value)
        else:
            merged[name] = value
    return merged


def open_books(
    *,
    config_file: Path | None,
    state_file: Path | None,
    api_key: str | None,
    default_key: str,
    clock: Clock = time.time,
) -> Books:
    """The books of a server: from a configuration and a state, both optional, and a key that is let in.

    Raises:
        SettingError: the configuration is wrong.
        StateError: the state file cannot be used.
    """
    configuration = read_configuration(config_file) if config_file is not None else Configuration()
    configuration = with_key(configuration, api_key, default_key)
    if state_file is None:
        return Books(configuration, clock=clock)
    state = StateFile(state_file)
    try:
        return Books(configuration, state=state, clock=clock)
    except BaseException:
        state.close()
        raise
