"""Calls through a proxy, and past it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.servers import response
from tests.transport.proxying import ConnectProxy
from tests.transport.test_secrets import shown
from tests.transport.tls import serving
from tests.wires import WIRES

from qonduit import APIConnectionError, APIStatusError, AsyncClient, Client, ConfigurationError
from qonduit._proxies import environment_proxy

WIRE = WIRES["openai"]
MESSAGES = [{"role": "user", "content": "hi"}]
FAR = {"provider": "openai", "api_key": "sk-test", "base_url": "http://far.example/v1", "model": "m", "max_retries": 0}
SECURE = {**FAR, "base_url": "https://far.example/v1"}
PASSWORD = "canary-5d1e"

pytestmark = pytest.mark.F53


@pytest.fixture(params=["httpx", "httpx2", "httptools"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The libraries, chosen by the environment; behind a proxy httptools leaves the calls to httpx."""
    monkeypatch.setenv("QONDUIT_HTTP_LIBRARY", request.param)
    name: str = request.param
    return name


def ask(asynchronous: bool, arguments: dict[str, Any], stream: bool = True) -> list[str]:
    """A plain answer, and a streamed one."""
    if not asynchronous:
        with Client(**arguments) as client:
            plain = client.chat.completions.create(messages=MESSAGES)
            if not stream:
                return [plain.text]
            with client.chat.completions.create(messages=MESSAGES, stream=True) as chunks:
                return [plain.text, "".join(chunk.choices[0].delta.content or "" for chunk in chunks)]

    async def main() -> list[str]:
        async with AsyncClient(**arguments) as client:
            plain = await client.chat.completions.create(messages=MESSAGES)
            if not stream:
                return [plain.text]
            async with await client.chat.completions.create(messages=MESSAGES, stream=True) as chunks:
                return [plain.text, "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])]

    return asyncio.run(main())


def told(caught: pytest.ExceptionInfo[BaseException]) -> str:
    """All that can be printed of an error but for the frame of the test itself."""
    return shown(caught.value.with_traceback(caught.tb.tb_next))


@pytest.mark.usefixtures("library")
def test_a_proxy_of_the_environment_carries_the_call(serve, monkeypatch, asynchronous: bool) -> None:
    """HTTP_PROXY is asked for a far host, by both libraries; the host itself is never looked up on this side."""
    proxy = serve([WIRE.plain_reply("hello"), WIRE.stream_reply(["hel", "lo"])])
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    assert ask(asynchronous, FAR) == ["hello", "hello"]
    assert [request.path for request in proxy.requests] == ["http://far.example/v1/chat/completions"] * 2


def test_a_profiles_proxy_counts_for_every_host(serve, tmp_path, asynchronous: bool) -> None:
    """A proxy that the profile names is used for loopback too, whatever the environment says."""
    proxy = serve([WIRE.plain_reply("hello"), WIRE.stream_reply(["hel", "lo"])])
    config = tmp_path / "qonduit.toml"
    config.write_text(
        '[profiles.p]\nprovider = "openai"\nmodel = "m"\nbase_url = "http://127.0.0.1:9/v1"\napi_key = "env:P_KEY"\n'
        f'proxy = "{proxy.url}"\ntrust_env = false\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("P_KEY", "sk-test")
        assert ask(asynchronous, {"profile": "p", "config": config}) == ["hello", "hello"]
    assert [request.path for request in proxy.requests] == ["http://127.0.0.1:9/v1/chat/completions"] * 2


@pytest.mark.usefixtures("library")
def test_https_goes_through_a_tunnel(
    authority: tuple[trustme.CA, Path], monkeypatch: pytest.MonkeyPatch, asynchronous: bool
) -> None:
    """HTTPS_PROXY is asked for a tunnel, with its own password and without the key, and TLS is with the far host."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[1]))
    for server in serving(authority[0], "far.example"):
        with ConnectProxy(server.server_port) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PASSWORD}@{proxy.address}")
            assert ask(asynchronous, SECURE, stream=False) == ["hello"]
        (head,) = proxy.heads
        assert head.startswith("CONNECT far.example:443 HTTP/1.1\r\n")
        assert "proxy-authorization: basic dxnlcj" in head.lower()
        assert "sk-test" not in head
        assert len(server.ports) == 1


@pytest.mark.usefixtures("library")
def test_a_stranger_behind_a_tunnel_is_not_trusted(
    authority: tuple[trustme.CA, Path], monkeypatch: pytest.MonkeyPatch, asynchronous: bool
) -> None:
    """What the tunnel leads to needs a certificate of the far host's, as without a proxy."""
    for server in serving(authority[0], "far.example"):
        with ConnectProxy(server.server_port) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
            with pytest.raises(APIConnectionError, match="certificate verify failed") as caught:
                ask(asynchronous, SECURE)
        assert caught.value.outcome == "not_sent"
        assert server.ports == []


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("refusal", "text", "retryable"),
    [
        ("407 Proxy Authentication Required", "It wants a user and a password", False),
        ("502 Bad Gateway", "502 Bad Gateway", True),
    ],
)
def test_a_proxy_that_refuses(
    monkeypatch: pytest.MonkeyPatch, asynchronous: bool, refusal: str, text: str, retryable: bool
) -> None:
    """A refused tunnel is told as the proxy's, was not sent, and shows neither the proxy's password nor the key."""
    with ConnectProxy(9, refusal) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PASSWORD}@{proxy.address}")
        with pytest.raises(APIConnectionError, match=rf"The proxy did not connect to far\.example.*{text}") as caught:
            ask(asynchronous, SECURE)
    assert (caught.value.outcome, caught.value.retryable) == ("not_sent", retryable)
    assert PASSWORD not in told(caught)
    assert "sk-test" not in str(caught.value)


