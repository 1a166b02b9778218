"""`qonduit trust`: remember a configuration file that was found, not named."""

from __future__ import annotations

from pathlib import Path

from qonduit import configuration
from qonduit.errors import ConfigurationError
from qonduit.trust import demands, trust, trusted_file, trusted_paths
from qonduit_cli.output import say


def remember(path: Path) -> int:
    """Say what the file asks for, and trust it from now on. Raises: ConfigurationError."""
    file = path.expanduser()
    if file.is_dir():
        file = file / configuration.FILE_NAME
    if not file.is_file():
        raise ConfigurationError(f"There is no file {file}. Name the {configuration.FILE_NAME} to trust.")
    file = file.resolve()
    found = configuration.load(file)
    for name, table in found.file.profiles.items():
        for demand in demands(table):
            say(f"profile '{name}': {demand}")
    known = str(file) in trusted_paths()
    try:
        trust(file)
    except OSError as error:
        raise ConfigurationError(
            f"{trusted_file()}, where this is remembered, cannot be written: {error.strerror or error}. "
            f"A file that is named needs no trust: --config {file}, or the variable QONDUIT_CONFIG."
        ) from None
    say(f"{'Trusted already' if known else 'Trusted'}: {file}")
    return 0
