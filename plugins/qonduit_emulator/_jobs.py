"""Calls that are no chat: a request in, one whole answer out.

Embeddings, rerank and the tokenizer are jobs. Each wire has its own class that parses its request and builds its
answer; what is worked out is the same for both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from qonduit_emulator._models import Catalogue, Model, ModelKind
from qonduit_emulator._refusal import invalid_value, unknown_model


class Job(Protocol):
    """One parsed request."""

    @property
    def model(self) -> str:
        """The model's name."""
        ...

    @property
    def kind(self) -> ModelKind:
        """Which kind of model it needs."""
        ...

    @property
    def input_tokens(self) -> int:
        """What it costs; known before the answer."""
        ...

    def check(self, model: Model) -> None:
        """Raise `Refusal` for what this model cannot do."""
        ...

    def answer(self, model: Model, request_id: str) -> bytes:
        """The body of the answer."""
        ...


ParseJob = Callable[[bytes], Job]
"""Reads a body; raises `Refusal` for the wrong shape."""


def find_model(job: Job, catalogue: Catalogue) -> Model:
    """The model of a job, when it exists, is of the right kind, and can do what is asked.

    Raises:
        Refusal: it does not, is not, or cannot.
    """
    model = catalogue.get(job.model)
    if model is None or model.kind != job.kind:
        raise unknown_model(job.model)
    if model.max_input is not None and job.kind == "chat" and job.input_tokens > model.max_input:
        raise invalid_value(f"Range of input length should be [1, {model.max_input}]")
    job.check(model)
    return model
