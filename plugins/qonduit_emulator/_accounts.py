"""Accounts: their standing, what they may spend, and how fast.

As the vendor has it, limits hold for an account and a model together: all keys and workspaces of the account
share them, and each model has its own.

Source: https://help.aliyun.com/zh/model-studio/rate-limit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args

from qonduit_emulator._models import default_catalogue
from qonduit_emulator._settings import (
    Reader,
    SettingError,
    count,
    nearest,
    one_of,
    read_settings,
    table,
    texts,
)

AccountState = Literal["active", "frozen", "arrears", "not-purchased", "prepaid-bill-overdue", "postpaid-bill-overdue"]
Billing = Literal["paid", "free-tier-only", "free"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What holds for one model; `None` is no limit, but for `free_tokens`, where it is no free tier.

    A second and a minute are sliding windows; a day is one of China's (UTC+8). `concurrency` counts calls
    that have not ended. `free_tokens` are spent before any others and never renewed.
    """

    requests_per_second: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    requests_per_day: int | None = None
    free_tokens: int | None = None

    @property
    def windowed(self) -> bool:
        """Whether a sliding window has to be kept."""
        return (
            self.requests_per_second is not None
            or self.requests_per_minute is not None
            or self.tokens_per_minute is not None
        )

    def record(self) -> dict[str, int]:
        """The limits that are set."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account.

    `billing` says what follows the free tier: `paid` (the token quota; without one there is no end),
    `free-tier-only` (the mode that stops there by the user's wish), `free` (the model cannot be paid for).
    `token_quota` is for all models together and never renewed. `limits` hold for each model by itself, and
    `model_limits` replace them, one by one, for the models they name. `allowed_models` are those the account
    has bought; `None`: all.
    """

    name: str
    state: AccountState = "active"
    billing: Billing = "paid"
    token_quota: int | None = None
    allowed_models: tuple[str, ...] | None = None
    limits: Limits = Limits()
    model_limits: Mapping[str, Limits] = field(default_factory=dict)

    def limits_for(self, model: str) -> Limits:
        """The limits of one model."""
        own = self.model_limits.get(model)
        return self.limits if own is None else replace(self.limits, **own.record())

    def allows(self, model: str) -> bool:
        """Whether the account has bought the model."""
        return self.allowed_models is None or model in self.allowed_models

    def record(self) -> dict[str, Any]:
        """What differs from the defaults, as `parse_account` reads it; the name is left out."""
        record: dict[str, Any] = {}
        if self.state != "active":
            record["state"] = self.state
        if self.billing != "paid":
            record["billing"] = self.billing
        if self.token_quota is not None:
            record["token_quota"] = self.token_quota
        if self.allowed_models is not None:
            record["allowed_models"] = list(self.allowed_models)
        if limits := self.limits.record():
            record["limits"] = limits
        if self.model_limits:
            record["model_limits"] = {model: own.record() for model, own in self.model_limits.items()}
        return record


LIMIT_NAMES = frozenset(limit.name for limit in fields(Limits))
"""The names of limits, as they stand in `limits` and `model_limits`."""

_LIMITS: Mapping[str, Reader] = dict.fromkeys(LIMIT_NAMES, count)


_ACCOUNT: Mapping[str, Reader] = {
    "state": one_of(get_args(AccountState)),
    "billing": one_of(get_args(Billing)),
    "token_quota": count,
    "allowed_models": texts,
    "limits": table,
    "model_limits": table,
}


def parse_account(name: str, record: Any, place: str) -> Account:
    """Read one account's record; `place` names it in errors.

    Raises:
        SettingError: an unknown name or a wrong value.
    """
    if not re.fullmatch(r"[\w.-]+", name):
        raise SettingError(f"{place}: the name of an account is made of letters, digits, '.', '_' and '-'")
    settings = read_settings(record, _ACCOUNT, place)
    if "limits" in settings:
        settings["limits"] = _parse_limits(settings["limits"], f"{place}, table limits")
    for model in (*settings.get("allowed_models", ()), *settings.get("model_limits", ())):
        check_model(model, place)
    settings["model_limits"] = {
        model: _parse_limits(own, f"{place}, table model_limits.{model}")
        for model, own in settings.get("model_limits", {}).items()
    }
    return Account(name=name, **settings)


def check_model(model: str, place: str) -> None:
    """Refuse a model that is not in the catalogue: its settings would have no effect. Raises: SettingError."""
    catalogue = default_catalogue()
    if model not in catalogue:
        close = nearest(model, catalogue, list_all=False)
        raise SettingError(f"{place}: there is no model {model!r}{close}")


def _parse_limits(record: Any, place: str) -> Limits:
    return Limits(**read_settings(record, _LIMITS, place))
