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


class _Failure(NamedTuple):
    """How one candidate failed, the profile of the route that it took, and what is said of it."""

    error: APIError
    candidate: Candidate
    profile: Profile
    words: str


def falling_back(candidates: Sequence[Candidate]) -> Step:
    """The step that asks the first of `candidates`, and the others in order while each fails before its first chunk.

    A candidate whose breaker is open comes last: it is asked when nothing else has served the call.
    """
    first = candidates[0]
    if len(candidates) == 1 and first.breaker is None:
        return first.step

    def step(call: Call, request: Request) -> Flow:
        failures: list[_Failure] = []
        said: list[str] = []  # of the candidates that did not serve the call
        unknown = call._unknown
        for candidate in _in_order(candidates if request.needs_model else candidates[:1], said):
            breaker = None if _is_over(call) else candidate.breaker  # what is not sent says nothing of it
            doubtful = call._unknown > unknown
            call.profile = candidate.profile  # a layer may ask again, after another candidate has answered
            try:
                response = yield from candidate.step(call, _asked(request, candidate, first))
            except APIError as error:
                if breaker is not None and not isinstance(error, _OF_THE_REQUEST):
                    breaker.failed()
                elif breaker is not None and error.status_code is not None:
                    breaker.succeeded()  # it refused the request, so it answers
                if call.committed and said:
                    error.add_reason(" ".join(said))
                if call.committed:
                    raise
                words = f"Profile '{candidate.profile.name}' failed: {_shown(error)}."
                said.append(words)
                # Its frames hold this one, and would be kept by it.
                failures.append(_Failure(error.with_traceback(None), candidate, call.profile, words))
                call.first_chunk = call.retry_delay = None
                call.retry_reason = type(error).__name__
                if _is_last(error, candidate, first, call):
                    break
                continue
            if breaker is not None:
                breaker.succeeded()
            if candidate is first and not failures:
                return response
            billed = (UNKNOWN_WARNING,) if doubtful or _unknown(failures) else ()
            said.append(f"Profile '{candidate.profile.name}' (provider '{response.provider}') answered.")
            return response.replace(warnings=(" ".join(said), *billed, *response.warnings))
        failure = next((failure for failure in failures if failure.candidate is first), failures[0])
        call.profile = failure.profile
        if len(failures) > 1 and (call._unknown > unknown or _unknown(failures)):
            failure.error.outcome = "unknown"
        raise _summed(failure, failures, said) from failure.error.__cause__

    return step


_OF_THE_REQUEST = (BadRequestError, NotFoundError)
"""Errors that say nothing of the provider: with another request they would not come."""


def _in_order(candidates: Sequence[Candidate], said: list[str]) -> Iterator[Candidate]:
    """The candidates as they are to be asked; the breaker of one is looked at when its turn has come."""
    open_ones: list[tuple[Candidate, str]] = []
    for candidate in candidates:
        breaker = candidate.breaker
        if breaker is None or breaker.lets_through():
            yield candidate
        else:
            name, left = candidate.profile.name, breaker.left
            words = f"Profile '{name}' kept failing and was passed over; it is tried again in {left:.0f} s."
            open_ones.append((candidate, words))
            said.append(words)
    for candidate, words in open_ones:
        said.remove(words)  # nothing else has served the call, so it is asked after all
        yield candidate


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
    return _is_over(call)


def _is_over(call: Call) -> bool:
    """Whether the call's time is up."""
    return call.deadline is not None and time.monotonic() >= call.deadline


def _summed(failure: _Failure, failures: Sequence[_Failure], said: Sequence[str]) -> APIError:
    """The error of a call that nobody served: one candidate's, with what became of the others."""
    error = failure.error
    others = [words for words in said if words is not failure.words]
    if len(failures) > 1:
        others.insert(0, "The fallbacks did not serve the call either.")
        error.attempts = sum(failed.error.attempts for failed in failures)
    if others:
        error.add_reason(" ".join(others))
    return error


def _unknown(failures: Sequence[_Failure]) -> bool:
    return any(failed.error.outcome == "unknown" for failed in failures)


def _shown(error: APIError) -> str:
    details = [shown(str(detail), 80) for detail in (error.status_code, error.code) if detail is not None]
    return type(error).__name__ + (f" ({' '.join(details)})" if details else "")
