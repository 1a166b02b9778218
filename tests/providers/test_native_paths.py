"""The two generation paths: a wrong guess is mended once, by asking the other path, and not made again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.parts import builder, chat, normalizer, profile, wire_response
from tests.pipeline.modes import MODES, Mode
from tests.providers.native_validator import MULTIMODAL_PATH, TEXT_PATH, check_generation
from tests.servers import Request, ScriptedServer, json_response, sse_response
from tests.wires import WIRES, dumps

from qonduit import BadRequestError, ChatRequest, WireRequest
from qonduit.models import ModelTable
from qonduit.parts import Resend
from qonduit_dashscope import DashScopeProvider
from qonduit_emulator import Emulator

NATIVE = WIRES["dashscope"]
URL_ERROR = {"code": "InvalidParameter", "message": "url error, please check url！ See the docs.", "request_id": "r"}
IMAGE_PART = {"type": "image_url", "image_url": {"url": "https://example.test/a.png"}}
MARKED = {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]}
GUESSES = {"qwen3.6-plus": "text", "qwen-plus": "multimodal"}
"""Models with the wrong one of the two paths."""


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture(params=MODES, ids=lambda mode: mode.name)
def mode(request: pytest.FixtureRequest) -> Mode:
    asked: Mode = request.param
    return asked


def client_of(mode: Mode, url: str, api_key: str = "sk-test", **options: Any) -> Any:
    given = {"provider": "dashscope", "base_url": url, "api_key": api_key, "max_retries": 0, "timeout": 10}
    models = {name: {"path": path} for name, path in GUESSES.items()}
    return mode.client(None, **given, models=models, **options)


def paths(requests: Any) -> list[str]:
    return [request.path.removeprefix("/api/v1") for request in requests]


@pytest.mark.parametrize("model", GUESSES)
async def test_the_path_is_learned(emulator: Emulator, mode: Mode, model: str) -> None:
    """A url error costs one more request and a warning once; later calls, by `with_options` too, go right at once."""
    wrong, right = TEXT_PATH, MULTIMODAL_PATH
    if GUESSES[model] == "multimodal":
        wrong, right = right, wrong
    emulator.reset()
    client = client_of(mode, emulator.native_url, emulator.api_key)
    try:
        first = await mode.ask(client, model=model, reasoning=False)
        second = await mode.ask(client, model=model, reasoning=False)
        third = await mode.ask(client.with_options(timeout=5), model=model, reasoning=False)
    finally:
        await mode.leave(client)
    assert paths(emulator.requests) == [wrong, right, right, right]
    (warning,) = first.response.warnings
    assert model in warning
    assert "path = " in warning
    assert second.response.warnings == third.response.warnings == ()
    assert first.response.text
    assert first.response.text == second.response.text == third.response.text


async def test_each_client_learns_for_itself_and_each_model_apart(emulator: Emulator, mode: Mode) -> None:
    """What was learned of one model says nothing of another, and dies with its client."""
    for _ in range(2):
        emulator.reset()
        client = client_of(mode, emulator.native_url, emulator.api_key)
        try:
            for model in GUESSES:
                told = await mode.ask(client, model=model, reasoning=False)
                assert len(told.response.warnings) == 1
        finally:
            await mode.leave(client)
        assert paths(emulator.requests) == [TEXT_PATH, MULTIMODAL_PATH, MULTIMODAL_PATH, TEXT_PATH]


@pytest.mark.parametrize("in_stream", [False, True], ids=["as a 400", "as a 200 or as an event"])
@pytest.mark.parametrize("second", [URL_ERROR, {"code": "InvalidParameter", "message": "Model not exist."}])
async def test_a_sibling_that_refuses_teaches_nothing(mode: Mode, in_stream: bool, second: dict[str, Any]) -> None:
    """Where the other path refuses as well, the call fails, and the next one begins where the first did."""

    def refuse(request: Request) -> Any:
        body = URL_ERROR if request.path.endswith(MULTIMODAL_PATH) else second
        if in_stream and mode.streamed:
            return sse_response([NATIVE.event(body, kind="error", status=400)])
        return json_response(body, 200 if in_stream else 400)

    with ScriptedServer(refuse) as server:
        client = client_of(mode, f"{server.url}/api/v1")
        try:
            for _ in range(2):
                with pytest.raises(BadRequestError):
                    await mode.ask(client, model="qwen-plus")
        finally:
            await mode.leave(client)
        assert paths(server.requests) == [MULTIMODAL_PATH, TEXT_PATH] * 2


async def test_an_event_that_says_url_error(mode: Mode) -> None:
    """In a stream the url error is an event under a 200; it is mended alike, and the first chunk is the answer's."""

    def reply(request: Request) -> Any:
        wrong = request.path.endswith(MULTIMODAL_PATH)
        if "x-dashscope-sse" in request.headers:
            return sse_response([NATIVE.event(URL_ERROR, kind="error", status=400)] if wrong else NATIVE.events())
        return json_response(URL_ERROR, 400) if wrong else NATIVE.plain_reply()

    with ScriptedServer(reply) as server:
        client = client_of(mode, f"{server.url}/api/v1")
        try:
            warnings = [(await mode.ask(client, model="qwen-plus")).response.warnings for _ in range(2)]
        finally:
            await mode.leave(client)
        assert [len(said) for said in warnings] == [1, 0]
        assert paths(server.requests) == [MULTIMODAL_PATH, TEXT_PATH, TEXT_PATH]


