"""Connecting: hosts, certificates and proxies that cannot be reached, or not be trusted."""

from __future__ import annotations

import atexit
import contextlib
import datetime
import functools
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import trustme
from tests.faults.canaries import PROXY_PASSWORD
from tests.faults.expectations import Answered, Failed, broken, late, unreachable
from tests.faults.fault import ONE_OF_EACH_WIRE, Case, Fault
from tests.faults.places import Place, script_of
from tests.servers import CLOSE, HANG, Pause, ScriptedServer, Step, head, refusing_address

from qonduit import APIStatusError, APITimeoutError

SHORT = {"timeout": 0.12}
"""A limit for what never comes; three attempts of it are 0.36 s."""
ONCE = {**SHORT, "max_retries": 0}
FAR = "http://far.example"
SAFE = "https://far.example"
Where = Callable[[Case], AbstractContextManager[Place]]


@functools.cache
def _authority() -> tuple[trustme.CA, str]:
    """An authority, and the file of its certificate."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    folder = tempfile.TemporaryDirectory(prefix="qonduit-faults-")
    file = Path(folder.name) / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    atexit.register(folder.cleanup)
    return authority, str(file)


@functools.cache
def _certificate(name: str, days: int) -> ssl.SSLContext:
    """A server's context, with a certificate for `name` that ends in so many days."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    begins = ends - datetime.timedelta(days=365)
    _authority()[0].issue_cert(name, not_before=begins, not_after=ends).configure_cert(context)
    return context


def _refusing() -> Where:
    @contextlib.contextmanager
    def place(_: Case) -> Iterator[Place]:
        with refusing_address() as url:
            yield Place(url)

    return place


def _unknown_host() -> Where:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    @contextlib.contextmanager
    def place(_: Case) -> Iterator[Place]:
        yield Place("http://no-such-host.invalid", patches={"socket.getaddrinfo": fail})

    return place


def _deaf() -> Where:
    """A port whose queue of connections is full, so that no more are taken."""

    @contextlib.contextmanager
    def place(_: Case) -> Iterator[Place]:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as stack:
            for _number in range(4):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            yield Place(f"http://127.0.0.1:{listener.getsockname()[1]}")

    return place


def _greeting(*steps: Step, scheme: str = "http") -> Where:
    """A server that plays `steps` on each connection and reads nothing."""

    @contextlib.contextmanager
    def place(_: Case) -> Iterator[Place]:
        with ScriptedServer([], greeting=steps) as server:
            yield Place(server.url.replace("http", scheme, 1), server, counts="connections")

    return place


def _tls(name: str = "127.0.0.1", days: int = 30, *, trusted: bool = True) -> Where:
    """A server with a certificate."""

    @contextlib.contextmanager
    def place(case: Case) -> Iterator[Place]:
        environment = {"SSL_CERT_FILE": _authority()[1]} if trusted else {}
        with ScriptedServer(script_of(case), context=_certificate(name, days)) as server:
            counts = "requests" if trusted and days > 0 and name == "127.0.0.1" else "connections"
            yield Place(server.url, server, counts=counts, environment=environment)

    return place


def _through(script: Any = None, *, greeting: tuple[Step, ...] = (), url: str = FAR, counts: str = "requests") -> Where:
    """A proxy that says what `script` says, or what the case does; its password is in the environment."""

    @contextlib.contextmanager
    def place(case: Case) -> Iterator[Place]:
        with ScriptedServer(script or script_of(case), greeting=greeting) as server:
            yield Place(url, server, counts=counts, environment=_proxy(server.port))

    return place


def _refusing_proxy() -> Where:
    @contextlib.contextmanager
    def place(_: Case) -> Iterator[Place]:
        with refusing_address() as url:
            yield Place(FAR, environment=_proxy(int(url.rpartition(":")[2])))

    return place


def _proxy(port: int) -> dict[str, str]:
    url = f"http://user:{PROXY_PASSWORD}@127.0.0.1:{port}"
    return {"HTTP_PROXY": url, "HTTPS_PROXY": url, "NO_PROXY": "localhost"}


def _fault(name: str, place: Where, expected: Any, failures: tuple[int, ...] = (), **more: Any) -> Fault:
    return Fault(name, b"", expected, failures, place=place, goes_on=False, **more)


DOWN = head(502, {"content-length": "0"})
DEMANDS = head(407, {"content-length": "0", "proxy-authenticate": "Basic"})
SLOW = unreachable(kind=APITimeoutError)
LOCKED = unreachable(attempts=1, retryable=False, says="wants a user and a password")
VERIFY = "certificate verify failed"

_FAULTS = [
    _fault("refused", _refusing(), unreachable(says="cannot be reached")),
    _fault("unknown-host", _unknown_host(), unreachable(says="cannot be reached")),
    _fault("not-accepted", _deaf(), SLOW, settings=SHORT),
    _fault("closed-when-accepted", _greeting(CLOSE), broken(), (19,)),
    # TLS
    _fault("unknown-authority", _tls(trusted=False), unreachable(says=VERIFY)),
    _fault("certificate-of-another-host", _tls("elsewhere.example"), unreachable(says=VERIFY)),
    _fault("expired-certificate", _tls(days=-1), unreachable(says=VERIFY)),
    _fault("handshake-that-hangs", _greeting(HANG, scheme="https"), SLOW, settings=SHORT),
    _fault("handshake-closed", _greeting(CLOSE, scheme="https"), unreachable()),
    # Reset when the client has spoken: bytes that nobody reads are answered by a reset.
    _fault("handshake-reset", _greeting(Pause(0.4), scheme="https"), unreachable()),
    _fault("no-tls", _greeting(head(400) + b"plain", CLOSE, scheme="https"), unreachable()),
    Fault("tls-closed-before-the-answer", [CLOSE], broken(), (19,), place=_tls()),
    Fault(
        "tls-cut-within-the-answer", [head(200, {"content-length": "99"}) + b"{", CLOSE], broken(), (19,), place=_tls()
    ),
    Fault("tls-kept-connection-closed", [CLOSE], Answered(seen=2), (36,), place=_tls(), warm=True),
    # Proxies
    _fault("proxy-refused", _refusing_proxy(), unreachable(), (53,)),
    _fault("proxy-demands-a-password", _through(lambda _: DEMANDS), Failed(APIStatusError, status=407), (54,)),
    _fault("proxy-demands-a-password-for-a-tunnel", _through(lambda _: DEMANDS, url=SAFE), LOCKED, (54,)),
    _fault("proxy-refuses-a-tunnel", _through(lambda _: DOWN, url=SAFE), unreachable(), (54,)),
    _fault("proxy-closes", _through(greeting=(CLOSE,), counts="connections"), broken(), (54,)),
    _fault("proxy-hangs", _through(lambda _: [HANG]), late(attempts=1), (54,), settings=ONCE),
    _fault("proxy-hangs-at-a-tunnel", _through(lambda _: [HANG], url=SAFE), late(attempts=1), (54,), settings=ONCE),
    Fault("proxy-once-closed", [CLOSE], Answered(attempts=2, warns="outcome is unknown"), (54,), place=_through()),
]  # fmt: skip

FAULTS = [replace(fault, providers=ONE_OF_EACH_WIRE) for fault in _FAULTS]
