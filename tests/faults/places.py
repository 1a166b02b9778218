"""Places: where the clients of the faults send their requests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.fault import Case
from tests.servers import Reply, Request, ScriptedServer

NOT_CHAT = b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n"


@dataclass
class Place:
    """Where a client sends to.

    Attributes:
        url: the root of the base URL.
        server: what is asked there, where it can be.
        counts: whether an attempt is seen as a request, or as no more than a connection.
        environment: variables of the process.
        patches: what else is replaced, by its dotted name.
        settings: arguments of the client.
    """

    url: str
    server: ScriptedServer | None = None
    counts: str = "requests"
    environment: Mapping[str, str] = field(default_factory=dict)
    patches: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def seen(self, least: int = 0) -> int | None:
        """How many attempts have been seen so far, once `least` have; None where nobody looks."""
        if self.server is None:
            return None
        if self.counts == "connections":
            self.server.wait_connections(least)
            return self.server.connections
        self.server.wait_requests(least)
        return len(self.server.requests)


def script_of(case: Case) -> Callable[[Request], Reply]:
    """The replies of a case, one by one, with a good one before them where the client is warm; then good ones."""
    replies = case.fault.replies(case.scene)
    if case.fault.warm:
        replies.insert(0, case.scene.good())
    waiting = iter(replies)

    def reply(_: Request) -> Reply:
        return next(waiting, None) or case.scene.good()

    return reply


@contextlib.contextmanager
def scripted(case: Case) -> Iterator[Place]:
    """A server of plain HTTP that says what the case scripts."""
    with ScriptedServer(script_of(case)) as server:
        yield Place(server.url, server)
