"""Fault: what is done wrong on the wire, in which ways to ask, and what is expected of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.faults.canaries import PIECES
from tests.faults.expectations import Answered, Expected
from tests.servers import Reply
from tests.wires import WIRES, Wire

PROVIDERS = tuple(WIRES)
ONE_OF_EACH_WIRE = ("qwen", "dashscope")
"""For what happens below the codecs, which two providers of one wire share."""
COMPATIBLE = ("openai", "qwen")
NATIVE = ("dashscope",)
MODES = ("sync-plain", "sync-stream", "async-plain", "async-stream")
STREAMED = ("sync-stream", "async-stream")
PLAIN = ("sync-plain", "async-plain")
LIBRARIES = ("httpx", "httptools")
"""The settings of `http_library` that direct connections have a parser each for."""


class Scene(NamedTuple):
    """One way to run a fault: a provider, whose wire it is, and one of the four ways to ask."""

    provider: str
    mode: str

    @property
    def name(self) -> str:
        return f"{self.provider}-{self.mode}"

    @property
    def asynchronous(self) -> bool:
        return self.mode.startswith("async")

    @property
    def streamed(self) -> bool:
        return self.mode.endswith("stream")

    @property
    def wire(self) -> Wire:
        return WIRES[self.provider]

    @property
    def native(self) -> bool:
        return self.wire.native

    def good(self) -> Reply:
        """A good answer, in the form that was asked for."""
        return self.wire.stream_reply(PIECES) if self.streamed else self.wire.plain_reply("".join(PIECES))


def per_wire(value: Any, scene: Scene) -> Any:
    """`value`, or what it is for `scene` where it is a function or a mapping by provider."""
    if isinstance(value, Mapping):
        value = value[scene.provider]
    return value(scene) if callable(value) else value


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        id: what it is called in its family.
        reply: what answers each attempt that fails: a reply, a function from the scene to one, or such by provider.
        expected: what comes of it; or a function from the scene, or by provider.
        failures: the numbers of docs/reference/failures.md that it shows.
        providers, modes: where it applies.
        settings: arguments of the client over those of `tests.faults.running`.
        parameters: arguments of the call.
        place: what is asked; by default a server of plain HTTP. See `tests.faults.places`.
        warm: whether a good call comes first, so that the fault meets a connection that has served.
        goes_on: whether the same client can be asked again afterwards.
        consumer: what reads a stream: see `tests.faults.consuming.CONSUMERS`.
        bounds: small limits in place of the large ones: see `tests.faults.running.BOUNDS`.
    """

    id: str
    reply: Any
    expected: Any = field(default_factory=Answered)
    failures: tuple[int, ...] = ()
    providers: tuple[str, ...] = PROVIDERS
    modes: tuple[str, ...] = MODES
    settings: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    place: Callable[..., AbstractContextManager[Any]] | None = None
    warm: bool = False
    goes_on: bool = True
    consumer: str = "all"
    bounds: bool = False

    def scenes(self) -> list[Scene]:
        """Where it runs."""
        return [Scene(provider, mode) for provider in self.providers for mode in self.modes]

    def replies(self, scene: Scene) -> list[Reply]:
        """What the attempts of its call are answered with, one by one."""
        expected = self.expectation(scene)
        failing = expected.attempts if expected.answers_with_fault else expected.attempts - 1
        replies: list[Reply] = [per_wire(self.reply, scene) for _ in range(failing)]
        return replies

    def expectation(self, scene: Scene) -> Expected:
        """What is expected in `scene`."""
        expected: Expected = per_wire(self.expected, scene)
        return expected


class Case(NamedTuple):
    """A fault in one of its scenes."""

    family: str
    fault: Fault
    scene: Scene

    @property
    def name(self) -> str:
        return f"{self.family}/{self.fault.id}[{self.scene.name}]"

    @property
    def library(self) -> str:
        """The one of `LIBRARIES` that it runs over, unless the run is for one.

        Like the colours of a chessboard: the other one where the provider, the kind of client or the form of the answer
        is the next, so that a fault meets both. The length of its name decides with which one it begins.
        """
        fault, scene = self.fault, self.scene
        number = fault.providers.index(scene.provider) + scene.asynchronous + scene.streamed
        return LIBRARIES[(len(fault.id) + number) % len(LIBRARIES)]


def cases_of(families: Mapping[str, Iterable[Fault]]) -> Sequence[Case]:
    """All faults in all of their scenes."""
    return [
        Case(family, fault, scene)
        for family, faults in families.items()
        for fault in faults
        for scene in fault.scenes()
    ]
