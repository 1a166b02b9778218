"""The errors of qonduit, split by who can mend them.

    QonduitError
    ├── ConfigurationError              the set-up: nothing was sent
    │   ├── MissingCredentialsError     no key was found
    │   └── PluginError                 a plugin broke its contract
    ├── BudgetExceededError             a budget refused the call
    └── APIError                        one call failed
        ├── APIConnectionError          the network
        │   ├── APITimeoutError
        │   └── StreamInterruptedError  carries what had arrived
        ├── APIStatusError              the provider answered with an error
        │   ├── BadRequestError         400, or refused on this side (status_code is None)
        │   │   └── ContentFilterError
        │   ├── AuthenticationError     401
        │   ├── PermissionDeniedError   403
        │   ├── NotFoundError           404
        │   ├── RateLimitError          429
        │   │   └── QuotaExhaustedError
        │   └── InternalServerError     5xx
        │       └── ServiceUnavailableError 503
        └── ProtocolError               what came was not an answer

No error holds a request, a header or a key: a log line or a pickle of one is safe to show. A traceback with locals
shows no key and no proxy password, but the prompt and `extra_headers`: they are in its frames, also the caller's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from qonduit.response import Response

Outcome: TypeAlias = Literal["not_sent", "rejected", "unknown"]
"""What is known of a failed attempt: it never left, the provider refused it, or it may have been done and billed."""


class QonduitError(Exception):
    """The root of every error that qonduit raises. `message` is the text that `str` shows."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ConfigurationError(QonduitError):
    """A setting is missing, unknown or wrong. The message names it, what was expected and the mend."""


class MissingCredentialsError(ConfigurationError):
    """No API key was found. The message names the profile, the variable and where keys are made."""


class PluginError(ConfigurationError):
    """A plugin broke its contract. The message names the plugin, its distribution and the mend."""


class BudgetExceededError(QonduitError):
    """A budget does not allow the call. Raised by cost plugins before anything is sent.

    Attributes:
        budget: the budget's name.
        limit: how much it allows, in `currency`; None where the raiser did not say, like the rest.
        spent: what is used up and set aside of it.
        needed: what this call may cost at most.
        currency: e.g. "CNY".
        resets_at: when it begins anew; None when it does not.
    """

    def __init__(
        self,
        message: str,
        *,
        budget: str | None = None,
        limit: Decimal | None = None,
        spent: Decimal | None = None,
        needed: Decimal | None = None,
        currency: str | None = None,
        resets_at: datetime | None = None,
    ) -> None:
        super().__init__(message)
        self.budget = budget
        self.limit = limit
        self.spent = spent
        self.needed = needed
        self.currency = currency
        self.resets_at = resets_at

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by value."""
        return _restore, (type(self), self.message, dict(self.__dict__))


class APIError(QonduitError):
    """One call failed.

    Attributes:
        provider: the provider's name, e.g. "qwen"; None before one was chosen.
        model: the model that was asked.
        status_code: the HTTP status; None when the provider gave none.
        code: the provider's own error code, e.g. "Throttling.RateQuota".
        request_id: the provider's id of the request, for its support.
        retry_after: seconds that the provider asks to wait.
        retryable: whether the same request may succeed later.
        outcome: "not_sent", "rejected", or "unknown" (it may have been billed).
        attempts: how many attempts were made; 0 when it was refused on this side.
        response: what had arrived before the failure, with `complete=False`; None when nothing had.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        status_code: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        retryable: bool = False,
        outcome: Outcome = "rejected",
        attempts: int = 0,
        response: Response | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.model = model
        self.status_code = status_code
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after
        self.retryable = retryable
        self.outcome: Outcome = outcome
        self.attempts = attempts
        self.response = response

    def add_reason(self, sentence: str) -> None:
        """Say one thing more in the message."""
        self.message = f"{self.message} {sentence}"
        self.args = (self.message,)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by value: keyword-only arguments are restored as attributes."""
        return _restore, (type(self), self.message, dict(self.__dict__))


def _restore(kind: type[QonduitError], message: str, attributes: dict[str, Any]) -> QonduitError:
    error = kind(message)
    error.__dict__.update(attributes)
    return error


class APIConnectionError(APIError):
    """The provider could not be reached, or the connection broke before an answer."""


class APITimeoutError(APIConnectionError):
    """A time limit passed. The message says which one and the setting that changes it."""


class StreamInterruptedError(APIConnectionError):
    """A stream broke after its first event, or ended without its end mark. `response` holds what had arrived."""


class APIStatusError(APIError):
    """The provider answered with an error status, or with an error in place of an answer."""


class BadRequestError(APIStatusError):
    """400: the request is wrong. With `status_code=None` and `attempts=0` it was refused before being sent."""


class ContentFilterError(BadRequestError):
    """The provider's content inspection refused the prompt or the answer."""


class AuthenticationError(APIStatusError):
    """401: the key is unknown, expired, or belongs to another region."""


class PermissionDeniedError(APIStatusError):
    """403: the account or the key may not do this."""


class NotFoundError(APIStatusError):
    """404: no such model or path."""


class RateLimitError(APIStatusError):
    """429: too many requests or tokens; the same request may succeed later."""


class QuotaExhaustedError(RateLimitError):
    """A quota or the account's balance is used up; waiting does not help."""


class InternalServerError(APIStatusError):
    """5xx: the provider failed."""


class ServiceUnavailableError(InternalServerError):
    """503: the provider or the model is not available for now."""


class ProtocolError(APIError):
    """What came back was not an answer: HTML, an empty body, broken JSON, an unasked encoding."""
