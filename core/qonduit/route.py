"""Route: a provider's parts and the profile they were built for; what one attempt flows through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qonduit.retry import RetryBudget

if TYPE_CHECKING:
    from qonduit.parts import Auth, RequestBuilder, ResponseNormalizer, RetryPolicy, Transport
    from qonduit.profile import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The parts of one provider. Each comes from a hook; the first plugin that gave one wins."""

    profile: Profile
    auth: Auth
    request_builder: RequestBuilder
    transport: Transport
    response_normalizer: ResponseNormalizer
    retry_policy: RetryPolicy
    retry_budget: RetryBudget = field(default_factory=RetryBudget)
