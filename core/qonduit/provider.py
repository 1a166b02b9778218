"""ProviderInfo: what the core needs to know of a provider that is no code: hosts, regions, keys, what it can do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from qonduit._mistakes import nearest
from qonduit.errors import ConfigurationError

_WORKSPACE = re.compile(r"[A-Za-z0-9_-]{1,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a provider can do. `qonduit.testing` holds a provider's behaviour to it.

    Attributes:
        operations: "chat", "embeddings", "rerank", "models", "count_tokens".
        parameters: names of `ChatRequest` fields that reach the model in some form; the others are named in
            `WireRequest.unsupported` when a request has them.
        parts: the types of content parts: "text", "image_url", "video_url", "video", "input_audio".
        features: finer than parameters: "stream", "usage", "reasoning_effort", "reasoning_budget", "reasoning_switch",
            "reasoning_content", "search_results", "partial", "cache_control", "json_object", "json_schema".
    """

    operations: frozenset[str] = frozenset({"chat"})
    parameters: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset({"text"})
    features: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderInfo:
    """The facts of a provider. A provider class carries them as its attribute `info`.

    Attributes:
        key_variables: environment variables that may hold its key, first found wins.
        key_page: where a user makes a key.
        hosts: its own hosts; ".example.com" stands for every host below it. A key that was merely found in the
            environment is sent to these only.
        base_urls: base URL by region; the region "" for a provider without regions.
        default_region: the region when none is set.
        path: what its base URLs end with, e.g. "/v1".
        workspace_url: base URL of a workspace's own host, with `{workspace}` and `{region}`.
        workspace_regions: regions that are reached by a workspace's own host only.
        shared_regions: regions whose workspaces have no hosts of their own.
        url_pattern: a regular expression for base URLs that are this provider's when no provider is named.
        fallback: whether a base URL that no provider recognises is this one's.
        mistaken_hosts: hosts that people take for the API's, with the right one.
        models: the package whose `models.toml` is its model table; "" for none.
        capabilities: what it can do.
        routes: names of other providers; this one is then no provider of its own, but a choice between them: the first
            that can say all of a request serves it.
    """

    key_variables: tuple[str, ...] = ()
    key_page: str = ""
    hosts: tuple[str, ...] = ()
    base_urls: Mapping[str, str] = field(default_factory=dict)
    default_region: str = ""
    path: str = ""
    workspace_url: str | None = None
    workspace_regions: tuple[str, ...] = ()
    shared_regions: tuple[str, ...] = ()
    url_pattern: str | None = None
    fallback: bool = False
    mistaken_hosts: Mapping[str, str] = field(default_factory=dict)
    models: str = ""
    capabilities: Capabilities = field(default_factory=Capabilities)
    routes: tuple[str, ...] = ()

    def recognizes(self, base_url: str) -> bool:
        """Whether `base_url` is this provider's by its pattern."""
        return self.url_pattern is not None and re.search(self.url_pattern, base_url) is not None

    def owns(self, base_url: str) -> bool:
        """Whether `base_url` is on one of the provider's own hosts, by https."""
        try:
            parts = urlsplit(base_url)
        except ValueError:  # no URL at all
            return False
        host = parts.hostname or ""
        return parts.scheme == "https" and any(
            host.endswith(own) if own.startswith(".") else host == own for own in self.hosts
        )

    def base_url(self, provider: str, region: str | None, workspace: str | None) -> str:
        """The base URL for a region and a workspace. Raises: ConfigurationError for one that cannot be."""
        known = [*(name for name in self.base_urls if name), *self.workspace_regions]
        chosen = region or self.default_region
        if not self.base_urls and self.workspace_url is None:
            raise ConfigurationError(f"Provider '{provider}' has no preset address: set base_url.")
        if chosen and self.base_urls.keys() != {""} and chosen not in known:
            raise ConfigurationError(
                f"region: '{chosen}' is no region of provider '{provider}'{nearest(chosen, known)}."
            )
        if workspace and self.workspace_url and chosen and chosen not in self.shared_regions:
            if not _WORKSPACE.fullmatch(workspace):  # part of a host: another character could name a stranger's
                raise ConfigurationError(
                    "workspace: expected a workspace's id, 1 to 63 of the letters A-Z and a-z, digits, '-' and '_'."
                )
            return self.workspace_url.format(workspace=workspace, region=chosen)
        if chosen in self.workspace_regions:
            raise ConfigurationError(
                f"region: '{chosen}' of provider '{provider}' is reached by a workspace's own host only. "
                "Set workspace to the id of yours."
            )
        if chosen not in self.base_urls:
            if chosen:
                raise ConfigurationError(f"region: provider '{provider}' has no regions. Leave '{chosen}' out.")
            raise ConfigurationError(f"Provider '{provider}' needs a region{nearest(chosen, known)}.")
        return self.base_urls[chosen]
