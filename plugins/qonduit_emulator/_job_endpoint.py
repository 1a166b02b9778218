"""Jobs over HTTP: read, parse, admit, answer, settle."""

from __future__ import annotations

import uuid
from functools import partial

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from qonduit_emulator._body import read_body
from qonduit_emulator._exchange import Usage
from qonduit_emulator._gate import Call
from qonduit_emulator._jobs import ParseJob, find_model
from qonduit_emulator._models import Catalogue
from qonduit_emulator._refusal import Refusal
from qonduit_emulator._responses import answer, answer_error
from qonduit_emulator._waiting_room import WaitingRoom
from qonduit_emulator._wire import Wire


class JobEndpoint:
    """Answers one kind of job on one wire."""

    def __init__(
        self, wire: Wire, parse: ParseJob, *, room: WaitingRoom, catalogue: Catalogue, max_body_bytes: int
    ) -> None:
        self._wire = wire
        self._parse = parse
        self._room = room
        self._catalogue = catalogue
        self._max_body_bytes = max_body_bytes

    async def __call__(self, http: Request) -> Response:
        """One call's way."""
        request_id = str(uuid.uuid4())
        try:
            job = self._parse(await read_body(http, self._max_body_bytes))
            call = Call(
                wire=self._wire.name,
                headers=http.headers,
                model=job.model,
                input_tokens=job.input_tokens,
                check_model=partial(find_model, job, self._catalogue),
            )
            permit = await self._room.admit(call, http.receive)
        except Refusal as refusal:
            return answer_error(self._wire, refusal, request_id)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        usage = None
        try:
            body = job.answer(self._catalogue[job.model], request_id)
            usage = Usage(job.input_tokens)
        finally:
            permit.settle(usage)
        return answer(body, request_id)
