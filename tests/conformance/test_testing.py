"""The testers tested: a correct provider passes every case, and each broken one fails the case that is made for it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from tests.conformance.suites import SUITES
from tests.docs.pages import DOCS, blocks, names, rows

from qonduit import APIError, BadRequestError, ChatRequest, StreamInterruptedError, WireRequest, hookimpl
from qonduit import testing as public
from qonduit.parts import Resend
from qonduit.provider import Capabilities
from qonduit.testing import Answer, Expected, ProviderSuite, Refusal
from qonduit.testing._samples import CALLERS_OWN, FEATURES, FIELDS, OPERATIONS, PARTS
from qonduit.testing.exchange import READERS

PAGE = DOCS / "how-to" / "write-a-provider.md"


def documented() -> ProviderSuite:
    """The suite of the how-to page, with its provider."""
    namespace: dict[str, Any] = {"__name__": "acme"}
    for block in blocks(PAGE, "python"):
        if "class AcmeProvider" in block.code or "suite = ProviderSuite" in block.code:
            exec(compile(block.code, block.place, "exec"), namespace)
    suite = namespace["suite"]
    assert isinstance(suite, ProviderSuite)
    return suite


SUITE = documented()
ACME: Any = SUITE.provider


@pytest.mark.parametrize("case", SUITE.cases(), ids=str)
def test_a_correct_provider_passes(case: public.Case) -> None:
    """The provider that the documentation shows keeps everything."""
    case.check()


# Broken providers: the correct one, with one of its functions bent.

Bend = Callable[..., Any]


class Bent:
    """The correct provider, but for what is bent: each bend gets the right function and its arguments."""

    def __init__(self, capabilities: dict[str, Any] | None = None, info: Any = None, **bends: Bend) -> None:
        able = dataclasses.replace(ACME.info.capabilities, **(capabilities or {}))
        self.info = dataclasses.replace(ACME.info, capabilities=able, **(info or {}))
        self._bends = bends

    def _part(self, part: Any, *names: str) -> Any:
        functions = {name: self._bent(name, getattr(part, name)) for name in names}
        return SimpleNamespace(**functions)

    def _bent(self, name: str, right: Bend) -> Bend:
        bend = self._bends.get(name)
        return right if bend is None else lambda *arguments: bend(right, *arguments)

    @hookimpl
    def qonduit_request_builder(self, profile: Any) -> Any:
        return self._part(ACME.qonduit_request_builder(profile), "build")

    @hookimpl
    def qonduit_response_normalizer(self, profile: Any) -> Any:
        return self._part(ACME.qonduit_response_normalizer(profile), "normalize", "decoder", "error")


def failures(provider: object) -> dict[str, str]:
    """The names of the cases that fail, with what they say."""
    found = {}
    for case in dataclasses.replace(SUITE, provider=provider).cases():
        try:
            case.check()
        except AssertionError as error:
            found[case.name] = str(error)
    return found


def with_body(wire: WireRequest, **fields: Any) -> WireRequest:
    return replace(wire, content=json.dumps({**json.loads(wire.content), **fields}).encode())


def sends_top_k(build: Bend, request: Any) -> WireRequest:
    wire = build(request)
    top_k = getattr(request, "top_k", None)
    return wire if top_k is None else with_body(wire, top_k=top_k)


def builds_everything(build: Bend, request: Any) -> WireRequest:
    try:
        wire: WireRequest = build(request)
    except BadRequestError:
        return WireRequest("POST", "https://api.acme.example/v1/x", {"content-type": "application/json"}, b"{}")
    return wire


def changes_the_request(build: Bend, request: Any) -> WireRequest:
    if isinstance(request, ChatRequest):
        request.__dict__["messages"] = request.messages * 2
    wire: WireRequest = build(request)
    return wire


def keeps_tags(build: Bend, request: Any) -> WireRequest:
    return with_body(build(request), metadata=request.tags)


def quotes_headers(error: Bend, response: Any) -> APIError:
    found: APIError = error(response)
    found.add_reason(f"Headers: {dict(response.headers)}.")
    return found


def trusts_the_shape(normalize: Bend, request: Any, response: Any) -> Any:
    with contextlib.suppress(ValueError):  # no JSON: the right one knows what to do
        json.loads(response.content)["choices" if request.operation == "chat" else "data"]
    return normalize(request, response)


def knows_all_fields(normalize: Bend, request: Any, response: Any) -> Any:
    if not json.loads(response.content or b"{}").keys() <= {"id", "model", "choices", "usage", "data"}:
        raise APIError("The answer has a field that is not known.")
    return normalize(request, response)


def mends_what_is_cut(normalize: Bend, request: Any, response: Any) -> Any:
    try:
        return normalize(request, response)
    except APIError:
        return request.response_type(provider="acme")


class Decoder:
    """A decoder that passes on; the broken ones are made of it."""

    def __init__(self, right: Bend, request: Any, response: Any) -> None:
        self.inner = right(request, response)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Unbuffered(Decoder):
    """Takes each piece of bytes for whole lines."""

    def feed(self, data: bytes) -> Iterator[Any]:
        for line in data.splitlines():
            yield from self.inner.feed(line + b"\n\n")


class Mild(Decoder):
    """Takes an interrupted stream for a whole one."""

    def end(self) -> Iterator[Any]:
        try:
            yield from self.inner.end()
        except StreamInterruptedError:
            return


class Endless(Decoder):
    """Reads on behind the end mark."""

    def feed(self, data: bytes) -> Iterator[Any]:
        yield from self.inner.feed(data)
        if data.partition(b"[DONE]\n\n")[2]:
            raise APIError("There are bytes behind the end mark.")


class Commentless(Decoder):
    """Knows no comments."""

    def feed(self, data: bytes) -> Iterator[Any]:
        if data.startswith(b":"):
            raise APIError("The stream has a line that is not known.")
        yield from self.inner.feed(data)


class Shouting(Decoder):
    """Means something else than the whole answer."""

    def feed(self, data: bytes) -> Iterator[Any]:
        for chunk in self.inner.feed(data):
            choices = [choice.replace(finish_reason=choice.finish_reason and "end") for choice in chunk.choices]
            yield chunk.replace(choices=tuple(choices))


class Naive(Decoder):
    """Takes each event for what it should be."""

    def feed(self, data: bytes) -> Iterator[Any]:
        for line in data.splitlines():
            if line.startswith(b"data: {") and line.endswith(b"}"):
                with contextlib.suppress(ValueError):
                    json.loads(line[6:])["choices"]
        yield from self.inner.feed(data)


def counting() -> Bend:
    """A builder with a memory."""
    numbers = itertools.count()
    return lambda build, request: build(request).with_headers({"x-number": str(next(numbers))})


ABLE: Capabilities = ACME.info.capabilities
GREETING = "answer 'greeting'"
STREAM = "stream 'greeting'"

BROKEN: dict[str, tuple[Bent, str, str]] = {
    # what is broken: the provider, the case that must fail, words that it must say
    "a word that is not known": (
        Bent({"features": ABLE.features | {"reasoning_swich"}}),
        "declaration: the words are known",
        "'reasoning_swich' (did you mean 'reasoning_switch'?)",
    ),
    "a host that is not its own": (
        Bent(info={"hosts": ("acme.example",)}),
        "declaration: the facts are whole",
        "is none of info.hosts",
    ),
    "an operation without an answer": (
        Bent({"operations": ABLE.operations | {"models"}}),
        "declaration: exchanges show it",
        "add an Answer",
    ),
    "a declared parameter is dropped": (
        Bent(
            build=lambda build, request: (
                build(request.replace(temperature=None) if request.needs_model else request)
                if isinstance(request, ChatRequest)
                else build(request)
            )
        ),
        "parameter temperature: it is sent",
        "'temperature' is declared, but does not reach the wire",
    ),
    "an undeclared parameter is sent": (
        Bent(build=sends_top_k),
        "parameter top_k: it is refused or named",
        "it changed the request",
    ),
    "an undeclared parameter is dropped in silence": (
        Bent(build=lambda build, request: replace(build(request), unsupported=())),
        "parameter search: it is refused or named",
        "expected 'search' in WireRequest.unsupported",
    ),
    "an undeclared part is sent": (
        Bent({"parts": frozenset({"text"})}),
        "part image_url: it is refused or named",
        "part 'image_url' is not declared",
    ),
    "a declared part is refused": (
        Bent({"parts": ABLE.parts | {"video"}}),
        "part video: it is sent",
        "build refused a request",
    ),
    "an undeclared feature is sent": (
        Bent({"features": ABLE.features - {"cache_control"}}),
        "feature cache_control: it is refused or named",
        "'cache_control' is not declared",
    ),
    "an undeclared operation is built": (
        Bent(build=builds_everything),
        "operation rerank: it is refused or named",
        "expected a BadRequestError",
    ),
    "a stream is not asked for": (
        Bent(build=lambda build, request: replace(build(request), stream=False)),
        "parameter stream: it is sent",
        "WireRequest.stream is False",
    ),
    "credentials in the request": (
        Bent(build=lambda build, request: build(request).with_headers({"Authorization": "Bearer x"})),
        "request: it carries no credentials",
        "authorization",
    ),
    "the key of the environment in the request": (
        Bent(build=lambda build, request: with_body(build(request), team=os.environ.get("ACME_API_KEY"))),
        "request: it carries no credentials",
        "holds the key",
    ),
    "a builder with a memory": (
        Bent(build=counting()),
        "request: the same request gives the same bytes",
        "built twice",
    ),
    "a builder that changes the request": (
        Bent(build=changes_the_request),
        "request: building leaves the request as it was",
        "changed the request",
    ),
    "a request to another host": (
        Bent(build=lambda build, request: replace(build(request), url="https://elsewhere.example/v1")),
        "request: it goes to the base URL, as JSON",
        "https://elsewhere.example",
    ),
    "tags are sent": (
        Bent(build=keeps_tags),
        "request: extra_body, extra_headers and what is the caller's own",
        "tags are not sent",
    ),
    "a TypeError for what is no object": (
        Bent(normalize=trusts_the_shape),
        f"{GREETING}: what is no answer raises an APIError",
        "null: normalize raised TypeError",
    ),
    "a KeyError for an answer that lacks a field": (
        Bent(normalize=trusts_the_shape),
        f"{GREETING}: damaged, it raises nothing but an APIError",
        "normalize raised KeyError: 'choices'",
    ),
    "a cut answer is taken for one": (
        Bent(normalize=mends_what_is_cut),
        f"{GREETING}: cut, it is no answer",
        "took it for an answer",
    ),
    "unknown fields break it": (
        Bent(normalize=knows_all_fields),
        f"{GREETING}: unknown fields do no harm",
        "Expected an answer",
    ),
    "another provider's name": (
        Bent(normalize=lambda normalize, *given: normalize(*given).replace(provider="openai")),
        f"{GREETING}: it is read",
        "provider is 'openai', expected 'acme'",
    ),
    "usage is lost": (
        Bent(normalize=lambda normalize, *given: normalize(*given).replace(usage=None)),
        f"{GREETING}: it is read",
        "usage is None, expected (5, 2)",
    ),
    "chunks depend on the cuts": (
        Bent(decoder=Unbuffered),
        f"{STREAM}: however it is cut, the chunks are the same",
        "cut at every byte",
    ),
    "a cut stream is taken for whole": (
        Bent(decoder=Mild),
        f"{STREAM}: ended early, it is not taken as whole",
        "Expected a StreamInterruptedError",
    ),
    "reading behind the end mark": (
        Bent(decoder=Endless),
        f"{STREAM}: what follows its end mark is not read",
        "with bytes after its end mark",
    ),
    "comments break it": (
        Bent(decoder=Commentless),
        f"{STREAM}: comments and line ends change nothing",
        "with comments",
    ),
    "a KeyError for an odd event": (
        Bent(decoder=Naive),
        f"{STREAM}: damaged, it raises nothing but an APIError",
        "the stream decoder raised KeyError",
    ),
    "a stream that means something else": (
        Bent(decoder=Shouting),
        f"{STREAM}: it means the same as the whole answer",
        "finish_reason is 'end', expected 'stop'",
    ),
    "a wrong class of error": (
        Bent(error=lambda error, response: BadRequestError("No.", status_code=response.status)),
        "refusal 'no such model': it is the error that it says",
        "it is a BadRequestError, expected NotFoundError",
    ),
    "a wrong family of an unknown error": (
        Bent(error=lambda error, response: BadRequestError("No.", status_code=response.status)),
        "status 503: any body is a InternalServerError",
        "expected a InternalServerError",
    ),
    "an error that shows a secret": (
        Bent(error=quotes_headers),
        "refusal 'no such model': it waits as asked and shows no secret",
        "may be secret",
    ),
    "an error that asks for one more": (
        Bent(error=lambda error, response: (_ for _ in ()).throw(Resend(response.request, "again"))),
        "refusal 'no such model': it is the error that it says",
        "it is a Resend, expected NotFoundError",
    ),
}


@pytest.mark.parametrize(("provider", "case", "words"), BROKEN.values(), ids=list(BROKEN))
def test_a_broken_provider_fails(provider: Bent, case: str, words: str) -> None:
    """What is broken fails the case that is made for it, which says what is wrong."""
    found = failures(provider)
    assert case in found, f"failed: {sorted(found)}"
    assert words in found[case]


def unlike(name: str, fields: dict[str, Any], case: str) -> None:
    """Hold that a builder which takes `fields` in place of the chat's own fails `case`."""

    def build(right: Bend, request: Any) -> WireRequest:
        chat = isinstance(request, ChatRequest)
        wire: WireRequest = right(request.model_copy(update=fields) if chat else request)
        return wire

    provider = Bent(build=build)
    (found,) = (some for some in dataclasses.replace(SUITE, provider=provider).cases() if some.name == case)
    with pytest.raises(AssertionError, match=f"'?{name}'? is declared, but|WireRequest.stream is False"):
        found.check()


