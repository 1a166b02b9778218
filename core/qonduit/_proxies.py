"""Proxies: which proxy the environment names for a URL.

Read as curl and Go do: `http_proxy` before `HTTP_PROXY`, an empty value for none. NO_PROXY holds hosts, which stand for
their subdomains too, with or without a dot or a star before them and a port behind them; addresses and networks
(10.0.0.0/8); and `*` for every host. Loopback, where a proxy would only find itself, is always reached directly.
"""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import urlsplit


def environment_proxy(url: str) -> str | None:
    """The proxy for `url`; None for a direct connection."""
    parts = urlsplit(url)
    proxy = _variable(f"{parts.scheme}_proxy") or _variable("all_proxy")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if not proxy or _reached_directly(parts.hostname or "", port):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _variable(name: str) -> str:
    if name == "http_proxy" and "REQUEST_METHOD" in os.environ:
        return os.environ.get(name, "")  # in CGI, HTTP_PROXY is a header of the request
    return os.environ.get(name, os.environ.get(name.upper(), "")).strip()


def _reached_directly(host: str, port: int) -> bool:
    address = _address(host)
    if host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback):
        return True
    return any(_matches(entry.strip().lower(), host, port, address) for entry in _variable("no_proxy").split(","))


def _matches(entry: str, host: str, port: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    """Whether an entry of NO_PROXY means the host. What is no host matches none."""
    if entry in {"", "*"}:
        return entry == "*"
    entry = entry.partition("://")[2] or entry
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry.strip("[]"), strict=False)
        except ValueError:
            pass
    name, _, wanted = entry.rpartition(":")
    if name and wanted.isdecimal() and not name.endswith(":"):
        if wanted != str(port):
            return False
        entry = name
    entry = entry.strip("[]").removeprefix("*").removeprefix(".")
    return bool(entry) and (host == entry or (address is None and host.endswith(f".{entry}")))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
