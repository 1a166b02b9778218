"""`qonduit emulator`: the emulator in the foreground."""

from __future__ import annotations

import ipaddress
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qonduit.errors import ConfigurationError
from qonduit_cli.emulator_words import TOKEN_VARIABLE
from qonduit_cli.failures import FAILED, UsageError
from qonduit_cli.output import note, say

if TYPE_CHECKING:
    from qonduit_emulator import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What the command line says about the emulator to start."""

    host: str
    port: int
    api_key: str | None
    allow_remote: bool
    config_file: Path | None
    state_file: Path | None
    admin: bool
    admin_token: str | None


def serve_emulator(service: Service) -> int:
    """Serve until a signal. Raises: UsageError, ConfigurationError."""
    from qonduit_emulator import SettingError, StateError, serve

    host, api_key = service.host, service.api_key
    token = _admin_token(service)
    if not _is_loopback(host):
        if not service.allow_remote:
            raise UsageError(
                f"--host {host} is not a loopback address: other machines could reach the emulator. "
                "Use 127.0.0.1, or pass --allow-remote if that is meant."
            )
        # The usual key is in the documentation: it keeps nobody out.
        api_key = api_key or f"sk-{secrets.token_hex(16)}"
    try:
        serve(
            host,
            service.port,
            api_key=api_key,
            ready=lambda address: _announce(address, token),
            allow_remote=service.allow_remote,
            config_file=service.config_file,
            state_file=service.state_file,
            admin_token=token,
        )
    except ImportError as error:
        raise ConfigurationError(
            f'The emulator is not installed ({error.name} is missing): pip install "qonduit[emulator]".'
        ) from None
    except (SettingError, StateError) as error:
        raise ConfigurationError(f"{error}.") from None
    except BrokenPipeError:
        raise
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        note(
            "error",
            f"The emulator cannot listen on {host}, port {service.port}: {reason}. --port 0 takes a free one.",
        )
        return FAILED
    return 0


def _admin_token(service: Service) -> str | None:
    """The token of the admin API; `None` when it is off. Raises: UsageError."""
    if not service.admin:
        if service.admin_token is not None:
            raise UsageError("--admin-token needs --admin, which turns the admin API on.")
        return None
    token = service.admin_token or os.environ.get(TOKEN_VARIABLE) or secrets.token_hex(16)
    if not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError("The admin token is made of printable ASCII characters without spaces.")
    return token


def _announce(address: Address, admin_token: str | None) -> None:
    key = f"the key {address.api_key}" if address.api_key else "no valid key"
    say(f"The emulator answers at {address.url} with {key} (Ctrl-C ends it)")
    if admin_token is not None:
        say(f"Its admin API is on, with the token {admin_token}")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