def test_a_proxy_that_refuses_a_plain_call(serve, monkeypatch: pytest.MonkeyPatch, asynchronous: bool) -> None:
    """A 407 in place of the answer is told as the proxy's, too."""
    proxy = serve([response(b"", 407, content_type="text/html")])
    monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("http://", f"http://user:{PASSWORD}@"))
    with pytest.raises(APIStatusError, match="A proxy on the way wants a user and a password") as caught:
        ask(asynchronous, FAR)
    assert (caught.value.status_code, caught.value.retryable) == (407, False)
    assert PASSWORD not in told(caught)


def test_a_proxy_that_is_not_there(monkeypatch: pytest.MonkeyPatch, asynchronous: bool) -> None:
    """A proxy that refuses the connection is named, not the far host alone: nothing was sent, no password is shown."""
    monkeypatch.setenv("HTTP_PROXY", f"http://user:{PASSWORD}@127.0.0.1:9")
    with pytest.raises(APIConnectionError, match=r"far\.example .* through the proxy 127\.0\.0\.1:9: ") as caught:
        ask(asynchronous, FAR)
    assert caught.value.outcome == "not_sent"
    assert PASSWORD not in told(caught)


UNUSABLE = {
    "socks without its library": ("ALL_PROXY", f"socks5://user:{PASSWORD}@127.0.0.1:1080", r"httpx\[socks\]"),
    "another scheme": ("HTTP_PROXY", f"gopher://user:{PASSWORD}@127.0.0.1:70", "Expected http://host:port"),
    "no number": ("HTTP_PROXY", f"http://user:{PASSWORD}@127.0.0.1:port", "Expected http://host:port"),
    "a port that is none": ("HTTP_PROXY", f"http://user:{PASSWORD}@127.0.0.1:99999", "Expected http://host:port"),
    "no host": ("HTTP_PROXY", f"http://user:{PASSWORD}@", "Expected http://host:port"),
    "half an address": ("HTTP_PROXY", f"http://user:{PASSWORD}@[::1", "Expected http://host:port"),
}


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(("name", "value", "text"), UNUSABLE.values(), ids=list(UNUSABLE))
def test_a_proxy_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, asynchronous: bool, name: str, value: str, text: str
) -> None:
    """A client is built all the same; its call says what was expected and which variables to look at."""
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv(name, value)
    client = (AsyncClient if asynchronous else Client)(**FAR)
    assert client is not None
    with pytest.raises(ConfigurationError, match=text) as caught:
        ask(asynchronous, FAR)
    assert "ALL_PROXY" in str(caught.value)
    assert "trust_env" in str(caught.value)
    assert PASSWORD not in told(caught)


def test_trust_env_ignores_them_all(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """With trust_env = false no variable counts."""
    server = serve([WIRE.plain_reply("hello"), WIRE.stream_reply(["hel", "lo"])])
    for name in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "socks5://127.0.0.1:1")
    monkeypatch.setenv("QONDUIT_TRUST_ENV", "false")
    monkeypatch.setattr("socket.getaddrinfo", _to_loopback)
    assert ask(False, {**FAR, "base_url": f"{server.url.replace('127.0.0.1', 'far.example')}/v1"}) == ["hello", "hello"]


