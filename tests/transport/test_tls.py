"""TLS on real sockets: whom a client trusts, and how it says that it does not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.transport.tls import Server

from qonduit import APIConnectionError, AsyncClient, Client, ConfigurationError

pytestmark = pytest.mark.usefixtures("http_library")

MESSAGES = [{"role": "user", "content": "hi"}]


def given(server: Server, host: str = "localhost") -> dict[str, Any]:
    url = f"https://{host}:{server.server_port}/v1"
    return {"provider": "openai", "api_key": "sk-test", "base_url": url, "model": "m", "max_retries": 0}


def ask(asynchronous: bool, arguments: dict[str, Any]) -> list[str]:
    """Two answers of one client."""
    if not asynchronous:
        with Client(**arguments) as client:
            return [client.chat.completions.create(messages=MESSAGES).text for _ in range(2)]

    async def main() -> list[str]:
        async with AsyncClient(**arguments) as client:
            return [(await client.chat.completions.create(messages=MESSAGES)).text for _ in range(2)]

    return asyncio.run(main())


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("library", ["httpx", "httpx2", "httptools"])
def test_an_authority_of_the_environment_is_trusted(
    server: Server,
    authority: tuple[trustme.CA, Path],
    monkeypatch: pytest.MonkeyPatch,
    asynchronous: bool,
    library: str,
) -> None:
    """SSL_CERT_FILE names whom to trust, and one TLS connection serves several calls."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[1]))
    monkeypatch.setenv("QONDUIT_HTTP_LIBRARY", library)
    assert ask(asynchronous, given(server)) == ["hello", "hello"]
    assert len(server.ports) == 2
    assert len(set(server.ports)) == 1


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_stranger_is_not_trusted(server: Server, asynchronous: bool) -> None:
    """A certificate of an unknown authority ends the call before anything is sent, and says so."""
    with pytest.raises(APIConnectionError, match="certificate verify failed") as caught:
        ask(asynchronous, given(server))
    assert caught.value.outcome == "not_sent"
    assert server.ports == []


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_certificate_of_another_host_is_not_trusted(
    server: Server, authority: tuple[trustme.CA, Path], monkeypatch: pytest.MonkeyPatch, asynchronous: bool
) -> None:
    """A trusted certificate for another name than the base URL's is refused."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[1]))
    with pytest.raises(APIConnectionError, match=r"mismatch|not valid for"):
        ask(asynchronous, given(server, host="127.0.0.1"))
    assert server.ports == []


@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "empty"])
def test_authorities_that_cannot_be_read(tmp_path, monkeypatch, content) -> None:
    """A file of authorities that cannot be used is named, with its variable, before anything is sent."""
    file = tmp_path / "absent.pem"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    client = Client(provider="openai", api_key="sk-test", model="m", max_retries=0)
    with client, pytest.raises(ConfigurationError, match=r"absent\.pem.*SSL_CERT_FILE"):
        client.chat.completions.create(messages=MESSAGES)
