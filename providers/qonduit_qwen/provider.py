"""The provider `qwen`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from qonduit import hookimpl
from qonduit.provider import Capabilities, ProviderInfo
from qonduit_model_studio.hosts import FEATURES, PARAMETERS, PARTS, provider_info
from qonduit_model_studio.options import ModelStudioOptions

if TYPE_CHECKING:
    from qonduit.profile import Profile
    from qonduit_openai_compatible import CompatibleBuilder, CompatibleNormalizer

PATH = "/compatible-mode/v1"


class QwenProvider:
    """Qwen in OpenAI-compatible mode. `options` are those of the profile."""

    Options = ModelStudioOptions
    info: ClassVar[ProviderInfo] = provider_info(
        PATH,
        "/compatible-mode/",
        Capabilities(
            operations=frozenset({"chat", "embeddings", "rerank", "models", "count_tokens"}),
            parameters=PARAMETERS,
            parts=PARTS,
            features=FEATURES,
        ),
    )

    def __init__(self, options: ModelStudioOptions | None = None) -> None:
        self._options = options or ModelStudioOptions()

    @hookimpl
    def qonduit_request_builder(self, profile: Profile) -> CompatibleBuilder:
        from qonduit_openai_compatible import CompatibleBuilder  # noqa: PLC0415  # asked for its info, it loads no codec
        from qonduit_qwen._dialect import QwenDialect  # noqa: PLC0415

        return CompatibleBuilder(profile, QwenDialect(self._options))

    @hookimpl
    def qonduit_response_normalizer(self, profile: Profile) -> CompatibleNormalizer:
        from qonduit_model_studio.errors import ERRORS, special  # noqa: PLC0415
        from qonduit_openai_compatible import CompatibleNormalizer  # noqa: PLC0415
        from qonduit_qwen._dialect import QwenDialect  # noqa: PLC0415

        return CompatibleNormalizer("qwen", QwenDialect(self._options), ERRORS, special=special)
