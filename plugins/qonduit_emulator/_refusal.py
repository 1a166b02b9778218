"""Refusals: one exception, and the vendor's error catalogue as functions that make it.

A refusal knows how it looks on either wire, for status, code and message differ between them; the wire that
answers picks its own side. Spelling in messages is the vendor's.

Source: https://help.aliyun.com/zh/model-studio/error-code (2026-05-25), unless a function says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

INVALID_REQUEST = "invalid_request_error"
INVALID_PARAMETER = "invalid_parameter_error"


@dataclass(frozen=True, slots=True)
class NativeError:
    """The native face of a refusal: HTTP status, code, message."""

    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class CompatibleError:
    """The OpenAI-compatible face of a refusal: HTTP status, code (may be null), message, type."""

    status: int
    code: str | None
    message: str
    type: str = INVALID_REQUEST


class Refusal(Exception):  # noqa: N818 - it is an answer, not a failure
    """A request that gets an error instead of an answer.

    `before_stream` marks what the vendor refuses with the real HTTP status even when a native stream was
    asked for (a bad key, an unknown route); every other refusal of a native stream arrives as an event
    inside HTTP 200.
    """

    def __init__(self, native: NativeError, compatible: CompatibleError, *, before_stream: bool = False) -> None:
        super().__init__(native.message)
        self.native = native
        self.compatible = compatible
        self.before_stream = before_stream


def invalid_parameter(message: str, *, compatible_message: str | None = None) -> Refusal:
    """400: the request's form or options are wrong, found by the front gateway."""
    return Refusal(
        NativeError(400, "InvalidParameter", message),
        CompatibleError(400, INVALID_PARAMETER, compatible_message or message),
    )


def invalid_value(message: str) -> Refusal:
    """400: a value out of range, found behind the gateway, which the compatible wire shows by a prefix.

    Source: public issue threads quoting compatible-mode errors with this prefix, seen 2026-11.
    """
    return Refusal(
        NativeError(400, "InvalidParameter", message),
        CompatibleError(
            400,
            INVALID_PARAMETER,
            f"<400> InternalError.Algo.InvalidParameter: {message}",
            type=INVALID_PARAMETER,
        ),
    )


def invalid_body() -> Refusal:
    """400: the body is not a JSON object."""
    message = "Required body invalid, please check the request body format."
    return Refusal(NativeError(400, "InvalidParameter", message), CompatibleError(400, INVALID_REQUEST, message))


def missing_model() -> Refusal:
    """400: no model named."""
    return Refusal(
        NativeError(400, "BadRequest.EmptyModel", 'Required parameter "model" missing from request.'),
        CompatibleError(400, None, "you must provide a model parameter."),
    )


def missing_input() -> Refusal:
    """400: a native body without `input`."""
    message = "Required input parameter missing from request."
    return Refusal(NativeError(400, "BadRequest.EmptyInput", message), CompatibleError(400, INVALID_REQUEST, message))


def body_too_large(limit_bytes: int) -> Refusal:
    """400 (native) or 413 (compatible): more bytes than this server takes; the message states its limit."""
    message = f"Payload Too Large. The limit is {limit_bytes} bytes."
    return Refusal(
        NativeError(400, "BadRequest.TooLarge", message),
        CompatibleError(413, "request_too_large", message),
    )


def body_too_slow(limit_seconds: float) -> Refusal:
    """500: the body did not arrive in time; the vendor's timeout error, and this server's limit stated."""
    message = (
        "Request timed out, please try again later. "
        f"The body of the request did not arrive within {limit_seconds:g} seconds."
    )
    return Refusal(NativeError(500, "RequestTimeOut", message), CompatibleError(500, "RequestTimeOut", message))


def missing_api_key() -> Refusal:
    """401: no key in the `Authorization` header."""
    return Refusal(
        NativeError(401, "InvalidApiKey", "No API-key provided."),
        CompatibleError(401, "invalid_api_key", "No API-key provided."),
        before_stream=True,
    )


def wrong_api_key() -> Refusal:
    """401: a key this server does not know. The compatible message ends with a space, as the vendor's does.

    Source: native: captured traffic, 2024-11-25.
    """
    return Refusal(
        NativeError(401, "InvalidApiKey", "Invalid API-key provided."),
        CompatibleError(401, "invalid_api_key", "Incorrect API key provided. "),
        before_stream=True,
    )


def unknown_model(model: str) -> Refusal:
    """404 (compatible) or 400 (native): a model that is not in the catalogue."""
    return Refusal(
        NativeError(400, "InvalidParameter", "Model not exist."),
        CompatibleError(404, "model_not_found", f"The model `{model}` does not exist or you do not have access to it."),
    )


def wrong_generation_path() -> Refusal:
    """400: the model belongs to the other native generation path. The exclamation mark is full-width."""
    return invalid_parameter("url error, please check url！")


def thinking_unsupported(model: str) -> Refusal:
    """400: `enable_thinking` on a model that cannot think; the code is the same on both wires."""
    code = "InvalidParameter.NotSupportEnableThinking"
    message = f"The model {model} does not support enable_thinking."
    return Refusal(NativeError(400, code, message), CompatibleError(400, code, message))


def unknown_route() -> Refusal:
    """404: no such path."""
    return Refusal(
        NativeError(404, "NotFound", "Request path not found."),
        CompatibleError(404, "not_found", "Request path not found."),
        before_stream=True,
    )


def wrong_method(method: str) -> Refusal:
    """400 (native) or 405 (compatible): the path exists, the method does not."""
    message = f"Request method '{method}' is not supported."
    return Refusal(
        NativeError(400, "InvalidParameter", message),
        CompatibleError(405, "method_not_allowed", message),
        before_stream=True,
    )


def internal_error() -> Refusal:
    """500: this server itself failed."""
    message = "An internal error has occured, please try again later or contact service support."
    return Refusal(
        NativeError(500, "InternalError", message),
        CompatibleError(500, "internal_error", message, type="internal_error"),
    )
