"""Seeds, log probabilities, partial turns, searches, stop tokens and pictures of the scripted model."""

import base64
import json
import math
import struct
import zlib
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qonduit_emulator import _tokens
from qonduit_emulator._picture import picture_size

CHAT = "/compatible-mode/v1/chat/completions"
TEXT = "/api/v1/services/aigc/text-generation/generation"
SSE = {"X-DashScope-SSE": "enable"}


def chat(http: httpx.Client, content: Any = "hello", **options: Any) -> Any:
    body = {"model": "qwen-plus", "messages": [{"role": "user", "content": content}], **options}
    return http.post(CHAT, json=body).json()


def text(document: Any, number: int = 0) -> str:
    content: str = document["choices"][number]["message"]["content"]
    return content


def native(http: httpx.Client, *, stream: bool = False, **parameters: Any) -> list[Any]:
    body = {
        "model": "qwen-plus",
        "input": {"messages": [{"role": "user", "content": "阿里云"}]},
        "parameters": {"result_format": "message", "incremental_output": True, **parameters},
    }
    response = http.post(TEXT, json=body, headers=SSE if stream else {})
    if not stream:
        return [response.json()]
    return [json.loads(event.partition("\ndata:")[2]) for event in response.text.split("\n\n")[:-1]]


def test_seed_repeats_and_choices_differ(http: httpx.Client) -> None:
    """The same seed gives the same answer, another one another; choices of one call differ."""
    assert text(chat(http, seed=3)) == text(chat(http, seed=3))
    assert len({text(chat(http, seed=seed)) for seed in range(4)}) == 4
    choices = chat(http, n=4)["choices"]
    assert len({choice["message"]["content"] for choice in choices}) == 4


@pytest.mark.parametrize("top", [0, 1, 5])
def test_log_probabilities_have_rivals(http: httpx.Client, top: int) -> None:
    """Each token has so many entries, the token itself first, less likely ones after it, no certainty above 1."""
    document = chat(http, "Hello there, 你好", logprobs=True, top_logprobs=top)
    content = document["choices"][0]["logprobs"]["content"]
    assert "".join(entry["token"] for entry in content) == text(document)
    for entry in content:
        assert bytes(entry["bytes"]).decode() == entry["token"]
        assert len(entry["top_logprobs"]) == top
        if top:
            assert entry["top_logprobs"][0]["token"] == entry["token"]
            logprobs = [rival["logprob"] for rival in entry["top_logprobs"]]
            assert logprobs == sorted(logprobs, reverse=True)
            assert sum(math.exp(logprob) for logprob in logprobs) <= 1.0001
            assert len({rival["token"] for rival in entry["top_logprobs"]}) == top
    again = chat(http, "Hello there, 你好", logprobs=True, top_logprobs=top)
    assert content == again["choices"][0]["logprobs"]["content"]


def test_partial_turn_is_continued(http: httpx.Client) -> None:
    """The answer holds only what comes after the given beginning."""
    whole = text(chat(http, "hello"))
    for prefix in (whole[:12], "Once upon a time"):
        messages = [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": prefix, "partial": True},
        ]
        answer = text(http.post(CHAT, json={"model": "qwen-plus", "messages": messages}).json())
        assert answer == whole[12:] if whole.startswith(prefix) else whole in answer
        assert not answer.startswith(prefix)


def test_stop_as_token_ids(http: httpx.Client) -> None:
    """A stop sequence of token ids cuts where those tokens would come, whichever way it is written."""
    whole = text(chat(http))
    tokens = _tokens.split(whole)
    ids = [_tokens.token_id(token) for token in tokens]
    expected = "".join(tokens[:4])
    for stop in ([ids[4]], [ids[4:6]], [[1, 2, 3], ids[4:7]]):
        assert text(chat(http, stop=stop)) == expected
    assert text(chat(http, stop=[[ids[4], ids[4], ids[4]]])) == whole


