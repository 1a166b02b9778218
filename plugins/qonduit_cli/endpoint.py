"""One small request to a provider's address: does it answer, how fast, and does it take the key?"""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from qonduit import ConfigurationError
from qonduit._failures import through
from qonduit._proxied import transport_through
from qonduit._proxies import environment_proxy

PROBE_SECONDS = 5.0
"""How long an address has to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came: a status and the time it took, or in `failure` why nothing did; `way` names the proxy."""

    status: int | None = None
    milliseconds: int = 0
    failure: str | None = None
    way: str = ""


def probe(base_url: str, key: str | None, *, proxy: str | None, trust_env: bool) -> Answer:
    """GET `base_url`/models, its head only, by the proxy that a client would take.

    Never raises for what the network does.
    """
    import httpx

    if proxy is None and trust_env:
        proxy = environment_proxy(base_url)
    headers = {"authorization": f"Bearer {key}"} if key is not None else {}
    started, way = time.perf_counter(), through(proxy)
    try:
        context = httpx.create_ssl_context(trust_env=trust_env)
        if proxy is None:
            transport = httpx.HTTPTransport(trust_env=trust_env, verify=context)
        else:
            transport = transport_through(httpx, proxy, asynchronous=False, limit=1, context=context)
        with (
            httpx.Client(transport=transport, timeout=PROBE_SECONDS, follow_redirects=False) as client,
            client.stream("GET", f"{base_url}/models", headers=headers) as response,
        ):
            status = response.status_code
    except ConfigurationError as error:
        return Answer(failure=str(error).rstrip("."))
    except httpx.ConnectTimeout:
        question = "is a proxy needed?" if proxy is None else "does the proxy run?"
        return Answer(failure=f"no connection within {PROBE_SECONDS:g} s; is it the right host, {question}", way=way)
    except httpx.TimeoutException:
        return Answer(failure=f"no answer within {PROBE_SECONDS:g} s", way=way)
    except httpx.TransportError as error:
        # Its text names hosts and reasons; headers it never quotes but for those that are malformed.
        reason = type(error).__name__ if isinstance(error, httpx.LocalProtocolError) else str(error)
        return Answer(failure=reason or type(error).__name__, way=way)
    except (httpx.InvalidURL, OSError, ValueError) as error:
        return Answer(failure=f"the address cannot be used ({type(error).__name__})", way=way)
    return Answer(status=status, milliseconds=round((time.perf_counter() - started) * 1000))


def problem_of(answer: Answer, base_url: str, keyed: bool) -> str | None:
    """What is wrong, with the mend; None when all is well."""
    host = urlsplit(base_url).netloc
    if answer.failure is not None:
        return f"{host} cannot be reached{answer.way}: {answer.failure}."
    match answer.status:
        case 401 | 403 if keyed:
            return f"{host} refuses the key (HTTP {answer.status}). Make a new one, or set its region."
        case 407:
            return "The proxy wants a password (HTTP 407). Put it into the proxy's URL."
        case int(status) if 300 <= status < 400:
            return f"{host} redirects (HTTP {status}), which is not followed. Check base_url: {base_url}"
        case int(status) if status >= 500:
            return f"{host} is in trouble (HTTP {status}). Try again later."
    return None


def describe(answer: Answer, keyed: bool) -> str:
    """An answer that is no problem, in words."""
    if answer.status is not None and 200 <= answer.status < 300:
        meaning = "and takes the key" if keyed else "without a key"
    elif answer.status in {401, 403}:
        meaning = f"and wants a key, HTTP {answer.status}"
    else:
        meaning = f"HTTP {answer.status} on /models, so the key was not tried"
    return f"answers in {answer.milliseconds} ms ({meaning})"
