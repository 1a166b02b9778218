"""The page docs/reference/differences.md, made of the table: `python -m tests.equivalence.page` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.equivalence.cases import CASES
from tests.equivalence.differences import DIFFERENCES, Difference
from tests.equivalence.outcomes import ABSENT

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "differences.md"
_HEAD = """# Declared differences

The providers `openai`, `qwen` and `dashscope` give equal results, but for what stands here. The suite
`tests/equivalence` asks {cases} cases of each provider against the emulator, sync and async, plain and streamed, and
compares the answer, the usage, the pieces of the stream, the error and what was sent. A difference that is not in this
table fails, and so does a row that does not occur.

Everything is compared with `qwen` in the same mode; a stream of `qwen` is compared with its plain answer. Sync and
async never differ. The fields `sent.…` are what the server received, `stream.…` are the pieces of a stream.

This page is made of the suite's table: `python -m tests.equivalence.page`.

| cases | provider | mode | what stands there | why |
|---|---|---|---|---|
"""


def text() -> str:
    """The page."""
    return _HEAD.format(cases=len(CASES)) + "".join(map(_line, DIFFERENCES))


def _line(row: Difference) -> str:
    cases = ", ".join(name if " " in name else f"`{name}`" for name in row.cases)
    providers = ", ".join(f"`{name}`" for name in row.providers)
    mode = {None: "all", True: "streamed", False: "plain"}[row.streamed]
    fields = "<br>".join(f"`{name}`: {_shown(value)}" for name, value in row.fields.items())
    return f"| {cases} | {providers} | {mode} | {fields} | {row.why} |\n"


def _shown(value: Any) -> str:
    if value is ABSENT or type(value).__name__ == "Other":
        return "nothing" if value is ABSENT else repr(value)
    return f"`{value!r}`".replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
