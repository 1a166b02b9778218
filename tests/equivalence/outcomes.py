"""Outcomes: what came of asking, as flat fields that can be compared, whoever answered and in whichever mode.

kind, model, id, …          the answer's fields; `choices[0].content` and the like
usage.…                     its counts
stream.…                    what the chunks said, in their order; streamed modes only
sent.…                      what the emulator received, both wires in one vocabulary
error, status, …            in place of the answer: how it failed
"""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from tests.pipeline.modes import Told

from qonduit import ChatChunk, ChatResponse
from qonduit.errors import APIError, AuthenticationError, ProtocolError
from qonduit.search import Search, SearchResult
from qonduit.usage import Usage

ABSENT = "—"
_OF_ERRORS = ("kind", "error", "status", "retryable", "outcome")
Outcome = dict[str, Any]
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEADERS = {"x-mine", "x-dashscope-ossresourceresolve"}
_KINDS = {"image_url": "image", "video_url": "video", "input_audio": "audio"}


def answered(told: Told, provider: str) -> Outcome:
    """The fields of an answer. Its ids are told by their form, for each call has its own; so is its time."""
    response = told.response
    outcome: Outcome = {
        "kind": "answer",
        "model": response.model,
        "id": form(response.id, response.request_id),
        "request_id": form(response.request_id),
        "created": _when(response.created),
        "provider": "its own" if response.provider == provider else response.provider,
        "complete": response.complete,
        "cached": response.cached,
        "cost": response.cost,
        "warnings": tuple(warning.replace(f"'{provider}'", "'…'") for warning in response.warnings),
        "status_code": response.status_code,
        "raw": "an object" if isinstance(response.raw, dict) else f"a list of {type(response.raw[0]).__name__}",
        "text": response.text,
        "parsed": _parsed(response),
        "search": _pages(response.search),
        "search.cited": response.search and tuple(page.index for page in response.search.cited(response.text)),
        "choices": len(response.choices),
        "tool_calls": sum(len(choice.message.tool_calls or ()) for choice in response.choices),
    }
    for choice in response.choices:
        message = choice.message
        place = f"choices[{choice.index}]"
        outcome[f"{place}.role"] = message.role
        outcome[f"{place}.content"] = message.content
        outcome[f"{place}.reasoning_content"] = message.reasoning_content
        outcome[f"{place}.tool_calls"] = message.tool_calls and [call.model_dump() for call in message.tool_calls]
        outcome[f"{place}.others"] = {"name": message.name, "tool_call_id": message.tool_call_id, **message.model_extra}
        outcome[f"{place}.finish_reason"] = choice.finish_reason
        outcome[f"{place}.logprobs"] = choice.logprobs and len(choice.logprobs["content"])
        outcome[f"{place}.logprobs content"] = choice.logprobs
        outcome[f"{place}.extra"] = choice.model_extra
    usage = response.usage or Usage()
    outcome |= {f"usage.{name}": getattr(usage, name) for name in Usage.model_fields if name != "raw"}
    if told.chunks:
        outcome |= _streamed(told.chunks, response)
    return outcome


def failed(error: Exception, provider: str) -> Outcome:
    """The fields of a failure."""
    assert isinstance(error, APIError), error
    return {
        "kind": "error",
        "error": type(error).__name__,
        "status": error.status_code,
        "status family": error.status_code and f"{error.status_code // 100}xx",
        "retryable": error.retryable,
        "outcome": error.outcome,
        "attempts": error.attempts,
        "retry_after": error.retry_after,
        "request_id": form(error.request_id),
        "provider": "its own" if error.provider == provider else error.provider,
        "names its host": isinstance(error, AuthenticationError) and "The key was sent to 127.0.0.1:" in str(error),
        "partial answer": (error.response.complete, error.response.text)
        if isinstance(error.response, ChatResponse)
        else None,
    }


def sent(requests: Iterable[Any]) -> Outcome:
    """The fields of what was received; of several requests, of the last."""
    received = list(requests)
    outcome: Outcome = {"sent.count": len(received)}
    if not received:
        return outcome
    last = received[-1]
    body = dict(last.json or {})
    if "input" in body:
        messages, parameters = body["input"].pop("messages"), dict(body["parameters"])
        streamed = last.headers.get("x-dashscope-sse") == "enable"
        assert parameters.pop("result_format") == "message"
        assert parameters.pop("incremental_output") is streamed
        others = {"model": body["model"], **parameters, **body["input"]}
    else:
        messages = body.pop("messages")
        options = body.pop("stream_options", None)
        streamed = body.pop("stream", False)
        assert (options == {"include_usage": True}) is streamed, options
        others = body
    outcome |= {f"sent.messages[{place}]": _message(message) for place, message in enumerate(messages)}
    outcome |= {f"sent.{name}": value for name, value in others.items()}
    return outcome | {f"sent.{name}": value for name, value in headers(last).items()}


def headers(request: Any) -> Outcome:
    """The headers of a request that are compared: those that a case can make a difference to."""
    return {f"header {name}": value for name, value in request.headers.items() if name in _HEADERS}


