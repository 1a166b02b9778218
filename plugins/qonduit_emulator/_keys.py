"""API keys: whom they belong to, what they may do, until when."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from qonduit_emulator._accounts import check_model
from qonduit_emulator._settings import Reader, SettingError, moment, one_of, read_settings, text, texts

KeyState = Literal["active", "disabled"]

MAX_TEMPORARY_SECONDS = 1800
"""Source: https://help.aliyun.com/zh/model-studio/generate-temporary-api-key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One key.

    `expires_at` is in unix seconds, `None` for never. `region` is where the key is valid (`None`: everywhere),
    `workspace` the sub-workspace it belongs to (`None`: the main account's, which enters all), `allowed_models`
    what that workspace may call (`None`: all). `parent` is the key a temporary one was made from.
    """

    key: str
    account: str = "default"
    state: KeyState = "active"
    expires_at: float | None = None
    region: str | None = None
    workspace: str | None = None
    allowed_models: tuple[str, ...] | None = None
    parent: str | None = None

    def valid(self, now: float) -> bool:
        """Whether it is neither disabled nor expired at `now`, in unix seconds."""
        return self.state == "active" and (self.expires_at is None or now < self.expires_at)

    def allows(self, model: str) -> bool:
        """Whether its workspace may call the model."""
        return self.allowed_models is None or model in self.allowed_models

    def record(self) -> dict[str, Any]:
        """What differs from the defaults, as `parse_key` reads it; the key itself is left out."""
        values = {name: getattr(self, name) for name in _READERS}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value is not None and (name, value) != ("state", "active")
        }


_READERS: Mapping[str, Reader] = {
    "account": text,
    "state": one_of(get_args(KeyState)),
    "expires_at": moment,
    "region": text,
    "workspace": text,
    "allowed_models": texts,
    "parent": text,
}


def parse_key(key: str, fields: Any, place: str) -> ApiKey:
    """Read one key's record; `place` names it in errors.

    Raises:
        SettingError: an unknown name or a wrong value.
    """
    if not key.isascii() or not key.isprintable() or not key or " " in key:
        raise SettingError(f"{place}: a key is made of printable ASCII characters without spaces")
    parsed = ApiKey(key=key, **read_settings(fields, _READERS, place))
    for model in parsed.allowed_models or ():
        check_model(model, place)
    return parsed


def new_key() -> str:
    """A key nobody has."""
    return f"sk-{secrets.token_hex(16)}"


def temporary_key(parent: ApiKey, expires_at: float) -> ApiKey:
    """A key that may do what its parent may, until `expires_at`; a copy, so the parent cannot revoke it.

    Source: https://help.aliyun.com/zh/model-studio/generate-temporary-api-key.
    """
    return replace(parent, key=f"st-{secrets.token_hex(24)}", parent=parent.key, expires_at=expires_at)
