"""What the headers of a refusal say about when to come back, however they are written."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qonduit.retry_after import http_time, retry_after
from qonduit.wire import Headers

DATE = "Sun, 06 Nov 1994 08:49:30 GMT"
"""The answer's own date, thirty years ago: this side's clock does not count."""

TABLE = {
    "seconds": ("7", 7.0),
    "zero": ("0", 0.0),
    "a fraction": ("2.5", 2.5),
    "no digit before the point": (".5", 0.5),
    "leading zeros": ("007", 7.0),
    "spaces": ("  7 ", 7.0),
    "a tab": ("7\t", 7.0),
    "huge": ("9999999999", 9999999999.0),
    "four hundred digits": ("9" * 400, 1e32),
    "negative": ("-5", None),
    "signed": ("+7", None),
    "an exponent": ("1e9", None),
    "hexadecimal": ("0x10", None),
    "an underscore": ("1_0", None),
    "two points": ("1.2.3", None),
    "a unit": ("7s", None),
    "infinite": ("inf", None),
    "no number": ("nan", None),
    "empty": ("", None),
    "spaces only": ("  ", None),
    "garbage": ("soon", None),
    "Arabic digits": ("٣", None),
    "a superscript": ("²", None),
    "full-width digits": ("７", None),
    "sent twice": ("7, 7", 7.0),
    "sent twice, the longer counts": ("7, 9.5, 8", 9.5),
    "sent twice, once as garbage": ("7, soon", None),
    "a date": ("Sun, 06 Nov 1994 08:49:37 GMT", 7.0),
    "a date as RFC 850 wrote it": ("Sunday, 06-Nov-94 08:49:37 GMT", 7.0),
    "a date as asctime writes it": ("Sun Nov  6 08:49:37 1994", 7.0),
    "a date with an offset": ("Sun, 06 Nov 1994 09:49:37 +0100", 7.0),
    "a date that has gone by": ("Sun, 06 Nov 1994 08:00:00 GMT", 0.0),
    "the date of the answer": (DATE, 0.0),
    "the last date there is": ("Fri, 31 Dec 9999 23:59:59 GMT", 252_618_188_969.0 + 60),
    "a year that is none": ("Sun, 06 Nov 99999 08:49:37 GMT", None),
    "a day that is none": ("Sun, 99 Nov 1994 08:49:37 GMT", None),
    "a time without a day": ("08:49:37", None),
}


@pytest.mark.F31
@pytest.mark.F32
@pytest.mark.F33
@pytest.mark.parametrize(("text", "seconds"), TABLE.values(), ids=list(TABLE))
def test_retry_after(text: str, seconds: float | None) -> None:
    """Seconds, or a date measured against the answer's own; what cannot be read says nothing."""
    assert retry_after({"retry-after": text, "date": DATE}) == seconds


@pytest.mark.F32
@pytest.mark.parametrize(
    ("milliseconds", "seconds"),
    [("3500", 3.5), ("0", 0.0), ("1.5", 0.0015), ("250, 750", 0.75), ("-1", 9.0), ("x", 9.0), ("", 9.0), ("٣", 9.0)],
)
def test_milliseconds_go_before_seconds(milliseconds: str, seconds: float) -> None:
    """`retry-after-ms` counts where it can be read."""
    assert retry_after({"retry-after-ms": milliseconds, "retry-after": "9"}) == seconds


@pytest.mark.F32
def test_headers_of_an_answer() -> None:
    """Names are found in any case, and a header that was sent twice counts as its longer."""
    pairs = [(b"Retry-After", b"7"), (b"Date", DATE.encode()), (b"RETRY-AFTER", b"12")]
    assert retry_after(Headers(pairs)) == 12.0
    assert retry_after(Headers()) is None


@pytest.mark.F33
@pytest.mark.parametrize("skew", [timedelta(hours=-3), timedelta(days=9), timedelta(days=-4000)])
def test_a_wrong_clock_does_not_count(skew: timedelta) -> None:
    """Both dates are the server's, so how wrong the clock of this side or of the server is makes no difference."""
    server = datetime.now(UTC).replace(microsecond=0) + skew
    headers = {
        "date": format_datetime(server, usegmt=True),
        "retry-after": format_datetime(server + timedelta(seconds=20), usegmt=True),
    }
    assert retry_after(headers) == 20.0


@pytest.mark.F33
@pytest.mark.parametrize("date", [None, "", "yesterday", "Sun, 99 Nov 1994 08:49:37 GMT"])
def test_without_a_date_of_the_answer_this_sides_clock_serves(date: str | None) -> None:
    """A date in an answer without a readable one of its own is measured by the clock that there is."""
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=1000), usegmt=True)
    headers = {"retry-after": soon} | ({} if date is None else {"date": date})
    seconds = retry_after(headers)
    assert seconds is not None
    assert 900 < seconds <= 1000


HEADER = st.one_of(
    st.text(max_size=40),
    st.text("0123456789., -+eE:GMTSunNov", max_size=40),
    st.integers(-(10**30), 10**30).map(str),
    st.floats().map(str),
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(lambda when: format_datetime(when.replace(tzinfo=UTC))),
)


@pytest.mark.F31
@pytest.mark.F32
@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "date"]), HEADER))
def test_any_text(headers: dict[str, str]) -> None:
    """Whatever a server says, the delay is a finite number of seconds and never negative; nothing is raised."""
    seconds = retry_after(headers)
    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)
    assert http_time(headers) is None or isinstance(http_time(headers), int)
