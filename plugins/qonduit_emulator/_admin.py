"""The admin API: keys and accounts of a running emulator, under `/_emulator/admin`, behind its own token.

It is off unless a token is given; then its paths answer 404 like any other unknown path. Bodies and answers are
JSON; an error is `{"error": "…"}`. `PATCH` takes a JSON Merge Patch (RFC 7396): `null` takes a setting back to
its default.

    GET, POST           /keys               POST: {"key"?, "account"?, "expires_in_seconds"?, …}
    PATCH, DELETE       /keys/{key}
    GET, POST           /accounts           POST: {"name", "state"?, "token_quota"?, "limits"?, …}
    PATCH, DELETE       /accounts/{name}
    POST                /accounts/{name}/reset      forget what it has used
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qonduit_emulator._accounts import Account, parse_account
from qonduit_emulator._body import read_body
from qonduit_emulator._books import Books, UnknownRecordError
from qonduit_emulator._keys import ApiKey, new_key, parse_key
from qonduit_emulator._refusal import Refusal
from qonduit_emulator._settings import SettingError

ADMIN_PATH = "/_emulator/admin"
MAX_BODY_BYTES = 1024 * 1024

Answer = Callable[[Request], Awaitable[Any]]
"""Does what a request asks for and returns what is to be answered as JSON."""


class AdminError(Exception):
    """A request that cannot be done, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def admin_route(path: str, method: str, token: str, answer: Answer) -> Route:
    """A route under `ADMIN_PATH` that asks for the token before it does anything."""

    async def endpoint(http: Request) -> Response:
        scheme, _, given = http.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
            return _error(401, "this needs the header Authorization: Bearer, with the emulator's admin token")
        try:
            return JSONResponse(await answer(http))
        except AdminError as error:
            return _error(error.status, str(error))
        except SettingError as error:
            return _error(400, str(error))
        except UnknownRecordError as error:
            return _error(404, str(error))
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it

    return Route(ADMIN_PATH + path, endpoint, methods=[method])


async def read_object(http: Request) -> dict[str, Any]:
    """The JSON object of a request. Raises `AdminError`."""
    try:
        document = json.loads(await read_body(http, MAX_BODY_BYTES))
    except Refusal as refusal:
        raise AdminError(refusal.compatible.status, refusal.compatible.message) from None
    except (ValueError, RecursionError):
        raise AdminError(400, "the body is not JSON") from None
    if not isinstance(document, dict):
        raise AdminError(400, "the body is not a JSON object")
    return document


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status)


def admin_routes(books: Books, token: str) -> list[Route]:
    """The routes for keys and accounts."""
    desk = _Desk(books)
    table: list[tuple[str, str, Answer]] = [
        ("/keys", "GET", desk.list_keys),
        ("/keys", "POST", desk.add_key),
        ("/keys/{key:path}", "PATCH", desk.change_key),
        ("/keys/{key:path}", "DELETE", desk.remove_key),
        ("/accounts", "GET", desk.list_accounts),
        ("/accounts", "POST", desk.add_account),
        ("/accounts/{name}", "PATCH", desk.change_account),
        ("/accounts/{name}", "DELETE", desk.remove_account),
        ("/accounts/{name}/reset", "POST", desk.reset_account),
    ]
    return [admin_route(path, method, token, answer) for path, method, answer in table]


class _Desk:
    """Does what the routes say."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def list_keys(self, http: Request) -> Any:
        return {"keys": [self._describe_key(key) for key in self._books.keys.values()]}

    async def add_key(self, http: Request) -> Any:
        record = self._with_expiry(await read_object(http))
        name = record.pop("key", None) or new_key()
        if not isinstance(name, str):
            raise AdminError(400, "key must be a text")
        if name in self._books.keys:
            raise AdminError(409, f"there is a key {name!r} already")
        key = parse_key(name, record, f"key {name}")
        self._books.put_key(key)
        return self._describe_key(key)

    async def change_key(self, http: Request) -> Any:
        patch = self._with_expiry(await read_object(http))
        return self._describe_key(self._books.change_key(http.path_params["key"], patch))

    async def remove_key(self, http: Request) -> Any:
        self._books.remove_key(http.path_params["key"])
        return {}

    async def list_accounts(self, http: Request) -> Any:
        return {"accounts": [self._describe_account(account) for account in self._books.accounts.values()]}

    async def add_account(self, http: Request) -> Any:
        record = await read_object(http)
        name = record.pop("name", None)
        if not isinstance(name, str) or not name:
            raise AdminError(400, "name must be a text")
        if name in self._books.accounts:
            raise AdminError(409, f"there is an account {name!r} already")
        account = parse_account(name, record, f"account {name}")
        self._books.put_account(account)
        return self._describe_account(account)

    async def change_account(self, http: Request) -> Any:
        patch = await read_object(http)
        return self._describe_account(self._books.change_account(http.path_params["name"], patch))

    async def remove_account(self, http: Request) -> Any:
        self._books.remove_account(http.path_params["name"])
        return {}

    async def reset_account(self, http: Request) -> Any:
        name = http.path_params["name"]
        if name not in self._books.accounts:
            raise AdminError(404, f"there is no account {name!r}")
        self._books.ledger.reset(name)
        return self._describe_account(self._books.accounts[name])

    def _with_expiry(self, record: dict[str, Any]) -> dict[str, Any]:
        """`expires_in_seconds` by this server's clock."""
        seconds = record.pop("expires_in_seconds", None)
        if seconds is None:
            return record
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise AdminError(400, "expires_in_seconds must be a number")
        return {**record, "expires_at": self._books.clock() + seconds}

    def _describe_key(self, key: ApiKey) -> dict[str, Any]:
        described = {"key": key.key, "state": key.state, **key.record()}
        return {**described, "valid": key.valid(self._books.clock())}

    def _describe_account(self, account: Account) -> dict[str, Any]:
        usage = self._books.ledger.usage(account.name)
        described = {"name": account.name, "state": account.state, "billing": account.billing}
        return {
            **described,
            **account.record(),
            "usage": {model: asdict(used) for model, used in usage.items()},
        }
