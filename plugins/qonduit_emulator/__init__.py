"""A local DashScope: both wires of Alibaba Cloud Model Studio on your own machine, without cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qonduit_emulator._address import DEFAULT_API_KEY, Address
from qonduit_emulator._server import Emulator, serve

if TYPE_CHECKING:
    from qonduit_emulator._app import create_app

__all__ = ["DEFAULT_API_KEY", "Address", "Emulator", "create_app", "serve"]


def __getattr__(name: str) -> Any:
    """Import `create_app` when it is used: it brings starlette along."""
    if name == "create_app":
        from qonduit_emulator._app import create_app  # noqa: PLC0415

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
