"""The four ways to ask, over a real connection."""

from tests.pipeline.conftest import mode

__all__ = ["mode"]
