"""The plugin `temporary-token`: calls are signed with a token that lives for minutes, made with the key.

A token has the permissions of its key and cannot be revoked: it ends by itself. What keeps the headers of calls (a
gateway's log) then keeps nothing that works for long; the key is sent for a token only, to the same host.

Source: https://help.aliyun.com/zh/model-studio/generate-temporary-api-key (2026-05).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qonduit import Profile, WireRequest, hookimpl
from qonduit.classification import classify
from qonduit.credentials import Credentials
from qonduit.errors import APIError, ConfigurationError, ProtocolError
from qonduit.parts import AuthFlow
from qonduit.wire import WireResponse
from qonduit_model_studio.errors import ERRORS, special

MARGIN = 0.1
"""The last part of a token's life, in which it is no longer used: a call may take a while to be looked at."""

PROVIDERS = frozenset({"qwen", "dashscope"})
"""Whose keys make tokens."""


class TemporaryTokenOptions(BaseModel):
    """`[profiles.NAME.plugin.temporary-token]`."""

    model_config = ConfigDict(extra="forbid")

    seconds: Annotated[int, Field(ge=1, le=1800)] = 600
    """How long a token lives."""


class TemporaryToken:
    """Gives the auth of a route."""

    Options = TemporaryTokenOptions

    def __init__(self, options: TemporaryTokenOptions) -> None:
        self._seconds = options.seconds
        self._serves = False

    @hookimpl
    def qonduit_auth(self, profile: Profile, credentials: Credentials) -> TokenAuth | None:
        if self._serves and profile.provider not in PROVIDERS:
            return None  # a fallback to another provider has that provider's own auth
        auth = TokenAuth(profile, credentials, self._seconds, time.monotonic)
        self._serves = True
        return auth


class _Made(BaseModel):
    token: str


class TokenAuth:
    """Fetches a token when there is none, and another once when one is refused.

    Calls that start at the same time may each fetch one: all of them are good.
    """

    def __init__(self, profile: Profile, credentials: Credentials, seconds: int, clock: Callable[[], float]) -> None:
        self._provider = profile.provider
        self._url = f"{_root(profile.base_url)}/api/v1/tokens?expire_in_seconds={seconds}"
        self._credentials = credentials
        self._seconds = seconds
        self._clock = clock
        self._current = ("", clock())  # the token, and until when it is used; one value, as threads share it

    def flow(self, wire: WireRequest) -> AuthFlow:
        """See `qonduit.parts.Auth`. Raises: APIError when no token is given."""
        used, until = self._current
        if self._clock() >= until:
            used = yield from self._fetch()
        answer = yield wire.with_headers({"authorization": f"Bearer {used}"})
        if answer.status == 401:
            other, _ = self._current
            if other == used:  # nobody else has fetched another meanwhile
                other = yield from self._fetch()
            yield wire.with_headers({"authorization": f"Bearer {other}"})

    def _fetch(self) -> Generator[WireRequest, WireResponse, str]:
        """A new token."""
        asked = self._clock()
        key = self._credentials.value
        headers = {"authorization": f"Bearer {key}"}
        answer: WireResponse = yield WireRequest("POST", self._url, headers, b"", operation="token")
        if answer.status == 401 and self._credentials.refresh(key):
            headers = {"authorization": f"Bearer {self._credentials.value}"}
            answer = yield WireRequest("POST", self._url, headers, b"", operation="token")
        if answer.status != 200:
            raise _refused(answer, self._provider)
        try:
            token = _Made.model_validate_json(answer.content).token
        except ValidationError:
            raise ProtocolError(
                f"{self._provider} answered the request for a temporary token with something else. Is base_url right?",
                status_code=answer.status,
                outcome="rejected",
            ) from None
        self._current = (token, asked + self._seconds * (1 - MARGIN))
        return token


def _root(base_url: str) -> str:
    """A base URL without the path of either provider. Raises: ConfigurationError when it ends with neither."""
    for path in ("/compatible-mode/v1", "/api/v1"):
        if base_url.endswith(path):
            return base_url.removesuffix(path)
    raise ConfigurationError(
        f"Plugin 'temporary-token': tokens are made beside {base_url}, but where cannot be told: expected a base_url "
        "that ends with /compatible-mode/v1 or /api/v1. Leave the plugin out for other servers."
    )


class _Refusal(BaseModel):
    code: str | None = None
    message: str | None = None
    request_id: str | None = None


def _refused(answer: WireResponse, provider: str) -> APIError:
    """The error of a refused token request. The call itself has not been sent, and cannot have been billed."""
    try:
        said = _Refusal.model_validate_json(answer.content)
    except ValidationError:
        said = _Refusal()
    error = classify(
        ERRORS,
        provider=provider,
        status=answer.status,
        code=said.code,
        message=said.message,
        request_id=said.request_id or answer.headers.get("x-request-id"),
        headers=answer.headers,
        kind=special(said.code, said.message or ""),
    )
    error.outcome = "rejected"
    error.add_reason("It was asked for a temporary token; the call itself was not sent.")
    return error
