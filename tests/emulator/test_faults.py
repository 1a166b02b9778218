"""Faults on demand, each seen from the client's end of the connection."""

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qonduit_emulator import DEFAULT_API_KEY, Emulator, Faults, SettingError, create_app
from qonduit_emulator._faults import FaultName, parse_fault_header
from qonduit_emulator._refusal_codes import BY_STATUS, REFUSAL_CODES, refusal_by_code

CHAT = "/compatible-mode/v1/chat/completions"
TEXT = "/api/v1/services/aigc/text-generation/generation"
COMPATIBLE_BODY = {"model": "qwen-plus", "messages": [{"role": "user", "content": "hello"}]}
NATIVE_BODY = {
    "model": "qwen-plus",
    "input": {"messages": [{"role": "user", "content": "hello"}]},
    "parameters": {"result_format": "message", "incremental_output": True},
}
SSE = {"X-DashScope-SSE": "enable"}


@pytest.fixture
def faults(emulator: Emulator) -> Iterator[Faults]:
    yield emulator.faults
    emulator.reset()


def chat(http: httpx.Client, fault: str | None = None, **options: Any) -> httpx.Response:
    headers = {} if fault is None else {"x-emulator-fault": fault}
    return http.post(CHAT, json={**COMPATIBLE_BODY, **options}, headers=headers)


def native(http: httpx.Client, fault: str | None = None, *, stream: bool = False) -> httpx.Response:
    headers = {} if fault is None else {"x-emulator-fault": fault}
    return http.post(TEXT, json=NATIVE_BODY, headers={**headers, **(SSE if stream else {})})


