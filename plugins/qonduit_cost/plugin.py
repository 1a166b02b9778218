"""The plugin `cost`: puts the cost on every answer, plain and streamed."""

from __future__ import annotations

from decimal import Decimal

from qonduit import Call, ChatResponse, Cost, Middleware, Profile, Response, hookimpl, middleware
from qonduit.middlewares import MiddlewareFlow
from qonduit_cost.prices import cost_of, find


class CostPlugin:
    """Reads usage and prices; never guesses: without a price the amount is None and the reason is said."""

    @hookimpl
    def qonduit_middleware(self, profile: Profile) -> Middleware:
        return middleware("cost", wraps=("cache",), on_error="ignore")(priced)


def priced(call: Call) -> MiddlewareFlow:
    """Annotate the answer with its cost."""
    response: Response = yield call.request
    return response.replace(cost=cost(response, call.profile))


def cost(response: Response, profile: Profile) -> Cost:
    """The cost of an answer. One from a cache costs nothing."""
    usage = response.usage
    if not isinstance(response, ChatResponse):
        return Cost(reason="only chat has prices here")
    if usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return Cost(reason="the provider reported no usage")
    if profile.region is None:
        return Cost(reason=f"no prices of provider '{profile.provider}' are known")
    price = find(response.model or "", profile.region, usage.input_tokens)
    if isinstance(price, str):
        return Cost(reason=price)
    if response.cached:
        return Cost(amount=Decimal(0), currency=price.currency, provenance="exact", reason="answered from the cache")
    return cost_of(price, usage, complete=response.complete)
