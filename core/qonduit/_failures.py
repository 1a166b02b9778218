"""Failures of the network: from what httpx and httpcore raise to qonduit's errors, by the names both share."""

from __future__ import annotations

from urllib.parse import urlsplit

from qonduit.classification import shown
from qonduit.errors import APIConnectionError, APITimeoutError, BadRequestError, ProtocolError, QonduitError
from qonduit.profile import Profile
from qonduit.wire import WireRequest

MAX_HEADER_BYTES = 100 * 1024
"""The bound of httpcore on what an answer says before its body, and between its chunks."""


def bare(error: BaseException) -> BaseException:
    """`error` without the frames that it came through: their locals hold the key."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def explain(error: Exception, wire: WireRequest, profile: Profile, proxy: str | None = None) -> Exception:
    """Our own error for what httpx or httpcore raised: without their request, which holds the key.

    `proxy` is the one that the request went by: where no connection came about, it is named without its password.

    Raised after the `except`, not in it: there theirs would be its context, with the frames that hold the headers.
    """
    if isinstance(error, QonduitError):
        return error
    if isinstance(error, RuntimeError) and "closed" in str(error):
        return APIConnectionError(f"The connection's client was closed: {error}.", outcome="not_sent")
    names = {kind.__name__ for kind in type(error).__mro__}
    host = urlsplit(wire.url).netloc
    if "ConnectTimeout" in names:
        question = "is a proxy needed?" if proxy is None else "does the proxy run?"
        return APITimeoutError(
            f"{host} did not accept a connection in time{through(proxy)}; connect_timeout is "
            f"{profile.connect_timeout:g} s. Is it the right host, {question}",
            outcome="not_sent",
            retryable=True,
        )
    if "PoolTimeout" in names:
        return APITimeoutError(
            f"All {profile.max_connections} connections to {host} were busy until the time was up. "
            "Make fewer calls at once, or raise max_connections.",
            outcome="not_sent",
            retryable=True,
        )
    if "WriteTimeout" in names:
        return APITimeoutError(
            f"{host} did not take the {len(wire.content)} bytes of the request in time.",
            outcome="unknown",
            retryable=True,
        )
    if names & {"ReadTimeout", "TimeoutException"}:
        return APITimeoutError(f"{host} did not answer in time.", outcome="unknown", retryable=True)
    if "ProxyError" in names:
        refused = "407" in str(error)
        return APIConnectionError(
            f"The proxy did not connect to {host}: {str(error) or 'it gave no reason'}. "
            + ("It wants a user and a password: put them into the proxy's URL." if refused else "Is it the right one?"),
            outcome="not_sent",
            retryable=not refused,
        )
    if "ConnectError" in names:
        reason = str(error) or type(error).__name__
        return APIConnectionError(
            f"{host} cannot be reached{through(proxy)}: {reason}.", outcome="not_sent", retryable=True
        )
    if "LocalProtocolError" in names:
        # h11's own text would quote the header, and the header may be the key.
        return BadRequestError(
            "The request was not sent: a header holds characters that HTTP forbids. Look at extra_headers."
        )
    if "RemoteProtocolError" in names and _too_long(error):
        return ProtocolError(
            f"The headers of {host}'s answer, or a line of its framing, are larger than {MAX_HEADER_BYTES} bytes; "
            "the answer was given up. Does a proxy stand between?",
            outcome="unknown",
        )
    if names & {"RemoteProtocolError", "ReadError", "WriteError", "NetworkError", "TransportError"}:
        return APIConnectionError(
            f"The connection to {host} broke before the answer was whole.", outcome="unknown", retryable=True
        )
    return error


def through(proxy: str | None) -> str:
    """`" through the proxy …"`, without its password, for the midst of a sentence; "" for a direct connection."""
    if proxy is None:
        return ""
    address = proxy.rpartition("://")[2].rpartition("@")[2]  # the last one: a password may hold others
    return f" through the proxy {shown(address, 100)}"


def _too_long(error: BaseException | None) -> bool:
    """Whether h11 gave up on bytes without an end: it would have a server answer 431."""
    while error is not None:
        if getattr(error, "error_status_hint", None) == 431:
            return True
        error = error.__cause__
    return False