def differences(outcome: Mapping[str, Any], reference: Mapping[str, Any], *, streamed: bool) -> Outcome:
    """The fields of `outcome` that are not as in the reference. Only a stream has those of streams."""
    names = {name for name in (*outcome, *reference) if streamed or not name.startswith("stream.")}
    if not (outcome["sent.count"] and reference["sent.count"]):  # what was not sent has no fields
        names = {name for name in names if name == "sent.count" or not name.startswith("sent")}
    if outcome["kind"] != reference["kind"]:  # an error in place of an answer has none of its fields
        names = {name for name in names if name in _OF_ERRORS or name.startswith("sent")}
    return {
        name: outcome.get(name, ABSENT)
        for name in sorted(names)
        if not _same(outcome.get(name, ABSENT), reference.get(name, ABSENT))
    }


def _same(one: Any, other: Any) -> bool:
    """Equal, and in kind: `True` is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _parsed(response: ChatResponse) -> Any:
    """The answer in the type that was asked for, or the name of the error that says why it is none."""
    try:
        return response.parsed
    except ProtocolError as error:
        return type(error).__name__


def _pages(search: Search | None) -> str | None:
    """How many pages were found, and what is said of every one of them."""
    if search is None:
        return None
    said = [name for name in SearchResult.model_fields if all(getattr(page, name) for page in search.results)]
    return f"{len(search.results)} pages, each with {', '.join(said)}"


def form(identifier: str | None, known: str | None = None) -> str | None:
    """What an id looks like; `known` is the id of the request, which may be a part of it."""
    if identifier is None:
        return None
    if known:
        return identifier.replace(known, "<request id>")
    return "a uuid" if _UUID.fullmatch(identifier) else identifier


def _when(created: int | None) -> str | None:
    """A call of a suite that runs for seconds was answered now."""
    return "now" if created is not None and abs(created - time.time()) < 60 else f"{created}"


def _streamed(chunks: tuple[ChatChunk, ...], response: ChatResponse) -> Outcome:
    said: dict[str, Any] = defaultdict(list)
    joined: dict[int, str] = defaultdict(str)
    for chunk in chunks:
        for choice in chunk.choices:
            place, delta = f"stream[{choice.index}]", choice.delta
            joined[choice.index] += delta.content or ""
            said[f"{place}.roles"] += [delta.role] if delta.role else []
            said[f"{place}.content"] += [delta.content] if delta.content else []
            said[f"{place}.reasoning"] += [delta.reasoning_content] if delta.reasoning_content else []
            said[f"{place}.ends"] += [choice.finish_reason] if choice.finish_reason else []
            for call in delta.tool_calls or ():
                text = call.function.arguments if call.function is not None else None
                said[f"{place}.call {call.index}"] += [text] if text else []
                said[f"{place}.call {call.index} opens"] += [(call.id, call.function.name)] if call.id else []
    whole = {choice.index: choice.message.text for choice in response.choices}
    fields = {name.replace("stream[", "stream.choices["): tuple(pieces) for name, pieces in said.items()}
    calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or ()]
    return fields | {
        "stream.empty ids": sum(call.id == "" for call in calls),
        "stream.agrees": dict(joined) == whole,
        "stream.ids": {chunk.id for chunk in chunks} == {response.id},
        "stream.models": {chunk.model for chunk in chunks} == {response.model},
        "stream.usage_chunks": sum(not chunk.choices for chunk in chunks),
        "stream.usages": sum(chunk.usage is not None for chunk in chunks),
        "stream.searches": sum(chunk.search is not None for chunk in chunks),
    }


def _message(message: dict[str, Any]) -> str:
    """A message of either wire in one form: role, text or parts, and what else it has.

    Beside tool calls, null and "" both say that there is no text; the calls' `index` says no more than their order.
    """
    rest = dict(message)
    role, content = rest.pop("role"), rest.pop("content", None)
    if calls := rest.get("tool_calls"):
        content = content or ""
        rest["tool_calls"] = [{name: value for name, value in call.items() if name != "index"} for call in calls]
    if isinstance(content, list):
        parts = [_part(part) for part in content]
        plain = all(part.keys() == {"text"} for part in parts)
        content = "".join(part["text"] for part in parts) if plain else parts
    return f"{role}: {content!r}" + (f" {json.dumps(rest, ensure_ascii=False, sort_keys=True)}" if rest else "")


def _part(part: dict[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind is None:
        return dict(sorted(part.items()))
    rest = {name: value for name, value in part.items() if name not in {"type", kind}}
    value = part[kind]
    if kind == "input_audio" and "format" in value:
        data, form = value["data"], value["format"]
        data = data.removeprefix("data:;base64,")  # the type is that of the format
        return {"audio": data if ":" in data else f"data:audio/{form};base64,{data}", **rest}
    if isinstance(value, dict):
        value = dict(value)
        rest, value = {**value, **rest}, value.pop("url")
        rest.pop("url")
    return dict(sorted({**rest, _KINDS.get(kind, kind): value}.items()))
