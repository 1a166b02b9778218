"""Parameters: `-o key=value`, and the prompt."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from qonduit_cli.failures import UsageError

RESERVED = {
    "messages": "give the prompt as the argument and --system",
    "stream": "use --stream or --no-stream",
    "model": "use --model",
}
"""Parameters that have a place of their own."""


def parse_parameters(pairs: Sequence[str]) -> dict[str, Any]:
    """The parameters of `key=value` pairs; a value is JSON, or else text. Raises: UsageError."""
    parameters: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or not name:
            raise UsageError(f"-o {pair}: expected KEY=VALUE, e.g. -o temperature=0.2.")
        if name in RESERVED:
            raise UsageError(f"-o {name}: {RESERVED[name]}.")
        parameters[name] = parse_value(text)
    return parameters


def parse_value(text: str) -> Any:
    """`text` as JSON, else as it is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def read_prompt(argument: str | None) -> str:
    """The argument, or standard input when that is "-" or missing. Raises: UsageError."""
    if argument is not None and argument != "-":
        prompt = argument
    elif argument is None and (sys.stdin is None or sys.stdin.isatty()):
        raise UsageError('There is no prompt. Give it as the argument: qonduit chat "…", or by a pipe.')
    else:
        try:
            prompt = sys.stdin.buffer.read().decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError:
            raise UsageError("Standard input is not UTF-8 text.") from None
    if not prompt.strip():
        raise UsageError("The prompt is empty.")
    return prompt
