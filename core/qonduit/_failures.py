"""Failures of the network: from what httpx and httpcore raise to qonduit's errors, by the names both share."""

from __future__ import annotations

from urllib.parse import urlsplit

from qonduit.errors import APIConnectionError, APITimeoutError, BadRequestError, QonduitError
from qonduit.profile import Profile
from qonduit.wire import WireRequest


def bare(error: BaseException) -> BaseException:
    """`error` without the frames that it came through: their locals hold the key."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def explain(error: Exception, wire: WireRequest, profile: Profile) -> Exception:
    """Our own error for what httpx or httpcore raised: without their request, which holds the key.

    Raised after the `except`, not in it: there theirs would be its context, with the frames that hold the headers.
    """
    if isinstance(error, QonduitError):
        return error
    if isinstance(error, RuntimeError) and "closed" in str(error):
        return APIConnectionError(f"The connection's client was closed: {error}.", outcome="not_sent")
    names = {kind.__name__ for kind in type(error).__mro__}
    host = urlsplit(wire.url).netloc
    if "ConnectTimeout" in names:
        return APITimeoutError(
            f"{host} did not accept a connection within {profile.connect_timeout:g} s. "
            "Is it the right host, is a proxy needed? The setting is connect_timeout.",
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
    if names & {"ReadTimeout", "WriteTimeout", "TimeoutException"}:
        return APITimeoutError(
            f"{host} did not answer in time. The settings are timeout (seconds of one attempt, or of one gap in a "
            "stream) and deadline (of the whole call).",
            outcome="unknown",
            retryable=True,
        )
    if names & {"ConnectError", "ProxyError"}:
        reason = str(error) or type(error).__name__
        return APIConnectionError(f"{host} cannot be reached: {reason}.", outcome="not_sent", retryable=True)
    if "LocalProtocolError" in names:
        # h11's own text would quote the header, and the header may be the key.
        return BadRequestError(
            "The request was not sent: a header holds characters that HTTP forbids. Look at extra_headers."
        )
    if names & {"RemoteProtocolError", "ReadError", "WriteError", "NetworkError", "TransportError"}:
        return APIConnectionError(
            f"The connection to {host} broke before the answer was whole.", outcome="unknown", retryable=True
        )
    return error
