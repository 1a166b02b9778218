"""qonduit: one LLM call to any provider, and middleware written once for sync, async and both kinds of stream.

Names are loaded when they are first used, so that importing qonduit costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qonduit.call import Call
    from qonduit.chunk import ChatChunk
    from qonduit.client import AsyncClient, Client
    from qonduit.cost import ConvertedAmount, Cost, CostPart
    from qonduit.embeddings import Embedding, EmbeddingRequest, EmbeddingResponse
    from qonduit.errors import (
        APIConnectionError,
        APIError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        BudgetExceededError,
        ConfigurationError,
        ContentFilterError,
        InternalServerError,
        MissingCredentialsError,
        NotFoundError,
        PermissionDeniedError,
        PluginError,
        ProtocolError,
        QonduitError,
        QuotaExhaustedError,
        RateLimitError,
        ServiceUnavailableError,
        StreamInterruptedError,
    )
    from qonduit.hookspecs import hookimpl
    from qonduit.messages import Message, ToolCall
    from qonduit.middlewares import Middleware, middleware
    from qonduit.model_list import ListedModel, ModelList, ModelsRequest
    from qonduit.models import Model, ModelTable
    from qonduit.profile import Profile
    from qonduit.request import ChatRequest, Request
    from qonduit.rerank import RerankRequest, RerankResponse, RerankResult
    from qonduit.response import ChatResponse, Response
    from qonduit.search import Search, SearchResult
    from qonduit.streams import AsyncStream, Stream
    from qonduit.token_count import TokenCount, TokenCountRequest
    from qonduit.tools import Tool, arun_tools, run_tools, tool
    from qonduit.usage import Usage
    from qonduit.wire import WireRequest, WireResponse

_MODULES = {
    "qonduit.call": ("Call",),
    "qonduit.chunk": ("ChatChunk",),
    "qonduit.client": ("AsyncClient", "Client"),
    "qonduit.cost": ("ConvertedAmount", "Cost", "CostPart"),
    "qonduit.embeddings": ("Embedding", "EmbeddingRequest", "EmbeddingResponse"),
    "qonduit.errors": (
        "APIConnectionError",
        "APIError",
        "APIStatusError",
        "APITimeoutError",
        "AuthenticationError",
        "BadRequestError",
        "BudgetExceededError",
        "ConfigurationError",
        "ContentFilterError",
        "InternalServerError",
        "MissingCredentialsError",
        "NotFoundError",
        "PermissionDeniedError",
        "PluginError",
        "ProtocolError",
        "QonduitError",
        "QuotaExhaustedError",
        "RateLimitError",
        "ServiceUnavailableError",
        "StreamInterruptedError",
    ),
    "qonduit.hookspecs": ("hookimpl",),
    "qonduit.messages": ("Message", "ToolCall"),
    "qonduit.middlewares": ("Middleware", "middleware"),
    "qonduit.model_list": ("ListedModel", "ModelList", "ModelsRequest"),
    "qonduit.models": ("Model", "ModelTable"),
    "qonduit.profile": ("Profile",),
    "qonduit.request": ("ChatRequest", "Request"),
    "qonduit.rerank": ("RerankRequest", "RerankResponse", "RerankResult"),
    "qonduit.response": ("ChatResponse", "Response"),
    "qonduit.search": ("Search", "SearchResult"),
    "qonduit.streams": ("AsyncStream", "Stream"),
    "qonduit.token_count": ("TokenCount", "TokenCountRequest"),
    "qonduit.tools": ("Tool", "arun_tools", "run_tools", "tool"),
    "qonduit.usage": ("Usage",),
    "qonduit.wire": ("WireRequest", "WireResponse"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__version__ = "0.1.0"

# Written out: type checkers read no computed list. The names of the table above.
__all__ = [
    "APIConnectionError",
    "APIError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncClient",
    "AsyncStream",
    "AuthenticationError",
    "BadRequestError",
    "BudgetExceededError",
    "Call",
    "ChatChunk",
    "ChatRequest",
    "ChatResponse",
    "Client",
    "ConfigurationError",
    "ContentFilterError",
    "ConvertedAmount",
    "Cost",
    "CostPart",
    "Embedding",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "InternalServerError",
    "ListedModel",
    "Message",
    "Middleware",
    "MissingCredentialsError",
    "Model",
    "ModelList",
    "ModelTable",
    "ModelsRequest",
    "NotFoundError",
    "PermissionDeniedError",
    "PluginError",
    "Profile",
    "ProtocolError",
    "QonduitError",
    "QuotaExhaustedError",
    "RateLimitError",
    "Request",
    "RerankRequest",
    "RerankResponse",
    "RerankResult",
    "Response",
    "Search",
    "SearchResult",
    "ServiceUnavailableError",
    "Stream",
    "StreamInterruptedError",
    "TokenCount",
    "TokenCountRequest",
    "Tool",
    "ToolCall",
    "Usage",
    "WireRequest",
    "WireResponse",
    "__version__",
    "arun_tools",
    "hookimpl",
    "middleware",
    "run_tools",
    "tool",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module 'qonduit' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return __all__
