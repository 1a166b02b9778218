"""The codec of OpenAI's chat wire: a library for providers that speak it; it has no entry point of its own."""

from qonduit_openai_compatible.builder import CompatibleBuilder, Dialect
from qonduit_openai_compatible.decoder import CompatibleDecoder
from qonduit_openai_compatible.normalizer import CompatibleNormalizer

__all__ = ["CompatibleBuilder", "CompatibleDecoder", "CompatibleNormalizer", "Dialect"]
