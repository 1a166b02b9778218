"""Faults in the answer itself, whatever the wire: wrong usage, half an answer, a content filter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from qonduit_emulator._backend import Backend
from qonduit_emulator._exchange import ChatRequest, Delta, FinishDelta, Usage
from qonduit_emulator._faults import Fault, FaultName
from qonduit_emulator._refusal_codes import refusal_by_code


def damage_answer(backend: Backend, fault: Fault | None) -> Backend:
    """The backend, spoiled by the fault; the same one when the fault is not of this kind."""
    match fault:
        case Fault(name=FaultName.WRONG_USAGE):
            return _WrongUsage(backend, fault.count)
        case Fault(name=FaultName.CONTENT_FILTER):
            return _Filtered(backend, fault.count)
        case Fault(name=FaultName.PARTIAL_RESPONSE):
            return _Halved(backend)
        case _:
            return backend


class _WrongUsage:
    def __init__(self, backend: Backend, count: int) -> None:
        self._backend = backend
        self._count = count

    async def answer(self, request: ChatRequest) -> AsyncIterator[Delta]:
        async for delta in self._backend.answer(request):
            yield replace(delta, usage=Usage(self._count, self._count))


class _Filtered:
    """The message is the one for what the model wrote. Source: the vendor's error list, 2026-05-25."""

    def __init__(self, backend: Backend, pieces: int) -> None:
        self._backend = backend
        self._pieces = pieces

    async def answer(self, request: ChatRequest) -> AsyncIterator[Delta]:
        passed = 0
        async for delta in self._backend.answer(request):
            if passed == self._pieces or isinstance(delta, FinishDelta):
                break
            passed += 1
            yield delta
        raise refusal_by_code("DataInspectionFailed", "Output data may contain inappropriate content.")


class _Halved:
    """Half of a plain answer. A stream has no such fault, for it shows what it has as it goes.

    Source: https://help.aliyun.com/zh/model-studio/error-code, RequestTimeOut (2026-05-25); which finish reason
    it has is not documented.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def answer(self, request: ChatRequest) -> AsyncIterator[Delta]:
        deltas = [delta async for delta in self._backend.answer(request)]
        if not request.stream:
            pieces = [delta for delta in deltas if not isinstance(delta, FinishDelta)]
            kept = pieces[: len(pieces) // 2]
            usage = kept[-1].usage if kept else deltas[0].usage
            ends = [FinishDelta(delta.choice, "stop", usage) for delta in deltas if isinstance(delta, FinishDelta)]
            deltas = [*kept, *ends]
        for delta in deltas:
            yield delta
