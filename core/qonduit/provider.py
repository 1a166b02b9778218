"""ProviderInfo: what the core needs to know of a provider that is no code: hosts, regions, key variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from qonduit._mistakes import nearest
from qonduit.errors import ConfigurationError


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
        workspace_url: base URL of a workspace's own host, with `{workspace}` and `{region}`.
        url_pattern: a regular expression for base URLs that are this provider's when no provider is named.
        fallback: whether a base URL that no provider recognises is this one's.
        mistaken_hosts: hosts that people take for the API's, with the right one.
    """

    key_variables: tuple[str, ...] = ()
    key_page: str = ""
    hosts: tuple[str, ...] = ()
    base_urls: Mapping[str, str] = field(default_factory=dict)
    default_region: str = ""
    workspace_url: str | None = None
    url_pattern: str | None = None
    fallback: bool = False
    mistaken_hosts: Mapping[str, str] = field(default_factory=dict)

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
        """The base URL for a region and a workspace. Raises: ConfigurationError for an unknown region."""
        chosen = region or self.default_region
        if not self.base_urls and self.workspace_url is None:
            raise ConfigurationError(f"Provider '{provider}' has no preset address: set base_url.")
        if workspace and self.workspace_url and chosen:
            return self.workspace_url.format(workspace=workspace, region=chosen)
        if chosen not in self.base_urls:
            hint = nearest(chosen, [name for name in self.base_urls if name])
            raise ConfigurationError(
                f"region: '{chosen}' is no region of provider '{provider}' without a workspace{hint}."
                if chosen
                else f"Provider '{provider}' needs a region{hint}."
            )
        return self.base_urls[chosen]
