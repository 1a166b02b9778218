"""Forked: what holds locks, threads or files starts anew in a forked child, where they would be another's."""

from __future__ import annotations

import os
import weakref


class Forked:
    """Its `after_fork` is called in a forked child."""

    def __init__(self) -> None:
        _ALL.add(self)

    def after_fork(self) -> None:
        """Use nothing of the parent's."""
        raise NotImplementedError


_ALL: weakref.WeakSet[Forked] = weakref.WeakSet()


def _after_fork() -> None:
    for forked in list(_ALL):
        forked.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