def _to_loopback(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
    import socket

    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


def test_loopback_never_goes_to_a_proxy(serve, monkeypatch: pytest.MonkeyPatch, asynchronous: bool) -> None:
    """A server on this machine, an emulator say, is reached directly without a NO_PROXY."""
    server = serve([WIRE.plain_reply("hello"), WIRE.stream_reply(["hel", "lo"])])
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert ask(asynchronous, {**FAR, "base_url": f"{server.url}/v1"}) == ["hello", "hello"]


PROXY = "http://proxy.example:8080"


@pytest.mark.parametrize(
    ("variables", "url", "expected"),
    [
        ({"HTTP_PROXY": PROXY}, "http://far.example/v1", PROXY),
        ({"HTTP_PROXY": PROXY}, "https://far.example/v1", None),
        ({"HTTPS_PROXY": PROXY}, "https://far.example/v1", PROXY),
        ({"ALL_PROXY": PROXY}, "https://far.example/v1", PROXY),
        ({"all_proxy": PROXY, "HTTPS_PROXY": "http://other.example"}, "https://far.example", "http://other.example"),
        ({"http_proxy": PROXY, "HTTP_PROXY": "http://other.example"}, "http://far.example", PROXY),
        ({"http_proxy": "", "HTTP_PROXY": PROXY}, "http://far.example", None),
        ({"HTTP_PROXY": "proxy.example:8080"}, "http://far.example", PROXY),
        ({"HTTP_PROXY": f" {PROXY} "}, "http://far.example", PROXY),
        ({"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, "http://far.example", None),
        ({"ALL_PROXY": PROXY}, "http://localhost:8080", None),
        ({"ALL_PROXY": PROXY}, "http://api.localhost", None),
        ({"ALL_PROXY": PROXY}, "http://127.8.0.1:8080", None),
        ({"ALL_PROXY": PROXY}, "http://[::1]:8080", None),
        ({"ALL_PROXY": PROXY}, "http://localhost.example", PROXY),
        ({}, "http://far.example", None),
    ],
)
def test_what_the_environment_says(monkeypatch, variables: dict[str, str], url: str, expected: str | None) -> None:
    """The scheme's variable before ALL_PROXY, small letters before capitals, an empty one for none, loopback never."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert environment_proxy(url) == expected


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("far.example", "http://far.example", True),
        ("FAR.example", "http://far.Example", True),
        ("example", "http://far.example", True),
        (".example", "http://far.example", True),
        ("*.example", "http://far.example", True),
        ("far.example", "http://nearfar.example", False),
        ("far.example.org", "http://far.example", False),
        ("a, far.example ,b", "http://far.example", True),
        ("*", "http://far.example", True),
        ("far.example:80", "http://far.example", True),
        ("far.example:443", "https://far.example", True),
        ("far.example:8080", "http://far.example:8080", True),
        ("far.example:8080", "http://far.example:9090", False),
        ("http://far.example", "http://far.example", True),
        ("10.0.0.0/8", "http://10.1.2.3", True),
        ("10.0.0.0/8", "http://11.1.2.3", False),
        ("10.1.2.3", "http://10.1.2.3:8080", True),
        ("10.1.2.3:8080", "http://10.1.2.3:8080", True),
        ("10.1.2.3:8080", "http://10.1.2.3:80", False),
        ("fd00::/8", "http://[fd12::1]:8080", True),
        ("[fd12::1]", "http://[fd12::1]", True),
        ("fd12::1", "http://[fd12::1]", True),
        ("[fd12::1]:8080", "http://[fd12::1]:8080", True),
        ("2.3", "http://10.1.2.3", False),
        ("", "http://far.example", False),
        (", ,", "http://far.example", False),
        ("*.*, .., 300.1.1.1/99, 10.0.0.0/99, [::1, ::::, a b, %%%, http://, :8080, é", "http://far.example", False),
        ("*.*, .., 300.1.1.1/99, 10.0.0.0/99, [::1, ::::, a b, %%%, http://, :8080, é", "http://10.1.2.3", False),
    ],
)
def test_what_no_proxy_says(monkeypatch, no_proxy: str, url: str, direct: bool) -> None:
    """Hosts with their subdomains, ports, addresses, networks and the star; nonsense means no host and is no error."""
    monkeypatch.setenv("ALL_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert environment_proxy(url) == (None if direct else PROXY)
