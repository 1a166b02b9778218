"""The provider `qwen`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from qonduit import hookimpl
from qonduit.provider import ProviderInfo

if TYPE_CHECKING:
    from qonduit.profile import Profile
    from qonduit_openai_compatible import CompatibleBuilder, CompatibleNormalizer

PATH = "/compatible-mode/v1"


class QwenProvider:
    """Qwen in OpenAI-compatible mode.

    Hosts. Source: https://help.aliyun.com/zh/model-studio/regions (2026-05-26).
    """

    info: ClassVar[ProviderInfo] = ProviderInfo(
        key_variables=("DASHSCOPE_API_KEY",),
        key_page="https://bailian.console.aliyun.com/?tab=model#/api-key",
        hosts=(".aliyuncs.com",),
        base_urls={
            "cn-beijing": f"https://dashscope.aliyuncs.com{PATH}",
            "ap-southeast-1": f"https://dashscope-intl.aliyuncs.com{PATH}",
            "us-east-1": f"https://dashscope-us.aliyuncs.com{PATH}",
            "cn-hongkong": f"https://cn-hongkong.dashscope.aliyuncs.com{PATH}",
            "finance": f"https://dashscope-finance.aliyuncs.com{PATH}",
        },
        default_region="cn-beijing",
        workspace_url="https://{workspace}.{region}.maas.aliyuncs.com" + PATH,
        url_pattern="/compatible-mode/",
        mistaken_hosts={"dashscope.aliyun.com": "dashscope.aliyuncs.com"},
    )

    @hookimpl
    def qonduit_request_builder(self, profile: Profile) -> CompatibleBuilder:
        from qonduit_openai_compatible import CompatibleBuilder  # noqa: PLC0415  # asked for its info, it loads no codec
        from qonduit_qwen._dialect import DIALECT  # noqa: PLC0415

        return CompatibleBuilder(profile, DIALECT)

    @hookimpl
    def qonduit_response_normalizer(self, profile: Profile) -> CompatibleNormalizer:
        from qonduit_openai_compatible import CompatibleNormalizer  # noqa: PLC0415
        from qonduit_qwen._dialect import DIALECT, ERRORS, special  # noqa: PLC0415

        return CompatibleNormalizer("qwen", DIALECT, ERRORS, unsupported=profile.unsupported, special=special)
