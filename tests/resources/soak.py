"""Many calls, a fifth of which fail in one of five ways, and what they leave behind:

    python -m tests.resources.soak                 # 20,000 calls: some 15 seconds
    python -m tests.resources.soak --calls 100000

Half of the calls are made by threads on one Client, half by tasks on one AsyncClient; every second one is streamed. The
first fifth warms up. Reads /proc, so it runs on Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import gc
import itertools
import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from tests.resources.echo import EchoProcess
from tests.transport.driving import arguments

from qonduit import AsyncClient, Client, QonduitError

THREADS = 8
TASKS = 32
MEBIBYTE = 1 << 20
LIMIT = 5.0
"""MiB that resident memory may grow after the warm-up."""
EXPECTED = {
    "hello": {"answer"},
    "reset": {"APIConnectionError"},
    "refuse": {"InternalServerError"},
    "cut": {"APIConnectionError", "StreamInterruptedError"},
    "malformed": {"ProtocolError", "StreamInterruptedError"},
    "hang": {"APITimeoutError"},
}
FAULTS = [name for name in EXPECTED if name != "hello"]


@dataclass
class Figures:
    """What a run found. `growth` is of resident memory after the warm-up, in MiB."""

    calls: int
    seconds: float
    outcomes: collections.Counter[tuple[str, str]]
    growth: float
    descriptors: tuple[int, int]
    threads: tuple[int, int]
    tasks: int

    @property
    def unexpected(self) -> dict[tuple[str, str], int]:
        """Outcomes that a call of its kind must not have."""
        return {found: count for found, count in self.outcomes.items() if found[1] not in EXPECTED[found[0]]}

    @property
    def passed(self) -> bool:
        """Whether nothing was left behind."""
        flat = self.growth <= LIMIT and self.descriptors[0] == self.descriptors[1]
        return flat and self.threads[0] == self.threads[1] and not self.tasks and not self.unexpected


def prompt_of(number: int) -> str:
    """Every fifth call fails, in turn in each way. A thousand texts: the JSON parser keeps up to 16,384 strings."""
    return f"hello {number % 1000}" if number % 5 else f"{FAULTS[number // 5 % len(FAULTS)]} {number % 1000}"


def run(calls: int) -> Figures:
    """Make `calls` calls."""
    with EchoProcess() as url:
        _half(url, [range(200)], [range(200)], collections.Counter())  # whatever is made once is made
        descriptors, threads = _descriptors(), threading.active_count()
        outcomes: collections.Counter[tuple[str, str]] = collections.Counter()
        sizes: list[int] = []
        started = time.monotonic()
        warm = calls // 10
        tasks = _half(
            url,
            [range(warm), range(warm, calls // 2)],
            [range(calls // 2, calls // 2 + warm), range(calls // 2 + warm, calls)],
            outcomes,
            sizes,
        )
        seconds = time.monotonic() - started
        gc.collect()
        growth = (sizes[1] - sizes[0] + sizes[3] - sizes[2]) / MEBIBYTE
        after = _descriptors(), threading.active_count()
    return Figures(calls, seconds, outcomes, growth, (descriptors, after[0]), (threads, after[1]), tasks)


def _half(
    url: str,
    sync_parts: list[range],
    async_parts: list[range],
    outcomes: collections.Counter[tuple[str, str]],
    sizes: list[int] | None = None,
) -> int:
    """Both halves, noting the resident memory after each part; the tasks left in the loop."""
    with Client(**arguments(url)) as client:
        for part in sync_parts:
            _by_threads(client, part, outcomes)
            _measure(sizes)

    async def main() -> int:
        async with AsyncClient(**arguments(url)) as client:
            for part in async_parts:
                await _by_tasks(client, part, outcomes)
                _measure(sizes)
        return len(asyncio.all_tasks()) - 1

    return asyncio.run(main())


def _by_threads(client: Client, numbers: range, outcomes: collections.Counter[tuple[str, str]]) -> None:
    source = iter(numbers)
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = next(source, None)
            if number is None:
                return
            prompt = prompt_of(number)
            try:
                outcome = "answer" if _said(client, prompt, number) == prompt else "a wrong answer"
            except QonduitError as error:
                outcome = type(error).__name__
            with lock:
                outcomes[prompt.split()[0], outcome] += 1

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _said(client: Client, prompt: str, number: int) -> str:
    create = client.chat.completions.create
    if number % 2:
        return create(**_asking(prompt)).text
    with create(**_asking(prompt), stream=True) as stream:
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


async def _by_tasks(client: AsyncClient, numbers: range, outcomes: collections.Counter[tuple[str, str]]) -> None:
    source = iter(numbers)

    async def work() -> None:
        for number in source:
            prompt = prompt_of(number)
            try:
                said = await _asaid(client, prompt, number)
                outcomes[prompt.split()[0], "answer" if said == prompt else "a wrong answer"] += 1
            except QonduitError as error:
                outcomes[prompt.split()[0], type(error).__name__] += 1

    await asyncio.gather(*itertools.starmap(work, itertools.repeat((), TASKS)))


async def _asaid(client: AsyncClient, prompt: str, number: int) -> str:
    create = client.chat.completions.create
    if number % 2:
        return (await create(**_asking(prompt))).text
    async with await create(**_asking(prompt), stream=True) as stream:
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


def _asking(prompt: str) -> dict[str, Any]:
    timeout = 0.02 if prompt.startswith("hang") else 10.0
    return {"messages": [{"role": "user", "content": prompt}], "timeout": timeout}


def _measure(sizes: list[int] | None) -> None:
    if sizes is not None:
        gc.collect()
        with open("/proc/self/statm", encoding="ascii") as file:
            sizes.append(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))


def _descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000)
    figures = run(parser.parse_args().calls)
    print(f"{figures.calls} calls in {figures.seconds:.1f} s ({figures.calls / figures.seconds:.0f} a second)")
    for (kind, outcome), count in sorted(figures.outcomes.items()):
        print(f"  {kind:10} {outcome:24} {count:7}")
    print(f"resident memory after the warm-up: {figures.growth:+.2f} MiB (at most {LIMIT:+.2f})")
    print(f"descriptors before and after:      {figures.descriptors[0]}, {figures.descriptors[1]}")
    print(f"threads before and after:          {figures.threads[0]}, {figures.threads[1]}")
    print(f"tasks left:                        {figures.tasks}")
    print("passed" if figures.passed else f"FAILED {figures.unexpected}")
    return 0 if figures.passed else 1


if __name__ == "__main__":
    sys.exit(main())
