"""Classification: from an error answer to one of qonduit's errors, by status, then by code, in a provider's table.

Never by text: vendors' texts change, and a text may quote the prompt. The vendor's message is shown, shortened and
with control characters escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from qonduit.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    Outcome,
    PermissionDeniedError,
    RateLimitError,
    ServiceUnavailableError,
)
from qonduit.retry_after import retry_after

RETRYABLE = frozenset({429, 500, 502, 503, 504, 520, 522, 524})
UNKNOWN_OUTCOME = frozenset({500, 502, 504, 520, 522, 524})
"""Statuses after which the answer may have been made, and billed, all the same."""

_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    413: BadRequestError,
    422: BadRequestError,
    429: RateLimitError,
    503: ServiceUnavailableError,
}

_MENDS: dict[type[APIStatusError], str] = {
    AuthenticationError: "Check the key: is it complete, not expired, and of this host's region?",
    RateLimitError: "Slow down, or ask for a higher limit.",
    NotFoundError: "Check the model's name and the base URL.",
}


class Kind(NamedTuple):
    """What a code means: the error, whether to retry (None: as its status says), and what the user can do."""

    error: type[APIStatusError]
    retryable: bool | None = None
    mend: str | None = None
    status: int | None = None
    """The status that the code has, for an error inside a stream that gives none."""


Table: TypeAlias = Mapping[tuple[int, str] | str, Kind]
"""Kinds by (status, code), or by code alone."""


def class_of(status: int) -> type[APIStatusError]:
    """The error class of a status that no table names."""
    return _BY_STATUS.get(status, InternalServerError if status >= 500 else APIStatusError)


def classify(
    table: Table,
    *,
    provider: str,
    status: int | None,
    code: str | None,
    message: str | None,
    request_id: str | None,
    headers: Mapping[str, str],
    kind: Kind | None = None,
) -> APIStatusError:
    """The error of an answer. `kind` overrides the table, for a code whose meaning depends on more than itself."""
    if kind is None and code:
        kind = table.get((status or 0, code)) or _fitting(table.get(code), status)
    if status is None and kind is not None:
        status = kind.status
    error_class = kind.error if kind is not None else class_of(status or 0)
    retryable = status in RETRYABLE if kind is None or kind.retryable is None else kind.retryable
    outcome: Outcome = "unknown" if status in UNKNOWN_OUTCOME else "rejected"
    mend = kind.mend if kind is not None and kind.mend else _MENDS.get(error_class, "")
    if status == 407:
        mend = "A proxy on the way wants a user and a password: put them into the proxy's URL."
    elif status is not None and 300 <= status < 400:
        mend = "Redirects are not followed, so that a key never leaves its host: set base_url to the new address."
    head = f"{provider} answered {status if status is not None else 'with an error'}"
    said = f"{f' ({shown(code, 80)})' if code else ''}{f': {shown(message, 500)}' if message else ''}"
    sentence = (head + said).rstrip()
    sentence += "" if sentence.endswith((".", "!", "?", "！", "。")) else "."
    return error_class(
        f"{sentence} {mend}".rstrip(),
        provider=provider,
        status_code=status,
        code=code,
        request_id=request_id,
        retry_after=retry_after(headers),
        retryable=retryable,
        outcome=outcome,
    )


def _fitting(kind: Kind | None, status: int | None) -> Kind | None:
    """`kind`, unless the status says otherwise: names mislead, and `InternalError…` with 400 is the request's fault.

    What is final by its code (a used-up quota, a content filter) is final under any status below 500.
    """
    if kind is None or status is None or kind.status in {None, status}:
        return kind
    if status >= 500:
        return kind if kind.status >= 500 else None
    return kind if kind.retryable is False else None


def shown(text: str, limit: int) -> str:
    """`text` fit for a log line: at most `limit` characters, control characters escaped."""
    cut = text if len(text) <= limit else text[:limit] + "…"
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in cut)
