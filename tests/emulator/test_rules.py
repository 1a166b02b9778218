"""Rules: what the scripted model says to whom."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qonduit_emulator import DEFAULT_API_KEY, Emulator, Rules, Scenario, SettingError, create_app, read_configuration

CHAT = "/compatible-mode/v1/chat/completions"
TEXT = "/api/v1/services/aigc/text-generation/generation"


@pytest.fixture
def rules(emulator: Emulator) -> Iterator[Rules]:
    yield emulator.rules
    emulator.reset()


def say(http: httpx.Client, text: str = "hello", model: str = "qwen-plus", **options: Any) -> httpx.Response:
    headers = options.pop("headers", {})
    body = {"model": model, "messages": [{"role": "user", "content": text}], **options}
    return http.post(CHAT, json=body, headers=headers)


def answer(response: httpx.Response) -> str:
    content: str = response.json()["choices"][0]["message"]["content"]
    return content


def test_text_model_and_header_select(http: httpx.Client, rules: Rules) -> None:
    """A rule fits when all it names does; the first that fits wins; without one the usual answer comes."""
    rules.set(model="qwen3*", text="refund", answer="both")
    rules.set(text="refund", answer="text")
    rules.set(pattern=r"(?i)\border \d+", answer="pattern")
    rules.set(header={"X-Case": "angry"}, answer="header")
    assert answer(say(http, "a refund please", "qwen3-max")) == "both"
    assert answer(say(http, "a refund please")) == "text"
    assert answer(say(http, "Order 17 is late")) == "pattern"
    assert answer(say(http, headers={"x-case": "angry"})) == "header"
    assert "hello" in answer(say(http, headers={"x-case": "calm"}))


def test_only_the_last_user_turn_is_looked_at(http: httpx.Client, rules: Rules) -> None:
    """What was said before does not make a rule fit."""
    rules.set(text="refund", answer="no")
    turns = [{"role": role, "content": text} for role, text in (("user", "refund"), ("assistant", "?"), ("user", "x"))]
    body = {"model": "qwen-plus", "messages": turns}
    assert answer(http.post(CHAT, json=body)) != "no"


def test_answers_are_counted_cut_and_streamed(http: httpx.Client, rules: Rules) -> None:
    """A rule's text obeys max_tokens and stop, and streams like any other, on both wires."""
    rules.set(answer="one two three four five six")
    cut = say(http, max_tokens=2).json()
    assert cut["choices"][0]["message"]["content"] == "one two"
    assert (cut["choices"][0]["finish_reason"], cut["usage"]["completion_tokens"]) == ("length", 2)
    assert answer(say(http, stop=" four")) == "one two three"
    streamed = say(http, stream=True).text.split("\n\n")[:-2]
    deltas = [json.loads(chunk.removeprefix("data: "))["choices"][0]["delta"] for chunk in streamed]
    assert "".join(delta["content"] for delta in deltas) == "one two three four five six"
    native = {"model": "qwen-plus", "input": {"prompt": "x"}}
    assert http.post(TEXT, json=native).json()["output"]["text"] == "one two three four five six"


def test_tool_calls(http: httpx.Client, rules: Rules) -> None:
    """A rule calls tools with the given arguments, several at once too, whatever the request offers."""
    rules.set(text="one", tool={"name": "look", "arguments": {"at": "星"}})
    rules.set(text="two", tool=[{"name": "look", "arguments": '{"raw": 1}'}, {"name": "go"}])
    (call,) = say(http, "one").json()["choices"][0]["message"]["tool_calls"]
    assert call["function"] == {"name": "look", "arguments": '{"at": "星"}'}
    both = say(http, "two").json()["choices"][0]
    assert both["finish_reason"] == "tool_calls"
    calls = both["message"]["tool_calls"]
    assert [call["function"]["arguments"] for call in calls] == ['{"raw": 1}', "{}"]
    assert len({call["id"] for call in calls}) == 2