def test_search_is_shown_on_the_native_wire(http: httpx.Client) -> None:
    """Sources stand beside the choices, the search in the usage, citations in the text when asked for."""
    options = {"enable_source": True, "enable_citation": True, "citation_format": "[ref_<number>]"}
    (document,) = native(http, enable_search=True, search_options={**options, "search_strategy": "max"})
    info = document["output"]["search_info"]
    assert set(info) == {"search_results", "extra_tool_info"}
    assert set(info["search_results"][0]) == {"icon", "site_name", "index", "title", "url"}
    assert [result["index"] for result in info["search_results"]] == [1, 2, 3]
    assert document["usage"]["plugins"] == {"search": {"count": 1, "strategy": "max"}}
    assert "[ref_1][ref_2][ref_3]" in document["output"]["choices"][0]["message"]["content"]


def test_search_without_sources_shows_none(http: httpx.Client) -> None:
    """Without enable_source there are neither results nor citations, but the usage counts the search."""
    (document,) = native(http, enable_search=True, search_options={"enable_citation": True})
    assert "search_info" not in document["output"]
    assert "[1]" not in document["output"]["choices"][0]["message"]["content"]
    assert document["usage"]["plugins"]["search"]["count"] == 1
    (without,) = native(http, enable_search=False)
    assert "plugins" not in without["usage"]


def test_searches_in_a_stream(http: httpx.Client) -> None:
    """The results come with the first event, or before it in one of their own with an empty usage."""
    options = {"enable_source": True}
    events = native(http, stream=True, enable_search=True, search_options=options)
    assert ["search_info" in event["output"] for event in events] == [True] + [False] * (len(events) - 1)
    assert events[0]["output"]["choices"][0]["message"]["content"] != ""
    prepended = native(http, stream=True, enable_search=True, search_options={**options, "prepend_search_result": True})
    assert len(prepended) == len(events) + 1
    assert prepended[0]["usage"] == {}
    assert prepended[0]["output"]["search_info"] == events[0]["output"]["search_info"]
    assert all("search_info" not in event["output"] for event in prepended[1:])


def test_search_is_not_shown_on_the_compatible_wire(http: httpx.Client) -> None:
    """The compatible wire has no results, neither plain nor streamed."""
    options = {"enable_search": True, "search_options": {"enable_source": True}}
    assert "search" not in json.dumps({key: value for key, value in chat(http, **options).items() if key != "choices"})
    assert chat(http, **options)["choices"][0]["finish_reason"] == "stop"


def png(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


PICTURES = {
    "png": png(640, 480),
    "gif": b"GIF89a" + struct.pack("<HH", 640, 480),
    "bmp": b"BM" + bytes(16) + struct.pack("<ii", 640, -480),
    "jpeg": b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08" + struct.pack(">HH", 480, 640) + bytes(10),
    "webp": b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + (639).to_bytes(3, "little") + (479).to_bytes(3, "little"),
    "webp-lossy": b"RIFF\0\0\0\0WEBPVP8 " + bytes(10) + struct.pack("<HH", 640, 480),
    "webp-lossless": b"RIFF\0\0\0\0WEBPVP8L" + bytes(5) + struct.pack("<I", 639 | 479 << 14),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_are_acknowledged_by_size(http: httpx.Client, kind: str) -> None:
    """The answer names width and height of a picture it can read, and the bytes of any."""
    data = base64.b64encode(PICTURES[kind]).decode()
    url = f"data:image/{kind.partition('-')[0]};base64,{data}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "what is it?"}]
    answer = text(chat(http, content, model="qwen3-vl-plus"))
    assert f"{len(PICTURES[kind])} bytes, 640×480 pixels" in answer


@given(st.binary(max_size=60).map(base64.b64encode).map(bytes.decode) | st.text(max_size=60))
def test_any_data_has_a_size_or_none(data: str) -> None:
    """No data makes the reader of pictures fail, not even behind a picture's first bytes."""
    for beginning in (b"", *PICTURES.values()):
        size = picture_size(base64.b64encode(beginning[:12]).decode() + data)
        assert size is None or len(size) == 2
