"""The hooks. Called when a client is built, once a route; what they give is what calls then flow through.

Nothing of pluggy stands in the path of a call. A plugin implements the hooks it needs, marked `@hookimpl`; it may leave
out arguments that it does not use. Where the first result wins, plugins come before the provider and the provider
before the defaults, and of plugins the first that the profile names. pluggy's `wrapper=True` decorates a part.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from qonduit.credentials import Credentials
    from qonduit.middlewares import Middleware
    from qonduit.parts import Auth, RequestBuilder, ResponseNormalizer, RetryPolicy, Transport
    from qonduit.profile import Profile

hookspec = pluggy.HookspecMarker("qonduit")
hookimpl = pluggy.HookimplMarker("qonduit")


@hookspec(firstresult=True)
def qonduit_auth(profile: Profile, credentials: Credentials) -> Auth | None:
    """Give what puts credentials on requests. First result wins; the default sends the key as a bearer token.

    @hookimpl
    def qonduit_auth(self, profile, credentials):
        return ApiKeyHeader(credentials)      # flow(wire): yields wire.with_headers({"api-key": …})
    """


@hookspec(firstresult=True)
def qonduit_request_builder(profile: Profile) -> RequestBuilder | None:
    """Give what turns requests into wire requests. First result wins; every provider gives one.

    @hookimpl
    def qonduit_request_builder(self, profile):
        return MyBuilder(profile.base_url)    # build(request) -> WireRequest
    """


@hookspec(firstresult=True)
def qonduit_transport(profile: Profile) -> Transport | None:
    """Give what carries wire requests. First result wins; the default is httpx. A wrapper may decorate it:

    @hookimpl(wrapper=True)
    def qonduit_transport(self, profile):
        transport = yield
        return FaultInjecting(transport)
    """


@hookspec(firstresult=True)
def qonduit_response_normalizer(profile: Profile) -> ResponseNormalizer | None:
    """Give what turns wire answers into responses, chunks and errors. First result wins; every provider gives one.

    @hookimpl
    def qonduit_response_normalizer(self, profile):
        return MyNormalizer()                 # normalize(…), decoder(…), error(…)
    """


@hookspec(firstresult=True)
def qonduit_retry_policy(profile: Profile) -> RetryPolicy | None:
    """Give what decides on retries. First result wins; the default waits 1, 2, 4, … seconds and a random part.

    @hookimpl
    def qonduit_retry_policy(self, profile):
        return Never()                        # delay(error, attempt) -> seconds or None
    """


@hookspec
def qonduit_middleware(profile: Profile) -> Middleware | Iterable[Middleware] | None:
    """Give one middleware or several, outermost first. All results count, in the order in which the profile names
    the plugins, then sorted by `wraps` and `wrapped_by`.

        @hookimpl
        def qonduit_middleware(self, profile):
            return middleware(name="timing")(self.timing)
    """
