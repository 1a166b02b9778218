"""How fast answers come; no test waits for it, but one."""

import asyncio
import contextlib
import time
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qonduit_emulator import DEFAULT_API_KEY, Emulator, Pacing, Scenario, create_app
from qonduit_emulator._pacing import HEADER, Pacer
from qonduit_emulator._refusal import Refusal

CHAT = "/compatible-mode/v1/chat/completions"
BODY = {"model": "qwen-plus", "messages": [{"role": "user", "content": "hello"}]}


def played(
    pacing: Pacing | None = None, header: str | None = None, **options: Any
) -> tuple[httpx.Response, list[float]]:
    """One call with a clock that only notes how long it was asked to wait."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def call() -> httpx.Response:
        scenario = Scenario()
        scenario.pacing = pacing or scenario.pacing
        transport = httpx.ASGITransport(create_app(scenario=scenario, sleep=sleep))
        headers = {"Authorization": f"Bearer {DEFAULT_API_KEY}", **({HEADER: header} if header is not None else {})}
        async with httpx.AsyncClient(transport=transport, base_url="http://emulator", headers=headers) as client:
            return await client.post(CHAT, json={**BODY, **options})

    return asyncio.run(call()), waits


def tokens_of(response: httpx.Response) -> int:
    tokens: int = response.json()["usage"]["completion_tokens"]
    return tokens


def test_as_fast_as_possible_by_default() -> None:
    """Without a pace nothing is waited for, streamed or not."""
    assert played(stream=True)[1] == []
    assert played()[1] == []


def test_first_token_and_rate() -> None:
    """The first piece takes its time, each further one as long as its tokens at the rate."""
    pacing = Pacing(first_token_seconds=0.5, tokens_per_second=100)
    streamed, waits = played(pacing, stream=True)
    assert waits[0] == 0.5
    assert waits[1:3] == [0.01, 0.01]
    assert waits[3] == 0.04
    plain, whole = played(pacing)
    assert sum(waits) == pytest.approx(0.5 + (tokens_of(plain) - 1) / 100)
    assert whole == [pytest.approx(sum(waits))]
    assert streamed.text == streamed.text.replace(": \n\n", "")


def test_jitter_is_seeded() -> None:
    """Jitter moves waits within its share; the same seed moves them alike."""
    runs = [played(Pacing(tokens_per_second=100, jitter=0.5, seed=seed), stream=True)[1] for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert all(0.005 <= wait <= 0.06 for wait in runs[0])
    assert len(set(runs[0])) > 5


def test_keep_alive_comments_while_waiting() -> None:
    """A wait longer than the interval is cut into pieces with a comment after each, and no data is lost."""
    response, waits = played(Pacing(first_token_seconds=3.5, keep_alive_seconds=1), stream=True)
    assert waits == [1, 1, 1, 0.5]
    assert response.text.startswith(": \n\n: \n\n: \n\ndata: {")
    assert response.text.count(": \n\n") == 3
    assert response.text.endswith("data: [DONE]\n\n")


def test_header_changes_one_request() -> None:
    """The header's fields replace the configured ones; what it leaves out stays."""
    pacing = Pacing(first_token_seconds=9, tokens_per_second=50)
    assert played(pacing, "first=0.25", stream=True)[1][:2] == [0.25, 0.02]
    assert played(pacing, "first=0, rate=0", stream=True)[1] == []
    assert played(None, "first=2,keep-alive=1.5", stream=True)[1] == [1.5, 0.5]


@pytest.mark.parametrize(
    "header", ["", "fast", "first=soon", "rate=-1", "rate=1e-9", "jitter=2", "seed=0.5", "first=nan"]
)
def test_wrong_header_is_a_clear_400(header: str) -> None:
    """A pace that cannot be read is refused, and the message names the header."""
    response, waits = played(None, header)
    assert response.status_code == 400
    assert HEADER in response.json()["error"]["message"]
    assert waits == []


def test_real_time(emulator: Emulator) -> None:
    """On a real connection the first byte and the whole answer take about as long as asked."""
    headers = {"Authorization": f"Bearer {emulator.api_key}", HEADER: "first=0.1,rate=2000,keep-alive=0.03"}
    begin = time.perf_counter()
    with (
        httpx.Client(base_url=emulator.url, headers=headers, trust_env=False) as client,
        client.stream("POST", CHAT, json={**BODY, "stream": True}) as response,
    ):
        arrivals = [(time.perf_counter() - begin, chunk) for chunk in response.iter_raw()]
    assert arrivals[0][1].startswith(b": \n\n")
    first = next(at for at, chunk in arrivals if b"data:" in chunk)
    assert 0.1 <= first < 1


@given(st.text())
def test_any_header_is_read_or_refused(text: str) -> None:
    """No header text does anything but give a pace or a refusal."""
    with contextlib.suppress(Refusal):
        assert isinstance(Pacing().for_request({HEADER: text}), Pacing)


@given(
    st.lists(st.integers(0, 50), max_size=30),
    st.floats(0, 5),
    st.just(0.0) | st.floats(1, 1000),
    st.floats(0, 1),
    st.floats(0, 3),
)
def test_a_plain_answer_waits_as_long_as_its_stream(
    steps: list[int], first: float, rate: float, delay: float, keep_alive: float
) -> None:
    """Whatever the pieces, the waits of a stream add up to the wait of the plain answer."""
    pacing = Pacing(first_token_seconds=first, tokens_per_second=rate, keep_alive_seconds=max(keep_alive, 0.1))
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def stream() -> int:
        pacer, tokens = Pacer(pacing, sleep, delay), 1
        for step in (0, *steps):
            tokens += step
            async for _ in pacer.wait(tokens):
                pass
        return tokens

    tokens = asyncio.run(stream())
    streamed = sum(waits)
    waits.clear()
    asyncio.run(Pacer(pacing, sleep, delay).wait_for_all(tokens))
    assert sum(waits) == pytest.approx(streamed)
