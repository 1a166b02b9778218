"""`qonduit emulator`: the emulator in the foreground."""

from __future__ import annotations

import ipaddress
import secrets
from typing import TYPE_CHECKING

from qonduit.errors import ConfigurationError
from qonduit_cli.failures import FAILED, UsageError
from qonduit_cli.output import note, say

if TYPE_CHECKING:
    from qonduit_emulator import Address


def serve_emulator(host: str, port: int, api_key: str | None, allow_remote: bool) -> int:
    """Serve until a signal. Raises: UsageError, ConfigurationError."""
    from qonduit_emulator import serve

    if not _is_loopback(host):
        if not allow_remote:
            raise UsageError(
                f"--host {host} is not a loopback address: other machines could reach the emulator. "
                "Use 127.0.0.1, or pass --allow-remote if that is meant."
            )
        # The usual key is in the documentation: it keeps nobody out.
        api_key = api_key or f"sk-{secrets.token_hex(16)}"
    try:
        serve(host, port, api_key=api_key, ready=_announce, allow_remote=allow_remote)
    except ImportError as error:
        raise ConfigurationError(
            f'The emulator is not installed ({error.name} is missing): pip install "qonduit[emulator]".'
        ) from None
    except BrokenPipeError:
        raise
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        note(
            "error",
            f"The emulator cannot listen on {host}, port {port}: {reason}. --port 0 takes a free one.",
        )
        return FAILED
    return 0


def _announce(address: Address) -> None:
    say(f"The emulator answers at {address.url} with the key {address.api_key} (Ctrl-C ends it)")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