def test_reasoning_only_where_the_call_thinks(http: httpx.Client, rules: Rules) -> None:
    """Reasoning comes before the answer of a call that thinks, and not at all otherwise."""
    rules.set(reasoning="Let me see.", answer="Yes.")
    message = say(http, enable_thinking=True).json()["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("Let me see.", "Yes.")
    assert "reasoning_content" not in say(http).json()["choices"][0]["message"]


def test_errors(http: httpx.Client, rules: Rules) -> None:
    """A rule refuses by status or code, with its own words if given, in a native stream as an event."""
    rules.set(text="busy", error=429)
    rules.set(text="poor", error="Arrearage", message="Pay first.")
    assert say(http, "busy").json()["error"]["code"] == "limit_requests"
    poor = say(http, "poor")
    assert (poor.status_code, poor.json()["error"]["message"]) == (400, "Pay first.")
    body = {"model": "qwen-plus", "input": {"prompt": "busy"}}
    streamed = http.post(TEXT, json=body, headers={"X-DashScope-SSE": "enable"})
    assert streamed.text.startswith("id:1\nevent:error\n:HTTP_STATUS/429\ndata:{")


def test_delay_alone_leaves_the_answer(emulator: Emulator) -> None:
    """A rule with only a delay slows the usual answer down."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    scenario = Scenario()
    scenario.rules.set(text="slow", delay_seconds=2.5)

    async def call(text: str) -> httpx.Response:
        transport = httpx.ASGITransport(create_app(scenario=scenario, sleep=sleep))
        headers = {"Authorization": f"Bearer {DEFAULT_API_KEY}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://emulator", headers=headers) as client:
            body = {"model": "qwen-plus", "messages": [{"role": "user", "content": text}]}
            return await client.post(CHAT, json=body)

    assert "slow" in answer(asyncio.run(call("slow")))
    asyncio.run(call("fast"))
    assert waits == [2.5]


def test_clear_and_list(rules: Rules) -> None:
    """Rules are listed as they were given, and forgotten one by one or all."""
    first = rules.set(text="a", answer="b")
    second = rules.set(error=500)
    assert rules.list() == ({"id": first, "text": "a", "answer": "b"}, {"id": second, "error": 500})
    assert rules.clear(first) == 1
    assert [rule["id"] for rule in rules.list()] == [second]
    assert rules.clear() == 1
    assert rules.clear(second) == 0


def test_rules_faults_and_pace_from_a_file(tmp_path: Path) -> None:
    """A configuration's rules, faults and pace hold from the start and come back with a reset."""
    file = tmp_path / "emulator.toml"
    file.write_text(
        """
        [[rule]]
        text = "weather"
        tool = { name = "get_weather", arguments = { city = "Hangzhou" } }

        [[rule]]
        answer = "Anything else?"

        [[fault]]
        name = "error"
        value = 503
        nth = 2

        [pacing]
        tokens_per_second = 5000
        """,
        encoding="utf-8",
    )
    with Emulator(config_file=file) as emulator:
        headers = {"Authorization": f"Bearer {emulator.api_key}"}
        with httpx.Client(base_url=emulator.url, headers=headers, trust_env=False) as http:
            for _ in range(2):
                assert answer(say(http, "hm")) == "Anything else?"
                assert say(http, "hm").status_code == 503
                assert say(http, "weather").json()["choices"][0]["finish_reason"] == "tool_calls"
                emulator.rules.clear()
                emulator.reset()
        assert emulator.pacing.tokens_per_second == 5000


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('[[rule]]\nanswr = "x"', r"table rule 1: unknown key 'answr'; did you mean 'answer'"),
        ('[[rule]]\nanswer = "x"\n[[rule]]\ntext = "y"', r"table rule 2: it needs one of answer"),
        ('[[rule]]\npattern = "("\nanswer = "x"', r"table rule 1: pattern must be a regular expression"),
        ('[[rule]]\nerror = "Nope"', r"table rule 1: error must be a status or a code"),
        ('[[rule]]\nerror = 500\nanswer = "x"', r"table rule 1: error and answer exclude each other"),
        ("[[rule]]\ntool = { arguments = {} }", r"table rule 1, tool: it needs a name"),
        ('[[rule]]\ntool = { name = "a", argument = {} }', r"table rule 1, tool: unknown key 'argument'"),
        ('[[rule]]\nanswer = "x"\nheader = { a = 1 }', r"table rule 1: header must be a table of header names"),
        ('[[rule]]\nanswer = "x"\ndelay_seconds = -1', r"table rule 1: delay_seconds must be a number from 0"),
        ("rule = 3", r"rule must be an array of tables"),
        ('[[fault]]\nname = "htm"', r"table fault 1: 'htm' is no fault"),
        ('[[fault]]\nname = "html"\nntn = 1', r"table fault 1: unknown key 'ntn'"),
        ("[pacing]\njitter = 2", r"table pacing: jitter is 2"),
        ("[pacing]\nspeed = 2", r"table pacing: unknown key 'speed'"),
        ("[rules]\na = 1", r"unknown table or key 'rules'; did you mean 'rule'"),
    ],
)
def test_mistakes_in_a_file_name_file_table_and_key(tmp_path: Path, text: str, error: str) -> None:
    """A file that does not mean what it says is not taken."""
    file = tmp_path / "emulator.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingError, match=error) as raised:
        read_configuration(file)
    assert str(file) in str(raised.value)


