"""Case: one thing that a provider must do, as a plain object that any test framework can run."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that a provider must do. `name` says what; `str` is the name.

    Cases keep nothing: they run in any order, again, and in several processes. For a moment one of them sets the
    provider's key variables in the environment of its process, so threads are not for them.
    """

    name: str
    run: Callable[[], None] = field(repr=False, compare=False)

    def __str__(self) -> str:
        return self.name

    def check(self) -> None:
        """Run it. Raises: AssertionError that says what the provider did, what was expected and the mend."""
        self.run()


def hold(condition: object, complaint: str) -> None:
    """An assertion that `python -O` keeps. Raises: AssertionError."""
    if not condition:
        raise AssertionError(complaint)


def hold_known(what: str, words: Iterable[str], known: Iterable[str]) -> None:
    """Hold that `words` are among the `known` ones. Raises: AssertionError that names the nearest of each stranger."""
    names = sorted(known)
    strangers = []
    for word in sorted(set(words) - set(names)):
        near = difflib.get_close_matches(word, names, n=1)
        strangers.append(f"'{word}' (did you mean '{near[0]}'?)" if near else f"'{word}'")
    hold(not strangers, f"{what}: {', '.join(strangers)} not known; known: {', '.join(names)}")
