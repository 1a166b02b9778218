"""The admin API: off unless asked for, behind its own token, and every change holds for the next call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from qonduit_emulator import Emulator

from .clocks import Clock

ADMIN = "/_emulator/admin"
TOKEN = "admin-token"
CHAT = {"model": "qwen-plus", "messages": [{"role": "user", "content": "hi"}]}
ROUTES = [
    ("GET", "/keys"),
    ("POST", "/keys"),
    ("PATCH", "/keys/x"),
    ("DELETE", "/keys/x"),
    ("GET", "/accounts"),
    ("POST", "/accounts"),
    ("PATCH", "/accounts/x"),
    ("DELETE", "/accounts/x"),
    ("POST", "/accounts/x/reset"),
]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def emulator(clock: Clock) -> Iterator[Emulator]:
    with Emulator(admin_token=TOKEN, clock=clock) as running:
        yield running


@pytest.fixture
def admin(emulator: Emulator) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=emulator.url + ADMIN, headers=headers, trust_env=False, timeout=10) as client:
        yield client


def status(emulator: Emulator, key: str, model: str = "qwen-plus") -> int:
    headers = {"Authorization": f"Bearer {key}"}
    url = f"{emulator.base_url}/chat/completions"
    return httpx.post(url, json={**CHAT, "model": model}, headers=headers, trust_env=False).status_code


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_off_unless_asked_for(method: str, path: str) -> None:
    """Without a token the paths do not exist, whatever is sent."""
    with Emulator() as emulator:
        for headers in ({}, {"Authorization": f"Bearer {emulator.api_key}"}):
            response = httpx.request(method, emulator.url + ADMIN + path, headers=headers, json={}, trust_env=False)
            assert response.status_code == 404
            assert response.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_token_of_its_own(emulator: Emulator, method: str, path: str) -> None:
    """No token, an API key, or a wrong token: 401, and nothing happens."""
    before = (emulator.books.keys, emulator.books.accounts)
    wrong = ["", "Bearer", f"Bearer {emulator.api_key}", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN]
    for given in wrong:
        headers = {"Authorization": given}
        response = httpx.request(method, emulator.url + ADMIN + path, headers=headers, json={}, trust_env=False)
        assert response.status_code == 401
        assert "admin token" in response.json()["error"]
    assert (emulator.books.keys, emulator.books.accounts) == before


def test_the_admin_token_is_no_key(emulator: Emulator) -> None:
    """It opens the admin API and nothing else."""
    assert status(emulator, TOKEN) == 401


def test_keys(emulator: Emulator, admin: httpx.Client, clock: Clock) -> None:
    """Add, disable, enable, expire, remove: each holds at once."""
    added = admin.post("/keys", json={"expires_in_seconds": 60, "allowed_models": ["qwen-plus"]}).json()
    key = added["key"]
    assert key.startswith("sk-")
    assert added["expires_at"] == clock.now + 60
    assert (status(emulator, key), status(emulator, key, "qwen-max")) == (200, 403)
    assert admin.patch(f"/keys/{key}", json={"state": "disabled"}).json()["valid"] is False
    assert status(emulator, key) == 401
    assert admin.patch(f"/keys/{key}", json={"state": None}).json()["valid"] is True
    clock.advance(60)
    assert status(emulator, key) == 401
    assert admin.patch(f"/keys/{key}", json={"expires_at": None, "allowed_models": None}).status_code == 200
    assert status(emulator, key, "qwen-max") == 200
    assert admin.patch(f"/keys/{key}", json={"expires_in_seconds": 0}).json()["valid"] is False
    assert [found["key"] for found in admin.get("/keys").json()["keys"]] == [emulator.api_key, key]
    assert admin.delete(f"/keys/{key}").json() == {}
    assert admin.delete(f"/keys/{key}").status_code == 404


def test_accounts(emulator: Emulator, admin: httpx.Client) -> None:
    """Add, set, freeze, reset, remove; what was used can be read."""
    assert admin.post("/accounts", json={"name": "team.β", "limits": {"requests_per_minute": 1}}).status_code == 200
    key = admin.post("/keys", json={"account": "team.β"}).json()["key"]
    assert [status(emulator, key) for _ in range(2)] == [200, 429]
    found = admin.get("/accounts").json()["accounts"][1]
    assert found["usage"]["qwen-plus"]["requests"] == 1
    assert found["usage"]["qwen-plus"]["used_tokens"] > 10
    path = "/accounts/team.%CE%B2"
    assert admin.post(path + "/reset").json()["usage"]["qwen-plus"]["requests"] == 0
    assert status(emulator, key) == 200
    patched = admin.patch(path, json={"limits": {"requests_per_minute": None, "concurrency": 5}}).json()
    assert patched["limits"] == {"concurrency": 5}
    assert status(emulator, key) == 200
    assert admin.patch(path, json={"state": "frozen"}).json()["state"] == "frozen"
    assert status(emulator, key) == 403
    assert "keys come first" in admin.delete(path).json()["error"]
    admin.delete(f"/keys/{key}")
    assert admin.delete(path).status_code == 200


WRONG: list[tuple[str, str, Any, int, str]] = [
    ("POST", "/keys", {"acount": "x"}, 400, "unknown key 'acount'; did you mean 'account'?"),
    ("POST", "/keys", {"account": "x"}, 400, "there is no account 'x'"),
    ("POST", "/keys", {"key": "sk-qonduit-emulator"}, 409, "already"),
    ("POST", "/keys", {"key": 1}, 400, "key must be a text"),
    ("POST", "/keys", {"key": "sk- x"}, 400, "without spaces"),
    ("POST", "/keys", {"expires_in_seconds": "soon"}, 400, "must be a number"),
    ("PATCH", "/keys/nope", {}, 404, "there is no key 'nope'"),
    ("PATCH", "/keys/sk-qonduit-emulator", {"state": "off"}, 400, "one of active, disabled"),
    ("POST", "/accounts", {}, 400, "name must be a text"),
    ("POST", "/accounts", {"name": "a/b"}, 400, "made of letters, digits"),
    ("POST", "/accounts", {"name": "default"}, 409, "already"),
    ("POST", "/accounts", {"name": "a", "token_quota": 1.5}, 400, "token_quota must be a whole number"),
    ("PATCH", "/accounts/defualt", {}, 404, "did you mean 'default'?"),
    ("PATCH", "/accounts/default", {"limits": {"concurency": 1}}, 400, "did you mean 'concurrency'?"),
    ("POST", "/accounts/nope/reset", {}, 404, "there is no account 'nope'"),
    ("POST", "/accounts", [], 400, "not a JSON object"),
]


@pytest.mark.parametrize(("method", "path", "body", "code", "message"), WRONG)
def test_mistakes(admin: httpx.Client, method: str, path: str, body: Any, code: int, message: str) -> None:
    """A mistake is named, and changes nothing."""
    before = (admin.get("/keys").json(), admin.get("/accounts").json())
    response = admin.request(method, path, json=body)
    assert (response.status_code, list(response.json())) == (code, ["error"])
    assert message in response.json()["error"]
    assert (admin.get("/keys").json(), admin.get("/accounts").json()) == before


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff"])
def test_bodies_that_are_no_json(admin: httpx.Client, content: bytes) -> None:
    """400, in words."""
    response = admin.post("/keys", content=content)
    assert (response.status_code, response.json()) == (400, {"error": "the body is not JSON"})


def test_unknown_path(admin: httpx.Client) -> None:
    """Beside its routes the API has nothing."""
    assert admin.get("/nothing").status_code == 404
    assert admin.put("/keys").status_code == 405
