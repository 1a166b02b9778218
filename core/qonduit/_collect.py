"""Collect: an operation that takes several requests (too many texts for one, pages of a list) as one call."""

from __future__ import annotations

from qonduit._chain import Step
from qonduit.call import Call
from qonduit.effects import Flow
from qonduit.embeddings import EmbeddingRequest, EmbeddingResponse
from qonduit.errors import APIError
from qonduit.model_list import ModelList, ModelsRequest
from qonduit.request import Request

MAX_PAGES = 100


def collecting(step: Step) -> Step:
    """`step`, asked as often as the request needs; one after the other, so that the answers keep their order."""

    def collect(call: Call, request: Request) -> Flow:
        if isinstance(request, EmbeddingRequest):
            return (yield from _batches(step, call, request))
        if isinstance(request, ModelsRequest):
            return (yield from _pages(step, call, request))
        return (yield from step(call, request))

    return collect


def _batches(step: Step, call: Call, request: EmbeddingRequest) -> Flow:
    """The vectors of all texts. What had been answered when one batch fails is on the error's `response`."""
    size = call.profile.models.get(request.model or "").max_batch
    answers: list[EmbeddingResponse] = []
    for piece in request.pieces(size):
        try:
            answers.append((yield from step(call, piece)))
        except APIError as error:
            if answers:
                error.response = EmbeddingResponse.joined(answers).replace(complete=False)
                done = len(error.response.data)
                error.add_reason(f"The vectors of the first {done} texts had come; they are on the error's 'response'.")
            raise
    return EmbeddingResponse.joined(answers)


def _pages(step: Step, call: Call, request: ModelsRequest) -> Flow:
    answers: list[ModelList] = []
    for page in range(request.page, request.page + MAX_PAGES):
        answers.append((yield from step(call, request.replace(page=page) if answers else request)))
        if not answers[-1].more:
            break
    return ModelList.joined(answers)
