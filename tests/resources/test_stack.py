"""The stacks of connections where threads meet: one takes what another was about to take, close, or give back."""

from __future__ import annotations

from typing import Any

import pytest
from tests.resources.state import busy, free_slots
from tests.transport.driving import ASK, Driver, arguments
from tests.wires import WIRES

from qonduit import Client, _network

pytestmark = pytest.mark.usefixtures("http_library")

WIRE = WIRES["qwen"]
ANSWER = WIRE.plain_reply("hello")


class Raced(list[Any]):
    """A stack whose last connection another thread takes between the look at it and the grip; once."""

    raced = False

    def pop(self, *_: Any) -> Any:
        if self.raced:
            return super().pop()
        self.raced = True
        self.clear()
        raise IndexError("pop from empty list")


@pytest.mark.F52
@pytest.mark.parametrize("then", ["a call", "close"])
def test_a_connection_that_another_thread_takes_first(serve: Any, asynchronous: bool, then: str) -> None:
    """Who finds the stack empty though it was not a moment ago makes a connection of his own, or has none to close."""
    server = serve([ANSWER, ANSWER])
    with Driver(asynchronous, arguments(server)) as driver:
        driver.ask()
        transport = driver.client._routes[0].transport
        (stack,) = transport._async.values() if asynchronous else [transport._sync]
        ((key, connections),) = stack._idle.items()
        stack._idle[key] = Raced(connections)
        if then == "a call":
            assert driver.ask().text == "hello"
            assert server.connections == 2
        else:
            driver.close()
        for connection in connections:
            connection.link.abort()


@pytest.mark.F48
def test_an_interruption_that_comes_too_late_meets_nobody(serve: Any, asynchronous: bool) -> None:
    """Once a connection was given back, closing its stream from elsewhere does not touch whom it serves now."""
    server = serve([WIRE.stream_reply(), ANSWER])
    with Driver(asynchronous, arguments(server)) as driver:
        create = driver.client.chat.completions.create
        stream = driver.run(create(messages=ASK, stream=True))
        wire_stream = stream._call._wire_stream
        while driver.run(anext(stream, None)) if asynchronous else next(stream, None):
            pass
        wire_stream.interrupt()
        wire_stream.close()
        assert driver.ask().text == "hello"
        assert server.connections == 1
        assert (free_slots(driver.client), busy(driver.client)) == ([100], 0)


@pytest.mark.F47
def test_a_connection_that_cannot_be_closed_keeps_no_slot(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """When closing a socket fails the slot is given back all the same."""
    server = serve([WIRE.stream_reply()])
    with Client(**arguments(server)) as client:
        stream = client.chat.completions.create(messages=ASK, stream=True)
        with monkeypatch.context() as patch:

            def fail(self: Any) -> None:
                raise OSError("no")

            patch.setattr(_network.SyncStream, "abort", fail)
            with pytest.raises(Exception, match="no"):
                stream.close()
        assert free_slots(client) == [100]
        stream._call._wire_stream.body.link.abort()


@pytest.mark.F48
def test_an_answer_that_ends_after_its_client_was_closed(serve: Any) -> None:
    """A connection whose answer is read to its end after `close` is not kept for a call that cannot come."""
    server = serve([[b"".join(WIRE.stream_reply())]])
    client = Client(**arguments(server))
    stream = client.chat.completions.create(messages=ASK, stream=True)
    stack = client._routes[0].transport._sync
    client.close()
    list(stream)  # it had arrived before
    assert not any(stack._idle.values())
    assert server.wait_open(0)
