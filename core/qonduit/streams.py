"""Stream and AsyncStream: the chunks of an answer as they come, and the whole answer at the end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import warnings
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from qonduit._orphans import Orphans
from qonduit.call import Call
from qonduit.chunk import ChatChunk
from qonduit.effects import SETTLE_SECONDS, Flow, Left, aadvance, advance, asettle, settle
from qonduit.response import ChatResponse

ChunkT = TypeVar("ChunkT", bound=ChatChunk)


class _StreamBase(Generic[ChunkT]):
    """A committed flow: its first chunks are here, the rest comes when asked for.

    The flow is driven by one at a time: whoever reads, or whoever leaves when nobody reads. A stream that is left while
    another thread or task reads is settled by that reader, which is made to come back by interrupting its wait.
    """

    def __init__(self, flow: Flow, first: list[ChunkT], call: Call, orphans: Orphans, place: str) -> None:
        self._flow: Flow | None = flow
        self._batch = iter(first)
        self._call = call
        self._orphans = orphans
        self._place = place
        self._reading = False
        self.leaving = False
        self.response: ChatResponse | None = None
        """The whole answer, as the outermost middleware returned it; None until the stream has ended."""

    def _ended(self, response: ChatResponse) -> None:
        self.response = response
        self._over()

    def _refuse(self) -> bool:
        """A second reader would take the first one's chunks; where the stream is being left it is at its end."""
        if self.leaving:
            return False
        raise RuntimeError("This stream is being read already: one task or thread may read it at a time.")

    def _over(self) -> None:
        self._flow = None
        self._batch = iter(())

    def _leave(self) -> tuple[Flow, Left] | None:
        """What is to be settled, once."""
        flow, self._flow = self._flow, None
        if flow is None:
            return None
        left = Left(drained=next(self._batch, None) is None)
        self._batch = iter(())
        return flow, left

    def _interrupt(self) -> None:
        """Make a wait for the network come back at once; the reader's own transport may not know how."""
        interrupt = getattr(self._call._wire_stream, "interrupt", None)
        if interrupt is not None:
            interrupt()

    def __del__(self) -> None:
        """Hand an unclosed stream over: collecting garbage cannot do I/O."""
        flow, self._flow = getattr(self, "_flow", None), None
        if flow is not None:
            self._orphans.add(flow)
            drop: Any = getattr(self._call._wire_stream, "drop", None)
            if drop is not None:
                drop()  # another call may be waiting for its connection
            warnings.warn(
                f"A stream was neither read to its end nor closed; it was made at {self._place}. "
                "Use 'with', or call close().",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )


class Stream(_StreamBase[ChunkT]):
    """Chunks of a streamed answer: iterate, or use as a context manager, which closes it.

        with client.chat.completions.create(messages=…, stream=True) as stream:
            for chunk in stream:
                print(chunk.choices[0].delta.content or "", end="")
        stream.response.usage

    One thread reads it at a time; any thread may close it, which ends the reading.
    Raises while iterating: StreamInterruptedError, or the provider's typed error, with the partial `response`.
    """

    def __init__(self, flow: Flow, first: list[ChunkT], call: Call, orphans: Orphans, place: str) -> None:
        super().__init__(flow, first, call, orphans, place)
        self._turn = threading.RLock()

    def __iter__(self) -> Iterator[ChunkT]:
        """The chunks that are still to come."""
        while True:
            yield from self._batch
            if not self._advance():
                return

    def __next__(self) -> ChunkT:
        """The next chunk."""
        for chunk in self:
            return chunk
        raise StopIteration

    def _advance(self) -> bool:
        """Get the next chunks; whether there were any."""
        if self._reading:
            return self._refuse()
        with self._turn:
            flow = self._flow
            if flow is None or self.leaving:
                return False
            self._reading = True
            try:
                item = advance(flow, None, self)
            except Left:
                self._over()
                return False
            except BaseException:
                self._over()
                raise
            finally:
                self._reading = False
            if item.__class__ is not list:
                self._ended(item)
                return False
            self._batch = iter(item)
            if self.leaving:
                self._settle()
                return False
            return True

    def _settle(self) -> None:
        if (work := self._leave()) is not None:
            self.response = settle(*work)

    def close(self) -> None:
        """Leave the stream: every layer settles, `response` is what had arrived. Idempotent.

        While another thread reads: its reading ends, it settles, and this waits for that, at most `SETTLE_SECONDS`.
        """
        self.leaving = True
        if not self._turn.acquire(blocking=False):
            self._interrupt()
            if not self._turn.acquire(timeout=SETTLE_SECONDS):
                return  # the reader is in a layer's own work, and settles when it comes back
        try:
            if self._reading:  # by this thread: a layer's own code, or a signal's handler
                self._interrupt()
            else:
                self._settle()
        finally:
            self._turn.release()

    def __enter__(self) -> Self:
        """The stream itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


class AsyncStream(_StreamBase[ChunkT]):
    """`Stream`, async: `async for`, `async with`, `aclose`. It belongs to the event loop that it was made in."""

    def __init__(self, flow: Flow, first: list[ChunkT], call: Call, orphans: Orphans, place: str) -> None:
        super().__init__(flow, first, call, orphans, place)
        self._idle: asyncio.Event | None = None

    def __aiter__(self) -> AsyncIterator[ChunkT]:
        """The stream itself."""
        return self

    async def __anext__(self) -> ChunkT:
        """The next chunk."""
        for chunk in self._batch:
            return chunk
        while (flow := self._flow) is not None and not self.leaving:
            if self._reading:
                self._refuse()
            self._reading = True
            try:
                item = await aadvance(flow, None, self)
                if item.__class__ is not list:
                    self._ended(item)
                    break
                self._batch = iter(item)
                if self.leaving:
                    await self._settle()
                    break
            except Left:
                self._over()
                break
            except BaseException:
                self._over()
                raise
            finally:
                self._reading = False
                if self._idle is not None:
                    self._idle.set()
            for chunk in self._batch:
                return chunk
        raise StopAsyncIteration

    async def _settle(self) -> None:
        if (work := self._leave()) is not None:
            self.response = await asettle(*work)

    async def aclose(self) -> None:
        """Leave the stream: every layer settles, `response` is what had arrived. Idempotent.

        While another task reads: its reading ends, it settles, and this waits for that, at most `SETTLE_SECONDS`.
        """
        self.leaving = True
        if not self._reading:
            await self._settle()
            return
        self._idle = self._idle or asyncio.Event()
        self._interrupt()
        with contextlib.suppress(TimeoutError):  # the reader is in a layer's own work, and settles when it comes back
            async with asyncio.timeout(SETTLE_SECONDS):
                await self._idle.wait()

    close = aclose

    async def __aenter__(self) -> Self:
        """The stream itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()