def cut_body(http: httpx.Client, path: str, fault: str, body: Any, headers: dict[str, str]) -> bytes:
    """What arrives of an answer whose connection breaks; the break itself is asserted."""
    received = b""
    with (  # noqa: PT012 - it breaks while it is read
        http.stream("POST", path, json=body, headers={"x-emulator-fault": fault, **headers}) as response,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        assert response.status_code == 200
        for chunk in response.iter_raw():
            received += chunk
    return received


@pytest.mark.parametrize("code", REFUSAL_CODES)
def test_every_code_is_a_refusal_on_both_wires(http: httpx.Client, code: str) -> None:
    """error=CODE gives the code's status, code and message, in the shape of the wire that was called."""
    refusal = refusal_by_code(code)
    plain = native(http, f"error={code}")
    assert plain.status_code == refusal.native.status
    assert plain.json() == {
        "code": code,
        "message": refusal.native.message,
        "request_id": plain.headers["x-request-id"],
    }
    compatible = chat(http, f"error={code}")
    assert compatible.status_code == refusal.compatible.status
    error = compatible.json()["error"]
    assert (error["code"], error["message"]) == (refusal.compatible.code, refusal.compatible.message)


@pytest.mark.parametrize("status", BY_STATUS)
def test_a_status_stands_for_its_usual_code(http: httpx.Client, status: str) -> None:
    """error=STATUS has that status on both wires; a refused native stream has it in the event."""
    assert native(http, f"error={status}").status_code == int(status)
    assert chat(http, f"error={status}").status_code == int(status)
    streamed = native(http, f"error={status}", stream=True)
    if status == "401":
        assert streamed.status_code == 401
    else:
        assert streamed.text.startswith(f"id:1\nevent:error\n:HTTP_STATUS/{status}\ndata:{{")


def test_html_page_has_nothing_of_the_vendor(http: httpx.Client) -> None:
    """html is a gateway's page without the vendor's headers; 200 is possible too."""
    page = chat(http, "html")
    assert (page.status_code, page.headers["content-type"]) == (502, "text/html; charset=utf-8")
    assert "<html>" in page.text
    assert not {"x-request-id", "req-cost-time"} & set(page.headers)
    assert chat(http, "html=200").status_code == 200


def test_cut_before_headers(http: httpx.Client) -> None:
    """The connection closes after the request without a byte of answer."""
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        chat(http, "cut-before-headers")
    assert chat(http).status_code == 200


@pytest.mark.parametrize("stream", [True, False])
def test_cut_after_the_first_byte(http: httpx.Client, stream: bool) -> None:
    """Headers and one byte arrive, then the connection breaks."""
    body = {**COMPATIBLE_BODY, "stream": stream}
    assert cut_body(http, CHAT, "cut-after-first-byte", body, {}) == (b"d" if stream else b"{")
    assert cut_body(http, TEXT, "cut-after-first-byte", NATIVE_BODY, SSE if stream else {}) in {b"i", b"{"}


@pytest.mark.parametrize("count", [0, 1, 3])
def test_cut_in_the_middle_of_an_event(http: httpx.Client, count: int) -> None:
    """So many whole events arrive, half of one more, then the connection breaks."""
    received = cut_body(http, TEXT, f"cut-mid-event={count}", NATIVE_BODY, SSE)
    *events, rest = received.split(b"\n\n")
    assert len(events) == count
    assert rest.startswith(f"id:{count + 1}\nevent:result\n".encode())
    received = cut_body(http, CHAT, f"cut-mid-event={count}", {**COMPATIBLE_BODY, "stream": True}, {})
    *events, rest = received.split(b"\n\n")
    assert len(events) == count
    assert rest.startswith(b'data: {"choices"')
    with pytest.raises(json.JSONDecodeError):
        json.loads(rest.removeprefix(b"data: "))


def test_cut_in_the_middle_of_a_plain_body(http: httpx.Client) -> None:
    """Of a plain answer half of the body arrives."""
    received = cut_body(http, CHAT, "cut-mid-event", COMPATIBLE_BODY, {})
    assert received.startswith(b'{"choices"')
    assert not received.endswith(b"}")


def test_truncated_stream_ends_cleanly_without_an_end(http: httpx.Client) -> None:
    """HTTP is complete, but neither a finish reason nor [DONE] came."""
    streamed = chat(http, "truncate=2", stream=True)
    assert streamed.text.count("\n\n") == 2
    assert "[DONE]" not in streamed.text
    assert '"finish_reason":"stop"' not in streamed.text
    assert native(http, "truncate=0", stream=True).content == b""
    plain = chat(http, "truncate")
    assert plain.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        plain.json()
    assert chat(http).status_code == 200


def test_malformed_json_in_one_event(http: httpx.Client) -> None:
    """The JSON of the named event lacks its end; all others, and the end of the stream, are there."""
    *events, done, rest = chat(http, "malformed-json=2", stream=True).text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    broken = []
    for index, event in enumerate(events):
        try:
            json.loads(event.removeprefix("data: "))
        except json.JSONDecodeError:
            broken.append(index)
    assert broken == [1]
    with pytest.raises(json.JSONDecodeError):
        native(http, "malformed-json").json()


def test_wrong_usage(http: httpx.Client) -> None:
    """Every count is the given number, whatever the answer's length."""
    usage = chat(http, "wrong-usage=7").json()["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (7, 7)
    assert native(http, "wrong-usage").json()["usage"]["total_tokens"] == 0


def test_partial_response(http: httpx.Client) -> None:
    """A plain answer stops half-way with HTTP 200, and a header is the only sign."""
    whole, half = chat(http), chat(http, "partial-response")
    text = half.json()["choices"][0]["message"]["content"]
    assert half.headers["x-dashscope-partialresponse"] == "true"
    assert "x-dashscope-partialresponse" not in whole.headers
    assert half.json()["choices"][0]["finish_reason"] == "stop"
    expected = whole.json()["choices"][0]["message"]["content"]
    assert 0 < len(text) < len(expected)
    assert expected.startswith(text)
    streamed = chat(http, "partial-response", stream=True)
    assert streamed.text.count("data: ") == chat(http, stream=True).text.count("data: ")
    assert "x-dashscope-partialresponse" not in streamed.headers


def test_content_filter_in_mid_stream(http: httpx.Client) -> None:
    """Some text arrives, then the filter's error, and no end; a plain answer is the error alone."""
    streamed = native(http, "content-filter=2", stream=True)
    *events, _ = streamed.text.split("\n\n")
    assert [event.split("\n")[1] for event in events] == ["event:result", "event:result", "event:error"]
    assert events[-1].split("\n")[2] == ":HTTP_STATUS/400"
    assert '"code":"DataInspectionFailed"' in events[-1]
    assert "Output data may contain" in events[-1]
    compatible = chat(http, "content-filter=2", stream=True).text
    assert '"error":{"message":"Output data may contain' in compatible.split("\n\n")[-2]
    assert "[DONE]" not in compatible
    assert chat(http, "content-filter").status_code == 400


def test_stall_and_slow_first_byte_wait() -> None:
    """slow-first-byte waits before the headers, stall after the first event; the rest follows."""
    waits: list[tuple[float, int]] = []
    sent: list[bytes] = []

    async def sleep(seconds: float) -> None:
        waits.append((seconds, len(b"".join(sent).split(b"\n\n")) - 1))

    async def call(fault: str) -> bytes:
        sent.clear()
        headers = {"Authorization": f"Bearer {DEFAULT_API_KEY}", "x-emulator-fault": fault}
        app: Any = create_app(sleep=sleep)

        async def noting(scope: Any, receive: Any, send: Any) -> None:
            async def note(message: Any) -> None:
                sent.append(message.get("body", b""))
                await send(message)

            await app(scope, receive, note)

        transport = httpx.ASGITransport(noting)
        async with httpx.AsyncClient(transport=transport, base_url="http://emulator") as client:
            return (await client.post(CHAT, json={**COMPATIBLE_BODY, "stream": True}, headers=headers)).content

    plain = asyncio.run(call("wrong-usage=1"))
    for fault, wait in (("slow-first-byte=2.5", (2.5, 0)), ("stall=9", (9.0, 1)), ("stall", (3600.0, 1))):
        waits.clear()
        content = asyncio.run(call(fault))
        assert waits == [wait]
        assert content.count(b"\n\n") == plain.count(b"\n\n")


def test_stall_on_a_real_connection(emulator: Emulator) -> None:
    """A client's read timeout ends a stalled stream, and the emulator goes on."""
    headers = {"Authorization": f"Bearer {emulator.api_key}", "x-emulator-fault": "stall=60"}
    received = b""
    with (  # noqa: PT012 - it stalls while it is read
        httpx.Client(base_url=emulator.url, headers=headers, trust_env=False, timeout=0.2) as client,
        pytest.raises(httpx.ReadTimeout),
        client.stream("POST", CHAT, json={**COMPATIBLE_BODY, "stream": True}) as response,
    ):
        for chunk in response.iter_raw():
            received += chunk
    assert received.count(b"\n\n") == 1


def test_raw_socket_sees_a_plain_close(emulator: Emulator) -> None:
    """Before the headers the emulator closes in order: the socket reads an end, not a reset."""
    host, port = emulator.url.removeprefix("http://").split(":")
    body = json.dumps(COMPATIBLE_BODY)
    request = (
        f"POST {CHAT} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {emulator.api_key}\r\n"
        f"x-emulator-fault: cut-before-headers\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(request.encode())
        assert connection.recv(100) == b""


def test_nth_and_every_and_times(http: httpx.Client, faults: Faults) -> None:
    """nth counts the requests of a key from 1, every repeats, times ends it."""
    faults.set("error", 503, nth=2)
    assert [chat(http).status_code for _ in range(3)] == [200, 503, 200]
    assert faults.list()[0]["happened"] == 1
    faults.clear()
    faults.set("error", "429", every=2)
    assert [chat(http).status_code for _ in range(4)] == [200, 429, 200, 429]
    faults.clear()
    faults.set("error", "500", times=1)
    assert [chat(http).status_code for _ in range(2)] == [500, 200]


def test_keys_are_counted_apart(faults: Faults) -> None:
    """Each key has its own first request; a fault for one key leaves the others alone."""
    faults.set("html", nth=1)
    assert [faults.choose(key, CHAT) is not None for key in ("a", "b", "a")] == [True, True, False]
    faults.clear()
    faults.set("html", key="a")
    assert [faults.choose(key, CHAT) is not None for key in ("a", "b")] == [True, False]


def test_probability_is_the_same_in_each_run() -> None:
    """The same seed gives the same requests, another seed others, and the share is about right."""

    def drawn(seed: int) -> list[bool]:
        faults = Faults()
        faults.set("html", probability=0.25, seed=seed)
        return [faults.choose("key", CHAT) is not None for _ in range(1000)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert 200 < sum(drawn(1)) < 300


def test_wire_and_path_select(http: httpx.Client, faults: Faults) -> None:
    """A fault for one wire, or for paths with a certain part, leaves the others alone."""
    number = faults.set("error", 503, wire="native")
    assert (native(http).status_code, chat(http).status_code) == (503, 200)
    faults.clear(number)
    faults.set("error", 503, path="/embeddings")
    assert chat(http).status_code == 200
    embedding = {"model": "text-embedding-v4", "input": "a"}
    assert http.post("/compatible-mode/v1/embeddings", json=embedding).status_code == 503


def test_first_fault_wins_and_the_header_beats_it(http: httpx.Client, faults: Faults) -> None:
    """Faults are tried in their order; one asked for by header comes first and counts for none."""
    faults.set("error", 503, nth=1)
    faults.set("error", 429)
    assert chat(http, "error=500").status_code == 500
    assert [chat(http).status_code for _ in range(2)] == [503, 429]


@pytest.mark.parametrize(
    "header", ["nothing", "error", "error=599", "stall=soon", "html=99", "cut-before-headers=1", "truncate=0.5", ""]
)
def test_wrong_header_is_a_clear_400(http: httpx.Client, header: str) -> None:
    """A fault that cannot be read is refused, and the message names header and value."""
    response = chat(http, header)
    assert response.status_code == 400
    assert "x-emulator-fault" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "options",
    [
        {"nth": 0},
        {"every": -1},
        {"times": True},
        {"probability": 1.5},
        {"wire": "both"},
    ],
)
def test_wrong_options_are_errors(options: Any) -> None:
    """A fault that could never happen, or not as meant, is a ValueError that names the option."""
    faults = Faults()
    with pytest.raises(ValueError, match=next(iter(options))):
        faults.set("html", **options)
    assert faults.list() == ()


def test_records_name_the_place() -> None:
    """A record from a file is refused with place, key and the nearest known key."""
    faults = Faults()
    with pytest.raises(SettingError, match=r"a.toml, table fault 1: unknown key 'probabilty'; did you mean 'prob"):
        faults.set_record({"name": "html", "probabilty": 0.5}, "a.toml, table fault 1")
    with pytest.raises(SettingError, match="it needs a name"):
        faults.set_record({"value": 3}, "here")
    with pytest.raises(SettingError, match="here: 'htm' is no fault"):
        faults.set_record({"name": "htm"}, "here")
    assert faults.set_record({"name": "error", "value": 429, "nth": 2, "seed": 1}, "here") > 0


@given(st.text(st.characters(max_codepoint=255)) | st.builds("{}={}".format, st.sampled_from(FaultName), st.text()))
def test_any_header_is_read_or_refused(text: str) -> None:
    """No header text does anything but give a fault or a ValueError."""
    try:
        fault = parse_fault_header(text)
    except ValueError:
        return
    assert fault.name in FaultName
    assert fault.number >= 0
