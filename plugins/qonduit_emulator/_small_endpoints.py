"""Endpoints without a body: the lists of models, and temporary keys."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from qonduit_emulator._books import Books
from qonduit_emulator._gate import Call, Gate
from qonduit_emulator._keys import MAX_TEMPORARY_SECONDS
from qonduit_emulator._model_lists import list_compatible_models, list_native_models, show_compatible_model
from qonduit_emulator._models import Catalogue
from qonduit_emulator._refusal import Refusal, invalid_parameter, unknown_model
from qonduit_emulator._responses import COMPATIBLE, NATIVE_TEXT, answer, answer_error
from qonduit_emulator._wire import Wire, dump

DEFAULT_TEMPORARY_SECONDS = 60
"""Source: https://help.aliyun.com/zh/model-studio/generate-temporary-api-key."""

_Build = Callable[[Request, str], bytes]


class SmallEndpoints:
    """What passes the gate with a key alone."""

    def __init__(self, gate: Gate, catalogue: Catalogue, books: Books) -> None:
        self._gate = gate
        self._catalogue = catalogue
        self._books = books
        self._started = int(time.time())

    async def compatible_models(self, http: Request) -> Response:
        """`GET …/models`."""
        return self._answer(COMPATIBLE, http, lambda http, _: list_compatible_models(self._catalogue, self._started))

    async def compatible_model(self, http: Request) -> Response:
        """`GET …/models/{name}`."""
        return self._answer(COMPATIBLE, http, self._show_model)

    async def native_models(self, http: Request) -> Response:
        """`GET /api/v1/models?model=&page_no=&page_size=`."""
        return self._answer(
            NATIVE_TEXT,
            http,
            lambda http, request_id: list_native_models(self._catalogue, http.query_params, request_id),
        )

    async def temporary_key(self, http: Request) -> Response:
        """`POST /api/v1/tokens?expire_in_seconds=`; the body has neither `output` nor `request_id`.

        Source: https://help.aliyun.com/zh/model-studio/generate-temporary-api-key.
        """
        return self._answer(NATIVE_TEXT, http, self._make_key)

    def _answer(self, wire: Wire, http: Request, build: _Build) -> Response:
        request_id = str(uuid.uuid4())
        try:
            self._gate.admit(Call(wire=wire.name, headers=http.headers)).settle(None)
            return answer(build(http, request_id), request_id)
        except Refusal as refusal:
            return answer_error(wire, refusal, request_id)

    def _show_model(self, http: Request, request_id: str) -> bytes:
        name = http.path_params["name"]
        if name not in self._catalogue:
            raise unknown_model(name)
        return show_compatible_model(self._catalogue[name], self._started)

    def _make_key(self, http: Request, request_id: str) -> bytes:
        text = http.query_params.get("expire_in_seconds", str(DEFAULT_TEMPORARY_SECONDS))
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_TEMPORARY_SECONDS):
            raise invalid_parameter(f"Range of expire_in_seconds should be [1, {MAX_TEMPORARY_SECONDS}]")
        parent = Call(wire="native", headers=http.headers).api_key or ""
        made = self._books.create_temporary(parent, int(text))
        return dump({"token": made.key, "expires_at": int(made.expires_at or 0)})
