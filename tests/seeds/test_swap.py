"""One program, three profiles that differ in the provider and its base URL only: one answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.servers import Request, ScriptedServer, json_response, sse_response
from tests.wires import CREATED, HEADERS, WIRES

from qonduit import AsyncClient, ChatChunk, ChatResponse, Client

Serve = Callable[..., ScriptedServer]
MESSAGES = [{"role": "user", "content": "你好"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"北京"}'}, "index": 0}


def wire_of(request: Request) -> Any:
    """The wire of the path that was asked."""
    return WIRES["dashscope"] if request.path.startswith("/api/v1/services/") else WIRES["qwen"]


def text(request: Request) -> Any:
    wire = wire_of(request)
    streamed = "text/event-stream" in request.headers.get("accept", "")
    return wire.stream_reply(["你", "好", "！"]) if streamed else wire.plain_reply("你好！")


def thinking(request: Request) -> Any:
    """An answer that was thought about."""
    wire = wire_of(request)
    if "text/event-stream" not in request.headers.get("accept", ""):
        return wire.plain_reply("好", reasoning_content="想想")
    return sse_response(
        _stream(wire, [{"reasoning_content": "想"}, {"reasoning_content": "想"}, {"content": "好"}], "stop"), **HEADERS
    )


def calling(request: Request) -> Any:
    """An answer that calls a tool; each wire ends it in its own words."""
    wire = wire_of(request)
    if "text/event-stream" not in request.headers.get("accept", ""):
        return wire.plain_reply("" if wire.native else None, tool_calls=[CALL], finish_reason="tool_calls")
    first = {**CALL, "function": {"name": "weather", "arguments": '{"city":'}}
    second = {"index": 0, "id": "", "type": "function", "function": {"arguments": '"北京"}'}}
    return sse_response(_stream(wire, [{"tool_calls": [first]}, {"tool_calls": [second]}], "tool_calls"), **HEADERS)


def _stream(wire: Any, deltas: list[dict[str, Any]], reason: str) -> list[bytes]:
    """The deltas as events of a wire."""
    if not wire.native:
        head = {"id": "chatcmpl-6f1c2a34-0000-4000-8000-00000000beef", "created": CREATED, "model": "qwen-plus"}
        events = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        events.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        events.append({**head, "choices": [], "usage": wire.usage(5, 2)})
        return [*map(wire.event, events), b"data: [DONE]\n\n"]
    events = []
    for position, delta in enumerate([*deltas, {}], 1):
        message = {"role": "assistant", "content": "", **delta}
        ended = position > len(deltas)
        choices = [{"index": 0, "message": message, "finish_reason": reason if ended else "null"}]
        usage = wire.usage(5, min(position, 2))
        events.append(
            {"output": {"choices": choices}, "usage": usage, "request_id": "6f1c2a34-0000-4000-8000-00000000beef"}
        )
    return list(map(wire.event, events))


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[ScriptedServer], Path]:
    """Write three profiles that differ in two lines."""
    monkeypatch.setenv("TEAM_KEY", "sk-team")

    def write(server: ScriptedServer) -> Path:
        profiles = [
            f'[profiles.{name}]\nprovider = "{name}"\nbase_url = "{server.url}{wire.prefix}"\n'
            'model = "qwen-plus"\napi_key = "env:TEAM_KEY"\nmax_retries = 0\n'
            for name, wire in WIRES.items()
        ]
        path = tmp_path / "three.toml"
        # Without an effort of its own the model would be given a budget, with a warning.
        path.write_text("\n".join([*profiles, '[models."qwen-plus"]\nefforts = ["low"]']))
        return path

    return write


def comparable(response: ChatResponse) -> ChatResponse:
    """An answer without what may differ: the provider and its ids."""
    return response.replace(provider=None, id=None, request_id=None)


def pieces(chunks: list[ChatChunk]) -> list[tuple[Any, ...]]:
    """What chunks say, but for the ones that say nothing."""
    said = []
    for chunk in chunks:
        (choice,) = chunk.choices
        calls = choice.delta.tool_calls
        if choice.delta.content or choice.delta.reasoning_content or calls or choice.finish_reason:
            said.append((choice.delta.content or None, choice.delta.reasoning_content, calls, choice.finish_reason))
    return said


def plain(name: str, path: Path, parameters: dict[str, Any]) -> tuple[ChatResponse, list[Any]]:
    with Client(name, config=path) as client:
        return client.chat.completions.create(messages=MESSAGES, **parameters), []


def streamed(name: str, path: Path, parameters: dict[str, Any]) -> tuple[ChatResponse, list[Any]]:
    with Client(name, config=path) as client:
        with client.chat.completions.create(messages=MESSAGES, stream=True, **parameters) as stream:
            chunks = list(stream)
        return stream.response, pieces(chunks)


async def async_plain(name: str, path: Path, parameters: dict[str, Any]) -> tuple[ChatResponse, list[Any]]:
    async with AsyncClient(name, config=path) as client:
        return await client.chat.completions.create(messages=MESSAGES, **parameters), []


async def async_streamed(name: str, path: Path, parameters: dict[str, Any]) -> tuple[ChatResponse, list[Any]]:
    async with AsyncClient(name, config=path) as client:
        async with await client.chat.completions.create(messages=MESSAGES, stream=True, **parameters) as stream:
            chunks = [chunk async for chunk in stream]
        return stream.response, pieces(chunks)


@pytest.mark.parametrize("program", [plain, streamed, async_plain, async_streamed], ids=lambda found: found.__name__)
@pytest.mark.parametrize(
    ("script", "parameters"),
    [(text, {"temperature": 0.5, "seed": 1}), (thinking, {"reasoning": "low"}), (calling, {"tools": TOOLS})],
    ids=["text", "thinking", "calling"],
)
async def test_three_profiles_give_one_answer(
    serve: Serve, configure: Callable[[ScriptedServer], Path], program: Any, script: Any, parameters: Any
) -> None:
    """The same answer of the server comes out as equal responses and equal chunks, whichever provider is named."""
    server = serve(script)
    path = configure(server)
    answers: dict[str, Any] = {}
    for name in WIRES:
        result = program(name, path, parameters)
        answers[name] = await result if hasattr(result, "__await__") else result
    whole = {name: comparable(response) for name, (response, _) in answers.items()}
    assert whole["openai"] == whole["qwen"] == whole["dashscope"]
    said = [chunks for _, chunks in answers.values()]
    assert said[0] == said[1] == said[2]
    response, _ = answers["dashscope"]
    assert (response.complete, response.usage.total_tokens, response.created) == (True, 7, CREATED)
    assert [answer.provider for answer, _ in answers.values()] == list(WIRES)
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer sk-team"}


def test_the_same_error_is_the_same_class(serve: Serve, configure: Callable[[ScriptedServer], Path]) -> None:
    """What each wire says in its own words of one failure is one class of error with one status."""
    bodies = {
        False: {"error": {"code": "invalid_api_key", "message": "Incorrect API key provided."}},
        True: {"code": "InvalidApiKey", "message": "Invalid API-key provided.", "request_id": "1"},
    }
    server = serve(lambda request: json_response(bodies[wire_of(request).native], 401))
    path = configure(server)
    seen = set()
    for name in WIRES:
        with Client(name, config=path) as client:
            with pytest.raises(Exception, match="401") as caught:
                client.chat.completions.create(messages=MESSAGES)
            seen.add((type(caught.value), caught.value.status_code, caught.value.attempts))
    assert len(seen) == 1
