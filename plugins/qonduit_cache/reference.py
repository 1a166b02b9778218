"""References: a setting that is a secret stands in the environment or in a file, and its name in the configuration."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import SecretStr

from qonduit import ConfigurationError


def read(value: SecretStr, setting: str) -> str:
    """What `value` means: `env:NAME`, `file:PATH`, or the text itself. Raises: ConfigurationError without the text."""
    text = value.get_secret_value()
    scheme, separator, name = text.partition(":")
    if separator and scheme == "env":
        text = os.environ.get(name, "")
        if not text:
            raise ConfigurationError(f"{setting} is 'env:{name}', but the variable {name} is not set. Set it.")
    elif separator and scheme == "file":
        try:
            text = Path(name).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigurationError(f"{setting} is 'file:{name}', but that file cannot be read: {reason}.") from None
    if not text:
        raise ConfigurationError(f"{setting} is empty. Set it, or leave it out.")
    return text
