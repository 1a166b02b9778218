"""Stream and AsyncStream: the chunks of an answer as they come, and the whole answer at the end."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

from qonduit._orphans import Orphans
from qonduit.chunk import ChatChunk
from qonduit.effects import Flow, Left, aadvance, advance, asettle, settle
from qonduit.response import ChatResponse

ChunkT = TypeVar("ChunkT", bound=ChatChunk)


class _StreamBase(Generic[ChunkT]):
    """A committed flow: its first chunks are here, the rest comes when asked for."""

    def __init__(self, flow: Flow, first: list[ChunkT], orphans: Orphans, place: str) -> None:
        self._flow: Flow | None = flow
        self._batch = iter(first)
        self._orphans = orphans
        self._place = place
        self._reading = False
        self.response: ChatResponse | None = None
        """The whole answer, as the outermost middleware returned it; None until the stream has ended."""

    def _ended(self, response: ChatResponse) -> None:
        self.response = response
        self._flow = None
        self._batch = iter(())

    def _keep(self, response: ChatResponse | None) -> None:
        """What had arrived when the reading was cancelled."""
        self.response = response

    def _failed(self) -> None:
        self._flow = None
        self._batch = iter(())

    def _begin(self) -> Flow | None:
        """The flow, for one reader at a time: two of them would take each other's bytes."""
        if self._reading:
            raise RuntimeError("This stream is being read already: one task or thread may read it at a time.")
        self._reading = self._flow is not None
        return self._flow

    def _leave(self) -> tuple[Flow, Left] | None:
        """What is to be settled, once."""
        flow, self._flow = self._flow, None
        if flow is None:
            return None
        left = Left(drained=next(self._batch, None) is None)
        self._batch = iter(())
        return flow, left

    def __del__(self) -> None:
        """Hand an unclosed stream over: collecting garbage cannot do I/O."""
        flow, self._flow = getattr(self, "_flow", None), None
        if flow is not None:
            self._orphans.add(flow)
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

    Raises while iterating: StreamInterruptedError, or the provider's typed error, with the partial `response`.
    """

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
        if (flow := self._begin()) is None:
            return False
        try:
            item = advance(flow, settled=self._keep)
        except BaseException as error:
            if self._flow is not flow and isinstance(error, Exception):
                return False  # closed meanwhile, which ended it
            self._failed()
            raise
        finally:
            self._reading = False
        if self._flow is not flow:
            return False
        if item.__class__ is not list:
            self._ended(item)
            return False
        self._batch = iter(item)
        return True

    def close(self) -> None:
        """Leave the stream: every layer settles, `response` is what had arrived. Idempotent."""
        if (work := self._leave()) is not None:
            self.response = settle(*work)

    def __enter__(self) -> Self:
        """The stream itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


class AsyncStream(_StreamBase[ChunkT]):
    """`Stream`, async: `async for`, `async with`, `aclose`."""

    def __aiter__(self) -> AsyncIterator[ChunkT]:
        """The stream itself."""
        return self

    async def __anext__(self) -> ChunkT:
        """The next chunk."""
        for chunk in self._batch:
            return chunk
        while (flow := self._begin()) is not None:
            try:
                item = await aadvance(flow, settled=self._keep)
            except BaseException as error:
                if self._flow is not flow and isinstance(error, Exception):
                    break  # closed meanwhile, which ended it
                self._failed()
                raise
            finally:
                self._reading = False
            if self._flow is not flow:
                break
            if item.__class__ is not list:
                self._ended(item)
                break
            self._batch = iter(item)
            for chunk in self._batch:
                return chunk
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Leave the stream: every layer settles, `response` is what had arrived. Idempotent."""
        if (work := self._leave()) is not None:
            self.response = await asettle(*work)

    close = aclose

    async def __aenter__(self) -> Self:
        """The stream itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()
