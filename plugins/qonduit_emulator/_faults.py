"""Faults on demand: which one, for which requests, and how often. Nothing here is left to chance.

A fault is chosen before the request is read, by its key and path. Each fault counts the requests that fit it
per key, from 1, since it was set; `nth` and `every` look at that number, and `probability` draws from a hash of
seed, key and number, so the same requests fail again in the next run, whatever runs beside them.

The first fault that was set and applies wins. One named by the header `x-emulator-fault: name[=value]` comes
before all of them and is not counted.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from qonduit_emulator._refusal import Refusal
from qonduit_emulator._refusal_codes import refusal_by_code
from qonduit_emulator._settings import Reader, SettingError, count, number, one_of, read_settings, text

HEADER = "x-emulator-fault"
"""Names the fault of one request."""

CLOSE_KEY = "qonduit_emulator.close"
"""Where in the scope's state the server puts its function that closes the connection."""

_SCOPE_KEY = "qonduit_emulator.fault"


class FaultName(StrEnum):
    """The faults, with what their value means."""

    ERROR = "error"
    """A refusal: a code or a status. The value is needed."""
    HTML = "html"
    """A gateway's HTML page: its status (502)."""
    SLOW_FIRST_BYTE = "slow-first-byte"
    """Nothing is sent for so many seconds (1)."""
    STALL = "stall"
    """After the first event, or half of a plain body, nothing is sent for so many seconds (3600)."""
    CUT_BEFORE_HEADERS = "cut-before-headers"
    """The connection closes without an answer. No value."""
    CUT_AFTER_FIRST_BYTE = "cut-after-first-byte"
    """The connection closes after the headers and one byte of the body. No value."""
    CUT_MID_EVENT = "cut-mid-event"
    """The connection closes in the middle of an event, after so many whole ones (1), or of a plain body."""
    TRUNCATE = "truncate"
    """The answer ends as if complete after so many events (1), or half of a plain body."""
    MALFORMED_JSON = "malformed-json"
    """The JSON of that event, from 1, or of a plain body, lacks its end."""
    WRONG_USAGE = "wrong-usage"
    """Every count of tokens is this number (0)."""
    PARTIAL_RESPONSE = "partial-response"
    """A plain answer stops half-way: HTTP 200, `stop`, and `x-dashscope-partialresponse: true`. No value."""
    CONTENT_FILTER = "content-filter"
    """After so many pieces (3) the content filter ends the answer with its error."""


