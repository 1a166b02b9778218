"""Fallback: the profiles that a call turns to, in order, when the one before could not serve it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from qonduit._breaker import Breaker
from qonduit._chain import Step
from qonduit._retry import UNKNOWN_WARNING
from qonduit.call import Call
from qonduit.classification import shown
from qonduit.effects import Flow
from qonduit.errors import APIError, BadRequestError, NotFoundError
from qonduit.profile import Profile
from qonduit.request import Request


class Candidate(NamedTuple):
    """A profile that may serve a call, and the way to it."""

    profile: Profile
    step: Step
    breaker: Breaker | None = None


def falling_back(candidates: Sequence[Candidate]) -> Step:
    """The step that asks the first of `candidates`, and the others in order while each fails before its first chunk.

    A candidate whose breaker is open comes last: it is asked when nothing else has served the call.
    """
    first = candidates[0]
    if len(candidates) == 1 and first.breaker is None:
        return first.step

    def step(call: Call, request: Request) -> Flow:
        own = call.profile
        failures: list[APIError] = []
        said: list[str] = []  # of the candidates that did not serve the call
        for candidate in _in_order(candidates if request.needs_model else candidates[:1], said):
            breaker = candidate.breaker
            call.profile = own if candidate is first else candidate.profile
            try:
                response = yield from candidate.step(call, _asked(request, candidate, first))
            except APIError as error:
                if breaker is not None and not isinstance(error, _OF_THE_REQUEST):
                    breaker.failed()
                if call.committed and failures:
                    error.add_reason(" ".join(said))
                if call.committed:
                    raise
                failures.append(error.with_traceback(None))  # its frames hold this one, and would be kept by it
                said.append(f"Profile '{candidate.profile.name}' failed: {_shown(error)}.")
                call.first_chunk = call.retry_delay = None
                call.retry_reason = type(error).__name__
                if _is_last(error, candidate, first, call):
                    break
                continue
            if breaker is not None:
                breaker.succeeded()
            if candidate is first and not failures:
                return response
            billed = (UNKNOWN_WARNING,) if _unknown(failures) else ()
            said.append(f"Profile '{candidate.profile.name}' (provider '{response.provider}') answered.")
            return response.replace(warnings=(" ".join(said), *billed, *response.warnings))
        call.profile = own
        raise _summed(failures, said) from None

    return step


_OF_THE_REQUEST = (BadRequestError, NotFoundError)
"""Errors that say nothing of the provider: with another request they would not come."""


def _in_order(candidates: Sequence[Candidate], said: list[str]) -> Iterator[Candidate]:
    """The candidates as they are to be asked; the breaker of one is looked at when its turn has come."""
    open_ones: list[Candidate] = []
    for candidate in candidates:
        breaker = candidate.breaker
        if breaker is None or breaker.lets_through():
            yield candidate
        else:
            open_ones.append(candidate)
            if len(candidates) > 1:
                name, left = candidate.profile.name, breaker.left
                said.append(f"Profile '{name}' kept failing and was passed over; it is tried again in {left:.0f} s.")
    yield from open_ones


def _asked(request: Request, candidate: Candidate, first: Candidate) -> Request:
    """What `candidate` is asked: a chat goes to its profile's own model, anything else to the same model."""
    model = candidate.profile.model
    if candidate is first or model is None or request.operation != "chat":
        return request
    return request.replace(model=model)


def _is_last(error: APIError, candidate: Candidate, first: Candidate, call: Call) -> bool:
    """Whether a failure is the call's: no other candidate would change it, or it may not be asked."""
    if candidate is first and isinstance(error, _OF_THE_REQUEST):
        return True
    if error.outcome == "unknown" and not candidate.profile.retry_unknown:
        return True
    return call.deadline is not None and time.monotonic() >= call.deadline


def _summed(failures: Sequence[APIError], said: Sequence[str]) -> APIError:
    """The error of a call that nobody served: the first one's, with what became of the others."""
    error = failures[0]
    if len(failures) > 1:
        error.add_reason(" ".join(["The fallbacks did not serve the call either.", *said[1:]]))
        error.attempts = sum(failure.attempts for failure in failures)
        if _unknown(failures):
            error.outcome = "unknown"
    return error


def _unknown(failures: Sequence[APIError]) -> bool:
    return any(failure.outcome == "unknown" for failure in failures)


def _shown(error: APIError) -> str:
    details = [shown(str(detail), 80) for detail in (error.status_code, error.code) if detail is not None]
    return type(error).__name__ + (f" ({' '.join(details)})" if details else "")
