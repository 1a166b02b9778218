"""Qwen by Model Studio's native API, DashScope."""

from qonduit_dashscope.provider import DashScopeProvider

__all__ = ["DashScopeProvider"]
