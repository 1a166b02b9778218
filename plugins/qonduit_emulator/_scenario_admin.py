"""The admin API's part for rules, faults, the pace and the journal, under `/_emulator/admin`.

GET, POST, DELETE   /rules, /faults     POST: one record, as in the configuration; answers its id
DELETE              /rules/{id}, /faults/{id}
GET, PUT            /pacing
GET, DELETE         /requests           what was received, where a journal is kept
POST                /reset              rules, faults and pace as at the start, the journal and the cache empty
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from qonduit_emulator._admin import AdminError, Answer, admin_route, read_object
from qonduit_emulator._faults import Faults
from qonduit_emulator._pacing import parse_pacing
from qonduit_emulator._rules import Rules
from qonduit_emulator._scenario import Scenario


def scenario_routes(scenario: Scenario, token: str) -> list[Route]:
    """The routes of this module."""
    desk = _Desk(scenario)
    table: list[tuple[str, str, Answer]] = [
        *_list_routes("rules", scenario.rules),
        *_list_routes("faults", scenario.faults),
        ("/pacing", "GET", desk.show_pacing),
        ("/pacing", "PUT", desk.set_pacing),
        ("/requests", "GET", desk.list_requests),
        ("/requests", "DELETE", desk.clear_requests),
        ("/reset", "POST", desk.reset),
    ]
    return [admin_route(path, method, token, answer) for path, method, answer in table]


def _list_routes(name: str, entries: Rules | Faults) -> list[tuple[str, str, Answer]]:
    async def show(http: Request) -> Any:
        return {name: entries.list()}

    async def add(http: Request) -> Any:
        return {"id": entries.set_record(await read_object(http), name)}

    async def clear(http: Request) -> Any:
        return {"cleared": entries.clear()}

    async def remove(http: Request) -> Any:
        if not entries.clear(http.path_params["id"]):
            raise AdminError(404, f"there is no such entry among the {name}")
        return {"cleared": 1}

    return [
        (f"/{name}", "GET", show),
        (f"/{name}", "POST", add),
        (f"/{name}", "DELETE", clear),
        (f"/{name}/{{id:int}}", "DELETE", remove),
    ]


class _Desk:
    """Does what the routes say."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario

    async def show_pacing(self, http: Request) -> Any:
        return asdict(self._scenario.pacing)

    async def set_pacing(self, http: Request) -> Any:
        self._scenario.pacing = parse_pacing(await read_object(http), "pacing")
        return asdict(self._scenario.pacing)

    async def list_requests(self, http: Request) -> Any:
        journal = self._scenario.journal
        received = () if journal is None else journal.requests
        return {
            "requests": [
                {
                    "method": request.method,
                    "path": request.path,
                    "query": request.query,
                    "headers": dict(request.headers),
                    "json": request.json,
                }
                for request in received
            ]
        }

    async def clear_requests(self, http: Request) -> Any:
        if self._scenario.journal is not None:
            self._scenario.journal.clear()
        return {}

    async def reset(self, http: Request) -> Any:
        self._scenario.reset()
        return {}
