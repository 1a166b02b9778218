"""`qonduit emulator keys|accounts …`: a running emulator, changed through its admin API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from qonduit_cli.emulator_words import TOKEN_VARIABLE
from qonduit_cli.failures import FAILED, UsageError
from qonduit_cli.output import note, say, table, write

PATH = "/_emulator/admin"
TIMEOUT_SECONDS = 10
LIMITS = frozenset(
    {
        "requests_per_second",
        "requests_per_minute",
        "tokens_per_minute",
        "concurrency",
        "requests_per_day",
        "free_tokens",
    }
)
"""Settings that are limits: of all models, or of the one named."""


class AdminError(Exception):
    """The emulator did not do it. The text says why and what to do."""


class Admin:
    """The admin API of the emulator at `url`."""

    def __init__(self, url: str, token: str | None) -> None:
        """Raises: UsageError."""
        if not token:
            raise UsageError(
                "The admin token is missing: pass --admin-token, or set the environment variable "
                f"{TOKEN_VARIABLE}. 'qonduit emulator --admin' prints it."
            )
        if not token.isascii() or not token.isprintable():
            raise UsageError("The admin token has characters that no token has.")
        self._url = url.rstrip("/")
        self._token = token

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send one request; returns the answer's JSON. Raises: AdminError, UsageError."""
        headers = {"authorization": f"Bearer {self._token}"}
        try:
            response = httpx.request(
                method,
                f"{self._url}{PATH}{path}",
                json=body,
                headers=headers,
                timeout=TIMEOUT_SECONDS,
                trust_env=False,
            )
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise UsageError(f"--url {self._url} is no URL of an emulator: {error}") from None
        except httpx.HTTPError as error:
            raise AdminError(
                f"No emulator answers at {self._url} ({error}). Start one with: qonduit emulator --admin"
            ) from None
        return self._read(response)

    def _read(self, response: httpx.Response) -> Any:
        try:
            document = response.json()
        except ValueError:
            document = None
        if response.is_success and isinstance(document, dict):
            return document
        error = document.get("error") if isinstance(document, dict) else None
        if response.status_code == 401 and isinstance(error, str):
            raise AdminError(f"The emulator at {self._url} does not take this admin token.")
        if isinstance(error, str):
            raise AdminError(f"{error[:1].upper()}{error[1:]}.")
        raise AdminError(
            f"No admin API answers at {self._url} (HTTP {response.status_code}). "
            "Start the emulator with: qonduit emulator --admin"
        )


def show_keys(admin: Admin, *, as_json: bool) -> int:
    """List all keys."""
    return _run(lambda: _show_keys(admin.call("GET", "/keys"), as_json))


def add_key(admin: Admin, record: Mapping[str, Any]) -> int:
    """Add a key and print it alone, for `$(…)`."""
    return _run(lambda: say(admin.call("POST", "/keys", record)["key"]))


def change_key(admin: Admin, key: str, changes: Mapping[str, Any]) -> int:
    """Change a key and say what it is now."""
    return _run(lambda: _say_key(admin.call("PATCH", f"/keys/{quote(key, safe='')}", changes)))


def show_accounts(admin: Admin, *, as_json: bool) -> int:
    """List all accounts."""
    return _run(lambda: _show_accounts(admin.call("GET", "/accounts"), as_json))


def add_account(admin: Admin, name: str, settings: Sequence[str], model: str | None) -> int:
    """Add an account. Raises: UsageError."""
    record = {"name": name, **_parse_settings(settings, model)}
    return _run(lambda: _say_account(admin.call("POST", "/accounts", record)))


def set_account(admin: Admin, name: str, settings: Sequence[str], model: str | None) -> int:
    """Change an account. Raises: UsageError."""
    patch = _parse_settings(settings, model)
    if not patch:
        raise UsageError("What is to be set? Such as: qonduit emulator accounts set default requests_per_minute=60")
    return _run(lambda: _say_account(admin.call("PATCH", f"/accounts/{quote(name, safe='')}", patch)))


