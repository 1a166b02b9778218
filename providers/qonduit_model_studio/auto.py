"""The provider `auto`: compatible mode, and the native API for what only that can do."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from qonduit.provider import Capabilities, ProviderInfo
from qonduit_model_studio.hosts import provider_info


class AutoProvider:
    """A choice between the two ways to Qwen: no codec of its own, the core asks each what it can say.

    A base URL is given without a path, or with the path of either. Compatible mode is first, because gateways, proxies
    and recorded traffic know it; search results, for one, are the native API's alone.
    """

    info: ClassVar[ProviderInfo] = replace(provider_info("", None, Capabilities()), routes=("qwen", "dashscope"))