async def test_a_url_error_after_the_first_chunk_is_an_error(mode: Mode) -> None:
    """An answer that has begun is not followed by another one."""
    if not mode.streamed:
        return
    broken = [NATIVE.piece("hel"), NATIVE.event(URL_ERROR, kind="error", status=400)]
    with ScriptedServer([sse_response(broken)]) as server:
        client = client_of(mode, f"{server.url}/api/v1")
        try:
            with pytest.raises(BadRequestError) as caught:
                await mode.ask(client, model="qwen-plus")
        finally:
            await mode.leave(client)
        assert len(server.requests) == 1
    assert caught.value.response is not None


# What the parts say on their own


class Parts:
    """The builder and the normalizer of one provider."""

    def __init__(self, **settings: Any) -> None:
        table = ModelTable.of_package("qonduit_model_studio").overlaid(
            {name: {"path": path} for name, path in GUESSES.items()}
        )
        provider = DashScopeProvider()
        of_one = profile("dashscope", models=table, **settings)
        self.builder: Any = provider.qonduit_request_builder(of_one)
        self.normalizer: Any = provider.qonduit_response_normalizer(of_one)

    def refuse(self, wire: WireRequest) -> Resend | BadRequestError:
        """What a url error on `wire` comes to."""
        try:
            error = self.normalizer.error(replace(wire_response(dumps(URL_ERROR), 400), request=wire))
        except Resend as resend:
            check_generation(resend.request)
            return resend
        assert isinstance(error, BadRequestError)
        return error

    def path(self, request: ChatRequest) -> str:
        return "/services" + self.builder.build(request).url.rpartition("/services")[2]


def test_media_are_not_asked_as_text() -> None:
    """A picture has no form on the text path: the error says so, and nothing is sent again."""
    parts = Parts()
    wire = parts.builder.build(chat(messages=[{"role": "user", "content": [IMAGE_PART]}]))
    error = parts.refuse(wire)
    assert isinstance(error, BadRequestError)
    assert "text only" in str(error)


def test_a_cache_mark_that_gets_lost_is_said() -> None:
    """Asked again as text a message loses its cache mark: a warning says so, or it is not asked."""
    resend = Parts().refuse(Parts().builder.build(chat(messages=[MARKED])))
    assert isinstance(resend, Resend)
    assert "cache_control" in resend.warning
    assert json.loads(resend.request.content)["input"]["messages"] == [{"role": "user", "content": "a"}]
    strict = Parts(unsupported="error")
    error = strict.refuse(strict.builder.build(chat(messages=[MARKED])))
    assert isinstance(error, BadRequestError)
    assert "cache_control" in str(error)


def test_a_picture_that_is_answered_teaches_nothing_of_text() -> None:
    """A request that can only go to the multimodal path says nothing of where the model's text is asked."""
    parts = Parts()
    picture = chat(model="nobody-knows-it", messages=[{"role": "user", "content": [IMAGE_PART]}])
    wire = parts.builder.build(picture)
    parts.normalizer.normalize(picture, replace(wire_response(dumps(NATIVE.answer())), request=wire))
    assert parts.path(picture) == MULTIMODAL_PATH
    assert parts.path(chat(model="nobody-knows-it")) == TEXT_PATH


def test_what_was_learned_can_be_unlearned() -> None:
    """A model that moves is found again."""
    parts, asked = Parts(), chat()
    for path in (TEXT_PATH, MULTIMODAL_PATH, TEXT_PATH):
        resend = parts.refuse(parts.builder.build(asked))
        assert isinstance(resend, Resend)
        answer = replace(wire_response(dumps(NATIVE.answer())), request=resend.request)
        parts.normalizer.normalize(asked, answer)
        assert parts.path(asked) == path


@pytest.mark.parametrize(
    "extra", [{"input": "sealed"}, {"input": {"messages": "odd"}}, {"input": {"messages": [{"content": 7}]}}]
)
def test_an_input_of_the_callers_own_is_asked_again_as_it_is(extra: dict[str, Any]) -> None:
    """What extra_body puts in the place of the messages is not taken apart."""
    wire = builder("dashscope").build(chat(extra_body=extra))
    with pytest.raises(Resend) as caught:
        normalizer("dashscope").error(replace(wire_response(dumps(URL_ERROR), 400), request=wire))
    assert caught.value.request.url.endswith(MULTIMODAL_PATH)
