"""What a provider declares: its facts are whole, its words are known, and exchanges show what only answers can."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from urllib.parse import urlsplit

from qonduit.request import ChatRequest, Request
from qonduit.testing._samples import CALLERS_OWN, FEATURES, NEEDS, OPERATIONS, PARTS
from qonduit.testing._subject import Subject
from qonduit.testing.case import Case, hold, hold_known
from qonduit.testing.exchange import Answer, Refusal, StreamedAnswer


def cases(
    subject: Subject, answers: Sequence[Answer], streams: Sequence[StreamedAnswer], refusals: Sequence[Refusal]
) -> Iterator[Case]:
    """The cases of the declaration."""
    yield Case("declaration: the parts are there", partial(_parts, subject))
    yield Case("declaration: the facts are whole", partial(_facts, subject))
    yield Case("declaration: the words are known", partial(_words, subject))
    yield Case("declaration: exchanges show it", partial(_shown, subject, answers, streams, refusals))


def _parts(subject: Subject) -> None:
    subject.builder()
    subject.normalizer()


def _facts(subject: Subject) -> None:
    info = subject.info
    hold(info.key_variables, "info.key_variables is empty: name the environment variable that holds the key.")
    for variable in info.key_variables:
        hold(re.fullmatch("[A-Z][A-Z0-9_]*", variable), f"info.key_variables: {variable!r} is no variable's name.")
    for region, url in info.base_urls.items():
        place = f"info.base_urls[{region!r}] is {url!r}"
        hold(urlsplit(url).scheme == "https" and urlsplit(url).hostname, f"{place}: expected an https URL.")
        hold(not url.endswith("/"), f"{place}: expected no '/' at its end.")
        hold(url.endswith(info.path), f"{place}: it does not end with info.path, {info.path!r}.")
        hold(info.owns(url), f"{place}: its host is none of info.hosts, so a key of the environment is not sent there.")
    if info.base_urls:
        hold(
            info.default_region in {*info.base_urls, ""},
            f"info.default_region is {info.default_region!r}, which info.base_urls does not have.",
        )
    if info.workspace_url is not None:
        hold("{workspace}" in info.workspace_url, "info.workspace_url has no place for {workspace}.")
    if info.url_pattern is not None:
        try:
            re.compile(info.url_pattern)
        except re.error as error:
            raise AssertionError(f"info.url_pattern is no regular expression: {error}.") from None
    for region, url in info.base_urls.items():
        own = info.url_pattern is None or info.recognizes(url)
        hold(own, f"info.url_pattern does not fit info.base_urls[{region!r}], {url!r}.")


def _words(subject: Subject) -> None:
    able = subject.info.capabilities
    hold_known("capabilities.operations", able.operations, OPERATIONS)
    hold_known("capabilities.parameters", able.parameters, ChatRequest.model_fields.keys() - CALLERS_OWN)
    hold_known("capabilities.parts", able.parts, PARTS)
    hold_known("capabilities.features", able.features, FEATURES)
    for feature, parameter in NEEDS.items():
        hold(
            feature not in able.features or parameter in able.parameters,
            f"capabilities.features has '{feature}', but capabilities.parameters lacks '{parameter}'.",
        )
    hold(
        "stream" not in able.parameters or "stream" in able.features,
        "capabilities.parameters has 'stream', but capabilities.features lacks it.",
    )


def _shown(
    subject: Subject, answers: Sequence[Answer], streams: Sequence[StreamedAnswer], refusals: Sequence[Refusal]
) -> None:
    able = subject.info.capabilities
    asked = {answer.request.operation if isinstance(answer.request, Request) else "chat" for answer in answers}
    for operation in sorted(able.operations):
        hold(operation in asked, f"capabilities.operations has '{operation}': add an Answer to it.")
    hold("stream" not in able.features or streams, "capabilities.features has 'stream': add a StreamedAnswer.")
    hold(refusals, "add a Refusal: an error in the words of the server.")
    shown = {word for exchange in (*answers, *streams) for word, wanted in exchange.expect.items() if wanted}
    for feature, word in (("reasoning_content", "reasoning"), ("search_results", "search")):
        hold(feature not in able.features or word in shown, f"features has '{feature}': add an Answer with '{word}'.")
        hold(feature in able.features or word not in shown, f"an Answer expects '{word}': declare '{feature}'.")
    if "usage" in able.features:
        held = streams or answers
        hold(any(item.expect.get("usage") for item in held), "features has 'usage': add an answer that expects it.")
