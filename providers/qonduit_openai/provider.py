"""The provider `openai`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from qonduit import hookimpl
from qonduit.provider import ProviderInfo

if TYPE_CHECKING:
    from qonduit.profile import Profile
    from qonduit_openai_compatible import CompatibleBuilder, CompatibleNormalizer


class OpenAIProvider:
    """OpenAI's API, and every server with its wire: set `base_url`."""

    info: ClassVar[ProviderInfo] = ProviderInfo(
        key_variables=("OPENAI_API_KEY",),
        key_page="https://platform.openai.com/api-keys",
        hosts=("api.openai.com",),
        base_urls={"": "https://api.openai.com/v1"},
        fallback=True,
    )

    @hookimpl
    def qonduit_request_builder(self, profile: Profile) -> CompatibleBuilder:
        from qonduit_openai._dialect import DIALECT  # noqa: PLC0415  # asked for its info only, it loads no codec
        from qonduit_openai_compatible import CompatibleBuilder  # noqa: PLC0415

        return CompatibleBuilder(profile, DIALECT)

    @hookimpl
    def qonduit_response_normalizer(self, profile: Profile) -> CompatibleNormalizer:
        from qonduit_openai._dialect import DIALECT, ERRORS  # noqa: PLC0415
        from qonduit_openai_compatible import CompatibleNormalizer  # noqa: PLC0415

        return CompatibleNormalizer("openai", DIALECT, ERRORS, unsupported=profile.unsupported)
