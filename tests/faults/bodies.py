"""Bodies: a 200 whose body is no answer, or an answer with something wrong about it."""

from __future__ import annotations

import gzip
import json
from typing import Any

from tests.faults.canaries import ANSWER
from tests.faults.expectations import Answered, Failed, broken, late
from tests.faults.fault import PLAIN, Fault, Scene
from tests.servers import CLOSE, HANG, LAST_CHUNK, RESET, Drip, Reply, chunk, head, response
from tests.wires import REQUEST_ID, dumps

from qonduit import APIStatusError, ContentFilterError, ProtocolError, RateLimitError

JSON = {"content-type": "application/json", "x-request-id": REQUEST_ID}
SHORT = {"timeout": 0.15, "max_retries": 0}


def _answer(scene: Scene) -> dict[str, Any]:
    return scene.wire.answer(ANSWER)


def _body(scene: Scene) -> bytes:
    return dumps(_answer(scene))


def _with_usage(usage: Any) -> Any:
    """An answer whose usage is `usage`; a function gets the wire's own."""

    def reply(scene: Scene) -> Reply:
        answer = _answer(scene)
        answer["usage"] = usage(answer["usage"]) if callable(usage) else usage
        return response(json.dumps(answer).encode())

    return reply


def _with_input(value: Any) -> Any:
    """An answer whose count of input tokens is `value`, written as it is."""

    def reply(scene: Scene) -> Reply:
        name = b'"input_tokens":' if scene.native else b'"prompt_tokens":'
        return response(_body(scene).replace(name + b"5", name + value))

    return reply


def _counted(name: str, value: bytes, usage: tuple[int | None, int | None], failures: tuple[int, ...] = (44,)) -> Fault:
    return Fault(name, _with_input(value), Answered(usage=usage), failures)


def _no_answer(status: int = 200, *, says: str, attempts: int = 1) -> Failed:
    return Failed(ProtocolError, "unknown", attempts=attempts, retryable=attempts > 1, status=status, says=says)


def _choices(compatible: bytes, native: bytes) -> Any:
    """A body by the wire: of a compatible one, of a native one."""
    return lambda scene: response(native if scene.native else compatible)


def _length(scene: Scene) -> bytes:
    return head(200, {**JSON, "content-length": str(len(_body(scene)))})


CHUNKED = head(200, {**JSON, "transfer-encoding": "chunked"})
SHAPE = "answered 200 with "
DEEP = b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
HTML = b"<html><body>203.0.113.9 is not logged in</body></html>"


