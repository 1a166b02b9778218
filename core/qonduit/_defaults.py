"""The defaults of a route: what holds when neither a plugin nor the provider gives a part."""

from __future__ import annotations

from typing import Any

from qonduit.auth import BearerAuth
from qonduit.credentials import Credentials
from qonduit.hookspecs import hookimpl
from qonduit.profile import Profile
from qonduit.retry import ExponentialRetry


class Defaults:
    """Bearer key, httpx, exponential retry."""

    def __init__(self, http_client: Any = None) -> None:
        self._http_client = http_client

    @hookimpl
    def qonduit_auth(self, profile: Profile, credentials: Credentials) -> BearerAuth:
        return BearerAuth(credentials)

    @hookimpl
    def qonduit_transport(self, profile: Profile) -> Any:
        from qonduit._http import HttpTransport  # noqa: PLC0415  # another transport would not need it

        return HttpTransport(profile, self._http_client)

    @hookimpl
    def qonduit_retry_policy(self, profile: Profile) -> ExponentialRetry:
        return ExponentialRetry(profile.max_retries)
