"""The request builder of OpenAI's wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydantic_core import to_json

from qonduit.errors import BadRequestError
from qonduit.profile import Profile
from qonduit.request import ChatRequest, Request
from qonduit.wire import WireRequest
from qonduit_openai_compatible.dialect import Dialect


class CompatibleBuilder:
    """Turns a `ChatRequest` into `POST {base_url}/chat/completions`, and other requests by the dialect's codecs."""

    def __init__(self, profile: Profile, dialect: Dialect) -> None:
        self._dialect = dialect
        self._models = profile.models
        self._provider = profile.provider
        self._base_url = profile.base_url
        self._url = f"{profile.base_url}/chat/completions"
        self._plain = dialect.headers(profile)
        self._streamed = {**self._plain, "accept": "text/event-stream"}
        self._fields = set(dialect.fields)

    def build(self, request: Request) -> WireRequest:
        """See `qonduit.parts.RequestBuilder`."""
        if not isinstance(request, ChatRequest):
            return self._other(request)
        plan = self._dialect.plan(request, self._models[request.model or ""])
        body = plan.fields
        fields = self._fields - plan.left_out if plan.left_out else self._fields
        if request.tools == ():
            fields = fields - {"tools"}  # an empty list is refused by several servers
        streamed = plan.stream
        if request.extra_body:
            streamed = bool(request.extra_body.get("stream", streamed))  # it is sent, so it is what will come back
        if streamed:
            # Usage is always asked for; the core keeps the chunk from callers who did not.
            options = {**(request.stream_options or {}), "include_usage": True}
            body = {**body, "stream": True, "stream_options": options}
        if request.extra_body:
            body = {**body, **request.extra_body}
        if body:
            fields = fields - body.keys()
        sent = request
        if plan.messages is not request.messages:
            sent = request.model_copy(update={"messages": plan.messages})
        content = sent.__pydantic_serializer__.to_json(sent, include=fields, exclude_none=True)
        if body:
            content = content[:-1] + (b"," if len(content) > 2 else b"") + to_json(body)[1:]
        headers: Mapping[str, str] = self._streamed if streamed else self._plain
        for message in plan.messages:
            if message.content.__class__ is tuple:
                headers = {**headers, **self._dialect.part_headers(plan.messages)}
                break
        if request.extra_headers:
            headers = {**headers, **{name.lower(): value for name, value in request.extra_headers.items()}}
        return WireRequest(
            "POST", self._url, headers, content, streamed, request.operation, plan.unsupported, plan.warnings
        )

    def _other(self, request: Request) -> WireRequest:
        operation = self._dialect.operations.get(request.operation)
        if operation is None:
            known = ", ".join(["chat", *self._dialect.operations])
            raise BadRequestError(
                f"The request was not sent: provider '{self._provider}' has no operation '{request.operation}'; "
                f"it has: {known}.",
                outcome="not_sent",
            )
        warnings = self._dialect.admit(request, self._models.get(request.model or ""))
        headers = self._plain
        if request.extra_headers:
            headers = {**headers, **{name.lower(): value for name, value in request.extra_headers.items()}}
        wire = operation.build(request, self._base_url, headers)
        return replace(wire, warnings=(*wire.warnings, *warnings)) if warnings else wire
