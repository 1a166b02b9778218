"""`python -m qonduit_cli` is `qonduit`."""

from __future__ import annotations

import sys

from qonduit_cli import main

if __name__ == "__main__":
    sys.exit(main())
