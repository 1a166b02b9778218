"""Cleaning: the fields of a record made safe to show, and each of them once."""

from __future__ import annotations

from typing import Any, NamedTuple

from qonduit import Call, Profile, Request, Response
from qonduit_logging.fields import Fields, answer_fields, request_numbers, same_answer, target_fields
from qonduit_logging.keys import Screen

_COMMON = "qonduit_logging.common"
_TARGETS_KEPT = 64
"""For how many models a screen remembers who was asked."""


class _Common(NamedTuple):
    """The clean fields that the records of an attempt and of its call have in common, and what they were made of."""

    profile: Profile
    request: Request
    answer: Response | None
    forms: tuple[str, ...]
    fields: dict[str, Any]


def common_fields(screen: Screen, call: Call, answer: Response | None) -> dict[str, Any]:
    """What was asked and what came, clean; worked out once for an attempt and the call that it answers."""
    profile, request, forms = call.profile, call.request, screen.forms()
    known: _Common | None = call.state.get(_COMMON)
    if (
        known is not None
        and known.profile is profile
        and known.request is request
        and known.forms is forms
        and same_answer(known.answer, answer)
    ):
        return known.fields
    fields = asked(screen, profile, request)
    if answer is not None:
        fields |= cleaned(screen, answer_fields(answer))
    call.state[_COMMON] = _Common(profile, request, answer, forms, fields)
    return fields


def asked(screen: Screen, profile: Profile, request: Request) -> dict[str, Any]:
    """What was asked, but for contents, clean; who was asked is remembered for the calls to come."""
    place = request.operation, request.model
    known: tuple[Profile, dict[str, Any]] | None = screen.kept.get(place)
    if known is None or known[0] is not profile:
        if len(screen.kept) >= _TARGETS_KEPT:
            screen.kept.clear()
        known = screen.kept[place] = profile, cleaned(screen, ({}, target_fields(profile, request)))
    return known[1] | request_numbers(request)


def cleaned(screen: Screen, fields: Fields) -> dict[str, Any]:
    """All of them, without secrets and control characters, none of them long; nearly always as they are."""
    numbers, named = fields
    texts: list[str] = []
    for value in named.values():
        kind = value.__class__
        if kind is str:
            texts.append(value)
        elif kind is dict:
            texts += value
            texts += value.values()
        elif kind is list or kind is tuple:
            texts += value
        elif value is not None:
            texts.append(str(value))
    if not texts or screen.passes(texts):
        return named | numbers
    return screen.clean_all(named) | numbers  # type: ignore[no-any-return]  # a dict, as it was given
