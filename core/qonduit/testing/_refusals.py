"""Refusals: errors have the declared class, say what the server said, and show no secret."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from qonduit.errors import (
    APIError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)
from qonduit.parts import Resend
from qonduit.testing._damage import NO_ANSWERS
from qonduit.testing._streams import decode
from qonduit.testing._subject import Subject
from qonduit.testing.case import Case, hold
from qonduit.testing.exchange import Refusal

SECRET = "conformance-secret-0123456789"  # noqa: S105  # nobody's
_SECRETS = {"set-cookie": f"session={SECRET}", "authorization": f"Bearer {SECRET}", "x-api-key": SECRET}
FAMILIES: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    418: APIStatusError,
    429: RateLimitError,
    500: InternalServerError,
    502: InternalServerError,
    503: InternalServerError,
    599: InternalServerError,
}
_RETRYABLE = {429, 500, 502, 503}
ODD_BODIES = {
    **NO_ANSWERS,
    "an error that is a text": b'{"error":"broken"}',
    "an error that is a number": b'{"error":7}',
    "an error that is a list": b'{"error":[{"code":"x"}]}',
    "an error of null": b'{"error":{"code":null,"message":null,"type":null}}',
    "an error of odd types": b'{"error":{"code":["x"],"message":{"a":1},"type":7},"request_id":7}',
    "a code of an odd type": b'{"code":{"a":1},"message":["x"],"request_id":[]}',
    "a long message": b'{"code":"Odd","message":"' + b"x" * 100_000 + b'"}',
}


def cases(subject: Subject, refusals: Sequence[Refusal]) -> Iterator[Case]:
    """The cases of errors."""
    for refusal in refusals:
        name = f"refusal '{refusal.name}'"
        yield Case(f"{name}: it is the error that it says", partial(_raised, subject, refusal))
        if not refusal.in_stream and refusal.error is not Resend:
            yield Case(f"{name}: it waits as asked and shows no secret", partial(_headers, subject, refusal))
    for status, family in FAMILIES.items():
        yield Case(f"status {status}: any body is a {family.__name__}", partial(_family, subject, status, family))


def _error(subject: Subject, refusal: Refusal, pieces: Sequence[bytes], **headers: str) -> APIError | Resend:
    """What a refusal raises. Raises: AssertionError when it raises nothing, or what is no APIError."""
    given = {**refusal.headers, **headers}
    if refusal.in_stream:
        decoded = decode(subject, refusal, pieces)
        hold(decoded.error is not None, "the decoder gave chunks to the end of the stream; expected an error.")
        assert decoded.error is not None
        return decoded.error
    request = subject.asked(refusal.request)
    content, status = b"".join(pieces), refusal.status or 200
    response = subject.response(request, content, given, status=status)
    try:
        if status < 300:
            answer = subject.guarded(lambda: subject.normalizer().normalize(request, response), "normalize")
            raise AssertionError(f"normalize took an error for a {type(answer).__name__}; expected it to be raised.")
        return subject.guarded(lambda: subject.normalizer().error(response), "error")
    except (APIError, Resend) as error:
        return error


def _raised(subject: Subject, refusal: Refusal) -> None:
    content = refusal.content
    cuts = [[content], [content[at : at + 1] for at in range(len(content))]] if refusal.in_stream else [[content]]
    for pieces in cuts:
        error = _error(subject, refusal, pieces)
        got, wanted = type(error), refusal.error
        hold(got is wanted, f"it is a {got.__name__}, expected {wanted.__name__}: {error}")
        if isinstance(error, Resend):
            own = subject.build(subject.asked(refusal.request))
            hold(error.request != own, "Resend asks for the very request that was refused.")
            hold(error.request.operation == own.operation, "Resend changes the operation of the request.")
            hold(error.warning, "Resend has no warning: it must say what was changed.")
            continue
        hold(error.provider in {subject.name, None}, f"provider is {error.provider!r}, expected {subject.name!r}.")
        if refusal.status is None or refusal.status >= 300:
            hold(error.status_code == refusal.status, f"status_code is {error.status_code}, expected {refusal.status}.")
        hold(refusal.code in {None, error.code}, f"code is {error.code!r}, expected {refusal.code!r}.")
        hold(
            refusal.retryable in {None, error.retryable},
            f"retryable is {error.retryable}, expected {refusal.retryable}.",
        )


def _headers(subject: Subject, refusal: Refusal) -> None:
    error = _error(subject, refusal, [refusal.content], **_SECRETS, **{"retry-after": "7"})
    hold(not isinstance(error, Resend), "it asks to be sent again; expected an error.")
    if isinstance(error, APIError) and (refusal.status or 0) >= 300:
        hold(error.retry_after == 7, f"retry_after is {error.retry_after}, and the header says 7.")
    shown = f"{error} {error!r} {vars(error)}"
    hold(SECRET not in shown, "the error shows what a header says that may be secret.")


def _family(subject: Subject, status: int, family: type[APIStatusError]) -> None:
    for what, body in ODD_BODIES.items():
        error = _error(subject, Refusal(what, status, body, error=family), [body])
        hold(isinstance(error, family), f"{what}: it is a {type(error).__name__}, expected a {family.__name__}.")
        if family is APIStatusError:
            hold(type(error) is family, f"{what}: a status that nobody knows is a {type(error).__name__}.")
        assert isinstance(error, APIError)
        hold(error.status_code == status, f"{what}: status_code is {error.status_code}, expected {status}.")
        told = f"{what}: retryable is {error.retryable}; of {status} without a code that says otherwise expected"
        hold(error.retryable is (status in _RETRYABLE) or status == 599, f"{told} {status in _RETRYABLE}.")
        hold(len(str(error)) < 5_000, f"{what}: the error's text has {len(str(error))} characters.")
