"""Eight canaries, and all that a careless program, a log or an error tracker may see of an error."""

from __future__ import annotations

import base64
import copy
import pickle
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pydantic

KEY = "canary/Key+of=no-known_form"
"""Not of the form of a key, so that only what knows it by its value can take it out."""
ENCODED = base64.b64encode(f"user:{KEY}".encode()).decode()
PASSWORD = "canary-proxy-password"
PROMPT = "canary-of-the-prompt"
ANSWER = "canary-of-the-answer"
HEADER = "canary-of-a-header"
TENANT = "canary-of-the-tenant"
URL = f"https://api.test/v1?api_key={KEY}"

SECRETS = {
    "key": KEY,
    "start of the key": KEY[:10],
    "base64 of the key": ENCODED[8:-4],
    "key in a URL": URL,
    "proxy password": PASSWORD,
}
"""Never anywhere: not even in the local variables of a frame."""
CONTENTS = {"prompt": PROMPT, "answer": ANSWER, "header": HEADER, "tenant": TENANT}
"""In no text that an error, a log or a file shows; a frame that works on them does hold them."""

ASKED: dict[str, Any] = {
    "messages": [{"role": "user", "content": f"Repeat {PROMPT}."}],
    "extra_headers": {"x-trace": HEADER},
    "extra_body": {"note": TENANT},
}

ECHO = f"Wrong key {KEY}, or Basic {ENCODED}; see {URL}."
"""What a provider might say that quotes the key."""
_ECHOED = re.compile(rf"Wrong key .*?{re.escape(URL)}", re.DOTALL)
_TESTS = str(Path(__file__).parents[1])


def chain(error: BaseException) -> Iterator[BaseException]:
    """`error`, its causes and contexts, those that are suppressed included."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [other for other in (one.__cause__, one.__context__) if other is not None]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions


def frames(trace: TracebackType | None) -> Iterator[Mapping[str, Any]]:
    """The local variables of every frame but those of tests."""
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_TESTS):
            yield dict(trace.tb_frame.f_locals)
        trace = trace.tb_next


def spread(value: Any, depth: int = 8) -> Iterator[str]:
    """`value` as an error tracker writes it down: containers item by item, anything else by its repr."""
    yield repr(value)
    if depth and isinstance(value, Mapping):
        for pair in list(value.items()):
            for item in pair:
                yield from spread(item, depth - 1)
    elif depth and isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from spread(item, depth - 1)


def seen(error: BaseException) -> dict[str, str]:
    """All of an error and its chain, by where it was found."""
    found: dict[str, list[str]] = {}

    def add(place: str, texts: Iterable[str]) -> None:
        found.setdefault(place, []).extend(texts)

    for one in chain(error):
        attributes = {name: value for name, value in vars(one).items() if name != "response"}
        add("text", [str(one), repr(one), *spread(one.args), *getattr(one, "__notes__", ())])
        add("attributes", spread(attributes))
        add("a copy", [taken(copy.copy, one), taken(copy.deepcopy, one)])
        if getattr(one, "response", None) is None:  # a part of an answer that had come is there by design
            add("a pickle", [taken(pickle.dumps, one)])
        if isinstance(one, pydantic.ValidationError):
            add("pydantic", [str(one), repr(one.errors()), one.json()])
        add("traceback", traceback.TracebackException.from_exception(one).format())
        add("locals", [text for variables in frames(one.__traceback__) for text in spread(variables)])
    return {place: "\n".join(texts) for place, texts in found.items()}


def taken(take: Callable[[Any], Any], thing: Any) -> str:
    """What `copy` or `pickle` made of a thing; that it was refused, else."""
    try:
        made = take(thing)
    except (TypeError, AttributeError, pickle.PicklingError) as refusal:
        return str(refusal)
    return made.decode("latin-1") if isinstance(made, bytes) else repr(made)


def check(places: Mapping[str, str], allowed: Iterable[str] = ()) -> None:
    """No canary is in any of `places`; `allowed` are names of contents that this situation may show."""
    for place, text in places.items():
        # Frames that work on contents hold them, those that a provider has echoed included.
        framed = place == "locals"
        searched = _ECHOED.sub("", text) if framed else text
        for name, canary in (SECRETS if framed else SECRETS | CONTENTS).items():
            if name not in allowed:
                at = searched.find(canary)
                assert at < 0, f"{name} in {place}: …{searched[max(0, at - 300) : at + 100]}…"
