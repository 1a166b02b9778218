"""Forks: what holds connections forgets them in a forked child, where they are still the parent's."""

from __future__ import annotations

import os
import weakref
from typing import Any, Protocol


class Holder(Protocol):
    """What holds connections."""

    def forget(self) -> None:
        """In a forked child: use none of the parent's connections, and say nothing on them."""


INHERITED: list[Any] = []
"""What a child has of its parent's connections, kept so that nothing closes them by collecting them."""

_holders: weakref.WeakSet[Any] = weakref.WeakSet()


def forget_in_children(holder: Holder) -> None:
    """Have `holder.forget()` called in forked children, for as long as it lives."""
    _holders.add(holder)


def _forget_all() -> None:
    for holder in list(_holders):
        holder.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
