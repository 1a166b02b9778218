"""The four ways to ask, over a real connection; and the libraries that such a connection is made of."""

from tests.pipeline.conftest import mode
from tests.transport.conftest import http_library

__all__ = ["http_library", "mode"]
