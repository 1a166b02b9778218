"""Hosts of Model Studio, and what its two wires can say alike.

Source: https://help.aliyun.com/zh/model-studio/regions (2026-05-26), and for Tokyo and Frankfurt Alibaba's SDK, 2.0.2.
"""

from __future__ import annotations

from qonduit.provider import Capabilities, ProviderInfo

_HOSTS = {
    "cn-beijing": "dashscope.aliyuncs.com",
    "ap-southeast-1": "dashscope-intl.aliyuncs.com",
    "us-east-1": "dashscope-us.aliyuncs.com",
    "cn-hongkong": "cn-hongkong.dashscope.aliyuncs.com",
    "finance": "dashscope-finance.aliyuncs.com",
}

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
        "top_k",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "seed",
        "n",
        "logprobs",
        "top_logprobs",
        "presence_penalty",
        "repetition_penalty",
        "reasoning",
        "search",
        "stream_options",
    }
)
"""Fields of a `ChatRequest` that reach a model on either wire."""

PARTS = frozenset({"text", "image_url", "video_url", "video", "input_audio"})
FEATURES = frozenset(
    {
        "stream",
        "usage",
        "reasoning_switch",
        "reasoning_budget",
        "reasoning_effort",
        "reasoning_content",
        "partial",
        "cache_control",
        "json_object",
        "json_schema",
    }
)


def provider_info(path: str, url_pattern: str | None, capabilities: Capabilities) -> ProviderInfo:
    """The facts of the provider whose base URLs end with `path`."""
    return ProviderInfo(
        key_variables=("DASHSCOPE_API_KEY",),
        key_page="https://bailian.console.aliyun.com/?tab=model#/api-key",
        hosts=(".aliyuncs.com",),
        base_urls={region: f"https://{host}{path}" for region, host in _HOSTS.items()},
        default_region="cn-beijing",
        path=path,
        workspace_url="https://{workspace}.{region}.maas.aliyuncs.com" + path,
        workspace_regions=("eu-central-1", "ap-northeast-1"),
        shared_regions=("finance",),
        url_pattern=url_pattern,
        mistaken_hosts={"dashscope.aliyun.com": "dashscope.aliyuncs.com"},
        models="qonduit_model_studio",
        capabilities=capabilities,
    )
