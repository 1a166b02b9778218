"""Requests: what is declared reaches the wire, what is not is named or refused, and building is a pure function."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from unittest.mock import patch
from urllib.parse import urlsplit

from pydantic_core import from_json

from qonduit.errors import APIError
from qonduit.parts import Resend
from qonduit.request import ChatRequest, Request
from qonduit.testing._samples import CALLERS_OWN, FEATURES, FIELDS, OPERATIONS, PARTS, Sample
from qonduit.testing._subject import Subject
from qonduit.testing.case import Case, hold
from qonduit.wire import WireRequest

KEY = "sk-conformance-key-0123456789"
_KEY_HEADERS = {"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"}


def cases(subject: Subject) -> Iterator[Case]:
    """The cases of requests."""
    yield Case("request: the same request gives the same bytes", partial(_repeatable, subject))
    yield Case("request: building leaves the request as it was", partial(_unchanged, subject))
    yield Case("request: it carries no credentials", partial(_keyless, subject))
    yield Case("request: it goes to the base URL, as JSON", partial(_addressed, subject))
    yield Case("request: extra_body, extra_headers and what is the caller's own", partial(_callers_own, subject))
    able = subject.info.capabilities
    for name in ChatRequest.model_fields:
        if name not in CALLERS_OWN:
            yield Case(f"parameter {name}: {_said(name in able.parameters)}", partial(_parameter, subject, name))
    for kind in PARTS:
        yield Case(f"part {kind}: {_said(kind in able.parts)}", partial(_part, subject, kind))
    for name, sample in FEATURES.items():
        if sample is not None and name != "stream":
            yield Case(f"feature {name}: {_said(name in able.features)}", partial(_feature, subject, name, sample))
    for name in OPERATIONS:
        yield Case(f"operation {name}: {_said(name in able.operations)}", partial(_operation, subject, name))


def _said(declared: bool) -> str:
    return "it is sent" if declared else "it is refused or named"


def _samples(subject: Subject) -> Iterator[tuple[str, Request]]:
    """Every sample request, whether the provider declares it or not."""
    for operation in OPERATIONS:
        yield operation, subject.request(operation)
    for name, sample in FIELDS.items():
        yield f"chat with {name}", subject.chat(name, sample.beside, sample.fields)
    for feature, known in FEATURES.items():
        if known is not None:
            yield f"chat with {feature}", subject.chat(feature, known.beside, known.fields)
    for kind in PARTS:
        yield f"chat with a part {kind}", _with_part(subject, kind)


def _built(subject: Subject) -> Iterator[tuple[str, Request, WireRequest]]:
    """Every sample that the provider takes, with its wire form."""
    for name, request in _samples(subject):
        try:
            yield name, request, subject.builder().build(request)
        except (APIError, Resend):
            continue


def _repeatable(subject: Subject) -> None:
    for name, request, wire in _built(subject):
        builder = subject.builder()
        for again in (builder.build(request), builder.build(request)):
            hold(again == wire, f"{name}: built twice, it differs: a builder has no clock and no memory.")


def _unchanged(subject: Subject) -> None:
    for name, request in _samples(subject):
        before = request.model_copy(deep=True)
        subject.refusal(request)
        same = request == before and request.model_fields_set == before.model_fields_set
        hold(same, f"{name}: building changed the request, which retries and fallbacks use again.")


def _keyless(subject: Subject) -> None:
    with patch.dict(os.environ, dict.fromkeys(subject.info.key_variables, KEY)):
        for name, _, wire in _built(subject):
            found = sorted(_KEY_HEADERS & {header.lower() for header in wire.headers})
            hold(not found, f"{name}: the request has {', '.join(found)}: auth adds credentials, not a builder.")
            seen = f"{wire.url} {dict(wire.headers)} {wire.content.decode('utf-8', 'replace')}"
            hold(KEY not in seen, f"{name}: the request holds the key of the environment: a builder reads none.")


def _addressed(subject: Subject) -> None:
    base = urlsplit(subject.profile.base_url)
    for name, _, wire in _built(subject):
        parts = urlsplit(wire.url)
        hold(
            (parts.scheme, parts.netloc) == (base.scheme, base.netloc),
            f"{name}: the request goes to {parts.scheme}://{parts.netloc}, expected {base.scheme}://{base.netloc}.",
        )
        hold(wire.method in {"GET", "POST"}, f"{name}: its method is {wire.method!r}; expected GET or POST.")
        shouted = [header for header in wire.headers if header != header.lower()]
        hold(not shouted, f"{name}: names of headers are lower case; got {', '.join(shouted)}.")
        if wire.method == "GET":
            hold(not wire.content, f"{name}: a GET has a body.")
            continue
        kind = wire.headers.get("content-type", "")
        hold(kind.startswith("application/json"), f"{name}: its content-type is {kind!r}; expected application/json.")
        try:
            from_json(wire.content.decode("utf-8"))
        except ValueError as error:
            raise AssertionError(f"{name}: its body is no JSON in UTF-8: {error}.") from None


def _callers_own(subject: Subject) -> None:
    for operation in sorted(subject.info.capabilities.operations):
        plain = subject.build(subject.request(operation))
        own = {"timeout": 7.25, "deadline": 8.25, "tags": {"team": "conformance-tag"}}
        tagged = subject.build(subject.request(operation, own))
        hold(tagged == plain, f"{operation}: timeout, deadline and tags are not sent; they changed the request.")
        with_headers = subject.build(subject.request(operation, {"extra_headers": {"X-Conformance": "yes"}}))
        got = with_headers.headers.get("x-conformance")
        hold(got == "yes", f"{operation}: extra_headers: expected the header 'x-conformance', lower case; got {got!r}.")
        with_body = subject.build(subject.request(operation, {"extra_body": {"x_conformance": "in the body"}}))
        named = _named(with_body, "extra_body")
        hold(named or b"in the body" in with_body.content, f"{operation}: extra_body does not reach the body.")


def _parameter(subject: Subject, name: str) -> None:
    hold(name in FIELDS, f"qonduit.testing has no sample of '{name}': this is a defect of qonduit.")
    able = subject.info.capabilities
    sample = FIELDS[name]
    declared = name in able.parameters
    if name == "response_format" and "json_object" not in able.features:
        sample = FEATURES["json_schema"] or sample
    if name == "reasoning":
        ways = ("reasoning_effort", "reasoning_budget", "reasoning_switch")
        sample = next((FEATURES[way] for way in ways if way in able.features), None) or sample
    if name == "stream":
        wire = subject.build(subject.chat(name, sample.fields))
        hold(wire.stream is declared, f"stream: WireRequest.stream is {wire.stream}, expected {declared}.")
    # Some providers stream each answer, and ask each stream for its usage: both are honoured without a change.
    _honoured(subject, name, sample, declared=declared, changes=name not in {"stream", "stream_options"})


def _feature(subject: Subject, name: str, sample: Sample) -> None:
    _honoured(subject, name, sample, declared=name in subject.info.capabilities.features, bent=True)


def _honoured(
    subject: Subject, name: str, sample: Sample, *, declared: bool, changes: bool = True, bent: bool = False
) -> None:
    """Hold that what is declared reaches the wire, and that the rest is named; `bent`: or a warning tells of it."""
    without = subject.build(subject.chat(name, sample.beside))
    wire = subject.build(subject.chat(name, sample.beside, sample.fields))
    named = _named(wire, sample.word)
    changed = replace(wire, unsupported=(), warnings=()) != replace(without, unsupported=(), warnings=())
    if declared:
        hold(
            not named,
            f"'{name}' is declared, but named in WireRequest.unsupported: {wire.unsupported}. If it is this model that "
            f"does not take it, name one that does: models={{'{name}': …}}.",
        )
        hold(changed or not changes, f"'{name}' is declared, but does not reach the wire.")
    elif not (bent and len(wire.warnings) > len(without.warnings)):
        hold(
            named,
            f"'{name}' is not declared: expected '{sample.word}' in WireRequest.unsupported, got {wire.unsupported}. "
            "Name it there, or declare it.",
        )
        hold(bent or not changed, f"'{name}' is not declared and named as left out, but it changed the request.")


def _named(wire: WireRequest, word: str) -> bool:
    """Whether `unsupported` names `word`: "search", "search of this model"."""
    return any(entry == word or entry.startswith(f"{word} ") for entry in wire.unsupported)


def _with_part(subject: Subject, kind: str) -> Request:
    content = [PARTS["text"][0], PARTS[kind][0]]
    return subject.chat(kind, {"messages": [{"role": "user", "content": content}]})


def _part(subject: Subject, kind: str) -> None:
    request, (_, said) = _with_part(subject, kind), PARTS[kind]
    if kind in subject.info.capabilities.parts:
        wire = subject.build(request)
        hold(not wire.unsupported, f"part '{kind}' is declared, but 'unsupported' says {wire.unsupported}.")
        hold(said.encode() in wire.content, f"part '{kind}' is declared, but what it holds is not in the body.")
    elif (error := subject.refusal(request)) is not None:
        hold(error.status_code is None, f"part '{kind}': it is refused before it is sent, with no status_code.")
    else:
        hold(
            subject.build(request).unsupported,
            f"part '{kind}' is not declared: expected a BadRequestError, or its name in WireRequest.unsupported.",
        )


def _operation(subject: Subject, name: str) -> None:
    request = subject.request(name)
    if name in subject.info.capabilities.operations:
        wire = subject.build(request)
        hold(wire.operation == name, f"WireRequest.operation is '{wire.operation}', expected '{name}'.")
        return
    error = subject.refusal(request)
    hold(error is not None, f"operation '{name}' is not declared: expected a BadRequestError, got a request.")
    hold(name in str(error), f"operation '{name}' is not declared: the error does not name it: {error}")
