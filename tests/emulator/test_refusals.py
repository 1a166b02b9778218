"""Every refusal of the gate on both wires: status, code, message, shape. And the order in which they come."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from qonduit_emulator import Emulator
from qonduit_emulator._accounts import parse_account
from qonduit_emulator._keys import parse_key

from .clocks import Clock

CHAT = "/compatible-mode/v1/chat/completions"
TEXT = "/api/v1/services/aigc/text-generation/generation"
USER = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "f"}}
PREFIX = "<400> InternalError.Algo.InvalidParameter: "
REQUEST, PARAMETER = "invalid_request_error", "invalid_parameter_error"
BURST = (
    "Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale "
    "requests more smoothly over time."
)
FREE_TIER = (
    "The free tier of the model has been exhausted. If you wish to continue access the model on a paid basis, "
    'please disable the "use free tier only" mode in the management console.'
)
WORKSPACE = (
    "Access denied: Either you are not authorized to access this workspace, or the workspace does not exist. "
    "Please:\nVerify the workspace configuration.\nCheck your API endpoint settings. Ensure you are targeting the "
    "correct environment."
)
ALLOCATED = "Allocated quota exceeded, please increase your quota limit."
NO_QUOTA = "You exceeded your current quota, please check your plan and billing details."
RATE, REQUESTS = "Requests rate limit exceeded, please try again later.", "You exceeded your current requests list."


@dataclass(frozen=True)
class Face:
    """How a refusal looks on one wire."""

    status: int
    code: str | None
    message: str
    type: str = REQUEST


@dataclass(frozen=True)
class Row:
    """A refusal: what the account and key are like, what was called before, what is asked, what comes."""

    name: str
    native: Face
    compatible: Face
    account: dict[str, Any] = field(default_factory=dict)
    key: dict[str, Any] = field(default_factory=dict)
    before: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    model: str = "qwen-plus"


def value(name: str, message: str, options: dict[str, Any], model: str = "qwen-plus") -> Row:
    """A value out of range."""
    return Row(
        name,
        Face(400, "InvalidParameter", message),
        Face(400, PARAMETER, PREFIX + message, PARAMETER),
        options=options,
        model=model,
    )


def shape(name: str, message: str, options: dict[str, Any], model: str = "qwen-plus") -> Row:
    """A field of the wrong form."""
    face = Face(400, "InvalidParameter", message)
    return Row(name, face, Face(400, PARAMETER, message), options=options, model=model)


def same(name: str, status: int, code: str, message: str, **more: Any) -> Row:
    """The same code on both wires."""
    kind = more.pop("type", REQUEST)
    return Row(name, Face(status, code, message), Face(status, code, message, kind), **more)


INVALID_KEY = {
    "native": Face(401, "InvalidApiKey", "Invalid API-key provided."),
    "compatible": Face(401, "invalid_api_key", "Incorrect API key provided. "),
}
NO_KEY = {
    "native": Face(401, "InvalidApiKey", "No API-key provided."),
    "compatible": Face(401, "invalid_api_key", "No API-key provided."),
}
OUT_OF_TOKENS = {
    "native": Face(429, "Throttling.AllocationQuota", ALLOCATED),
    "compatible": Face(429, "insufficient_quota", NO_QUOTA, "insufficient_quota"),
}
TOO_MANY = {
    "native": Face(429, "Throttling.RateQuota", RATE),
    "compatible": Face(429, "limit_requests", REQUESTS, "limit_requests"),
}
DENIED = "Access to model denied. Please make sure you are eligible for using the model."
STANDING = "Access denied, please make sure your account is in good standing."
FREE_GONE = "Free allocated quota exceeded."

TABLE = [
    # key
    Row("no key", **NO_KEY, headers={"Authorization": ""}),
    Row("no bearer", **NO_KEY, headers={"Authorization": "Basic abc"}),
    Row("unknown key", **INVALID_KEY, headers={"Authorization": "Bearer sk-nobody"}),
    Row("disabled key", **INVALID_KEY, key={"state": "disabled"}),
    Row("expired key", **INVALID_KEY, key={"expires_at": 1_800_000_000}),
    Row("key of another region", **INVALID_KEY, key={"region": "ap-southeast-1"}),
    same(
        "workspace nobody knows",
        401,
        "NOT AUTHORIZED",
        WORKSPACE,
        key={"workspace": "ws-1"},
        headers={"X-DashScope-WorkSpace": "ws-2"},
    ),
    # account and quota
    Row(
        "frozen",
        Face(403, "AccessDenied", "Access denied."),
        Face(403, "access_denied", "Access denied."),
        account={"state": "frozen"},
    ),
    same("arrears", 400, "Arrearage", STANDING, type="Arrearage", account={"state": "arrears"}),
    same(
        "not purchased",
        429,
        "CommodityNotPurchased",
        "Commodity has not purchased yet.",
        account={"state": "not-purchased"},
    ),
    same(
        "prepaid overdue",
        429,
        "PrepaidBillOverdue",
        "The prepaid bill is overdue.",
        account={"state": "prepaid-bill-overdue"},
    ),
    same(
        "postpaid overdue",
        429,
        "PostpaidBillOverdue",
        "The postpaid bill is overdue.",
        account={"state": "postpaid-bill-overdue"},
    ),
    Row("no quota", **OUT_OF_TOKENS, account={"token_quota": 0}),
    Row("quota used up", **OUT_OF_TOKENS, account={"token_quota": 20}, before=1),
    Row("more than the quota", **OUT_OF_TOKENS, account={"token_quota": 500}, options={"max_tokens": 600}),
    same(
        "free tier only",
        403,
        "AllocationQuota.FreeTierOnly",
        FREE_TIER,
        type="AllocationQuota.FreeTierOnly",
        account={"billing": "free-tier-only"},
    ),
    same(
        "free tier only, used up",
        403,
        "AllocationQuota.FreeTierOnly",
        FREE_TIER,
        type="AllocationQuota.FreeTierOnly",
        account={"billing": "free-tier-only", "limits": {"free_tokens": 20}},
        before=1,
    ),
    Row(
        "free tier gone, not payable",
        Face(429, "Throttling.AllocationQuota", FREE_GONE),
        Face(429, "insufficient_quota", FREE_GONE, "insufficient_quota"),
        account={"billing": "free"},
    ),
    # rate
    Row(
        "burst",
        Face(429, "Throttling.BurstRate", BURST),
        Face(429, "limit_burst_rate", BURST, "limit_burst_rate"),
        account={"limits": {"requests_per_second": 1}},
        before=1,
    ),
    Row("requests a minute", **TOO_MANY, account={"limits": {"requests_per_minute": 1}}, before=1),
    Row(
        "requests a minute of one model",
        **TOO_MANY,
        account={"limits": {"requests_per_minute": 9}, "model_limits": {"qwen-plus": {"requests_per_minute": 0}}},
    ),
    Row("tokens a minute", **OUT_OF_TOKENS, account={"limits": {"tokens_per_minute": 20}}, before=1),
    Row(
        "concurrency",
        Face(429, "Throttling", "Too many requests in route. Please try again later."),
        Face(429, "throttling", "Too many requests in route. Please try again later."),
        account={"limits": {"concurrency": 0}},
    ),
    Row("requests a day", **TOO_MANY, account={"limits": {"requests_per_day": 1}}, before=1),
    # model
    Row(
        "not bought",
        Face(403, "AccessDenied.Unpurchased", DENIED),
        Face(403, "access_denied", DENIED),
        account={"allowed_models": ["qwen-max"]},
    ),
    same(
        "not allowed in the workspace",
        403,
        "Model.AccessDenied",
        "Model access denied.",
        key={"workspace": "ws-1", "allowed_models": ["qwen-max"]},
    ),
    Row(
        "unknown model",
        Face(400, "InvalidParameter", "Model not exist."),
        Face(404, "model_not_found", "The model `qwen-nope` does not exist or you do not have access to it."),
        model="qwen-nope",
    ),
    same(
        "thinking",
        400,
        "InvalidParameter.NotSupportEnableThinking",
        "The model qwen-max does not support enable_thinking.",
        options={"enable_thinking": True},
        model="qwen-max",
    ),
    Row(
        "stream only",
        Face(400, "InvalidParameter", "current user api does not support http call."),
        Face(
            400,
            PARAMETER,
            "This model only support stream mode, please enable the stream parameter to access the model.",
        ),
        model="qwq-plus",
    ),
    shape(
        "thinking, not streamed",
        "parameter.enable_thinking must be set to false for non-streaming calls",
        {},
        "qwen3-32b",
    ),
    value("tools", "The tool call is not supported.", {"tools": [TOOL]}, "qwen-long"),
    value("max_tokens", "Range of max_tokens should be [1, 32768]", {"max_tokens": 40000}),
    value(
        "input length",
        "Range of input length should be [1, 30720]",
        {"messages": [{"role": "user", "content": "x" * 200_000}]},
        "qwen-max",
    ),
    # format
    value("temperature", "Temperature should be in [0.0, 2.0)", {"temperature": 2}),
    shape("temperature's type", "'temperature' must be Float", {"temperature": "hot"}),
    value("top_p", "Range of top_p should be (0.0, 1.0]", {"top_p": 0}),
    value("top_k", "Parameter top_k be greater than or equal to 0", {"top_k": -1}),
    value("repetition_penalty", "Repetition_penalty should be greater than 0.0", {"repetition_penalty": 0}),
    value("presence_penalty", "Presence_penalty should be in [-2.0, 2.0]", {"presence_penalty": 3}),
    value("n", "Range of n should be [1, 4]", {"n": 5}),
    value("n with tools", "Range of n should be [1, 1]", {"n": 2, "tools": [TOOL]}),
    value(
        "tool's name",
        "Tool names are not allowed to be [search]",
        {"tools": [{**TOOL, "function": {"name": "search"}}]},
    ),
    value(
        "no user",
        "The input messages do not contain elements with the role of user.",
        {"messages": [{"role": "system", "content": "x"}]},
    ),
    value(
        "the word json",
        "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
        {"response_format": {"type": "json_object"}},
    ),
    shape("max_tokens' type", "'max_tokens' must be Integer", {"max_tokens": 1.5}),
]


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def gated(clock: Clock) -> Iterator[Emulator]:
    with Emulator(clock=clock) as emulator:
        yield emulator


NUMBERS = itertools.count()


@contextmanager
def caller(emulator: Emulator, row: Row) -> Iterator[httpx.Client]:
    """A client with an account and a key of its own, after its calls before."""
    name = f"account-{next(NUMBERS)}"
    emulator.books.put_account(parse_account(name, row.account, "test"))
    emulator.books.put_key(parse_key(f"sk-{name}", {**row.key, "account": name}, "test"))
    headers = {"Authorization": f"Bearer sk-{name}"}
    with httpx.Client(base_url=emulator.url, headers=headers, trust_env=False, timeout=10) as client:
        for _ in range(row.before):
            assert client.post(CHAT, json=compatible(Row("", row.native, row.compatible))).status_code == 200
        client.headers.update(row.headers)
        yield client


def compatible(row: Row) -> dict[str, Any]:
    return {"model": row.model, "messages": USER, **row.options}


def native(row: Row) -> dict[str, Any]:
    options = dict(row.options)
    messages = options.pop("messages", USER)
    return {
        "model": row.model,
        "input": {"messages": messages},
        "parameters": {"result_format": "message", **options},
    }


NAMES = [row.name for row in TABLE]
PLAIN_ONLY = ("stream only", "thinking, not streamed")
"""What a stream would mend."""


def test_the_table_is_long_enough() -> None:
    """At least forty refusals, each once."""
    assert len(TABLE) >= 40
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("row", TABLE, ids=NAMES)
def test_native(gated: Emulator, row: Row) -> None:
    """The native wire has a flat body, and the request id in the header as well."""
    with caller(gated, row) as client:
        response = client.post(TEXT, json=native(row))
    document = response.json()
    assert (response.status_code, document["code"], document["message"]) == (
        row.native.status,
        row.native.code,
        row.native.message,
    )
    assert set(document) == {"code", "message", "request_id"}
    assert response.headers["x-request-id"] == document["request_id"]
    assert response.headers["content-type"] == "application/json"
    assert "retry-after" not in response.headers


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("row", [row for row in TABLE if row.name not in PLAIN_ONLY], ids=lambda row: row.name)
def test_compatible(gated: Emulator, row: Row, streamed: bool) -> None:
    """The compatible wire has an error object beside two ids, with the real status even for a stream."""
    with caller(gated, row) as client:
        response = client.post(CHAT, json={**compatible(row), "stream": streamed})
    _assert_compatible(row, response)


@pytest.mark.parametrize("name", PLAIN_ONLY)
def test_compatible_plain_only(gated: Emulator, name: str) -> None:
    """What must be streamed is refused when it is not."""
    row = TABLE[NAMES.index(name)]
    with caller(gated, row) as client:
        _assert_compatible(row, client.post(CHAT, json=compatible(row)))


def _assert_compatible(row: Row, response: httpx.Response) -> None:
    document = response.json()
    error = document["error"]
    face = row.compatible
    assert (response.status_code, error["code"], error["message"], error["type"]) == (
        face.status,
        face.code,
        face.message,
        face.type,
    )
    assert set(document) == {"error", "id", "request_id"}
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] is None
    assert response.headers["x-request-id"] == document["request_id"]
    assert document["id"] == f"chatcmpl-{document['request_id']}"


@pytest.mark.parametrize("row", [row for row in TABLE if row.name not in PLAIN_ONLY], ids=lambda row: row.name)
def test_native_streams(gated: Emulator, row: Row) -> None:
    """A refused native stream is HTTP 200 with one error event; a bad key is refused with its real status."""
    with caller(gated, row) as client:
        response = client.post(TEXT, json=native(row), headers={"X-DashScope-SSE": "enable"})
    if row.native.status == 401:
        assert (response.status_code, response.json()["code"]) == (401, row.native.code)
        return
    assert response.status_code == 200
    lines = response.text.split("\n")
    assert lines[:3] == ["id:1", "event:error", f":HTTP_STATUS/{row.native.status}"]
    document = json.loads(lines[3].removeprefix("data:"))
    assert (document["code"], document["message"]) == (row.native.code, row.native.message)
    assert lines[4:] == ["", ""]


def test_workspaces(gated: Emulator) -> None:
    """A main key enters the workspaces there are; another workspace's key is refused by its own code."""
    books = gated.books
    books.put_account(parse_account("spaces", {}, "test"))
    for key, workspace in (("sk-main", None), ("sk-one", "ws-1"), ("sk-two", "ws-2")):
        record = {"account": "spaces"} if workspace is None else {"account": "spaces", "workspace": workspace}
        books.put_key(parse_key(key, record, "test"))

    def status(key: str, workspace: str) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {key}", "X-DashScope-WorkSpace": workspace}
        body = native(Row("", *INVALID_KEY.values()))
        response = httpx.post(gated.url + TEXT, json=body, headers=headers, trust_env=False)
        return response.status_code, response.json().get("code", "")

    assert status("sk-one", "ws-1") == (200, "")
    assert status("sk-one", "ws-2") == (403, "Workspace.AccessDenied")
    assert status("sk-main", "ws-2") == (200, "")
    assert status("sk-main", "ws-3") == (401, "NOT AUTHORIZED")
    assert httpx.post(  # an account without workspaces takes any name
        gated.base_url + "/chat/completions",
        json=compatible(Row("", *INVALID_KEY.values())),
        headers={"Authorization": f"Bearer {gated.api_key}", "X-DashScope-WorkSpace": "ws-9"},
        trust_env=False,
    ).is_success


