"""Membership: which of those that write into a ledger are still there.

Each locks one byte of a file beside the ledger, at a place of its own: the number that its rows carry. The system takes
the lock away when the process ends, however it ends, also in another container. So nobody need trust a process id,
which is used anew after a while and means another process in another container.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]


class Member:
    """One writer among those of a ledger. `id` is its number."""

    def __init__(self, place: _Place, number: int) -> None:
        self.id = number
        self._place = place

    def gone(self, number: int) -> bool:
        """Whether the writer of that number is no more. Where the system has no such locks nobody knows: False."""
        return self._place.free(number)

    def leave(self) -> None:
        """Be no member any more."""
        self._place.release(self.id)


class _Place:
    """The file of one ledger's members, and those of this process."""

    def __init__(self, path: Path) -> None:
        # Never closed while the process lives: closing any of its descriptors would drop all locks of the process.
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._own: set[int] = set()

    def join(self) -> Member:
        number = 0
        while not number or number in self._own or not self._take(number):
            number = random.SystemRandom().randrange(1, 1 << 48)
        self._own.add(number)
        return Member(self, number)

    def free(self, number: int) -> bool:
        with _lock:
            if number in self._own or fcntl is None or not self._take(number):
                return False
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, number)
            return True

    def release(self, number: int) -> None:
        with _lock:
            if number in self._own:
                self._own.remove(number)
                if fcntl is not None:
                    fcntl.lockf(self._file, fcntl.LOCK_UN, 1, number)

    def close(self) -> None:
        """In a forked child, whose parent has the locks."""
        self._own.clear()
        with contextlib.suppress(OSError):
            os.close(self._file)

    def _take(self, number: int) -> bool:
        if fcntl is None:
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except OSError:
            return False
        return True


def join(path: Path) -> Member:
    """A new member of the ledger that the file `path` is beside. Raises: OSError when the file cannot be made."""
    name = str(path.absolute())
    with _lock:
        if name not in _places or not path.exists():  # it may have been deleted with its ledger
            _places[name] = _Place(path)
        return _places[name].join()


def _after_fork() -> None:
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()
    for place in _places.values():
        place.close()
    _places.clear()


_lock = threading.Lock()
_places: dict[str, _Place] = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


__all__ = ["Member", "join"]
