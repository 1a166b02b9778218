"""The page docs/reference/differences.md, made of the tables: `python -m tests.equivalence.page` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.equivalence.cases import CASES
from tests.equivalence.difference import OTHER, Difference
from tests.equivalence.differences import GROUPS
from tests.equivalence.differences_operations import OPERATION_GROUPS
from tests.equivalence.operations import OPERATIONS
from tests.equivalence.outcomes import ABSENT

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "differences.md"
_HEAD = """# Declared differences

The providers `openai`, `qwen` and `dashscope` give equal results, but for what stands here. The suite
`tests/equivalence` asks {chat} cases of chat of each provider against the emulator, sync and async, plain and streamed,
and {operations} cases of the other operations, sync and async. It compares the answer, the usage, the pieces of the
stream, the error and what was sent. A difference that is not in these tables fails, and so does a row that does not
occur.

Everything is compared with `qwen` in the same mode; a stream of `qwen` is compared with its plain answer. Sync and
async never differ. The fields `sent.…` are what the server received, `stream.…` are the pieces of a stream. A `*` in a
name stands for any letters. The models are Qwen's: what `openai` does not know of them is most of what is told here.

This page is made of the suite's tables: `python -m tests.equivalence.page`.
"""
_OPERATIONS = """
## Other operations

`openai` has embeddings and model lists; it refuses rerank and token counts before they are sent. Everything that is not
told below is equal: the vectors, the ranks and their scores, the names of the models and their order, the tokens and
their ids, the usage and the errors.
"""
_TABLE = """
{level} {heading}

| cases | provider | mode | what stands there | why |
|---|---|---|---|---|
"""
_MODES = {None: "all", True: "streamed", False: "plain"}


def text() -> str:
    """The page."""
    head = _HEAD.format(chat=len(CASES), operations=sum(map(len, OPERATIONS.values())))
    chat = "".join(_table("##", heading, rows) for heading, rows in GROUPS.items())
    others = "".join(_table("###", heading, rows) for heading, rows in OPERATION_GROUPS.items())
    return head + chat + _OPERATIONS + others


def _table(level: str, heading: str, rows: tuple[Difference, ...]) -> str:
    return _TABLE.format(level=level, heading=heading) + "".join(map(_line, rows))


def _line(row: Difference) -> str:
    cases = _names(row.cases) + (f", but not {_names(row.but)}" if row.but else "")
    fields = "<br>".join(f"`{name}`: {_shown(value)}" for name, value in row.fields.items())
    return f"| {cases} | {_names(row.providers)} | {_MODES[row.streamed]} | {fields} | {row.why} |\n"


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(name if " " in name else f"`{name}`" for name in names)


def _shown(value: Any) -> str:
    if value is OTHER:
        return repr(value)
    return "nothing" if value is ABSENT else f"`{value!r}`".replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
