"""What Model Studio refuses for certain is refused before it is sent, on both wires."""

from __future__ import annotations

from typing import Any

import pytest
from tests.parts import builder, chat

from qonduit import BadRequestError
from qonduit_model_studio.ranges import MAX_DATA_URL

WIRES = ["qwen", "dashscope"]
SEED_LIMIT = {"qwen": 2**31 - 1, "dashscope": 2**63 - 1}


def tool(name: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


def picture(length: int) -> list[dict[str, Any]]:
    """Messages with one picture, as a data URL of `length` characters."""
    start = "data:image/png;base64,"
    part = {"type": "image_url", "image_url": {"url": start + "A" * (length - len(start))}}
    return [{"role": "user", "content": [{"type": "text", "text": "?"}, part]}]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a temperature below": ({"temperature": -0.1}, "temperature: expected at least 0 and less than 2, got -0.1"),
    "a temperature of two": ({"temperature": 2}, "temperature: expected at least 0 and less than 2, got 2"),
    "top_p of nothing": ({"top_p": 0}, "top_p: expected more than 0 and at most 1, got 0"),
    "top_p above": ({"top_p": 1.01}, "top_p: expected more than 0 and at most 1, got 1.01"),
    "top_k below": ({"top_k": -1}, "top_k: expected at least 0, got -1"),
    "no repetition_penalty": ({"repetition_penalty": 0}, "repetition_penalty: expected more than 0, got 0"),
    "presence_penalty below": ({"presence_penalty": -2.1}, "presence_penalty: expected from -2 to 2, got -2.1"),
    "presence_penalty above": ({"presence_penalty": 2.1}, "presence_penalty: expected from -2 to 2, got 2.1"),
    "no max_tokens": ({"max_tokens": 0}, "max_tokens: expected at least 1, got 0"),
    "no max_completion_tokens": ({"max_completion_tokens": 0}, "max_completion_tokens: expected at least 1, got 0"),
    "five answers": ({"n": 5}, "n: expected from 1 to 4, got 5"),
    "six of the likeliest": ({"top_logprobs": 6}, "top_logprobs: expected from 0 to 5, got 6"),
    "a seed below": ({"seed": -1}, "seed: expected from 0 to "),
    "no budget": ({"reasoning": 0}, "reasoning: .*pass reasoning=False"),
    "a tool without a name": ({"tools": [tool("")]}, r"tools\[0\]\.function\.name: expected 1 to 64"),
    "a tool with a long name": ({"tools": [tool("a"), tool("b" * 65)]}, r"tools\[1\]\.function\.name: expected 1 to"),
    "a tool with a dot": ({"tools": [tool("a.b")]}, r"tools\[0\]\.function\.name: expected"),
    "a tool with a line break": ({"tools": [tool("ab\n")]}, r"tools\[0\]\.function\.name: expected"),
    "a tool whose name is a number": ({"tools": [tool(7)]}, r"tools\[0\]\.function\.name: expected"),
    "a tool named search": ({"tools": [tool("search")]}, r"tools\[0\]\.function\.name: 'search' is taken"),
    "a picture that is too large": (
        {"messages": picture(MAX_DATA_URL + 1)},
        rf"messages\[0\]\.content\[1\]: its data is {MAX_DATA_URL + 1} characters long.*10 MB",
    ),
}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(("fields", "words"), WRONG.values(), ids=list(WRONG))
def test_what_is_out_of_range(wire: str, fields: dict[str, Any], words: str) -> None:
    """The error names the parameter, what is expected and what was given, and says that nothing was sent."""
    with pytest.raises(BadRequestError, match=words) as caught:
        builder(wire).build(chat(**fields))
    assert (caught.value.outcome, caught.value.status_code) == ("not_sent", None)
    assert caught.value.message.startswith("The request was not sent: ")
    assert len(caught.value.message) < 300  # it does not quote a picture


RIGHT: list[dict[str, Any]] = [
    {"temperature": 0},
    {"temperature": 1.99},
    {"top_p": 1},
    {"top_p": 0.001},
    {"top_k": 0},
    {"repetition_penalty": 0.01},
    {"presence_penalty": -2},
    {"presence_penalty": 2},
    {"max_tokens": 1},
    {"max_completion_tokens": 1},
    {"n": 4},
    {"top_logprobs": 0},
    {"top_logprobs": 5},
    {"seed": 0},
    {"reasoning": 1},
    {"reasoning": {"enabled": False, "budget": 0}},
    {"tools": [tool("a"), tool("A-z_9" * 12 + "abcd")]},
    {"tools": [{"type": "web_search"}]},
    {"messages": picture(MAX_DATA_URL)},
    {"temperature": None, "seed": None, "tools": None, "reasoning": None, "n": None},
]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fields", RIGHT, ids=",".join)
def test_what_is_just_in_range(wire: str, fields: dict[str, Any]) -> None:
    """The ends of a range are in it, and what is not known is left to the server."""
    builder(wire).build(chat(**fields))


@pytest.mark.parametrize("wire", WIRES)
def test_seeds(wire: str) -> None:
    """Each wire has its own greatest seed."""
    builder(wire).build(chat(seed=SEED_LIMIT[wire]))
    with pytest.raises(BadRequestError, match=f"seed: expected from 0 to {SEED_LIMIT[wire]}, got"):
        builder(wire).build(chat(seed=SEED_LIMIT[wire] + 1))


def test_all_that_is_wrong_is_said_at_once() -> None:
    """Two mistakes are one error."""
    with pytest.raises(BadRequestError, match=r"temperature: .*; top_p: .*; seed: .*\.$"):
        builder("qwen").build(chat(seed=-1, top_p=3, temperature=9))


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "part",
    [
        {"type": "video_url", "video_url": {"url": "data:video/mp4;base64," + "A" * MAX_DATA_URL}},
        {"type": "video", "video": ["https://example.test/a.png", "data:image/png;base64," + "A" * MAX_DATA_URL]},
        {"type": "image_url", "image_url": "data:image/png;base64," + "A" * MAX_DATA_URL},
        {"type": "input_audio", "input_audio": {"data": "A" * (MAX_DATA_URL + 1), "format": "wav"}},
    ],
    ids=["a film", "a frame", "a bare URL", "a sound in bare base64"],
)
def test_every_form_of_part_is_measured(wire: str, part: dict[str, Any]) -> None:
    """Films, lists of frames, bare URLs and sounds count like pictures."""
    with pytest.raises(BadRequestError, match=r"messages\[0\]\.content\[0\]: its data is"):
        builder(wire).build(chat(messages=[{"role": "user", "content": [part]}]))


@pytest.mark.parametrize("wire", WIRES)
def test_text_is_not_measured(wire: str) -> None:
    """A long text is no data URL, however it begins."""
    long = "data:" + "x" * MAX_DATA_URL
    builder(wire).build(chat(messages=[{"role": "user", "content": [{"type": "text", "text": long}]}]))
