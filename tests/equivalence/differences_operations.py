"""The declared differences of operations beside chat."""

from __future__ import annotations

from tests.equivalence.difference import ANSWERED, DASHSCOPE, OPENAI, OTHER, REFUSED, Difference

_LISTS = ("list", "list-extra-*")
_UNKNOWN_TO_OPENAI = "The provider does not know Qwen's models, and so not how many texts one request may have."
OPERATION_GROUPS: dict[str, tuple[Difference, ...]] = {
    "Embeddings": (
        Difference(
            ("embed-more-than-a-batch", "embed-larger-batches", "embed-dimensions-in-batches", "embed-sparse"),
            OPENAI,
            {**REFUSED, "sent.count": 1, "sent.inputs": OTHER},
            _UNKNOWN_TO_OPENAI,
        ),
        Difference(
            ("embed-second-batch-fails",),
            OPENAI,
            {"sent.count": 1, "sent.inputs": OTHER, "partial answer": None},
            _UNKNOWN_TO_OPENAI,
        ),
        Difference(
            ("embed-sparse",),
            DASHSCOPE,
            {"others": ["sparse_embedding"]},
            "Only the native wire has sparse vectors; they stand beside the others.",
        ),
        Difference(
            ("embed-unknown-model", "embed-chat-model"),
            DASHSCOPE,
            {"error": "BadRequestError", "status": 400},
            "The native wire says 400 `InvalidParameter` of a model that it does not know, compatible mode 404.",
        ),
    ),
    "Rerank": (
        Difference(
            ("rank-with-documents",),
            DASHSCOPE,
            {
                "documents": ({"text": "Paris is the capital of France."},),
                "sent.return_documents": True,
                "warnings": (),
            },
            "Only the native wire gives the documents back; `qwen` warns that they do not come.",
        ),
        Difference(
            ("rank-without-documents",),
            DASHSCOPE,
            {"sent.return_documents": False},
            "Only the native wire has the parameter; that they do not come is no news on the other.",
        ),
        Difference(
            ("rank-mappings",),
            DASHSCOPE,
            {**ANSWERED, "sent.count": 1},
            "The model is served by the native API alone; `qwen` refuses it before it is sent.",
        ),
        Difference(
            ("rank-chat-model",),
            DASHSCOPE,
            {"error": "BadRequestError", "status": 400},
            "The native wire says 400 `InvalidParameter` of a model that it does not know, compatible mode 404.",
        ),
    ),
    "Model lists": (
        Difference(
            _LISTS,
            DASHSCOPE,
            {"dated": False, "others": ["opensource", "provider", "source"]},
            "The native list has other columns, and no dates. The names are the same, and so are their owners.",
        ),
    ),
    "Token counts": (
        Difference(
            ("count-model-of-dashscope-alone",),
            DASHSCOPE,
            {**ANSWERED, "sent.count": 1},
            "The model is served by the native API alone; `qwen` refuses it before it is sent.",
        ),
    ),
}
"""The differences by the heading that they have on the page."""
OPERATION_DIFFERENCES = tuple(row for rows in OPERATION_GROUPS.values() for row in rows)
