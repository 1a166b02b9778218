"""Periods: days, weeks and months in somebody's time zone, made of the ledger's UTC."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from qonduit_cli.failures import UsageError

Period: TypeAlias = Literal["day", "week", "month"]
PERIODS: tuple[Period, ...] = ("day", "week", "month")


@dataclass(frozen=True, slots=True)
class Zone:
    """The time zone that days begin in; without `info` that of this machine."""

    name: str
    info: datetime.tzinfo | None

    @classmethod
    def named(cls, name: str | None) -> Zone:
        """Raises: UsageError when there is no such time zone."""
        if name is None:
            return cls(_offset(datetime.datetime.now().astimezone()), None)
        if name.upper() == "UTC":
            return cls("UTC", datetime.UTC)
        try:
            return cls(name, ZoneInfo(name))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise UsageError(f"--timezone {name}: expected a name such as Asia/Shanghai or UTC.") from None

    def local(self, moment: datetime.datetime) -> datetime.datetime:
        """`moment` in this zone."""
        return moment.astimezone(self.info)

    def at(self, naive: datetime.datetime) -> datetime.datetime:
        """A time of this zone's clocks."""
        return naive.astimezone() if self.info is None else naive.replace(tzinfo=self.info)


def date_of(stamp: str, zone: Zone) -> datetime.date:
    """The day of a row's time. Offsets of time zones are whole minutes, so the minute says it."""
    return _date(stamp[:16], zone)


@lru_cache(maxsize=65536)
def _date(minute: str, zone: Zone) -> datetime.date:
    return zone.local(datetime.datetime.fromisoformat(minute + ":00+00:00")).date()


def label(day: datetime.date, period: Period) -> str:
    """The period that a day is in: `2026-11-21`, `2026-W47` (ISO 8601: from Monday), `2026-11`."""
    match period:
        case "day":
            return day.isoformat()
        case "week":
            year, week, _ = day.isocalendar()
            return f"{year}-W{week:02}"
        case "month":
            return day.isoformat()[:7]


def between(first: datetime.date, last: datetime.date, period: Period) -> Iterator[str]:
    """The periods from one day to another, those without a call too."""
    seen = None
    for number in range((last - first).days + 1):
        name = label(first + datetime.timedelta(days=number), period)
        if name != seen:
            yield name
        seen = name


def moment(text: str, option: str, zone: Zone, *, end: bool = False) -> datetime.datetime:
    """What `--since` and `--until` say, in UTC: a day, or a time. A day ends, with `end`, when the next one begins.

    Raises: UsageError.
    """
    try:
        if len(text) == len("2026-11-21"):
            day = datetime.date.fromisoformat(text) + datetime.timedelta(days=end)
            said = datetime.datetime.combine(day, datetime.time())
        else:
            said = datetime.datetime.fromisoformat(text)
        return (zone.at(said) if said.tzinfo is None else said).astimezone(datetime.UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{option} {text}: expected a day, 2026-11-21, or a time, 2026-11-21T08:30.") from None


def _offset(now: datetime.datetime) -> str:
    offset = now.strftime("%z")
    return f"UTC{offset[:3]}:{offset[3:5]}"
