"""Retry-After: how long a provider asks to wait, from the headers of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, 0 or more; None when the headers say nothing that can be read.

    `retry-after-ms`, then `retry-after` in seconds or as a date. A date is measured against the answer's own `date`,
    so that a wrong clock on this side does not count.
    Source: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after (2026-11-21).
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    if text is None:
        return None
    seconds = _number(text)
    if seconds is not None:
        return seconds
    when = _date(text)
    if when is None:
        return None
    now = _date(headers.get("date")) or datetime.now(UTC)
    return max((when - now).total_seconds(), 0.0)


def http_time(headers: Mapping[str, str]) -> int | None:
    """The answer's own time, in unix seconds; None without a readable `date`."""
    when = _date(headers.get("date"))
    return None if when is None else int(when.timestamp())


def _number(text: str | None) -> float | None:
    """The number that a header says; the largest where it was sent several times, so that none is undercut."""
    if text is None or not text.isascii():
        return None
    numbers = [number.strip() for number in text.split(",")]
    if not all(number.replace(".", "", 1).isdigit() for number in numbers):
        return None
    return max(float(number[:32]) for number in numbers)


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  # slow to import, seldom needed

    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)
