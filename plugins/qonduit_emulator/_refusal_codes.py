"""Refusals by code: every error of the vendor's list, for faults and rules that name one.

A name is a native code, the code of the compatible wire, or one of the statuses in `BY_STATUS`. Where one code
has several messages the commonest one is given.

Source: https://help.aliyun.com/zh/model-studio/error-code (2026-05-25).
"""

from __future__ import annotations

from dataclasses import dataclass

from qonduit_emulator._refusal import INVALID_PARAMETER, INVALID_REQUEST, CompatibleError, NativeError, Refusal


@dataclass(frozen=True, slots=True)
class _Row:
    """One error on both wires; `compatible` is its code there, the native one when it is the same."""

    status: int
    message: str
    compatible: str | None = None
    type: str | None = None
    compatible_status: int | None = None
    compatible_message: str | None = None
    before_stream: bool = False


_STANDING = "Access denied, please make sure your account is in good standing."
_UNPURCHASED = "Access to model denied. Please make sure you are eligible for using the model."
_FREE_TIER = (
    "The free tier of the model has been exhausted. If you wish to continue access the model on a paid basis, "
    'please disable the "use free tier only" mode in the management console.'
)
_BURST = (
    "Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale "
    "requests more smoothly over time."
)
_WORKSPACE = (
    "Access denied: Either you are not authorized to access this workspace, or the workspace does not exist. "
    "Please:\nVerify the workspace configuration.\nCheck your API endpoint settings. Ensure you are targeting the "
    "correct environment."
)
_INTERNAL = "An internal error has occured, please try again later or contact service support."
_BUSY = "Too many requests. Your requests are being throttled due to system capacity limits. Please try again later."
_INSPECTION = "Input or output data may contain inappropriate content."

_ROWS: dict[str, _Row] = {
    "InvalidParameter": _Row(
        400, "Required body invalid, please check the request body format.", INVALID_PARAMETER, INVALID_PARAMETER
    ),
    "InternalError.Algo.InvalidParameter": _Row(
        400, "<400> InternalError.Algo.InvalidParameter: Range of top_p should be (0.0, 1.0]", INVALID_PARAMETER
    ),
    "Arrearage": _Row(400, _STANDING, type="Arrearage"),
    "DataInspectionFailed": _Row(400, _INSPECTION, "data_inspection_failed", "data_inspection_failed"),
    "FaqRuleBlocked": _Row(400, "Input or output data is blocked by faq rule."),
    "CustomRoleBlocked": _Row(400, "Input or output data may contain inappropriate content with custom rule."),
    "IPInfringementSuspect": _Row(400, "Input data is suspected of being involved in IP infringement."),
    "UnsupportedOperation": _Row(400, "The operation is unsupported on the referee object."),
    "ClientDisconnect": _Row(400, "Client disconnected before task finished!"),
    "ServiceUnavailableError": _Row(400, "Role must be user or assistant and Content length must be greater than 0."),
    "InvalidApiKey": _Row(
        401,
        "Invalid API-key provided.",
        "invalid_api_key",
        compatible_message="Incorrect API key provided. ",
        before_stream=True,
    ),
    "NOT AUTHORIZED": _Row(401, _WORKSPACE, before_stream=True),
    "AccessDenied": _Row(403, "Access denied.", "access_denied"),
    "AccessDenied.Unpurchased": _Row(403, _UNPURCHASED, "access_denied"),
    "Model.AccessDenied": _Row(403, "Model access denied."),
    "App.AccessDenied": _Row(403, "App access denied."),
    "Workspace.AccessDenied": _Row(403, "Workspace access denied."),
    "AllocationQuota.FreeTierOnly": _Row(403, _FREE_TIER, type="AllocationQuota.FreeTierOnly"),
    "ModelNotFound": _Row(404, "Model can not be found.", "model_not_found"),
    "WorkSpaceNotFound": _Row(404, "WorkSpace can not be found."),
    "NotFound": _Row(404, "Not found!", "not_found"),
    "Conflict": _Row(409, "Model instance already exists.", "conflict"),
    "Throttling": _Row(429, "Requests throttling triggered.", "throttling"),
    "Throttling.RateQuota": _Row(
        429,
        "Requests rate limit exceeded, please try again later.",
        "limit_requests",
        "limit_requests",
        compatible_message="You exceeded your current requests list.",
    ),
    "LimitRequests": _Row(429, "You exceeded your current requests list."),
    "Throttling.BurstRate": _Row(429, _BURST, "limit_burst_rate", "limit_burst_rate"),
    "Throttling.AllocationQuota": _Row(
        429,
        "Allocated quota exceeded, please increase your quota limit.",
        "insufficient_quota",
        "insufficient_quota",
        compatible_message="You exceeded your current quota, please check your plan and billing details.",
    ),
    "CommodityNotPurchased": _Row(429, "Commodity has not purchased yet."),
    "PrepaidBillOverdue": _Row(429, "The prepaid bill is overdue."),
    "PostpaidBillOverdue": _Row(429, "The postpaid bill is overdue."),
    "InternalError": _Row(500, _INTERNAL, "internal_error", "internal_error"),
    "InternalError.Algo": _Row(500, "inference internal error."),
    "InternalError.Timeout": _Row(500, "An internal timeout error has occured, please try again later."),
    "SystemError": _Row(500, "An system error has occured, please try again later."),
    "ModelServiceFailed": _Row(500, "Failed to request model service."),
    "RequestTimeOut": _Row(500, "Request timed out, please try again later."),
    "ModelServingError": _Row(503, _BUSY),
    "ModelUnavailable": _Row(503, "Model is unavailable, please try again later.", "model_unavailable"),
    "ServiceUnavailable": _Row(503, "Service is unavailable, please try again later.", "service_unavailable"),
    "GatewayTimeout": _Row(504, "Gateway timeout.", "gateway_timeout"),
}

BY_STATUS = {
    "400": "InvalidParameter",
    "401": "InvalidApiKey",
    "403": "AccessDenied",
    "404": "ModelNotFound",
    "409": "Conflict",
    "429": "Throttling.RateQuota",
    "500": "InternalError",
    "503": "ModelUnavailable",
    "504": "GatewayTimeout",
}
"""The code that stands for a status."""

_BY_COMPATIBLE = {row.compatible: code for code, row in reversed(_ROWS.items()) if row.compatible}

REFUSAL_CODES = tuple(_ROWS)
"""All native codes, in the order of their statuses."""


def refusal_by_code(name: str, message: str | None = None) -> Refusal:
    """The refusal of that code or status; `message` replaces its message on both wires.

    Raises:
        ValueError: no such code.
    """
    code = BY_STATUS.get(name) or _BY_COMPATIBLE.get(name) or name
    row = _ROWS.get(code)
    if row is None:
        statuses = ", ".join(BY_STATUS)
        raise ValueError(
            f"{name!r} is no error code of this server; use a status ({statuses}) or one of {', '.join(_ROWS)}"
        )
    return Refusal(
        NativeError(row.status, code, message or row.message),
        CompatibleError(
            row.compatible_status or row.status,
            row.compatible or code,
            message or row.compatible_message or row.message,
            type=row.type or INVALID_REQUEST,
        ),
        before_stream=row.before_stream,
    )