PLAIN = ChatRequest.of({"model": SUITE.model, "messages": [{"role": "user", "content": "Hello."}]})


@pytest.mark.parametrize("name", sorted(ABLE.parameters - {"stream_options"}))
def test_each_declared_parameter_that_is_dropped_is_missed(name: str) -> None:
    """No sample is one that happens to change nothing. Usage is asked of every stream, whatever its options say."""
    unlike(name, {name: getattr(PLAIN, name)}, f"parameter {name}: it is sent")


@pytest.mark.parametrize("name", sorted(ABLE.parts))
def test_each_declared_part_that_is_dropped_is_missed(name: str) -> None:
    """A part that is declared must be found in the body."""
    unlike(f"part '{name}'", {"messages": PLAIN.messages}, f"part {name}: it is sent")


@pytest.mark.parametrize("name", sorted(ABLE.features - {"stream", "usage"}))
def test_each_declared_feature_that_is_dropped_is_missed(name: str) -> None:
    """A feature that is declared must be seen on the wire."""
    sample = FEATURES[name]
    assert sample is not None
    unlike(name, {field: getattr(PLAIN, field) for field in sample.fields}, f"feature {name}: it is sent")


class Lines(Decoder):
    """Reads a wire whose events are lines of JSON, as the right decoder reads server-sent ones."""

    def __init__(self, right: Bend, request: Any, response: Any) -> None:
        super().__init__(right, request, response)
        self.rest = b""

    def feed(self, data: bytes) -> Iterator[Any]:
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            if not self.inner.finished:
                yield from self.inner.feed(b"data: " + line + b"\n\n")

    def end(self) -> Iterator[Any]:
        yield from self.inner.end()


