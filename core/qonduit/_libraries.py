"""The HTTP libraries: which of them serves direct connections, each imported when it is first needed."""

from __future__ import annotations

import functools
import importlib
import re
from types import ModuleType

from qonduit.errors import ConfigurationError

_LEAST = (0, 9)
"""The version of httptools from which on its llhttp refuses line ends that are none."""


@functools.cache
def library(name: str) -> ModuleType:
    """Import httpx or httpx2, httpcore or httpcore2, or httptools. Raises: ConfigurationError without it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        extra = "httptools" if name == "httptools" else "httpx2"
        raise ConfigurationError(
            f'http_library = "{extra}", but {name} is not installed: pip install "qonduit[{extra}]".'
        ) from None


def core_name(http_library: str) -> str:
    """The package with the URLs, the errors and, without httptools, the connections of `http_library`."""
    return "httpcore2" if http_library == "httpx2" else "httpcore"


def httptools_for(http_library: str) -> ModuleType | None:
    """httptools where it parses the answers of direct connections, None where httpcore does.

    For "auto" it does where it is installed and new enough.

    Raises: ConfigurationError, where "httptools" was asked for and is missing or too old.
    """
    if http_library not in {"auto", "httptools"}:
        return None
    try:
        return _new_enough(library("httptools"))
    except ConfigurationError:
        if http_library == "auto":
            return None
        raise


def serving(http_library: str) -> ModuleType:
    """The library that parses the answers of direct connections. Raises: ConfigurationError, where it cannot."""
    return httptools_for(http_library) or library(core_name(http_library))


def _new_enough(httptools: ModuleType) -> ModuleType:
    version = str(getattr(httptools, "__version__", "of no version"))  # a folder of that name can be imported, too
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < _LEAST:
        raise ConfigurationError(
            f'http_library = "httptools", but httptools is {version}; expected 0.9 or later: '
            'pip install --upgrade "qonduit[httptools]".'
        )
    return httptools
