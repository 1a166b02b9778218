"""What of prompts, answers and tools is logged: nothing, a part, or all; never a picture, never a secret."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from tests.pipeline.memory import MemoryTransport, Reply, said
from tests.pipeline.modes import Mode
from tests.plugins.logging.capture import Handler, plugin

from qonduit import APIError, Client, Message, content, tool
from qonduit.credentials import MASK
from qonduit.request import ChatRequest
from qonduit_logging.contents import MESSAGES_KEPT, input_fields, without_prompt

KEY = "sk-canary7f3a9b2c4d5e6f70"
PROMPT = "prompt-canary-71d0"
ANSWER = "answer-canary-52aa"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20


def of(messages: list[Any], **parameters: Any) -> ChatRequest:
    """A request."""
    return ChatRequest.of({"model": "qwen-plus", "messages": messages, **parameters})


def same(text: str) -> str:
    """Cleans nothing."""
    return text


async def test_no_contents_by_default(mode: Mode, logged: Handler) -> None:
    """Neither prompt, answer nor tools are in any field or message unless they are asked for."""
    client = mode.client(MemoryTransport(said(ANSWER)), plugin())
    tools = [{"type": "function", "function": {"name": "tool_canary", "parameters": {}}}]
    await mode.ask(
        client, messages=[{"role": "user", "content": PROMPT}], tools=tools, stop=["stop-canary"], user="usercanary"
    )
    shown = "".join(f"{record.getMessage()} {record.qonduit}" for record in logged.records)
    assert "canary" not in shown


async def test_full_contents(mode: Mode, logged: Handler) -> None:
    """With `full`, a call's record has them in OpenTelemetry's shape; an attempt's never does."""
    client = mode.client(MemoryTransport(said("Hi", " there")), plugin(content="full"))
    await mode.ask(client, messages=[{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}])
    assert logged.call["gen_ai.input.messages"] == [
        {"role": "system", "parts": [{"type": "text", "content": "Be kind."}]},
        {"role": "user", "parts": [{"type": "text", "content": "Hello"}]},
    ]
    assert logged.call["gen_ai.output.messages"] == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Hi there"}], "finish_reason": "stop"}
    ]
    assert not [name for name in logged.fields("attempt")[0] if "messages" in name]


async def test_truncated_contents(mode: Mode, logged: Handler) -> None:
    """With `truncated`, each text is cut, and only the last messages are there."""
    client = mode.client(MemoryTransport(said("b" * 500)), plugin(content="truncated", max_characters=40))
    messages = [{"role": "user", "content": "a" * 500}] * (MESSAGES_KEPT + 5)
    await mode.ask(client, messages=messages)
    first, *rest = logged.call["gen_ai.input.messages"]
    assert first == {"omitted_messages": 5}
    assert [part["content"] for message in rest for part in message["parts"]] == ["a" * 22 + "… (500 characters)"] * 20
    assert logged.call["gen_ai.output.messages"][0]["parts"][0]["content"] == "b" * 22 + "… (500 characters)"


def test_the_parts_of_messages() -> None:
    """Thinking, calls of tools and their results are parts; an answer goes back as history in the same shape."""
    history = Message(
        role="assistant",
        reasoning_content="Hm.",
        tool_calls=({"id": "c1", "function": {"name": "look", "arguments": '{"a": 1}'}},),
    )
    fields = input_fields(of([history, {"role": "tool", "tool_call_id": "c1", "content": "sun"}]), same, cut=False)
    assert fields["gen_ai.input.messages"] == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Hm."},
                {"type": "tool_call", "name": "look", "arguments": '{"a": 1}', "id": "c1"},
            ],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "response": "sun", "id": "c1"}]},
    ]


def test_tools() -> None:
    """Tools are there as they were sent, or cut as JSON text."""

    @tool
    def look(place: str) -> str:
        """Look around."""
        return place

    request = of([{"role": "user", "content": "x"}], tools=[look])
    assert input_fields(request, same, cut=False)["gen_ai.tool.definitions"] == [look.definition]
    (text,) = input_fields(request, lambda text: text[:20], cut=True)["gen_ai.tool.definitions"]
    assert text == json.dumps(look.definition)[:20]


