"""Outcomes of operations beside chat, as flat fields that can be compared.

kind, type, model, …   the answer's fields
usage.…                its counts
sent.…                 what the emulator received, both wires in one vocabulary
error, status, …       in place of the answer: how it failed
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.equivalence.outcomes import Outcome, failed, form, headers

from qonduit.embeddings import EmbeddingResponse
from qonduit.errors import APIError
from qonduit.model_list import ModelList
from qonduit.rerank import RerankResponse
from qonduit.response import Response
from qonduit.token_count import TokenCount
from qonduit.usage import Usage

_NAMES = {"texts": "input", "dimension": "dimensions"}


def answered(response: Response, provider: str) -> Outcome:
    """The fields of an answer."""
    usage = response.usage or Usage()
    return {
        "kind": "answer",
        "type": type(response).__name__,
        "model": response.model,
        "request_id": form(response.request_id),
        "provider": "its own" if response.provider == provider else response.provider,
        "complete": response.complete,
        "cached": response.cached,
        "cost": response.cost,
        "warnings": tuple(warning.replace(f"'{provider}'", "'…'") for warning in response.warnings),
        "status_code": response.status_code,
        "raw": type(response.raw).__name__,
        **{f"usage.{name}": getattr(usage, name) for name in Usage.model_fields if name != "raw"},
        **_of_its_kind(response),
    }


def _of_its_kind(response: Response) -> Outcome:
    match response:
        case EmbeddingResponse():
            return {
                "vectors": tuple((item.index, len(item.embedding)) for item in response.data),
                "numbers": tuple(item.embedding for item in response.data),
                "others": sorted({name for item in response.data for name in item.model_extra or ()}),
            }
        case RerankResponse():
            return {
                "ranked": tuple(item.index for item in response.results),
                "scores": tuple(item.relevance_score for item in response.results),
                "documents": tuple(item.document for item in response.results),
            }
        case ModelList():
            return {
                "models": tuple(model.id for model in response.data),
                "owners": tuple(model.owned_by for model in response.data),
                "dated": all(model.created for model in response.data),
                "others": sorted({name for model in response.data for name in model.model_extra or ()}),
                "more": response.more,
            }
        case TokenCount():
            return {
                "input_tokens": response.input_tokens,
                "token_ids": response.token_ids,
                "tokens": response.tokens,
            }
    raise AssertionError(response)


def refused(error: APIError, provider: str) -> Outcome:
    """The fields of a failure; of what had come before, which vectors."""
    partial = error.response
    kept = isinstance(partial, EmbeddingResponse) and (partial.complete, tuple(item.index for item in partial.data))
    return failed(error, provider) | {"partial answer": kept or None}


def sent(requests: Iterable[Any]) -> Outcome:
    """The fields of what was received; of several requests, of the last, and the texts of all."""
    received = list(requests)
    outcome: Outcome = {"sent.count": len(received)}
    if not received:
        return outcome
    bodies = [_flat(request.json or {}) for request in received]
    if "input" in bodies[-1]:
        outcome["sent.inputs"] = [body.pop("input") for body in bodies]
    outcome |= {f"sent.{name}": value for name, value in bodies[-1].items()}
    return outcome | {f"sent.{name}": value for name, value in headers(received[-1]).items()}


def _flat(body: dict[str, Any]) -> dict[str, Any]:
    """A body of either wire in one form, without compatible mode's word that vectors are numbers."""
    assert body.get("encoding_format", "float") == "float"
    content = body.get("input")
    if isinstance(content, dict):
        body = {"model": body["model"], **content, **body.get("parameters", {})}
    return {_NAMES.get(name, name): value for name, value in body.items() if name != "encoding_format"}
