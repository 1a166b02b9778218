"""Profile: the settings of one route, as plugins see them. It never holds the key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_core import PydanticCustomError

from qonduit.models import ModelTable
from qonduit.request import Unsupported
from qonduit.retry import MAX_RETRIES
from qonduit.value import Value


def _no_boolean(value: Any) -> Any:
    """pydantic takes true for 1: who writes `breaker = true` would get a breaker that one failure opens."""
    if isinstance(value, bool):
        raise PydanticCustomError("boolean_as_number", "expected a number, not true or false")
    return value


Seconds = Annotated[float, BeforeValidator(_no_boolean), Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(_no_boolean)]


class Settings(Value):
    """What a profile's table, the environment and the arguments of a client may set."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = None
    """The model of calls that name none."""
    base_url: str | None = None
    """Where the provider's API answers; overrides `region` and `workspace`."""
    region: str | None = None
    workspace: str | None = None
    organization: str | None = None
    """OpenAI's organization id."""
    timeout: Seconds = 60.0
    """Seconds for one plain attempt; of a stream, for the first event and for every gap between events."""
    connect_timeout: Seconds = 5.0
    """Seconds to open a connection."""
    deadline: Seconds | None = None
    """Seconds for all of a call: attempts, sleeps and the stream; none by default."""
    max_retries: Annotated[Count, Field(ge=0, le=MAX_RETRIES)] = 3
    retry_unknown: bool = True
    """Whether an attempt that may have been billed is made once more; with false it never is."""
    max_connections: Annotated[Count, Field(ge=1)] = 100
    """Connections to one origin at a time; further calls wait for one."""
    trust_env: bool = True
    """Whether HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY count."""
    proxy: SecretStr | None = None
    """A proxy's URL, which may hold a password."""
    breaker: Annotated[Count, Field(ge=1)] | None = None
    """After how many failed calls in a row calls go past this provider, endpoint and key; None for never.

    Of a profile with a `fallback` it serves for each of them. Where there is nothing else to turn to the call is made.
    """
    breaker_seconds: Seconds = 30.0
    """How long calls go past it; then one call at a time tries it again."""
    unsupported: Unsupported = "warn"
    """What to do with a parameter that the provider cannot take."""
    http_library: Literal["auto", "httpx", "httpx2", "httptools"] = "auto"
    """The library under the default transport; "httpx2" and "httptools" need the extra of that name.

    "auto" is httptools where 0.9 or a later version is installed, else httpx, whose httpcore parses in Python. Behind
    a proxy httpx serves, or httpx2.
    """

    def __getstate__(self) -> dict[Any, Any]:
        """Refused where there is a secret: a pickle would hold it."""
        if any(isinstance(value, SecretStr) for value in self.__dict__.values()):
            raise TypeError("Settings with a secret are not pickled: it would be in the pickle. Read them again there.")
        return super().__getstate__()


class Profile(Settings):
    """The resolved settings of one route.

    `options` is the provider's own table, checked by its `Options` model; `plugins` are the names of the active
    plugins, outermost first. `models` is the provider's model table, with the configuration's rows over it.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: str
    provider: str
    base_url: str
    key_id: str = ""
    """A digest of the key, which keeps the callers of different keys apart; the key cannot be had from it."""
    options: Mapping[str, Any] = Field(default_factory=dict)
    plugins: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    """Profiles that serve a call, in order, where this one fails before its first chunk."""
    models: ModelTable = Field(default_factory=ModelTable, repr=False, exclude=True)