def test_a_stream_that_is_not_server_sent() -> None:
    """A wire of its own is cut at its lines, and no comments are put between them."""
    (stream,) = SUITE.streams
    content = stream.content.replace(b"data: ", b"").replace(b"\n\n", b"\n")
    of_lines = dataclasses.replace(stream, content=content, headers={"Content-Type": "text/plain"})
    cases = dataclasses.replace(SUITE, provider=Bent(decoder=Lines), streams=(of_lines,)).cases()
    assert not any("comments" in case.name for case in cases)
    for case in cases:
        case.check()
    mild = Bent(decoder=type("", (Lines,), {"end": lambda self: ()}))
    broken = dataclasses.replace(SUITE, provider=mild, streams=(of_lines,))
    (ended,) = (case for case in broken.cases() if "ended early" in case.name)
    with pytest.raises(AssertionError, match="taken as whole"):
        ended.check()


# The tables


def test_every_field_of_a_chat_has_a_sample() -> None:
    """A field that is new in `ChatRequest` cannot be forgotten here."""
    assert FIELDS.keys() | CALLERS_OWN == set(ChatRequest.model_fields)
    assert not FIELDS.keys() & CALLERS_OWN
    made = {str(case) for case in SUITE.cases()}
    for name in FIELDS:
        assert {f"parameter {name}: it is sent", f"parameter {name}: it is refused or named"} & made


