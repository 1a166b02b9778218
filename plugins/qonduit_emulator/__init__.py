"""A local DashScope: both wires of Alibaba Cloud Model Studio on your own machine, without cost.

Nothing is imported before it is used: the pytest plugin of this package loads with every test run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qonduit_emulator._address import DEFAULT_API_KEY, Address
    from qonduit_emulator._app import create_app
    from qonduit_emulator._books import Books, UnknownRecordError
    from qonduit_emulator._configuration import read_configuration
    from qonduit_emulator._emulator import Emulator
    from qonduit_emulator._faults import FaultName, Faults
    from qonduit_emulator._foreground import serve
    from qonduit_emulator._layers import Journal, ReceivedRequest
    from qonduit_emulator._pacing import Pacing
    from qonduit_emulator._rules import Rules
    from qonduit_emulator._scenario import Scenario
    from qonduit_emulator._settings import SettingError
    from qonduit_emulator._state import StateError

__all__ = [
    "DEFAULT_API_KEY",
    "Address",
    "Books",
    "Emulator",
    "FaultName",
    "Faults",
    "Journal",
    "Pacing",
    "ReceivedRequest",
    "Rules",
    "Scenario",
    "SettingError",
    "StateError",
    "UnknownRecordError",
    "create_app",
    "read_configuration",
    "serve",
]

_MODULES = {
    "_address": ("DEFAULT_API_KEY", "Address"),
    "_app": ("create_app",),
    "_books": ("Books", "UnknownRecordError"),
    "_configuration": ("read_configuration",),
    "_emulator": ("Emulator",),
    "_faults": ("FaultName", "Faults"),
    "_foreground": ("serve",),
    "_layers": ("Journal", "ReceivedRequest"),
    "_pacing": ("Pacing",),
    "_rules": ("Rules",),
    "_scenario": ("Scenario",),
    "_settings": ("SettingError",),
    "_state": ("StateError",),
}


def __getattr__(name: str) -> Any:
    """Import the module of a public name."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
