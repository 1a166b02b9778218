"""Who closes a plugin: the client that made it, and nobody else."""

from __future__ import annotations

import sys
import textwrap
from typing import Any

import pytest
from tests.pipeline.memory import MemoryTransport, said
from tests.plugins.conftest import Stranger

from qonduit import AsyncClient, Client, hookimpl

PLUGIN = textwrap.dedent(
    """
    from qonduit import hookimpl
    from qonduit.auth import BearerAuth

    closed = []

    class Holder:
        @hookimpl
        def qonduit_auth(self, profile, credentials):
            return BearerAuth(credentials)

        def close(self):
            closed.append(self)
    """
)


class Handed:
    """A plugin of the caller's own."""

    closed = 0

    @hookimpl
    def qonduit_middleware(self, profile: Any) -> Any:
        return ()

    def close(self) -> None:
        self.closed += 1


class FailingTransport(MemoryTransport):
    """A transport that cannot be closed."""

    def close(self) -> None:
        raise OSError("no")

    async def aclose(self) -> None:
        raise OSError("no")


async def close(client: Any) -> None:
    result = client.close()
    if result is not None:
        await result


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_a_plugin_is_closed_by_the_client_that_made_it(kind: Any, stranger: Stranger) -> None:
    """Once, not by the clients of `with_options`, and not where the caller handed the object in."""
    stranger("stranger-holder", {"qonduit.plugins": {"holder": "stranger_holder:Holder"}}, stranger_holder=PLUGIN)
    handed = Handed()
    transport = MemoryTransport(said("x"))
    client = kind(provider="qwen", api_key="sk-test", plugins=["holder", handed, transport])
    await close(client.with_options(timeout=3))
    module: Any = sys.modules["stranger_holder"]
    assert (len(module.closed), transport.closed) == (0, 0)
    await close(client)
    await close(client)
    assert (len(module.closed), transport.closed, handed.closed) == (1, 1, 0)


@pytest.mark.F72
@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_one_that_cannot_be_closed_keeps_no_other_open(kind: Any, stranger: Stranger) -> None:
    """The error is raised when all the rest is closed."""
    stranger("stranger-holder", {"qonduit.plugins": {"holder": "stranger_holder:Holder"}}, stranger_holder=PLUGIN)
    client = kind(provider="qwen", api_key="sk-test", plugins=["holder", FailingTransport(said("x"))])
    with pytest.raises(OSError, match="no"):
        await close(client)
    assert len(sys.modules["stranger_holder"].closed) == 1  # type: ignore[attr-defined]