DIGEST = hashlib.sha256(PICTURE).hexdigest()[:16]
BLOB = {"type": "blob", "size": len(PICTURE), "sha256": DIGEST}
ENCODED = base64.b64encode(PICTURE).decode()


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (content.image(PICTURE), [{**BLOB, "modality": "image", "mime_type": "image/png"}]),
        (content.image("https://x.test/cat.png"), [{"type": "uri", "modality": "image", "uri": "https://x.test/cat.png"}]),
        (content.audio(PICTURE, format="wav"), [{**BLOB, "modality": "audio"}]),
        (
            content.video([PICTURE, "https://x.test/1.png"]),
            [
                {**BLOB, "modality": "video", "mime_type": "image/png"},
                {"type": "uri", "modality": "video", "uri": "https://x.test/1.png"},
            ],
        ),
        (content.video("data:video/mp4;base64," + ENCODED), [{**BLOB, "modality": "video", "mime_type": "video/mp4"}]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("cut", [False, True])
def test_media(part: Any, expected: list[Any], cut: bool) -> None:
    """Pictures, films and sound are told by size and hash, addresses by their text."""
    fields = input_fields(of([{"role": "user", "content": [part]}]), same, cut=cut)
    assert fields["gen_ai.input.messages"][0]["parts"] == expected


def test_what_is_not_known_is_told_by_its_size() -> None:
    """A part of an unknown kind may hold anything."""
    fields = input_fields(of([{"role": "user", "content": [{"type": "blob3d", "data": ENCODED}]}]), same, cut=False)
    (part,) = fields["gen_ai.input.messages"][0]["parts"]
    assert part["type"] == "blob3d"
    assert set(part) == {"type", "size", "sha256"}


async def test_no_bytes_of_a_picture_are_logged(mode: Mode, logged: Handler) -> None:
    """Not even where a data URL stands in the middle of a text, which is long."""
    client = mode.client(MemoryTransport(said("Hi")), plugin(content="truncated"))
    text = f"See data:image/png;base64,{ENCODED} here."
    await mode.ask(client, messages=[{"role": "user", "content": [content.image(PICTURE), content.text(text)]}])
    assert ENCODED[:24] not in str(logged.fields())
    (message,) = logged.call["gen_ai.input.messages"]
    assert message["parts"][1]["content"] == f"See [image/png, {len(PICTURE)} bytes, sha256 {DIGEST}] here."


async def test_secrets_in_contents(mode: Mode, logged: Handler) -> None:
    """Contents are redacted and escaped like everything else."""
    client = mode.client(MemoryTransport(said("It is ", KEY[:9], KEY[9:], "\x1b[31m")), plugin(content="full"))
    await mode.ask(client, messages=[{"role": "user", "content": f"password: hunter2\n{KEY}"}])
    assert logged.call["gen_ai.input.messages"][0]["parts"][0]["content"] == rf"password: {MASK}\n{MASK}"
    assert logged.call["gen_ai.output.messages"][0]["parts"][0]["content"] == rf"It is {MASK}\x1b[31m"


def test_texts_of_other_operations(logged: Handler) -> None:
    """What embeddings and rerank are asked about is their content."""
    answer = b'{"data": [{"index": 0, "embedding": [0.5]}, {"index": 1, "embedding": [0.5]}], "model": "m"}'
    ranked = b'{"object": "list", "results": [{"index": 0, "relevance_score": 0.5}], "model": "m", "id": "r-1"}'
    transport = MemoryTransport(Reply(200, {}, (answer,)), Reply(200, {}, (ranked,)))
    client = Client(
        provider="qwen", model="qwen3-rerank", api_key="sk-test", plugins=[plugin(content="full"), transport]
    )
    client.embeddings.create(model="text-embedding-v4", input=["a", "b"])
    client.rerank.create(query="q", documents=["c", "d"])
    assert [fields["qonduit.input.texts"] for fields in logged.fields("call")] == [["a", "b"], ["q", "c", "d"]]


async def test_an_error_that_repeats_the_prompt(mode: Mode, logged: Handler) -> None:
    """What an error repeats of the prompt is masked, whatever `content` says."""
    said_back = json.dumps({"error": {"code": "x", "message": f"Bad input: '{PROMPT} and so on'"}}).encode()
    client = mode.client(MemoryTransport(Reply(400, {}).with_parts(said_back)), plugin())
    with pytest.raises(APIError):
        await mode.ask(client, messages=[{"role": "user", "content": f"Say {PROMPT} and so on, please."}])
    for fields in logged.fields():
        assert "Bad input: '[prompt]'" in fields["qonduit.error.message"]
        assert "canary" not in str(fields)


def test_a_prompt_in_an_error_is_found_by_pieces() -> None:
    """Pieces of a text and of a tool's arguments are found; what is not of the prompt is left."""
    request = of([{"role": "user", "content": "The quick brown fox jumps over the lazy dog"}])
    error = "no: 'brown fox jumps' and 'the lazy dog', of 43 characters"
    assert without_prompt(error, request) == "no: '[prompt]' and '[prompt]', of 43 characters"
    assert without_prompt("short", request) == "short"


def test_the_redactor_of_contents_is_the_plugins(logged: Handler) -> None:
    """A secret that the option names is taken out of contents."""
    made = plugin(content="full", redact=("hunter-two", r"regex:acct-\d+"))
    client = Client(provider="qwen", model="m", api_key="sk-test", plugins=[made, MemoryTransport(said("acct-99"))])
    client.chat.completions.create(messages=[{"role": "user", "content": "hunter-two"}])
    assert logged.call["gen_ai.input.messages"][0]["parts"][0]["content"] == MASK
    assert logged.call["gen_ai.output.messages"][0]["parts"][0]["content"] == MASK
