"""Plan: what both wires of Model Studio decide alike about a chat request, so that they cannot decide differently.

Source: https://help.aliyun.com/zh/model-studio/deep-thinking (2026-05-26), .../json-mode, .../qwen-api-via-dashscope.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import to_json

from qonduit.errors import BadRequestError
from qonduit.messages import Message
from qonduit.models import Model
from qonduit.request import ChatRequest, Reasoning

_SHARES: Mapping[str, float | None] = {
    "minimal": 0.1,
    "low": 0.2,
    "medium": 0.5,
    "high": 0.8,
    "xhigh": None,
    "max": None,
}
"""An effort as a share of the most that a model reasons, for models that know budgets only; None: no bound."""
_INVOLVED = frozenset({"reasoning", "search", "response_format", "frequency_penalty", "user"})
_NOWHERE = ("frequency_penalty", "user")
"""Fields that neither wire has.

Source: https://help.aliyun.com/zh/model-studio/compatibility-of-openai-with-dashscope (2026-05-26).
"""


class Plan(NamedTuple):
    """What to send.

    Attributes:
        fields: body fields under the vendor's names; they go over what the request has under the same name.
        left_out: names of `ChatRequest` fields that are not sent.
        messages: the messages, with what the vendor asks of them.
        stream: whether the wire is streamed.
        unsupported, warnings: for the `WireRequest`.
    """

    fields: dict[str, Any]
    left_out: frozenset[str]
    messages: tuple[Message, ...]
    stream: bool
    unsupported: tuple[str, ...]
    warnings: tuple[str, ...]


def plan(request: ChatRequest, model: Model, *, provider: str, search_results: bool) -> Plan:
    """Plan a request of `provider`; `search_results` says whether its wire brings the pages that were found.

    Raises: BadRequestError for a model that the provider does not serve.
    """
    messages = _messages(request.messages)
    plain = request.__pydantic_fields_set__.isdisjoint(_INVOLVED)
    if plain and model.retired is None and model.stream_only == "never" and not model.refuses:
        if model.providers is not None:
            served_by(model, provider)
        return Plan({}, frozenset(), messages, request.stream, (), ())
    served_by(model, provider)
    work = _Work(request, model, messages)
    work.reason()
    work.search(results=search_results)
    work.format()
    return work.plan()


def served_by(model: Model, provider: str) -> None:
    """Refuse a model that the table says only other providers serve. Raises: BadRequestError with the mend."""
    if model.providers is not None and provider not in model.providers:
        right = model.providers[0]
        raise BadRequestError(
            f"The request was not sent: model '{model.name}' is served by provider '{right}', not by '{provider}'. Use "
            f'provider = "{right}", or "auto". Where the model table is wrong, mend it in the configuration: '
            f'[models."{model.name}"] providers = ["{right}", "{provider}"].',
            outcome="not_sent",
        )


def _messages(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Messages as the vendor takes them: no role "developer", no empty list of calls, text in an assistant's turn."""
    for message in messages:
        if message.role not in {"user", "system", "tool"}:
            return tuple(map(_message, messages))
    return messages


def _message(message: Message) -> Message:
    if message.role == "developer":
        return message.model_copy(update={"role": "system"})
    if message.role == "assistant" and (message.content is None or message.tool_calls == ()):
        return message.model_copy(update={"content": message.content or "", "tool_calls": message.tool_calls or None})
    return message


