"""Keys: the API keys in use, so that they can be taken out of what is logged. Never shown, never logged."""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Iterable
from typing import Any

from qonduit.credentials import Credentials, forms_of
from qonduit.parts import Auth
from qonduit_logging.redaction import MAX_CHARACTERS, Redactor

_FORMS_KEPT = 16
"""Forms of former keys that are still looked for: an answer may repeat a key that was rotated meanwhile."""
_PASSED_KEPT = 1024
"""Texts that are known to be harmless: names come with every record, ids with those of an attempt and its call."""
_PASSED_CHARACTERS = 100


class Screen:
    """A redactor with one key, which is read again when it was rotated; without credentials, a redactor alone."""

    __slots__ = ("__weakref__", "_credentials", "_forms", "_passed", "_redactor", "_value", "kept")

    def __init__(self, redactor: Redactor, credentials: Credentials | None = None) -> None:
        self._redactor = redactor
        self._credentials = credentials
        self._value = ""
        self._forms: tuple[str, ...] = ()
        self._passed: set[str] = set()
        self.kept: dict[Hashable, Any] = {}
        """What was cleaned and will be needed again; emptied when the key was rotated."""
        self.forms()  # now, so that a key that is rotated before the first record is known as well

    def passes(self, texts: Iterable[str]) -> bool:
        """Whether nothing has to be changed in `texts`, told quickly: False may be said where nothing has."""
        forms, passed = self.forms(), self._passed
        new = [text for text in texts if text not in passed]
        if not new:
            return True
        joined = " ".join(new)
        if len(joined) > MAX_CHARACTERS or not self._redactor.harmless(joined, forms):
            return False
        if len(passed) > _PASSED_KEPT:
            passed.clear()
        passed.update(text for text in new if len(text) <= _PASSED_CHARACTERS)
        return True

    def clean(self, text: str, *, limit: int | None) -> str:
        """See `Redactor.clean`."""
        return self._redactor.clean(text, self.forms(), limit=limit)

    def clean_all(self, value: Any) -> Any:
        """See `Redactor.clean_all`."""
        return self._redactor.clean_all(value, self.forms())

    def forms(self) -> tuple[str, ...]:
        """The key and its former ones, as they may turn up; another tuple once the key was rotated."""
        if self._credentials is not None:
            value = self._credentials.value
            if value is not self._value:
                self._forms = (*forms_of(value), *self._forms[:_FORMS_KEPT])
                self._passed = set()
                self.kept = {}
                self._value = value
        return self._forms


class Keys:
    """The keys of the clients that share a plugin, each for as long as its client's auth lives."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._without_key = Screen(redactor)
        self._of_auth: weakref.WeakKeyDictionary[Auth, Screen] = weakref.WeakKeyDictionary()
        self._of_id: weakref.WeakValueDictionary[str, Screen] = weakref.WeakValueDictionary()
        self._kept: list[Screen] = []

    def learn(self, key_id: str, credentials: Credentials, auth: Auth) -> None:
        """Know the key that `auth` puts on requests."""
        screen = self._of_id.get(key_id) or Screen(self._redactor, credentials)
        try:
            self._of_auth[auth] = screen
        except TypeError:  # an auth of a kind that cannot be referred to weakly, or hashed
            self._kept.append(screen)
        self._of_id[key_id] = screen

    def screen(self, key_id: str) -> Screen:
        """What keeps a profile's key out; where the key is not known, what is known by its looks."""
        return self._of_id.get(key_id) or self._without_key

    def __reduce__(self) -> tuple[object, ...]:
        """Refused: a pickle would hold the keys."""
        raise TypeError("The keys of a logging plugin are not pickled. Build the client where it is used.")