@pytest.mark.parametrize(
    ("row", "known"),
    [("operations", OPERATIONS), ("parts", PARTS), ("features", FEATURES)],
    ids=["operations", "parts", "features"],
)
def test_the_words_are_those_of_the_reference(row: str, known: Any) -> None:
    """The words of capabilities that are tried are those that the reference names."""
    table = {cells[0].strip("`"): cells[1] for cells in rows(DOCS / "reference" / "hooks.md", "## Capabilities")}
    assert set(re.findall(r'"(\w+)"', table[row])) == set(known)


def test_every_expectation_can_be_read() -> None:
    """Each word of `Expected` has its reader."""
    assert set(Expected.__annotations__) == set(READERS)


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("## `ProviderSuite`", ProviderSuite),
        ("## `Answer`, `StreamedAnswer`", Answer),
        ("## `Refusal`", Refusal),
    ],
)
def test_the_reference_lists_each_field(heading: str, kind: Any) -> None:
    """Each field of a suite and of an exchange is listed."""
    listed = names(DOCS / "reference" / "testing.md", heading)
    assert listed == [field.name for field in dataclasses.fields(kind)]


def test_the_reference_lists_each_expectation() -> None:
    """Each word of `expect` is listed."""
    assert names(DOCS / "reference" / "testing.md", "## `Expected`") == list(Expected.__annotations__)


