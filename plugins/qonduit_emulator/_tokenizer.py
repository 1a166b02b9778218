"""The native tokenizer: the tokens that this server counts, with ids that it made up.

Source: shape from captured traffic, 2024-02-29.
"""

from __future__ import annotations

from dataclasses import dataclass

from qonduit_emulator import _tokens
from qonduit_emulator._models import Model, ModelKind
from qonduit_emulator._native import NativeWire
from qonduit_emulator._wire import dump

_WIRE = NativeWire("multimodal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenizer:
    """`POST …/tokenizer`."""

    model: str
    tokens: tuple[str, ...]
    kind: ModelKind = "chat"

    @property
    def input_tokens(self) -> int:
        """The tokens of the texts alone, without what a conversation adds."""
        return len(self.tokens)

    def check(self, model: Model) -> None:
        """Every chat model has it."""

    def answer(self, model: Model, request_id: str) -> bytes:
        """The tokens with their ids."""
        token_ids = [_tokens.token_id(token) for token in self.tokens]
        output = {"token_ids": token_ids, "tokens": self.tokens}
        return dump({"output": output, "usage": {"input_tokens": len(self.tokens)}, "request_id": request_id})


def parse_tokenizer(body: bytes) -> Tokenizer:
    """Read what a generation reads: a prompt, or messages as either path has them. Raises `Refusal`."""
    request = _WIRE.parse(body, {})
    return Tokenizer(
        model=request.model,
        tokens=tuple(token for message in request.messages for token in _tokens.split(message.text)),
    )
