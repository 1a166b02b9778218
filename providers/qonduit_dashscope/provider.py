"""The provider `dashscope`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from qonduit import hookimpl
from qonduit.provider import Capabilities, ProviderInfo
from qonduit_model_studio.hosts import FEATURES, PARAMETERS, PARTS, provider_info
from qonduit_model_studio.options import ModelStudioOptions

if TYPE_CHECKING:
    from qonduit.profile import Profile
    from qonduit_dashscope.builder import NativeBuilder
    from qonduit_dashscope.normalizer import NativeNormalizer

CAPABILITIES = Capabilities(
    operations=frozenset({"chat", "embeddings", "rerank", "models", "count_tokens"}),
    parameters=PARAMETERS,
    parts=PARTS,
    features=FEATURES | {"search_results"},
)


class DashScopeProvider:
    """Qwen by the native API. `options` are those of the profile."""

    Options = ModelStudioOptions
    info: ClassVar[ProviderInfo] = provider_info(
        "/api/v1", r"^https?://([^/]+\.)?aliyuncs\.com(:\d+)?/api/v1", CAPABILITIES
    )

    def __init__(self, options: ModelStudioOptions | None = None) -> None:
        self._options = options or ModelStudioOptions()
        self._learned: dict[str, str] = {}

    @hookimpl
    def qonduit_request_builder(self, profile: Profile) -> NativeBuilder:
        from qonduit_dashscope.builder import NativeBuilder  # noqa: PLC0415  # asked for its info, it loads no codec
        from qonduit_dashscope.paths import Paths  # noqa: PLC0415

        return NativeBuilder(profile, self._options, Paths(profile.models, self._learned))

    @hookimpl
    def qonduit_response_normalizer(self, profile: Profile) -> NativeNormalizer:
        from qonduit_dashscope.normalizer import NativeNormalizer  # noqa: PLC0415
        from qonduit_dashscope.paths import Paths  # noqa: PLC0415

        return NativeNormalizer(profile, Paths(profile.models, self._learned))
