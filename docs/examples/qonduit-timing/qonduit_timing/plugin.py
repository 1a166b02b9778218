"""The plugin `timing`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from qonduit import Call, ChatResponse, Middleware, Profile, hookimpl, middleware
from qonduit.middlewares import MiddlewareFlow


class TimingOptions(BaseModel):
    """`[profiles.NAME.plugin.timing]`."""

    model_config = ConfigDict(extra="forbid")

    at_least: Annotated[float, Field(ge=0)] = 0.0
    """Seconds; faster calls are not logged."""


class TimingPlugin:
    """Logs how long each call took."""

    Options = TimingOptions

    def __init__(self, options: TimingOptions) -> None:
        self._at_least = options.at_least

    @hookimpl
    def qonduit_middleware(self, profile: Profile) -> Middleware:
        return middleware(name="timing", on_error="ignore")(self.timing)

    def timing(self, call: Call) -> MiddlewareFlow:
        started = call.clock()
        response: ChatResponse = yield call.request
        seconds = call.clock() - started
        if seconds >= self._at_least:
            call.log("answered", seconds=seconds)
        return response
