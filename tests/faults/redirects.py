"""Redirects: none is followed, so that neither key nor prompt leaves its host."""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import Iterator
from dataclasses import replace

from tests.faults import canaries
from tests.faults.expectations import Failed
from tests.faults.fault import ONE_OF_EACH_WIRE, Case, Fault
from tests.faults.places import Place, script_of
from tests.servers import ScriptedServer, head, response

from qonduit import APIStatusError


def _refused(status: int) -> Failed:
    return Failed(APIStatusError, status=status, says="Redirects are not followed")


@contextlib.contextmanager
def _with_a_stranger(case: Case) -> Iterator[Place]:
    """A server whose every `{stranger}` is the address of another one, which must not be asked."""
    with ScriptedServer([]) as stranger:

        def steer(reply: object) -> object:
            return reply.replace(b"{stranger}", stranger.url.encode()) if isinstance(reply, bytes) else reply

        script = script_of(case)
        with ScriptedServer(lambda request: steer(script(request))) as server:  # type: ignore[arg-type, return-value]
            yield Place(server.url, server)
        assert stranger.connections == 0


def _elsewhere(status: int) -> Fault:
    return Fault(
        f"{status}-to-another-host",
        response(b"", status, location="{stranger}/v1/chat/completions"),
        _refused(status),
        (56,),
        place=_with_a_stranger,
    )


_FAULTS = [
    *(_elsewhere(status) for status in (301, 302, 303, 307, 308)),
    Fault("307-to-the-same-host", response(b"", 307, location="/v1/elsewhere"), _refused(307), (56,)),
    Fault("308-without-a-location", response(b"", 308), _refused(308), (56,)),
    Fault("300-multiple-choices", response(b"<a href='/a'>", 300, content_type="text/html"), _refused(300), (56,)),
    Fault("304-not-modified", head(304), _refused(304)),
    Fault(
        "302-with-the-key-in-its-page",
        response(
            f"<a href='/?key={urllib.parse.quote(canaries.KEY, safe='')}'>{canaries.KEY}</a>".encode(),
            302,
            content_type="text/html",
            location="{stranger}",
        ),
        _refused(302),
        (17, 54, 56),
        place=_with_a_stranger,
    ),
    Fault(
        "307-with-the-prompt-in-its-page",
        response(canaries.PROMPT.encode(), 307, content_type="text/html", location="{stranger}"),
        _refused(307),
        (17, 56),
        place=_with_a_stranger,
    ),
]

FAULTS = [replace(fault, providers=ONE_OF_EACH_WIRE) for fault in _FAULTS]