def reset(admin: Admin, name: str) -> int:
    """Forget what an account has used."""
    return _run(lambda: _say_account(admin.call("POST", f"/accounts/{quote(name, safe='')}/reset")))


def remove(admin: Admin, kind: str, name: str) -> int:
    """Forget a key or an account."""

    def work() -> None:
        admin.call("DELETE", f"/{kind}/{quote(name, safe='')}")
        say(f"{name} is removed")

    return _run(work)


def _run(work: Any) -> int:
    try:
        work()
    except AdminError as error:
        note("error", error)
        return FAILED
    return 0


def _parse_settings(settings: Sequence[str], model: str | None) -> dict[str, Any]:
    """`NAME=VALUE` words as a JSON Merge Patch; limits go to where limits stand."""
    patch: dict[str, Any] = {}
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator or not name:
            raise UsageError(f"{setting!r} is not SETTING=VALUE, such as requests_per_minute=60")
        if name not in LIMITS:
            if model is not None:
                raise UsageError(f"--model {model} is for limits, and {name} is none: {', '.join(sorted(LIMITS))}")
            patch[name] = _parse_value(name, value)
        elif model is None:
            patch.setdefault("limits", {})[name] = _parse_value(name, value)
        else:
            patch.setdefault("model_limits", {}).setdefault(model, {})[name] = _parse_value(name, value)
    return patch


def _parse_value(name: str, value: str) -> Any:
    if value.lower() in {"none", "null"}:
        return None
    if name == "allowed_models" and not value.startswith("["):
        return [model.strip() for model in value.split(",") if model.strip()]
    try:
        return json.loads(value)
    except ValueError:
        return value


def _show_keys(document: Any, as_json: bool) -> None:
    if as_json:
        _write_json(document)
        return
    header = ("KEY", "ACCOUNT", "STATE", "EXPIRES", "REGION", "WORKSPACE", "MODELS")
    table(header, [_key_row(key) for key in document["keys"]])


def _key_row(key: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        key["key"],
        key["account"],
        _key_state(key),
        _moment(key.get("expires_at")),
        key.get("region", "any"),
        key.get("workspace", "-"),
        ", ".join(key["allowed_models"]) if "allowed_models" in key else "all",
    )


def _key_state(key: Mapping[str, Any]) -> str:
    return "expired" if key["state"] == "active" and not key["valid"] else key["state"]


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return f"{seconds:g}"


def _say_key(key: Mapping[str, Any]) -> None:
    expires = f", expires {_moment(key['expires_at'])}" if "expires_at" in key else ""
    say(f"{key['key']} is {_key_state(key)}{expires}")


def _show_accounts(document: Any, as_json: bool) -> None:
    if as_json:
        _write_json(document)
        return
    header = ("ACCOUNT", "STATE", "BILLING", "QUOTA", "USED", "RESERVED", "REQUESTS", "LIMITS")
    table(header, [_account_row(account) for account in document["accounts"]])


def _account_row(account: Mapping[str, Any]) -> tuple[str, ...]:
    usage = account["usage"].values()
    return (
        account["name"],
        account["state"],
        account["billing"],
        str(account.get("token_quota", "none")),
        str(sum(model["used_tokens"] for model in usage)),
        str(sum(model["reserved_tokens"] for model in usage)),
        str(sum(model["requests"] for model in usage)),
        _describe_limits(account),
    )


def _describe_limits(account: Mapping[str, Any]) -> str:
    texts = [f"{name}={value}" for name, value in account.get("limits", {}).items()]
    for model, limits in account.get("model_limits", {}).items():
        texts += [f"{model}: {name}={value}" for name, value in limits.items()]
    if "allowed_models" in account:
        texts.append(f"allowed_models={','.join(account['allowed_models'])}")
    return "; ".join(texts) or "none"


def _say_account(account: Mapping[str, Any]) -> None:
    quota = account.get("token_quota", "none")
    limits = _describe_limits(account)
    say(f"{account['name']} is {account['state']}; billing: {account['billing']}; quota: {quota}; limits: {limits}")


def _write_json(document: Any) -> None:
    write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
