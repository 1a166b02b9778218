"""Differences of messages, of their parts, and of structured output."""

from __future__ import annotations

from tests.equivalence.difference import (
    DASHSCOPE,
    OPENAI,
    OTHER,
    REFUSED,
    REFUSED_BY_THE_SERVER,
    Difference,
    left_out,
)
from tests.equivalence.outcomes import ABSENT

MESSAGES = (
    Difference(
        ("developer-*",),
        OPENAI,
        {**REFUSED, "sent.messages[0]": "developer: 'Be brief.'"},
        "Role `developer` is OpenAI's own; Qwen models know it as `system`, which is what the Qwen providers send.",
    ),
    Difference(
        ("assistant-null",),
        OPENAI,
        {**REFUSED, "sent.messages[1]": "assistant: None"},
        "An assistant's turn without text or calls is sent as it is; for Qwen's wires it becomes an empty text.",
    ),
    Difference(
        ("partial-*",),
        OPENAI,
        {"sent.messages[1]": OTHER},
        "OpenAI's wire has no mark for a beginning that the model is to go on from.",
    ),
    Difference(
        ("partial-*",),
        OPENAI,
        {"choices[0].content": OTHER, "text": OTHER, **left_out("partial continuation")},
        "So the model answers anew.",
        but=("partial-false",),
    ),
    Difference(
        ("partial-*",),
        OPENAI,
        {"usage.output_tokens": OTHER, "usage.total_tokens": OTHER},
        "So the model answers anew.",
        but=("partial-false", "partial-of-the-same-answer"),
    ),
    Difference(
        ("partial-*",),
        OPENAI,
        {"stream.choices[0].content": OTHER},
        "The same, in a stream.",
        streamed=True,
        but=("partial-false",),
    ),
    Difference(("partial-choices",), OPENAI, {"choices[1].content": OTHER}, "The same, of the second choice."),
    Difference(
        ("partial-choices",),
        OPENAI,
        {"stream.choices[1].content": OTHER},
        "The same, of the second choice in a stream.",
        streamed=True,
    ),
    Difference(
        ("unknown-part",),
        DASHSCOPE,
        {
            "status": None,
            "status family": None,
            "outcome": "not_sent",
            "attempts": 0,
            "request_id": None,
            "sent.count": 0,
        },
        "Parts are rewritten for the native wire, so one that is not known is refused before it is sent.",
    ),
    Difference(
        ("image-detail",),
        DASHSCOPE,
        {"sent.messages[0]": OTHER, **left_out("detail of a picture")},
        "The native wire has no such setting of a picture.",
    ),
    Difference(
        ("*-upload",),
        OPENAI,
        {"sent.header x-dashscope-ossresourceresolve": ABSENT},
        "Files uploaded to Model Studio are its own; the header that has them looked up is not OpenAI's.",
    ),
    Difference(
        ("image-too-big",),
        OPENAI,
        {**REFUSED_BY_THE_SERVER, "status": 413},
        "How large a picture another server takes is not known on this side.",
    ),
    Difference(
        ("cache-mark-text-model",),
        DASHSCOPE,
        {
            "sent.messages[0]": OTHER,
            "usage.cache_write_tokens": None,
            "usage.cached_tokens": 0,
            "usage.explicit_cached_tokens": None,
            **left_out("cache_control of a text model"),
        },
        "On the native text path content is a string: a mark has no place.",
    ),
)
_OBJECT_MODEL = ("json-*-object-model*", "retired-model-and-more-to-say")
_NOT_THINKING = ("json-schema-object-model-not-thinking", "search-vision-model")
STRUCTURE = (
    Difference(
        ("json-without-the-word*",),
        OPENAI,
        {**REFUSED, "sent.messages[0]": OTHER},
        "The server wants the word JSON in the messages; only the Qwen providers know that, and say it.",
    ),
    Difference(
        ("json-without-the-word",),
        OPENAI,
        {"sent.messages[1]": ABSENT},
        "The Qwen providers say it in a system message before the others.",
    ),
    Difference(
        _OBJECT_MODEL,
        OPENAI,
        {"sent.response_format": OTHER, "sent.messages[0]": OTHER, "sent.messages[1]": ABSENT},
        "Only the Qwen providers know that the model takes no schema; they ask for an object, and say the schema.",
    ),
    Difference(
        _OBJECT_MODEL,
        OPENAI,
        {"usage.input_tokens": OTHER, "usage.total_tokens": OTHER, "warnings": ()},
        "So the prompt is shorter there, and nothing is to be warned of.",
    ),
    Difference(
        ("json-schema-object-model-thinking",),
        OPENAI,
        {
            "sent.enable_thinking": ABSENT,
            "choices[0].reasoning_content": OTHER,
            "usage.reasoning_tokens": OTHER,
        },
        "Only the Qwen providers know that the model reasons unless told not to, and gives no object then.",
    ),
    Difference(
        ("json-schema-object-model-thinking",),
        OPENAI,
        {"stream.choices[0].reasoning": OTHER},
        "The same, in a stream.",
        streamed=True,
    ),
    Difference(
        ("json-schema-object-model-thinking", "json-schema-object-model-not-thinking"),
        OPENAI,
        {
            "choices[0].content": OTHER,
            "text": OTHER,
            "parsed": {"name": "Hello", "people": 1},
            "usage.output_tokens": OTHER,
        },
        "The emulator's models keep to a schema that is given as one, and fill an object with what they like.",
    ),
    Difference(
        ("json-schema-object-model-thinking", "json-schema-object-model-not-thinking"),
        OPENAI,
        {"stream.choices[0].content": OTHER},
        "The same, in a stream.",
        streamed=True,
    ),
    Difference(
        _NOT_THINKING,
        OPENAI,
        {
            "sent.enable_thinking": ABSENT,
            "sent.reasoning_effort": "none",
            "choices[0].reasoning_content": OTHER,
            "usage.reasoning_tokens": OTHER,
        },
        "Off is an effort of none on OpenAI's wire. Qwen models do not know it, and reason.",
    ),
    Difference(_NOT_THINKING, OPENAI, {"stream.choices[0].reasoning": OTHER}, "The same, in a stream.", streamed=True),
    Difference(
        ("*-no-structure-model",),
        OPENAI,
        {"sent.response_format": OTHER},
        "Only the Qwen providers know that the model has no structured output, and leave the format out.",
    ),
    Difference(
        ("json-object-no-structure-model",),
        OPENAI,
        REFUSED,
        "An object is refused while the model reasons, as this one always does.",
    ),
    Difference(
        ("json-schema-no-structure-model",),
        OPENAI,
        {
            "choices[0].content": OTHER,
            "text": OTHER,
            "parsed": {"name": "Hello", "people": 1},
            "usage.output_tokens": OTHER,
            "usage.total_tokens": OTHER,
            "warnings": (),
            "stream.choices[0].content": OTHER,
        },
        "Every model of the emulator keeps to a schema that is given as one.",
        streamed=True,
    ),
)
