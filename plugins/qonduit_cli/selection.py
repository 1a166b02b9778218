"""Selection: which profile, provider or emulator a command speaks to.

`--profile`, or `--provider`, `--base-url`, `--api-key`, or the configuration found; without any of them the
provider whose key is set; without a key the emulator.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qonduit import configuration
from qonduit.errors import ConfigurationError
from qonduit_cli.output import note

if TYPE_CHECKING:
    from qonduit import Client

PROVIDER_OF_KEY = {"DASHSCOPE_API_KEY": "qwen", "OPENAI_API_KEY": "openai"}
"""The provider that a key in the environment chooses when nothing else does; the first that is set wins."""

DEFAULT_MODELS = {"auto": "qwen-plus", "qwen": "qwen-plus", "dashscope": "qwen-plus", "openai": "gpt-4o-mini"}
"""The model when none is named and the address is not the user's own."""

KEY_PAGE = "https://bailian.console.aliyun.com/?tab=model#/api-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the options of a command say about the provider; all of them may be None."""

    profile: str | None = None
    provider: str | None = None
    model: str | None = None
    base_url: str | None = None
    region: str | None = None
    api_key: str | None = None
    config: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to build a client from. `reason` says what decided."""

    reason: str
    profile: str | None = None
    config: Path | None = None
    arguments: dict[str, Any] = field(default_factory=dict, repr=False)
    emulated: bool = False


def select(target: Target) -> Selection:
    """Choose. Raises: ConfigurationError when the configuration cannot be read."""
    arguments = {
        "provider": target.provider,
        "model": target.model,
        "base_url": target.base_url,
        "region": target.region,
        "api_key": target.api_key,
    }
    if target.profile is None and (target.provider or target.base_url or target.api_key):
        adopt_keys(target.api_key)
        return Selection(reason="the options of the command", config=target.config, arguments=arguments)
    found = configuration.load(target.config)
    if target.profile or found.path or os.environ.get("QONDUIT_PROFILE"):
        return Selection(reason="the configuration", profile=target.profile, config=target.config, arguments=arguments)
    adopt_keys(None)
    if os.environ.get("QONDUIT_PROVIDER"):
        return Selection(reason="the variable QONDUIT_PROVIDER", arguments=arguments)
    for variable, provider in PROVIDER_OF_KEY.items():
        if os.environ.get(variable):
            arguments["provider"] = provider
            return Selection(reason=f"the variable {variable}", arguments=arguments)
    return Selection(reason="no configuration and no key", arguments=arguments, emulated=True)


def adopt_keys(reference: str | None) -> None:
    """Take keys that only `.env` has into this process: a client that is given a provider reads no file.

    Nothing but keys: a `.env` of a downloaded folder must not set a proxy or a certificate.
    """
    path = Path(".env")
    if not path.is_file():
        return
    from dotenv import dotenv_values

    named = (reference or "").removeprefix("env:")
    for name, value in dotenv_values(path).items():
        wanted = name == named or name.endswith("_API_KEY")
        if wanted and value and not name.startswith("QONDUIT_") and not os.environ.get(name):
            os.environ[name] = value


@contextmanager
def open_client(target: Target) -> Iterator[tuple[Client, str | None]]:
    """The client of a target and the model to ask, which is None when the client has one."""
    from stamina.instrumentation import set_on_retry_hooks

    from qonduit import Client

    # Retries are said by the error of the last one; stamina's own records would stand between the answer's lines.
    set_on_retry_hooks([])
    selection = select(target)
    if selection.emulated:
        with _emulator_client(target.model) as client:
            yield client, None
        return
    with Client(selection.profile, config=selection.config, **selection.arguments) as client:
        model = None
        if client.profile.model is None:
            model = None if target.base_url else DEFAULT_MODELS.get(client.profile.provider)
            if model is None:
                raise ConfigurationError("No model is named. Pass --model, or set model in the profile.")
        yield client, model


@contextmanager
def _emulator_client(model: str | None) -> Iterator[Client]:
    from qonduit import Client
    from qonduit_emulator import Emulator

    try:
        emulator = Emulator().start()
    except ImportError as error:
        raise ConfigurationError(
            "There is no configuration and no API key, and the emulator that answers without them is not "
            f'installed ({error.name} is missing): pip install "qonduit[emulator]". '
            f"Or set DASHSCOPE_API_KEY; keys are made at {KEY_PAGE}"
        ) from None
    try:
        os.environ["QONDUIT_TRUST_ENV"] = "false"  # a proxy of the environment does not reach this process
        note(
            "note",
            "no configuration and no API key, so the built-in emulator answers. "
            f"For the real Qwen set DASHSCOPE_API_KEY; keys are made at {KEY_PAGE}",
        )
        with Client(
            provider="qwen",
            base_url=emulator.base_url,
            api_key=emulator.api_key,
            model=model or DEFAULT_MODELS["qwen"],
        ) as client:
            yield client
    finally:
        emulator.stop()
