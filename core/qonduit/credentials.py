"""Credentials: a key, where it came from, and how to read it again. Never shown, never pickled."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from pydantic import SecretStr

from qonduit.errors import ConfigurationError, MissingCredentialsError

MASK = "[redacted]"
"""What stands where a secret was."""
SHORTEST_VALUE = 6
"""Shorter values are not looked for: they would be found in ordinary text."""

KeySource: TypeAlias = "str | SecretStr | Callable[[], str]"
"""A key, a reference to one (`env:NAME`, `file:PATH`, `keyring:SERVICE/NAME`), or a function that gives one."""


class Variables:
    """The variables of a `.env`, for look-ups only: no mapping, so that what prints mappings does not show them."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})

    def get(self, name: str) -> str | None:
        """The value of a variable."""
        return self._values.get(name)

    def __repr__(self) -> str:
        """Shows the names only."""
        return f"<Variables {', '.join(self._values)}>"

    def __reduce__(self) -> tuple[object, ...]:
        """Refused: a pickle would hold the values."""
        raise TypeError("Variables are not pickled: keys would be in the pickle. Read them where they are used.")


class Credentials:
    """One API key.

    `origin` says where it comes from, in words that may be shown. `value` is the key; `refresh` reads it again from
    its origin and says whether it has changed, so that a rotated key is taken up after a 401.
    """

    __slots__ = ("_lock", "_read", "_reads", "_value", "origin")

    def __init__(self, read: Callable[[], str], origin: str) -> None:
        self._read = read
        self._reads = 0
        self._lock = threading.Lock()
        self.origin = origin
        self._value = check_key(read(), origin)

    @property
    def value(self) -> str:
        """The key itself: for headers only."""
        return self._value

    @property
    def key_id(self) -> str:
        """A short digest of the key, for telling keys apart. A key has too much entropy to be guessed from it."""
        return hashlib.blake2b(self._value.encode(), key=b"qonduit key id", digest_size=8).hexdigest()

    def refresh(self, used: str | None = None) -> bool:
        """Read the key again; True when it is another one than `used`, the key that was refused (the present one).

        Of many calls that were refused at once one reads it, and the others wait for what it finds. May block.
        """
        refused = self._value if used is None else used
        reads = self._reads
        with self._lock:
            if self._value == refused and self._reads == reads:
                self._value = check_key(self._read(), self.origin)
                self._reads += 1
            return self._value != refused

    def __repr__(self) -> str:
        """Shows the origin, not the key."""
        return f"<Credentials from {self.origin}>"

    def __reduce__(self) -> tuple[object, ...]:
        """Refused: a pickle would hold the key."""
        raise TypeError(
            "Credentials are not pickled: the key would be in the pickle. Build the client where it is used."
        )


def forms_of(value: str) -> tuple[str, ...]:
    """A secret as it may turn up: plain, percent-encoded, in a JSON text, and what base64 of a text around it holds."""
    if len(value) < SHORTEST_VALUE:
        return ()
    forms = [value, quote(value, safe=""), json.dumps(value)[1:-1]]
    raw = value.encode(errors="surrogatepass")
    for before in range(3):  # how many bytes stand before it in a group of three
        lead = -(-before * 8 // 6)
        encoded = base64.b64encode(b"\0" * before + raw).decode()
        whole = (before + len(raw)) * 8 // 6  # characters that depend on nothing that follows
        piece = encoded[lead:whole]
        if len(piece) >= SHORTEST_VALUE:
            forms += [piece, piece.replace("+", "-").replace("/", "_")]
    return tuple(sorted(set(forms), key=len, reverse=True))


def check_key(key: str, origin: str) -> str:
    """`key`, if it can stand in a header. Raises: ConfigurationError that names the origin, not the key."""
    if not isinstance(key, str) or not key.strip():
        raise MissingCredentialsError(f"The API key from {origin} is empty. Set it, or remove the setting.")
    if key != key.strip() or any(character in key for character in "\r\n\t\0 "):
        raise ConfigurationError(
            f"The API key from {origin} holds a space or a line break. Copy it again without them; "
            "a trailing newline often comes from 'echo' or a file."
        )
    if not key.isascii() or not key.isprintable():
        raise ConfigurationError(
            f"The API key from {origin} holds characters that no key has (outside printable ASCII). Copy it again."
        )
    return key


def resolve(source: KeySource, setting: str, environ: Variables) -> Credentials:
    """The credentials that `source` means. `setting` names it in errors. Raises: ConfigurationError."""
    if isinstance(source, SecretStr):
        source = source.get_secret_value()
    if not isinstance(source, str):
        if not callable(source):
            raise ConfigurationError(f"{setting}: expected text or a function that gives the key.")
        return Credentials(source, f"the function given as {setting}")
    scheme, separator, name = source.partition(":")
    if separator and scheme == "env":
        return Credentials(lambda: _from_environment(name, setting, environ), f"the variable {name}")
    if separator and scheme == "file":
        return Credentials(lambda: _from_file(name, setting), f"the file {name}")
    if separator and scheme == "keyring":
        return Credentials(lambda: _from_keyring(name, setting), f"the keyring entry {name}")
    literal = source
    return Credentials(lambda: literal, setting)


def _from_environment(name: str, setting: str, environ: Variables) -> str:
    value = os.environ.get(name) or environ.get(name)
    if not value:
        raise MissingCredentialsError(
            f"{setting} is 'env:{name}', but the variable {name} is not set. Set it: export {name}=sk-…"
        )
    return value


def _from_file(name: str, setting: str) -> str:
    try:
        return Path(name).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
    raise MissingCredentialsError(f"{setting} is 'file:{name}', but that file cannot be read: {reason}.")


def _from_keyring(name: str, setting: str) -> str:
    service, separator, user = name.rpartition("/")
    if not separator:
        raise ConfigurationError(f"{setting}: 'keyring:{name}' is not complete; expected keyring:SERVICE/NAME.")
    try:
        import keyring  # noqa: PLC0415  # an extra
    except ImportError:
        raise ConfigurationError(
            f"{setting} is a keyring reference, but the package keyring is not installed: "
            'pip install "qonduit[keyring]".'
        ) from None
    key = keyring.get_password(service, user)
    if not key:
        raise MissingCredentialsError(
            f"{setting} is 'keyring:{name}', but the keyring has no such entry. Set it: keyring set {service} {user}"
        )
    return str(key)
