"""Usage: the tokens that a provider counted. What it did not say is None, never 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from qonduit.value import Value

Tokens = Annotated[int, Field(strict=True, ge=0, lt=1 << 53)]


class Usage(Value):
    """Token counts of one call.

    `input_tokens` includes cached, image, audio and video tokens; `output_tokens` includes reasoning. `raw` is the
    provider's own object. `prompt_tokens` and `completion_tokens` are OpenAI's names for the first two. Accepted in
    either vocabulary: the wire's `prompt_tokens_details` and `completion_tokens_details` are read as well.
    """

    model_config = ConfigDict(extra="ignore")

    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    total_tokens: Tokens | None = None
    cached_tokens: Tokens | None = None
    """Input read from the provider's implicit cache."""
    explicit_cached_tokens: Tokens | None = None
    """Input read from a cache that the request had marked (`cache_control`)."""
    cache_write_tokens: Tokens | None = None
    """Input written to a marked cache."""
    reasoning_tokens: Tokens | None = None
    image_tokens: Tokens | None = None
    audio_tokens: Tokens | None = None
    video_tokens: Tokens | None = None
    raw: Mapping[str, Any] | None = Field(default=None, repr=False)

    @property
    def prompt_tokens(self) -> int | None:
        """OpenAI's name of `input_tokens`."""
        return self.input_tokens

    @property
    def completion_tokens(self) -> int | None:
        """OpenAI's name of `output_tokens`."""
        return self.output_tokens

    def __eq__(self, other: object) -> bool:
        """Equal when the counts are; `raw` is each provider's own spelling."""
        if not isinstance(other, Usage):
            return False
        return {**self.__dict__, "raw": None} == {**other.__dict__, "raw": None}

    __hash__ = None  # type: ignore[assignment]

    @model_validator(mode="before")
    @classmethod
    def _from_wire(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "raw" in data:
            return data
        return _flatten(data)


def _flatten(wire: dict[str, Any]) -> dict[str, Any]:
    """The flat fields of a wire's usage object, with the object itself as `raw`."""
    read = wire.get("prompt_tokens_details") or wire.get("input_tokens_details") or {}
    written = wire.get("completion_tokens_details") or wire.get("output_tokens_details") or {}
    fields = {name: wire[name] for name in Usage.model_fields if wire.get(name) is not None}
    for field, name in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens")):
        if fields.get(field) is None and wire.get(name) is not None:
            fields[field] = wire[name]
    if isinstance(read, dict):
        # A marked cache says so by cache_type; the same counter otherwise means the implicit one.
        cached = "explicit_cached_tokens" if read.get("cache_type") == "ephemeral" else "cached_tokens"
        pairs = (
            (cached, "cached_tokens"),
            ("cache_write_tokens", "cache_creation_input_tokens"),
            ("image_tokens", "image_tokens"),
            ("audio_tokens", "audio_tokens"),
            ("video_tokens", "video_tokens"),
        )
        for field, name in pairs:
            if read.get(name) is not None:
                fields[field] = read[name]
    if isinstance(written, dict) and written.get("reasoning_tokens") is not None:
        fields["reasoning_tokens"] = written["reasoning_tokens"]
    if "total_tokens" not in fields and {"input_tokens", "output_tokens"} <= fields.keys():
        # Older vision models leave the total out; it is the sum by definition.
        fields["total_tokens"] = fields["input_tokens"] + fields["output_tokens"]
    fields["raw"] = wire
    return fields
