"""A profile's options, and the headers that they and uploaded files become, on both wires."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from tests.parts import chat, profile

from qonduit.embeddings import EmbeddingRequest
from qonduit_dashscope import DashScopeProvider
from qonduit_model_studio.options import ModelStudioOptions
from qonduit_qwen import QwenProvider

PROVIDERS = [("qwen", QwenProvider), ("dashscope", DashScopeProvider)]
wires = pytest.mark.parametrize(("name", "kind"), PROVIDERS, ids=[name for name, _ in PROVIDERS])
OSS = "oss://dashscope-instant/a.png"

HEADERS: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {}),
    ({"data_inspection": False}, {}),
    ({"data_inspection": True}, {"x-dashscope-datainspection": "enable"}),
    (
        {"data_inspection": {"input": "cip", "output": "cip"}},
        {"x-dashscope-datainspection": '{"input":"cip","output":"cip"}'},
    ),
    ({"wait_timeout": 30}, {"x-dashscope-wait-timeout": "30"}),
]


def built(name: str, kind: Any, options: dict[str, Any], **settings: Any) -> Any:
    """The request builder of a provider with options, as a client would get it."""
    return kind(kind.Options.model_validate(options)).qonduit_request_builder(profile(name, **settings))


@wires
@pytest.mark.parametrize(("options", "expected"), HEADERS)
def test_options_are_headers(name: str, kind: Any, options: dict[str, Any], expected: dict[str, str]) -> None:
    """Each option is one header of every request, whatever the operation; one that is off is none."""
    made = built(name, kind, options)
    embed = EmbeddingRequest.of({"model": "text-embedding-v4", "input": "a"})
    for request in (chat(), chat(stream=True), embed):
        headers = made.build(request).headers
        assert {key: value for key, value in headers.items() if key.startswith("x-dashscope-")} == expected | (
            {"x-dashscope-sse": "enable"} if name == "dashscope" and request.stream else {}
        )


@wires
def test_a_workspace_goes_with_the_options(name: str, kind: Any) -> None:
    """The workspace is a header beside those of the options."""
    headers = built(name, kind, {"wait_timeout": 3}, workspace="ws-1").build(chat()).headers
    assert (headers["x-dashscope-workspace"], headers["x-dashscope-wait-timeout"]) == ("ws-1", "3")


@pytest.mark.parametrize(
    "options", [{"wait_timeout": 0}, {"wait_timeout": "soon"}, {"data_inspection": {"input": 1}}, {"wait": 3}]
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    """A value of the wrong kind, or an option that there is not, is refused."""
    with pytest.raises(ValidationError):
        ModelStudioOptions.model_validate(options)


PARTS: dict[str, tuple[dict[str, Any], bool]] = {
    "an uploaded picture": ({"type": "image_url", "image_url": {"url": OSS}}, True),
    "by a bare URL": ({"type": "image_url", "image_url": OSS}, True),
    "an uploaded film": ({"type": "video_url", "video_url": {"url": OSS}}, True),
    "an uploaded frame": ({"type": "video", "video": ["https://example.test/a.png", OSS]}, True),
    "an uploaded sound": ({"type": "input_audio", "input_audio": {"data": OSS, "format": "wav"}}, True),
    "a picture of the web": ({"type": "image_url", "image_url": {"url": "https://example.test/a.png"}}, False),
    "a text that names one": ({"type": "text", "text": OSS}, False),
}


@wires
@pytest.mark.parametrize(("part", "resolved"), PARTS.values(), ids=list(PARTS))
def test_uploaded_files_are_resolved(name: str, kind: Any, part: dict[str, Any], resolved: bool) -> None:
    """An `oss:` URL in a part asks the server to resolve it; text does not, and the next request does not either."""
    made = built(name, kind, {})
    messages = [{"role": "user", "content": [part]}]
    headers = made.build(chat(model="qwen-vl-max", messages=messages)).headers
    assert headers.get("x-dashscope-ossresourceresolve") == ("enable" if resolved else None)
    assert "x-dashscope-ossresourceresolve" not in made.build(chat()).headers


@wires
def test_a_text_message_is_not_looked_into(name: str, kind: Any) -> None:
    """A message that is a text may speak of `oss://` without a header."""
    headers = built(name, kind, {}).build(chat(messages=[{"role": "user", "content": OSS}])).headers
    assert "x-dashscope-ossresourceresolve" not in headers