ORDER = ["format", "key", "account", "quota", "rate", "model"]


@pytest.mark.parametrize("wrong", range(len(ORDER)), ids=ORDER)
def test_order(gated: Emulator, wrong: int) -> None:
    """With everything wrong from one stage on, that stage is the one that refuses."""
    faults = set(ORDER[wrong:])
    account: dict[str, Any] = {"limits": {}}
    if "account" in faults:
        account["state"] = "frozen"
    if "quota" in faults:
        account["token_quota"] = 0
    if "rate" in faults:
        account["limits"] = {"requests_per_minute": 0}
    row = Row(
        "order",
        *INVALID_KEY.values(),
        account=account,
        key={"state": "disabled"} if "key" in faults else {},
        options={"temperature": 9} if "format" in faults else {},
        model="qwen-nope",
    )
    expected = {
        "format": (400, "Temperature should be in [0.0, 2.0)"),
        "key": (401, "Invalid API-key provided."),
        "account": (403, "Access denied."),
        "quota": (429, ALLOCATED),
        "rate": (429, RATE),
        "model": (400, "Model not exist."),
    }
    with caller(gated, row) as client:
        response = client.post(TEXT, json=native(row))
    assert (response.status_code, response.json()["message"]) == expected[ORDER[wrong]]


def test_rates_are_checked_in_order(gated: Emulator) -> None:
    """Burst before minute before tokens before concurrency before day."""
    limits = {
        "requests_per_second": 0,
        "requests_per_minute": 0,
        "tokens_per_minute": 0,
        "concurrency": 0,
        "requests_per_day": 0,
    }
    codes = []
    while limits:
        row = Row("rates", *INVALID_KEY.values(), account={"limits": limits})
        with caller(gated, row) as client:
            codes.append(client.post(CHAT, json=compatible(row)).json()["error"]["code"])
        limits.pop(next(iter(limits)))
    assert codes == ["limit_burst_rate", "limit_requests", "insufficient_quota", "throttling", "limit_requests"]


def test_a_refused_call_leaves_no_trace(gated: Emulator) -> None:
    """Neither a model nor a format refusal counts against any limit."""
    row = Row("trace", *INVALID_KEY.values(), account={"limits": {"requests_per_minute": 1, "requests_per_day": 1}})
    with caller(gated, row) as client:
        for options in ({"max_tokens": 99999}, {"temperature": 9}):
            assert client.post(CHAT, json={**compatible(row), **options}).status_code == 400
        name = client.headers["authorization"].removeprefix("Bearer sk-")
        assert gated.books.ledger.usage(name) == {}
        assert client.post(CHAT, json=compatible(row)).status_code == 200
        assert client.post(CHAT, json=compatible(row)).status_code == 429
