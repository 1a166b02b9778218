"""Answers: they are read as expected, new fields do not break them, and what is none raises an APIError."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial

from qonduit.errors import APIError
from qonduit.parts import Resend
from qonduit.response import Response
from qonduit.testing._damage import NO_ANSWERS, corrupted, enriched, odd
from qonduit.testing._subject import Subject
from qonduit.testing.case import Case, hold
from qonduit.testing.exchange import Answer, hold_expected


def cases(subject: Subject, answers: Sequence[Answer]) -> Iterator[Case]:
    """The cases of whole answers."""
    for answer in answers:
        name = f"answer '{answer.name}'"
        yield Case(f"{name}: it is read", partial(_read, subject, answer))
        yield Case(f"{name}: unknown fields do no harm", partial(_enriched, subject, answer))
        yield Case(f"{name}: cut, it is no answer", partial(_cut, subject, answer))
        yield Case(f"{name}: what is no answer raises an APIError", partial(_none, subject, answer))
        yield Case(f"{name}: damaged, it raises nothing but an APIError", partial(_damaged, subject, answer))


def _normalize(subject: Subject, answer: Answer, content: bytes) -> Response:
    """What `content` means in the answer's place. Raises: APIError, Resend; AssertionError for everything else."""
    request = subject.asked(answer.request)
    given = subject.response(request, content, answer.headers)
    response = subject.guarded(lambda: subject.normalizer().normalize(request, given), "normalize")
    expected = request.response_type
    hold(type(response) is expected, f"normalize gave {type(response).__name__}; expected {expected.__name__}.")
    return response


def _whole(subject: Subject, answer: Answer, content: bytes) -> Response:
    try:
        return _normalize(subject, answer, content)
    except (APIError, Resend) as error:
        raise AssertionError(f"normalize raised {type(error).__name__}: {error} Expected an answer.") from error


def _read(subject: Subject, answer: Answer) -> None:
    response = _whole(subject, answer, answer.content)
    hold(response.provider == subject.name, f"provider is {response.provider!r}, expected {subject.name!r}.")
    hold(response.content == (answer.content,), "'content' does not hold the bytes as they came.")
    hold(response.status_code == 200, f"status_code is {response.status_code}, expected 200.")
    hold_expected(response, {"complete": True, **answer.expect}, "the answer was read wrongly")


def _enriched(subject: Subject, answer: Answer) -> None:
    content = json.dumps(enriched(json.loads(answer.content)), ensure_ascii=False).encode()
    response = _whole(subject, answer, content)
    hold_expected(response, answer.expect, "with fields that are unknown, the answer was read otherwise")


def _cut(subject: Subject, answer: Answer) -> None:
    content = answer.content.rstrip()
    for length in range(0, len(content), 3):
        _refused(subject, answer, content[:length], f"cut after {length} of {len(content)} bytes")


def _none(subject: Subject, answer: Answer) -> None:
    for what, content in NO_ANSWERS.items():
        _refused(subject, answer, content, what)


def _refused(subject: Subject, answer: Answer, content: bytes, what: str) -> None:
    try:
        _normalize(subject, answer, content)
    except (APIError, Resend):
        return
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from error
    raise AssertionError(f"{what}: normalize took it for an answer. Expected a ProtocolError.")


def _damaged(subject: Subject, answer: Answer) -> None:
    bodies = ((what, json.dumps(body).encode()) for what, body in odd(json.loads(answer.content)))
    for what, content in (*corrupted(answer.content), *bodies):
        try:
            _normalize(subject, answer, content)
        except (APIError, Resend):
            continue
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}") from error
