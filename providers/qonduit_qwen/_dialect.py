"""How Model Studio's compatible mode differs from OpenAI's wire."""

from __future__ import annotations

from collections.abc import Mapping

from qonduit.messages import ContentPart, Message
from qonduit.models import Model
from qonduit.profile import Profile
from qonduit.request import ChatRequest, Request
from qonduit_model_studio.limits import cut
from qonduit_model_studio.options import ModelStudioOptions
from qonduit_model_studio.plan import Plan, plan, served_by
from qonduit_model_studio.ranges import check
from qonduit_openai_compatible import Dialect, Embeddings, Models
from qonduit_openai_compatible.dialect import FIELDS
from qonduit_qwen._rerank import Rerank
from qonduit_qwen._tokens import Tokens

SEED_LIMIT = 2**31 - 1
"""Source: https://help.aliyun.com/zh/model-studio/error-code (2026-05-25)."""


class QwenDialect(Dialect):
    """Compatible mode, with the options of one profile."""

    fields = FIELDS - {"frequency_penalty", "user"} | {"top_k", "repetition_penalty"}
    operations = {  # noqa: RUF012  # never changed
        "embeddings": Embeddings(),
        "models": Models(),
        "rerank": Rerank(),
        "count_tokens": Tokens(),
    }

    def __init__(self, options: ModelStudioOptions) -> None:
        self._options = options

    def plan(self, request: ChatRequest, model: Model) -> Plan:
        """See `qonduit_openai_compatible.Dialect`."""
        check(request, seed_limit=SEED_LIMIT)
        planned = plan(request, model, provider="qwen", search_results=False)
        for message in planned.messages:
            if message.content.__class__ is tuple:
                return planned._replace(messages=tuple(map(_with_sound_as_url, planned.messages)))
        return planned

    def admit(self, request: Request, model: Model) -> tuple[str, ...]:
        """See `qonduit_openai_compatible.Dialect`."""
        served_by(model, "qwen")
        return super().admit(request, model)

    def headers(self, profile: Profile) -> dict[str, str]:
        """See `qonduit_openai_compatible.Dialect`."""
        return self._options.headers(profile)

    def part_headers(self, messages: tuple[Message, ...]) -> dict[str, str]:
        """See `qonduit_openai_compatible.Dialect`."""
        return self._options.resource_headers(messages)

    def cut(self, headers: Mapping[str, str]) -> str | None:
        """See `qonduit_openai_compatible.Dialect`."""
        return cut(headers)


def _with_sound_as_url(message: Message) -> Message:
    """Bare base64, OpenAI's form of a sound, as the data URL that this server wants.

    Source: https://help.aliyun.com/zh/model-studio/qwen-omni (2026-05-26).
    """
    if not isinstance(message.content, tuple):
        return message
    parts = tuple(map(_sound_as_url, message.content))
    return message if parts == message.content else message.model_copy(update={"content": parts})


def _sound_as_url(part: ContentPart) -> ContentPart:
    sound = part.get("input_audio")
    if not isinstance(sound, dict):
        return part
    data = sound.get("data")
    if not isinstance(data, str) or data[:6].lower().startswith(("http:", "https:", "data:", "oss:")):
        return part
    return {**part, "input_audio": {**sound, "data": f"data:;base64,{data}"}}