_DEFAULTS: Mapping[FaultName, float] = {
    FaultName.HTML: 502,
    FaultName.SLOW_FIRST_BYTE: 1,
    FaultName.STALL: 3600,
    FaultName.CUT_MID_EVENT: 1,
    FaultName.TRUNCATE: 1,
    FaultName.MALFORMED_JSON: 1,
    FaultName.WRONG_USAGE: 0,
    FaultName.CONTENT_FILTER: 3,
}
_SECONDS = frozenset({FaultName.SLOW_FIRST_BYTE, FaultName.STALL})


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault that happens: `number` is its value where that is one, `refusal` is set for errors only."""

    name: FaultName
    number: float = 0
    refusal: Refusal | None = None

    @property
    def count(self) -> int:
        """The value as a whole number."""
        return int(self.number)


def parse_fault(name: str, value: str | float | None = None) -> Fault:
    """The fault of that name.

    Raises:
        ValueError: no such name, or a value that does not fit it.
    """
    try:
        known = FaultName(name)
    except ValueError:
        raise ValueError(f"{name!r} is no fault; use one of {', '.join(FaultName)}") from None
    if known is FaultName.ERROR:
        if value is None:
            raise ValueError("the fault 'error' needs a value: a status such as 429, or a code")
        return Fault(known, refusal=refusal_by_code(str(value)))
    return Fault(known, _parse_number(known, value))


def _parse_number(name: FaultName, value: str | float | None) -> float:
    if value is None:
        return _DEFAULTS.get(name, 0)
    if name not in _DEFAULTS:
        raise ValueError(f"the fault {name.value!r} takes no value")
    try:
        number = float(value)
    except ValueError:
        number = -1
    whole = name in _SECONDS or number == int(number) if 0 <= number < 1e9 else False
    if not whole or (name is FaultName.HTML and not 200 <= number <= 599):
        expected = "a number of seconds" if name in _SECONDS else "a whole number"
        raise ValueError(f"the value {value!r} of the fault {name.value!r} is not {expected} that makes sense")
    return number


def parse_fault_header(text: str) -> Fault:
    """The fault of a header `name` or `name=value`. Raises `ValueError` as `parse_fault` does."""
    name, separator, value = text.partition("=")
    return parse_fault(name.strip(), value.strip() if separator else None)


@dataclass
class FaultPlan:
    """A fault that was set, and for which requests."""

    id: int
    fault: Fault
    name: str
    value: str | float | None = None
    key: str | None = None
    wire: Literal["native", "compatible"] | None = None
    path: str | None = None
    nth: int | None = None
    every: int | None = None
    probability: float | None = None
    seed: int = 0
    times: int | None = None
    happened: int = 0
    _counts: Counter[str] = field(default_factory=Counter, repr=False)

    def describe(self) -> dict[str, Any]:
        """What was set, and how often it has `happened`; without what was left open."""
        names = ("id", "name", "value", "key", "wire", "path", "nth", "every", "probability", "times")
        described = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.probability is not None:
            described["seed"] = self.seed
        return {**described, "happened": self.happened}

    def takes(self, key: str, path: str) -> bool:
        """Count one request; whether it gets the fault."""
        native = path.startswith("/api/")
        if (
            (self.key is not None and key != self.key)
            or (self.wire is not None and native != (self.wire == "native"))
            or (self.path is not None and self.path not in path)
        ):
            return False
        self._counts[key] += 1
        number = self._counts[key]
        if (
            (self.times is not None and self.happened >= self.times)
            or (self.nth is not None and number != self.nth)
            or (self.every is not None and number % self.every)
            or (self.probability is not None and _draw(self.seed, key, number) >= self.probability)
        ):
            return False
        self.happened += 1
        return True


def _draw(seed: int, key: str, number: int) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.sha256(f"{seed}/{number}/{key}".encode()).digest()
    return int.from_bytes(digest[:7]) / 2**56


def _value(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError("a text or a number")
    return value


_READERS: Mapping[str, Reader] = {
    "name": text,
    "value": _value,
    "key": text,
    "wire": one_of(("native", "compatible")),
    "path": text,
    "nth": count,
    "every": count,
    "probability": number,
    "seed": count,
    "times": count,
}


class Faults:
    """The faults that are set. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plans: list[FaultPlan] = []
        self._ids = itertools.count(1)

    def set(
        self,
        name: str,
        value: str | float | None = None,
        *,
        key: str | None = None,
        wire: Literal["native", "compatible"] | None = None,
        path: str | None = None,
        nth: int | None = None,
        every: int | None = None,
        probability: float | None = None,
        seed: int = 0,
        times: int | None = None,
    ) -> int:
        """Set one more fault; returns its id, for `clear`.

        Args:
            name: one of `FaultName`.
            value: what the fault's description says; its default when `None`.
            key: only requests with this API key.
            wire: only requests of this wire.
            path: only requests whose path contains this.
            nth: only the request of this number, from 1, of each key.
            every: only each so-manieth request of each key.
            probability: this share of the requests, between 0 and 1; the same ones for the same `seed`.
            times: at most so often.

        Raises:
            ValueError: no such fault, or a value out of its range.
        """
        fault = parse_fault(name, value)
        if wire not in {None, "native", "compatible"}:
            raise ValueError(f"wire is {wire!r}; it is 'native' or 'compatible'")
        for label, given in (("nth", nth), ("every", every), ("times", times)):
            if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 1):
                raise ValueError(f"{label} is {given!r}; it is a whole number from 1")
        if probability is not None and not 0 <= probability <= 1:
            raise ValueError(f"probability is {probability!r}; it is between 0 and 1")
        with self._lock:
            plan = FaultPlan(next(self._ids), fault, name, value, key, wire, path, nth, every, probability, seed, times)
            self._plans = [*self._plans, plan]
        return plan.id

    def set_record(self, record: Any, place: str) -> int:
        """Set the fault of a configuration's table or of JSON; `place` names it in errors.

        Raises:
            SettingError: an unknown key, or a value that cannot be read.
        """
        settings = read_settings(record, _READERS, place)
        if "name" not in settings:
            raise SettingError(f"{place}: it needs a name, one of {', '.join(FaultName)}")
        try:
            return self.set(settings.pop("name"), settings.pop("value", None), **settings)
        except ValueError as error:
            raise SettingError(f"{place}: {error}") from None

    def clear(self, fault_id: int | None = None) -> int:
        """Forget one fault, or all of them; returns how many there were."""
        with self._lock:
            kept = [] if fault_id is None else [plan for plan in self._plans if plan.id != fault_id]
            cleared = len(self._plans) - len(kept)
            self._plans = kept
        return cleared

    def list(self) -> tuple[dict[str, Any], ...]:
        """What is set, in order, each with its `id` and how often it has `happened`."""
        with self._lock:
            return tuple(plan.describe() for plan in self._plans)

    @property
    def any_set(self) -> bool:
        """Whether there is any."""
        return bool(self._plans)

    def choose(self, key: str, path: str) -> Fault | None:
        """The fault of the next request, which is counted by this."""
        with self._lock:
            return next((plan.fault for plan in self._plans if plan.takes(key, path)), None)


def put_fault(scope: Any, fault: Fault) -> None:
    """Let the endpoint know of a fault it has a part in."""
    scope[_SCOPE_KEY] = fault


def chosen_fault(scope: Any) -> Fault | None:
    """The fault of a call under way."""
    found: Fault | None = scope.get(_SCOPE_KEY)
    return found
