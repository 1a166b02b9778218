"""Canaries: strings that stand for what must not leak, and the search for them in all that a process says."""

from __future__ import annotations

import base64
import traceback
import urllib.parse
from collections.abc import Iterator

KEY = "sk-canary/2f9c+71d0="
"""A key with characters that a URL would escape, so that one that has gone through a URL is found too."""
PROXY_PASSWORD = "proxy-canary-8e11"
PROMPT = "prompt-canary-40ab"
PIECES = ("answer-canary-9b1f, ", "and answer-canary-d27c")
ANSWER = "".join(PIECES)
HEADER = "header-canary-c3d5"
TENANT = "tenant-canary-55e0"

SECRETS = {
    "the key": KEY,
    "the key in base64": base64.b64encode(KEY.encode()).decode().rstrip("="),
    "the key in a URL": urllib.parse.quote(KEY, safe=""),
    "the proxy's password": PROXY_PASSWORD,
}
"""What nothing that is said may hold, locals of frames included."""
CONTENTS = {"the prompt": PROMPT, "the answer": "answer-canary", "a header's value": HEADER}
"""What no text may hold. Frames have it as arguments of the caller's; the answer may be on a response."""
LABELS = {"a tag": TENANT}
"""What is for logs and ledgers, and for nothing else."""

Named = dict[str, str]


def leaks(text: str, canaries: Named) -> list[str]:
    """The names of the canaries that `text` holds."""
    return [name for name, canary in canaries.items() if canary in text]


def chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and all that can be reached from it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        found = waiting.pop()
        if found is not None and id(found) not in seen:
            seen.add(id(found))
            yield found
            waiting += [found.__cause__, found.__context__]


def texts_of(error: BaseException) -> str:
    """What a log line or a page may show of `error`: texts, arguments and the plain traceback, of all its causes."""
    parts = [line for found in chain(error) for line in (str(found), repr(found), repr(found.args))]
    return "\n".join([*parts, *traceback.format_exception(error)])


def locals_of(error: BaseException) -> str:
    """What a tracker of errors may show besides: the locals of every frame of ours, and the attributes."""
    trace = error.__traceback__
    while trace is not None and "qonduit" not in trace.tb_frame.f_globals["__name__"]:
        trace = trace.tb_next  # the caller's own frames hold what the caller gave
    shown = traceback.TracebackException(type(error), error, trace, capture_locals=True).format()
    return "\n".join([*shown, *(repr(vars(found)) for found in chain(error))])
