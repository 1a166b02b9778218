"""Subject: the provider that is tried, with its parts made as the core makes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from qonduit.errors import APIError, BadRequestError
from qonduit.models import ModelTable
from qonduit.parts import RequestBuilder, Resend, ResponseNormalizer
from qonduit.profile import Profile
from qonduit.provider import ProviderInfo
from qonduit.request import ChatRequest, Request
from qonduit.testing._samples import MESSAGES, OPERATIONS
from qonduit.testing.case import hold
from qonduit.wire import Headers, WireRequest, WireResponse

ResultT = TypeVar("ResultT")


class Subject:
    """A provider under trial: its facts, its parts, and requests and responses for them."""

    def __init__(
        self,
        provider: object,
        *,
        name: str,
        base_url: str,
        model: str,
        models: Mapping[str, str],
        settings: Mapping[str, Any],
    ) -> None:
        self.name = name
        self._provider = provider
        self._model = model
        self._models = models
        self._settings = {"name": "conformance", "provider": name, "base_url": base_url, **settings}

    @property
    def info(self) -> ProviderInfo:
        """The provider's facts. Raises: AssertionError when it carries none."""
        info = getattr(self._provider, "info", None)
        hold(isinstance(info, ProviderInfo), f"{type(self._provider).__name__}.info is {info!r}, not a ProviderInfo.")
        assert isinstance(info, ProviderInfo)
        return info

    @property
    def profile(self) -> Profile:
        """The profile that the parts are made for."""
        package = self.info.models
        table = ModelTable.of_package(package) if package else ModelTable.empty()
        return Profile(**{"models": table, **self._settings})

    def builder(self) -> RequestBuilder:
        """A request builder of its own."""
        builder: RequestBuilder = self._part("qonduit_request_builder", ("build",))
        return builder

    def normalizer(self) -> ResponseNormalizer:
        """A response normalizer of its own."""
        members = ("normalize", "decoder", "error")
        normalizer: ResponseNormalizer = self._part("qonduit_response_normalizer", members)
        return normalizer

    def _part(self, hook: str, members: tuple[str, ...]) -> Any:
        function = getattr(self._provider, hook, None)
        hold(callable(function), f"{type(self._provider).__name__} does not implement {hook}(profile).")
        hold(hasattr(function, "qonduit_impl"), f"{hook} lacks the mark @hookimpl: it would never be called.")
        assert function is not None
        part = function(**({"profile": self.profile} if "profile" in inspect.signature(function).parameters else {}))
        for member in members:
            hold(callable(getattr(part, member, None)), f"{hook} gave {type(part).__name__}, which has no '{member}'.")
        return part

    def chat(self, purpose: str, *fields: Mapping[str, Any]) -> ChatRequest:
        """A chat request of `fields` for the model that `purpose` is tried with."""
        return self.request("chat", *fields, purpose=purpose)  # type: ignore[return-value]  # of this operation

    def request(self, operation: str, *fields: Mapping[str, Any], purpose: str = "") -> Request:
        """The sample request of an operation, with `fields` over it."""
        request_type, sample = OPERATIONS[operation]
        model = self._models.get(purpose) or self._models.get(operation) or self._model
        merged: dict[str, Any] = {"model": model, **sample}
        for some in fields:
            merged |= some
        return request_type.of(merged)

    def asked(self, request: Request | Mapping[str, Any], **fields: Any) -> Request:
        """What an exchange answers, with `fields` over it."""
        if isinstance(request, Request):
            return request.replace(**fields) if fields else request
        return self.chat("", {"messages": MESSAGES}, request, fields)

    def build(self, request: Request) -> WireRequest:
        """The wire form. Raises: AssertionError where it is refused, or building it fails."""
        try:
            return self.guarded(lambda: self.builder().build(request), "build")
        except (APIError, Resend) as error:
            raise AssertionError(f"build refused a request that it should take: {error}") from error

    def refusal(self, request: Request) -> BadRequestError | None:
        """How the builder refuses `request`; None when it takes it."""
        try:
            self.guarded(lambda: self.builder().build(request), "build")
        except BadRequestError as error:
            return error
        return None

    def response(
        self,
        request: Request,
        content: bytes,
        headers: Mapping[str, str],
        *,
        status: int = 200,
        kind: str = "application/json",
    ) -> WireResponse:
        """An answer to `request` as a transport gives it."""
        pairs = {"content-type": kind, **{name.lower(): value for name, value in headers.items()}}
        raw = Headers([(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs.items()])
        return WireResponse(status, raw, content, self.build(request))

    @staticmethod
    def guarded(work: Callable[[], ResultT], what: str) -> ResultT:
        """What `work` gives. Raises: APIError and Resend as they are; AssertionError for every other exception."""
        try:
            return work()
        except (APIError, Resend, AssertionError):
            raise
        except Exception as error:
            raise AssertionError(
                f"{what} raised {type(error).__name__}: {error}. Of what a server or a caller says it may raise an "
                "APIError only: ProtocolError for what is no answer, BadRequestError for what cannot be asked."
            ) from error
