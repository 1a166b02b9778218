"""The provider `openai`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from qonduit import hookimpl
from qonduit.provider import Capabilities, ProviderInfo

if TYPE_CHECKING:
    from qonduit.profile import Profile
    from qonduit_openai_compatible import CompatibleBuilder, CompatibleNormalizer

PARAMETERS = frozenset(
    {
        "model",
        "messages",
        "stream",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "seed",
        "n",
        "logprobs",
        "top_logprobs",
        "presence_penalty",
        "frequency_penalty",
        "reasoning",
        "stream_options",
        "user",
    }
)


class OpenAIProvider:
    """OpenAI's API, and every server with its wire: set `base_url`."""

    info: ClassVar[ProviderInfo] = ProviderInfo(
        key_variables=("OPENAI_API_KEY",),
        key_page="https://platform.openai.com/api-keys",
        hosts=("api.openai.com",),
        base_urls={"": "https://api.openai.com/v1"},
        path="/v1",
        fallback=True,
        models="qonduit_openai",
        capabilities=Capabilities(
            operations=frozenset({"chat", "embeddings", "models"}),
            parameters=PARAMETERS,
            parts=frozenset({"text", "image_url", "input_audio"}),
            features=frozenset(
                {"stream", "usage", "reasoning_effort", "reasoning_switch", "json_object", "json_schema"}
            ),
        ),
    )

    @hookimpl
    def qonduit_request_builder(self, profile: Profile) -> CompatibleBuilder:
        from qonduit_openai._dialect import OpenAIDialect  # noqa: PLC0415  # asked for its info, it loads no codec
        from qonduit_openai_compatible import CompatibleBuilder  # noqa: PLC0415

        return CompatibleBuilder(profile, OpenAIDialect(own_host=self.info.owns(profile.base_url)))

    @hookimpl
    def qonduit_response_normalizer(self, profile: Profile) -> CompatibleNormalizer:
        from qonduit_openai._dialect import ERRORS, OpenAIDialect  # noqa: PLC0415
        from qonduit_openai_compatible import CompatibleNormalizer  # noqa: PLC0415

        return CompatibleNormalizer("openai", OpenAIDialect(own_host=self.info.owns(profile.base_url)), ERRORS)
