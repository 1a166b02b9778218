"""Usage: the tokens that a provider counted. What it did not say is None, never 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from qonduit.answer_json import finite
from qonduit.value import Value, trusted

MAX_TOKENS = 1 << 53
Tokens = Annotated[int, Field(strict=True, ge=0, lt=MAX_TOKENS)]


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
    raw: Annotated[Mapping[str, Any], AfterValidator(finite)] | None = Field(default=None, repr=False)

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

    __hash__ = None

    @classmethod
    def total(cls, usages: Iterable[Usage | None]) -> Usage | None:
        """The sum of what several requests of one call used; a count that one of them left out is unknown."""
        known = list(usages)
        if not known or any(usage is None for usage in known):
            return None
        counts = {name: [usage.__dict__[name] for usage in known if usage] for name in _COUNTS}
        sums = {name: sum(values) for name, values in counts.items() if None not in values}
        fields = {name: value for name, value in sums.items() if value < MAX_TOKENS}
        return cls(**fields, raw={"requests": [usage.raw for usage in known if usage]})

    @model_validator(mode="before")
    @classmethod
    def _from_wire(cls, data: Any) -> Any:
        if not isinstance(data, dict) or _is_flat(data):
            return data
        return _flatten(data)


def counted(wire: Any) -> Usage | None:
    """The usage of a wire's usage object; None for an empty one, and for what is no object.

    Raises: NotStrictError where the object holds NaN or an infinity.
    """
    if not isinstance(wire, dict) or not wire:
        return None
    fields = _flatten(finite(wire))
    return trusted(Usage, {**_NOTHING, **fields}, set(fields))


def _is_flat(data: dict[str, Any]) -> bool:
    """Whether `data` has this module's own form; a server may have a field `raw` of its own."""
    return "raw" in data and isinstance(data["raw"], (Mapping, NoneType)) and data.keys() <= _FIELDS


def _flatten(wire: dict[str, Any]) -> dict[str, Any]:
    """The flat fields of a wire's usage object, with the object itself as `raw`. What is no count is left out."""
    fields: dict[str, Any] = {"raw": wire}
    for name, value in wire.items():
        field = _NAMES.get(name)
        if field is not None:
            if _is_count(value):
                fields[field] = value
        elif value.__class__ is dict and name in _DETAILS:
            # A marked cache says so by cache_type; the same counter otherwise means the implicit one.
            marked = value.get("cache_type") == "ephemeral"
            for detail, count in value.items():
                field = _DETAILS[name].get(detail)
                if field is not None and _is_count(count):
                    fields["explicit_cached_tokens" if marked and field == "cached_tokens" else field] = count
    if "total_tokens" not in fields and "input_tokens" in fields and "output_tokens" in fields:
        # Older vision models leave the total out; it is the sum by definition.
        total = fields["input_tokens"] + fields["output_tokens"]
        if total < MAX_TOKENS:
            fields["total_tokens"] = total
    return fields


def _is_count(value: Any) -> bool:
    return value.__class__ is int and 0 <= value < MAX_TOKENS


_FIELDS = frozenset(Usage.model_fields)
_NOTHING: dict[str, Any] = dict.fromkeys(Usage.model_fields)
_COUNTS = tuple(name for name in Usage.model_fields if name != "raw")
_NAMES = {name: name for name in _COUNTS} | {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
}
_READ = {
    "cached_tokens": "cached_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
    "image_tokens": "image_tokens",
    "audio_tokens": "audio_tokens",
    "video_tokens": "video_tokens",
}
_WRITTEN = {"reasoning_tokens": "reasoning_tokens"}
_DETAILS = {
    "prompt_tokens_details": _READ,
    "input_tokens_details": _READ,
    "completion_tokens_details": _WRITTEN,
    "output_tokens_details": _WRITTEN,
}
