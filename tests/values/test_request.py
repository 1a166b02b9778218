"""What a request shows of itself."""

from __future__ import annotations

import pytest

from qonduit.embeddings import EmbeddingRequest
from qonduit.request import ChatRequest, Request


@pytest.mark.F58
@pytest.mark.parametrize(
    ("request_", "shown"),
    [
        (
            ChatRequest.of(
                {
                    "model": "qwen-plus",
                    "messages": [{"role": "user", "content": "my secret"}],
                    "temperature": 0.5,
                    "stop": "my secret",
                    "extra_headers": {"x": "my secret"},
                    "reasoning": "high",
                    "seed": None,
                }
            ),
            "ChatRequest(model='qwen-plus', extra_headers=<1>, messages=<1>, temperature=0.5, stop=<9>, seed=None, "
            "reasoning=<…>)",
        ),
        (
            EmbeddingRequest.of({"model": "text-embedding-v4", "input": ["my secret", "another"]}),
            "EmbeddingRequest(model='text-embedding-v4', input=<2>)",
        ),
    ],
)
def test_a_request_that_is_printed_shows_no_content(request_: Request, shown: str) -> None:
    """A middleware that logs its request does not log the prompt with it; what was set can be read."""
    assert repr(request_) == shown
    assert "secret" not in f"{request_} {request_!r}"
