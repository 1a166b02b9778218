"""Where a running emulator is, and where one may be."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

DEFAULT_API_KEY = "sk-qonduit-emulator"
"""The key an emulator lets in when none is given. It is no secret: an emulator listens on loopback only."""


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a running emulator and a key it lets in."""

    host: str
    port: int
    api_key: str

    @property
    def url(self) -> str:
        """The root, such as `http://127.0.0.1:8765`; plain OpenAI clients take this with `/v1`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def base_url(self) -> str:
        """The base URL of the OpenAI-compatible wire."""
        return f"{self.url}/compatible-mode/v1"

    @property
    def native_url(self) -> str:
        """The base URL of the native wire."""
        return f"{self.url}/api/v1"


def require_loopback(host: str, *, allow_remote: bool) -> None:
    """Refuse an address that other machines could reach, unless that was asked for.

    Raises:
        ValueError: `host` is not a loopback address.
    """
    if not allow_remote and not is_loopback(host):
        raise ValueError(
            f"the emulator listens on this machine only, and {host!r} is not a loopback address; "
            "use 127.0.0.1, or pass allow_remote=True to open it to other machines"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