FAULTS = [
    # Nothing, or something else.
    Fault("empty", response(b""), _no_answer(says="with nothing", attempts=2), (18,)),
    Fault("spaces", response(b"  \n "), _no_answer(says="with nothing", attempts=2), (18,)),
    Fault("html", response(HTML, content_type="text/html"), _no_answer(says="(HTML|text/html)(?!.*203[.]0)"), (17, 18)),
    Fault("html-that-says-it-is-json", response(HTML), _no_answer(says="HTML(?!.*203[.]0)"), (17,)),
    Fault("text", response(b"OK"), _no_answer(says=SHAPE)),
    Fault("half-json", lambda scene: response(_body(scene)[:-40]), _no_answer(says=SHAPE), (7,)),
    Fault("two-objects", lambda scene: response(_body(scene) * 2), _no_answer(says=SHAPE), (7,)),
    Fault("list", response(b"[1]"), _no_answer(says=SHAPE)),
    Fault("null", response(b"null"), _no_answer(says=SHAPE)),
    Fault("number", response(b"17"), _no_answer(says=SHAPE)),
    Fault("another-object", response(b'{"ok": true}'), _no_answer(says=SHAPE)),
    Fault(
        "broken-utf-8",
        lambda scene: response(_body(scene).replace(b"answer", b"\xff\xfe", 1)),
        _no_answer(says=SHAPE),
        (1,),
    ),
    Fault("deep", response(DEEP), _no_answer(says=SHAPE), (26,)),
    Fault("choices-null", _choices(b'{"choices":null}', b'{"output":{"choices":null}}'), _no_answer(says=SHAPE), (16,)),
    Fault("choices-empty", _choices(b'{"choices":[]}', b'{"output":{"choices":[]}}'), _no_answer(says=SHAPE), (16,)),
    Fault("choices-text", _choices(b'{"choices":"x"}', b'{"output":{"choices":"x"}}'), _no_answer(says=SHAPE), (16,)),
    Fault(
        "content-number",
        _choices(
            b'{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":5}}]}',
            b'{"output":{"choices":[{"finish_reason":"stop","message":{"role":"assistant","content":5}}]}}',
        ),
        _no_answer(says=SHAPE),
        (16,),
    ),
    Fault(
        "message-missing",
        _choices(b'{"choices":[{"index":0,"finish_reason":"stop"}]}', b'{"output":{"choices":[7]}}'),
        _no_answer(says=SHAPE),
        (16,),
    ),
    # An error in place of an answer.
    Fault(
        "error-with-a-code",
        lambda scene: response(
            dumps(scene.wire.error_body("content_filter" if scene.provider == "openai" else "data_inspection_failed"))
        ),
        Failed(ContentFilterError, status=400),
        (16,),
    ),
    Fault(
        "error-that-is-over-soon",
        lambda scene: response(
            dumps(scene.wire.error_body("rate_limit_exceeded" if scene.provider == "openai" else "Throttling"))
        ),
        Failed(RateLimitError, status=429, attempts=3, retryable=True),
        (16,),
    ),
    Fault(
        "error-that-nobody-knows",
        lambda scene: response(dumps(scene.wire.error_body("Brand.New.Code"))),
        lambda scene: Failed(APIStatusError, code="Brand.New.Code", says="It went wrong"),
        (16,),
    ),
    # Framing.
    Fault("length-too-long", lambda scene: [_length(scene) + _body(scene)[:-20], CLOSE], broken(), (19,)),
    Fault("reset-within", lambda scene: [_length(scene) + _body(scene)[:-20], RESET], broken(), (19,)),
    Fault(
        "length-too-short",
        lambda scene: head(200, {**JSON, "content-length": "20"}) + _body(scene),
        _no_answer(says=SHAPE),
        (19,),
    ),
    Fault("chunk-cut", lambda scene: [CHUNKED + chunk(_body(scene))[:-30], CLOSE], broken(), (19,)),
    Fault("last-chunk-missing", lambda scene: [CHUNKED + chunk(_body(scene)), CLOSE], broken(), (19,)),
    Fault("chunk-size-that-is-no-number", [CHUNKED + b"zz\r\nhello\r\n", CLOSE], broken()),
    Fault(
        "chunk-longer-than-its-size",
        lambda scene: [CHUNKED + b"5\r\n" + _body(scene) + b"\r\n" + LAST_CHUNK, CLOSE],
        broken(),
    ),
    Fault(
        "hang-within",
        lambda scene: [_length(scene) + _body(scene)[:-20], HANG],
        late(attempts=1),
        (22,),
        settings=SHORT,
    ),
    Fault("drip", lambda scene: [_length(scene), Drip(_body(scene), 8.0)], late(attempts=1), (22,), settings=SHORT),
    Fault("until-close", lambda scene: [head(200, JSON) + _body(scene), CLOSE], Answered()),
    Fault(
        "byte-by-byte",
        lambda scene: [CHUNKED, *(chunk(bytes([byte])) for byte in _body(scene)), LAST_CHUNK],
        Answered(),
        (1,),
    ),
    # Encodings.
    Fault(
        "gzip",
        lambda scene: response(gzip.compress(_body(scene)), content_encoding="gzip"),
        _no_answer(says="compressed"),
        (23, 24),
    ),
    Fault(
        "gzip-cut",
        lambda scene: response(gzip.compress(_body(scene))[:-12], content_encoding="gzip"),
        _no_answer(says="compressed"),
        (23,),
    ),
    Fault("gzip-unsaid", lambda scene: response(gzip.compress(_body(scene))), _no_answer(says=SHAPE), (23,)),
    Fault(
        "an-unknown-encoding",
        lambda scene: response(_body(scene), content_encoding="zstd"),
        _no_answer(says="compressed"),
        (24,),
    ),
    Fault("identity", lambda scene: response(_body(scene), content_encoding="identity"), Answered()),
    Fault(
        "charset-latin-1",
        lambda scene: response(dumps(scene.wire.answer("é你")), content_type="application/json; charset=iso-8859-1"),
        Answered("é你"),
        (6,),
    ),
    # Bounds, which are small here.
    Fault(
        "endless",
        [CHUNKED, *[chunk(b" " * 1000)] * 200],
        _no_answer(None, says="larger than 10000 bytes"),
        (24,),
        modes=PLAIN,
        bounds=True,
    ),  # type: ignore[arg-type]
    Fault(
        "endless-error",
        [head(500, {**JSON, "transfer-encoding": "chunked"}), *[chunk(b" " * 1000)] * 200],
        _no_answer(None, says="larger than 10000 bytes"),  # type: ignore[arg-type]
        (24,),
        bounds=True,
    ),
    Fault("just-within-the-bound", lambda scene: response(_body(scene).ljust(10_000)), Answered(), (24,), bounds=True),
    # Usage.
    Fault("usage-null", _with_usage(None), Answered(usage=None), (44,)),
    Fault(
        "usage-missing",
        lambda scene: response(dumps({k: v for k, v in _answer(scene).items() if k != "usage"})),
        Answered(usage=None),
        (44,),
    ),
    Fault("usage-list", _with_usage([5, 2]), Answered(usage=None), (44,)),
    _counted("usage-true", b"true", (None, 2)),
    _counted("usage-negative", b"-5", (None, 2)),
    _counted("usage-text", b'"5"', (None, 2)),
    _counted("usage-float", b"5.5", (None, 2)),
    _counted("usage-huge", b"9" * 30, (None, 2), (25, 44)),
    _counted("usage-null-count", b"null", (None, 2)),
    Fault("usage-not-a-number", _with_input(b"NaN"), _no_answer(says=SHAPE), (25, 44)),
    Fault("usage-infinite", _with_input(b"1e999"), _no_answer(says=SHAPE), (25, 44)),
    Fault("usage-of-5000-digits", _with_input(b"9" * 5000), _no_answer(says=SHAPE), (25, 44)),
    # Small print.
    Fault(
        "finish-reason-null",
        lambda scene: response(dumps(scene.wire.answer(ANSWER, finish_reason=None))),
        Answered(finish_reason=None),
        (70,),
    ),  # type: ignore[arg-type]
    Fault(
        "finish-reason-unheard-of",
        lambda scene: response(dumps(scene.wire.answer(ANSWER, finish_reason="eos_token"))),
        Answered(finish_reason="eos_token"),
        (70,),
    ),
    Fault(
        "unknown-fields", lambda scene: response(dumps({**_answer(scene), "more": {"x": [1]}, "object": 5})), Answered()
    ),
    Fault(
        "separators-in-the-text",
        lambda scene: response(dumps(scene.wire.answer("a\u2028b\u2029c\x85d"))),
        Answered("a\u2028b\u2029c\x85d"),
        (5,),
    ),
    Fault(
        "lone-surrogate",
        lambda scene: response(dumps(scene.wire.answer("a~b")).replace(b"~", b"\\ud800")),
        Answered("a\ufffdb", warns="half of a surrogate pair"),
        (67,),
    ),
]