def test_admin_sets_and_clears(tmp_path: Path) -> None:
    """Rules, faults and pace of a running emulator are set over its admin API, mistakes are 400."""
    with Emulator(admin_token="secret") as emulator:
        headers = {"Authorization": "Bearer secret"}
        url = emulator.url + "/_emulator/admin"
        with (
            httpx.Client(base_url=url, headers=headers, trust_env=False) as admin,
            httpx.Client(
                base_url=emulator.url, headers={"Authorization": f"Bearer {emulator.api_key}"}, trust_env=False
            ) as http,
        ):
            number = admin.post("/rules", json={"answer": "by admin"}).json()["id"]
            assert answer(say(http)) == "by admin"
            assert admin.get("/rules").json() == {"rules": [{"id": number, "answer": "by admin"}]}
            assert admin.delete(f"/rules/{number}").json() == {"cleared": 1}
            assert admin.delete(f"/rules/{number}").status_code == 404
            assert admin.post("/faults", json={"name": "error", "value": "429", "times": 1}).status_code == 200
            assert [say(http).status_code for _ in range(2)] == [429, 200]
            assert admin.get("/faults").json()["faults"][0]["happened"] == 1
            assert "unknown key" in admin.post("/faults", json={"nam": "html"}).json()["error"]
            assert admin.put("/pacing", json={"jitter": 2}).status_code == 400
            assert admin.put("/pacing", json={"tokens_per_second": 9000}).json()["tokens_per_second"] == 9000
            received = admin.get("/requests").json()["requests"]
            chats = [request for request in received if request["path"] == CHAT]
            assert [request["json"]["model"] for request in chats] == ["qwen-plus"] * 3
            assert emulator.api_key not in json.dumps(received)
            assert admin.post("/reset").json() == {}
            assert admin.get("/faults").json() == {"faults": []}
            assert admin.get("/pacing").json()["tokens_per_second"] == 0
            assert admin.get("/rules", headers={"Authorization": "Bearer wrong"}).status_code == 401


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_KEYS = st.sampled_from(
    ["model", "text", "pattern", "header", "answer", "reasoning", "tool", "error", "message", "delay_seconds", "x"]
)


@given(st.dictionaries(_KEYS, _VALUES) | _VALUES)
def test_any_record_is_taken_or_refused(record: Any) -> None:
    """A rule of any shape is set or a SettingError that names the place."""
    rules = Rules()
    try:
        rules.set_record(record, "the place")
        expected = 1
    except SettingError as error:
        expected = 0
        if "the place" not in str(error):
            raise
    assert len(rules.list()) == expected
