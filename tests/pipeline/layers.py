"""Middleware that writes down how it is entered and left."""

from __future__ import annotations

from typing import Any

from qonduit import Middleware, middleware


def recorder(name: str, log: list[str], **terms: Any) -> Middleware:
    """A layer that logs `NAME in`, and `NAME out`, `NAME incomplete` or `NAME <error>` when it resumes."""

    @middleware(name, **terms)
    def record(call):
        log.append(f"{name} in")
        try:
            response = yield call.request
        except BaseException as error:
            log.append(f"{name} {type(error).__name__}")
            raise
        log.append(f"{name} {'out' if response.complete else 'incomplete'}")
        return response

    return record
