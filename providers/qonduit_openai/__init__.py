"""OpenAI, and any server that speaks its wire."""

from qonduit_openai.provider import OpenAIProvider

__all__ = ["OpenAIProvider"]
