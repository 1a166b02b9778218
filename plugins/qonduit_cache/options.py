"""Options: `[profiles.NAME.plugin.cache]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Mode: TypeAlias = Literal["on", "off", "read_only", "write_only", "refresh"]
"""What the cache does for a call.

"on" reads and keeps. "off" does neither. "read_only" reads and keeps nothing. "write_only" keeps and reads nothing:
each call is answered by the provider. "refresh" asks the provider anew and replaces what was kept; where the new answer
is none to be kept, the old one goes. Identical plain calls at the same time share one upstream call in "on",
"read_only" and "refresh".
"""

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class CacheOptions(BaseModel):
    """`[profiles.NAME.plugin.cache]`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    store: Literal["memory", "sqlite", "redis"] = "memory"
    """Where answers are kept."""
    path: Path | None = None
    """The file of the store "sqlite"; by default `cache.sqlite` in the user's cache folder."""
    url: SecretStr | None = None
    """The server of the store "redis", `redis://…` or `rediss://…`, or a reference: `env:NAME`, `file:PATH`."""
    prefix: Annotated[str, Field(min_length=1)] = "qonduit:cache:"
    """What the keys of the store "redis" begin with."""
    mode: Mode = "on"
    """What the cache does: `on`, `off`, `read_only`, `write_only`, `refresh`."""
    ttl: Seconds = 3600.0
    """Seconds that an answer is kept."""
    max_age: Seconds | None = None
    """Answers older than so many seconds are not given, though they are kept."""
    max_entries: Annotated[int, Field(ge=1)] = 10_000
    """Answers that are kept, in memory or in a file; then the least recently used goes, of a file the oldest."""
    max_bytes: Annotated[int, Field(ge=1024)] = 64 * 1024 * 1024
    """Bytes that are kept, likewise."""
    max_temperature: Annotated[float, Field(ge=0)] = 1.0
    """Calls with a higher temperature want another answer each time: nothing is read or kept for them."""
    namespace: str | None = None
    """Calls of one namespace share answers; by default the calls of one API key do."""
    secret: SecretStr | None = None
    """A text, or a reference to one, that goes into keys and seals entries, so that who can write to the store cannot
    make up answers."""
    timeout: Seconds = 0.25
    """Seconds that one access to the store may take; then the call goes on without it."""
    keep_raw: bool = False
    """Whether the provider's own JSON is kept too, so that `response.raw` is there on a hit; a stream's is long."""
