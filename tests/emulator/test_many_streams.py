"""Many clients at once."""

import asyncio

from tests.emulator.streams import build_body, read_streams, running_server


def test_500_streams_at_once() -> None:
    """500 clients stream at once from a server of its own process; each gets the same whole answer."""
    with running_server() as server:
        streams = asyncio.run(read_streams(server.port, 500, build_body(10)))
        again = asyncio.run(read_streams(server.port, 1, build_body(10)))
    assert [stream for stream in streams if not stream.complete] == []
    assert {stream.chunks for stream in streams} == {again[0].chunks}
    assert all(b"data: [DONE]\n\n" in stream.content for stream in streams)


def test_a_stalled_client_harms_nobody() -> None:
    """While one stream stalls and others break off, the rest come through."""

    async def mixed(port: int) -> int:
        body = build_body(10)
        stalled = asyncio.create_task(read_streams(port, 5, body, "x-emulator-fault: stall=30\r\n"))
        cut = asyncio.create_task(read_streams(port, 20, body, "x-emulator-fault: cut-mid-event\r\n"))
        whole = await read_streams(port, 50, body)
        assert not any(stream.complete for stream in await cut)
        stalled.cancel()
        return sum(stream.complete for stream in whole)

    with running_server() as server:
        assert asyncio.run(mixed(server.port)) == 50
