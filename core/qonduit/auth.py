"""Bearer: the default auth, a key as a bearer token."""

from __future__ import annotations

from qonduit.credentials import Credentials
from qonduit.effects import Effect
from qonduit.parts import AuthFlow
from qonduit.wire import WireRequest


class BearerAuth:
    """Sends `Authorization: Bearer <key>`; after a 401 reads the key again and, if it has changed, sends once more."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def flow(self, wire: WireRequest) -> AuthFlow:
        """See `qonduit.parts.Auth`."""
        credentials = self._credentials
        key = credentials.value
        answer = yield wire.with_headers({"authorization": f"Bearer {key}"})
        if answer.status == 401 and (yield Effect(credentials.refresh, None, (key,))):
            yield wire.with_headers({"authorization": f"Bearer {credentials.value}"})
