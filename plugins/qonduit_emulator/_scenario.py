"""What an emulator plays beside plain answers: rules, faults, a pace; what it remembers of prompts and requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from qonduit_emulator._faults import Faults
from qonduit_emulator._layers import Journal
from qonduit_emulator._pacing import Pacing, parse_pacing
from qonduit_emulator._prompt_cache import PromptCache
from qonduit_emulator._rules import Rules
from qonduit_emulator._settings import SettingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What a scenario begins with: records of rules and faults that have been read once without a mistake."""

    rules: Sequence[Any] = ()
    faults: Sequence[Any] = ()
    pacing: Pacing = field(default_factory=Pacing)


def parse_script(rules: Any, faults: Any, pacing: Any, place: str) -> Script:
    """Read the arrays `rule` and `fault` and the table `pacing` of a configuration; `None` where there is none.

    Raises:
        SettingError: a mistake; the text names the place, the table by its number, and the key.
    """
    script = Script(
        rules=_read_array(rules, "rule", place),
        faults=_read_array(faults, "fault", place),
        pacing=Pacing() if pacing is None else parse_pacing(pacing, f"{place}, table pacing"),
    )
    Scenario(script, place=place)
    return script


def _read_array(value: Any, name: str, place: str) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise SettingError(f"{place}: {name} must be an array of tables, such as [[{name}]]")
    return tuple(value)


class Scenario:
    """Everything of it that can be changed while the emulator runs."""

    def __init__(self, script: Script | None = None, *, journal: Journal | None = None, place: str = "script") -> None:
        self._script = script or Script()
        self._place = place
        self.rules = Rules()
        self.faults = Faults()
        self.cache = PromptCache()
        self.journal = journal
        self.pacing: Pacing = self._script.pacing
        self.reset()

    def load(self, script: Script) -> None:
        """Begin with another script; rules and faults that were set before stay, after those of the script."""
        rules, faults, pacing = self.rules.list(), self.faults.list(), self.pacing
        before, self._script = self._script, script
        self.reset()
        for record in rules[len(before.rules) :]:
            self.rules.set_record({key: value for key, value in record.items() if key != "id"}, "rule")
        for record in faults[len(before.faults) :]:
            kept = {key: value for key, value in record.items() if key not in {"id", "happened"}}
            self.faults.set_record(kept, "fault")
        if pacing != before.pacing:
            self.pacing = pacing

    def reset(self) -> None:
        """Be as at the start. Raises `SettingError` for a script that cannot be read."""
        self.rules.clear()
        self.faults.clear()
        self.cache.clear()
        if self.journal is not None:
            self.journal.clear()
        self.pacing = self._script.pacing
        for number, record in enumerate(self._script.rules, 1):
            self.rules.set_record(record, f"{self._place}, table rule {number}")
        for number, record in enumerate(self._script.faults, 1):
            self.faults.set_record(record, f"{self._place}, table fault {number}")
