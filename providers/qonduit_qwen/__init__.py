"""Qwen by Model Studio's OpenAI-compatible mode."""

from qonduit_qwen.provider import QwenProvider

__all__ = ["QwenProvider"]