# The objects


def test_a_case_is_its_name() -> None:
    """Names tell cases apart, for a framework's ids and for a selection by name."""
    cases = SUITE.cases()
    assert len({str(case) for case in cases}) == len(cases)
    assert [str(case) for case in cases] == [case.name for case in SUITE.cases()]


def test_a_word_that_cannot_be_expected() -> None:
    """A misspelt expectation is an error, not one that nobody looks at."""
    with pytest.raises(AssertionError, match=r"Answer 'a', expect: 'finish_raeson' \(did you mean 'finish_reason'\?\)"):
        Answer("a", b"{}", expect={"finish_raeson": "stop"})  # type: ignore[typeddict-unknown-key]


def test_two_exchanges_of_one_name() -> None:
    """Two answers of one name would hide one another."""
    with pytest.raises(AssertionError, match="same name: answer 'greeting'"):
        dataclasses.replace(SUITE, answers=(*SUITE.answers, SUITE.answers[0])).cases()


def test_what_is_no_provider() -> None:
    """An object without facts is refused with what is missing."""
    with pytest.raises(AssertionError, match=r"object\.info is None, not a ProviderInfo"):
        dataclasses.replace(SUITE, provider=object()).cases()


def test_no_test_framework_is_needed() -> None:
    """The module is imported, and its cases are made, without pytest."""
    code = "import sys; sys.modules['pytest'] = None; import qonduit.testing; print(qonduit.testing.__all__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(public.__all__)


@pytest.mark.parametrize("name", SUITES)
def test_cases_run_in_any_order(name: str) -> None:
    """A case keeps nothing of another's run: backwards and twice, the outcome is the same."""
    cases = SUITES[name].cases()
    for case in [*reversed(cases[:40]), *cases[:40]]:
        case.check()
