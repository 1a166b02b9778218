"""RotatingFile: lines appended to a file that is moved aside when it is full."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from types import ModuleType

from qonduit import ConfigurationError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows: one process a file there
    fcntl = None


CHECK_SECONDS = 0.05
"""How long a file is taken to be where it was: others may have moved it, or written to it, since."""
_ROTATIONS = 3
"""How often a line looks for room, where other processes fill the file at the same time."""


class RotatingFile:
    """A file of lines. Each line is one write at its end, so that threads and processes may share the file.

    It is made at the first line, readable by its owner only. Where it would grow beyond `max_bytes` it becomes
    `NAME.1`, that one `NAME.2`, up to `backups`. A file that somebody else moved away is begun anew.

    Raises, when made: ConfigurationError when the folder is missing or cannot be written.
    """

    def __init__(self, path: Path, max_bytes: int, backups: int) -> None:
        self._path = path.expanduser().absolute()
        self._max_bytes = max_bytes
        self._backups = backups
        self._descriptor: int | None = None
        self._size = 0
        self._checked = 0.0
        self._torn = False
        self._lock = threading.Lock()
        self._process = os.getpid()
        _check(self._path)

    def write(self, line: bytes) -> None:
        """Append `line`, or several with line breaks between them, and a line break. Raises: OSError."""
        if os.getpid() != self._process:  # after a fork the lock may be held by a thread that is not here
            self._lock, self._process = threading.Lock(), os.getpid()
        data = line + b"\n"
        with self._lock:
            if self._torn:
                data = b"\n" + data
            written = os.write(self._current(len(data)), data)
            self._torn = written != len(data)
        if written != len(data):
            raise OSError(f"Only {written} of {len(data)} bytes of a line could be written.")

    def close(self) -> None:
        """Close the file; a later line opens it again. Idempotent."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        """Close what nobody closed; every line has been written."""
        with contextlib.suppress(Exception):  # the interpreter may be gone by half
            self._close()

    def _current(self, size: int) -> int:
        """The descriptor of the file that has room for `size` bytes."""
        descriptor = self._descriptor
        if descriptor is None or time.monotonic() - self._checked >= CHECK_SECONDS:
            descriptor = self._looked_up()
        if self._size and self._size + size > self._max_bytes:
            descriptor = self._with_room(descriptor, size)
        self._size += size
        return descriptor

    def _with_room(self, descriptor: int, size: int) -> int:
        for _ in range(_ROTATIONS):
            self._rotate(descriptor)
            descriptor = self._looked_up()
            if self._size == 0 or self._size + size <= self._max_bytes:
                break
        return descriptor

    def _looked_up(self) -> int:
        """The descriptor of the file that has the name now."""
        now = time.monotonic()
        if self._descriptor is not None:
            with contextlib.suppress(FileNotFoundError):
                there, mine = os.stat(self._path), os.fstat(self._descriptor)
                if os.path.samestat(there, mine):
                    self._size, self._checked = mine.st_size, now
                    return self._descriptor
            self._close()
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _CLOSE_ON_EXEC, 0o600)
        self._size, self._checked = os.fstat(self._descriptor).st_size, now
        return self._descriptor

    def _rotate(self, descriptor: int) -> None:
        """Move the full file aside, unless another process has just done so."""
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # given back when the descriptor is closed
        try:
            if not os.path.samestat(os.stat(self._path), os.fstat(descriptor)):
                return
            if self._backups == 0:
                self._path.unlink()
                return
            for number in range(self._backups - 1, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(f"{self._path}.{number}", f"{self._path}.{number + 1}")
            os.replace(self._path, f"{self._path}.1")
        except FileNotFoundError:
            return
        finally:
            self._close()


def _check(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        problem = f"the folder {folder} does not exist. Make it, or name another file"
    elif path.is_dir():
        problem = "it is a folder. Name a file in it"
    elif path.exists() and not os.access(path, os.W_OK):
        problem = "it cannot be written. Change its permissions, or name another file"
    elif not os.access(folder, os.W_OK | os.X_OK):
        problem = f"the folder {folder} cannot be written. Change its permissions, or name another file"
    else:
        return
    raise ConfigurationError(f"Plugin 'logging': file = '{path}': {problem}.")


_CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)