class _Work:
    """A plan in the making."""

    def __init__(self, request: ChatRequest, model: Model, messages: tuple[Message, ...]) -> None:
        self._request = request
        self._model = model
        self._messages = messages
        self._fields: dict[str, Any] = {}
        self._left_out = {name for name in model.refuses if getattr(request, name, None) is not None}
        self._unsupported = [name for name in _NOWHERE if getattr(request, name) is not None]
        self._unsupported += [f"{name} of this model" for name in sorted(self._left_out)]
        self._left_out.update(_NOWHERE)
        self._warnings = [model.retirement] if model.retirement is not None else []

    def plan(self) -> Plan:
        return Plan(
            self._fields,
            frozenset(self._left_out),
            self._messages,
            self._streams(),
            tuple(self._unsupported),
            tuple(self._warnings),
        )

    def reason(self) -> None:
        """`reasoning` as the model takes it: a switch, a budget, an effort."""
        reasoning = self._request.reasoning
        if reasoning is None or "reasoning" in self._left_out:
            return
        if reasoning.enabled is False:  # nothing is left to bound
            if self._model.thinking != "off":
                self._fields["enable_thinking"] = False
            return
        if reasoning.enabled:
            self._fields["enable_thinking"] = True
        if reasoning.budget is not None:
            self._fields["thinking_budget"] = reasoning.budget
        if reasoning.effort is not None:
            self._effort(reasoning, reasoning.effort)

    def _effort(self, reasoning: Reasoning, effort: str) -> None:
        model = self._model
        if not model.known or effort in (model.efforts or ()):
            if model.known and reasoning.budget is not None:
                self._unsupported.append("reasoning effort beside a budget")
            else:
                self._fields["reasoning_effort"] = effort
            return
        if reasoning.budget is not None:
            return  # it says more than an effort does
        if model.thinking == "off":
            self._fields["reasoning_effort"] = effort  # the server says what is wrong with that
            return
        if model.max_thinking is None or effort not in _SHARES:
            self._unsupported.append("reasoning effort of this model")
            return
        self._fields["enable_thinking"] = True
        share, became = _SHARES[effort], "reasoning without a bound"
        if share is not None:
            budget = self._fields["thinking_budget"] = max(1, int(model.max_thinking * share))
            became = f"a budget of {budget} tokens"
        self._warnings.append(f"Model '{model.name}' has no reasoning effort: '{effort}' became {became}.")

    def search(self, *, results: bool) -> None:
        """Web search, with its options."""
        search = self._request.search
        if search is None or "search" in self._left_out:
            return
        self._fields["enable_search"] = bool(search) or isinstance(search, dict)
        if isinstance(search, dict):
            if search:
                self._fields["search_options"] = search
            if (search.get("enable_source") or search.get("enable_search_extension")) and not results:
                self._unsupported.append("search results (only the native API has them)")

    def format(self) -> None:
        """The form of the answer, by what the model can."""
        wanted = self._request.response_format
        kind = wanted.get("type") if wanted is not None and "response_format" not in self._left_out else None
        if kind == "json_schema" and self._model.structured == "object" and wanted is not None:
            described = wanted.get("json_schema")
            schema = described.get("schema") if isinstance(described, Mapping) else None
            self._fields["response_format"] = {"type": "json_object"}
            self._instruct(
                f"Answer with one JSON object, and nothing else, that fits this JSON schema: {_json(schema)}"
            )
            self._warnings.append(
                f"Model '{self._model.name}' takes no JSON schema: it was asked for a JSON object, and the schema "
                "stands in the system message."
            )
        elif kind in {"json_schema", "json_object"} and self._model.structured == "none":
            self._left_out.add("response_format")
            self._unsupported.append("response_format of this model")
        elif kind == "json_object" and not any("json" in message.text.lower() for message in self._messages):
            self._instruct("Answer with one JSON object.")
            self._warnings.append(
                "The provider wants the word JSON in the messages of a request for a JSON object: the system message "
                "says it now."
            )
        if kind in {"json_schema", "json_object"} and "response_format" not in self._left_out:
            self._quieten()

    def _quieten(self) -> None:
        """Switch off reasoning that nobody asked for: beside it the provider gives no JSON form."""
        model = self._model
        if self._request.reasoning is None and model.thinking == "optional" and model.thinking_default:
            self._fields["enable_thinking"] = False
            self._warnings.append(
                f"Model '{model.name}' reasons unless told not to, and then takes no response_format: reasoning was "
                "switched off."
            )

    def _instruct(self, text: str) -> None:
        """Put `text` into the system message; a new one where there is none."""
        first = self._messages[0]
        if first.role != "system":
            self._messages = (Message(role="system", content=text), *self._messages)
            return
        content: Any = f"{first.content}\n\n{text}" if first.content else text
        if isinstance(first.content, tuple):
            content = (*first.content, {"type": "text", "text": text})
        self._messages = (first.model_copy(update={"content": content}), *self._messages[1:])

    def _streams(self) -> bool:
        model, reasoning = self._model, self._request.reasoning
        if self._request.stream or model.stream_only == "always":
            return True
        if model.stream_only == "never":
            return False
        told_off = self._fields.get("enable_thinking") is False
        asked = reasoning is not None and reasoning.enabled
        if model.thinking == "only" or asked:
            return True
        if told_off or not model.thinking_default:
            return False
        self._warnings.append(
            f"Model '{model.name}' reasons unless told not to, and then answers in streams only: it was streamed and "
            "put together. reasoning=False switches that off."
        )
        return True


def _json(value: Any) -> str:
    return to_json(value).decode()
