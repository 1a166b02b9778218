"""The codec of OpenAI's wire: a library for providers that speak it; it has no entry point of its own."""

from qonduit_openai_compatible.builder import CompatibleBuilder
from qonduit_openai_compatible.decoder import CompatibleDecoder
from qonduit_openai_compatible.dialect import ChatPlan, Dialect, Operation
from qonduit_openai_compatible.embeddings import Embeddings
from qonduit_openai_compatible.model_list import Models
from qonduit_openai_compatible.normalizer import CompatibleNormalizer

__all__ = [
    "ChatPlan",
    "CompatibleBuilder",
    "CompatibleDecoder",
    "CompatibleNormalizer",
    "Dialect",
    "Embeddings",
    "Models",
    "Operation",
]
