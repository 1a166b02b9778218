"""The provider `dashscope`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from qonduit import hookimpl
from qonduit.provider import ProviderInfo

if TYPE_CHECKING:
    from qonduit.profile import Profile
    from qonduit_dashscope.builder import NativeBuilder
    from qonduit_dashscope.normalizer import NativeNormalizer

PATH = "/api/v1"


class DashScopeProvider:
    """Qwen by the native API.

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
        url_pattern=r"^https?://([^/]+\.)?aliyuncs\.com(:\d+)?/api/v1",
        mistaken_hosts={"dashscope.aliyun.com": "dashscope.aliyuncs.com"},
    )

    @hookimpl
    def qonduit_request_builder(self, profile: Profile) -> NativeBuilder:
        from qonduit_dashscope.builder import NativeBuilder  # noqa: PLC0415  # asked for its info, it loads no codec

        return NativeBuilder(profile)

    @hookimpl
    def qonduit_response_normalizer(self, profile: Profile) -> NativeNormalizer:
        from qonduit_dashscope.normalizer import NativeNormalizer  # noqa: PLC0415

        return NativeNormalizer(profile)
