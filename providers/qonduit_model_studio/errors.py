"""What Model Studio's error codes mean: native ones, and those of compatible mode, which collide nowhere.

Source: https://help.aliyun.com/zh/model-studio/error-code (2026-05-25). Some names mislead, such as
`InternalError.Algo.InvalidParameter` and `ServiceUnavailableError`, which come with 400 and are the request's fault: so
the status is looked at before the code.
"""

from __future__ import annotations

from qonduit.classification import Kind, Table
from qonduit.errors import (
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitError,
    ServiceUnavailableError,
)

_PAY = "Look at the account's balance in the Model Studio console."
_KEY = (
    "Check that the key is complete and not expired. A key belongs to one region (cn-beijing, ap-southeast-1, "
    "us-east-1, …) and is refused like this on the host of another: set region to the key's own."
)
_TOKENS = "This is the limit of tokens a minute; it recovers."

ERRORS: Table = {
    "InvalidParameter": Kind(BadRequestError, False, status=400),
    "InternalError.Algo.InvalidParameter": Kind(BadRequestError, False, status=400),
    "InvalidParameter.NotSupportEnableThinking": Kind(
        BadRequestError, False, "Leave reasoning out for this model.", 400
    ),
    "InvalidParameter.DataInspection": Kind(ContentFilterError, False, status=400),
    "UnsupportedOperation": Kind(BadRequestError, False, status=400),
    (400, "ServiceUnavailableError"): Kind(BadRequestError, False, status=400),
    (400, "Throttling.AllocationQuota"): Kind(QuotaExhaustedError, False, _PAY, 400),
    "Arrearage": Kind(QuotaExhaustedError, False, _PAY, 400),
    "DataInspectionFailed": Kind(ContentFilterError, False, status=400),
    "FaqRuleBlocked": Kind(ContentFilterError, False, status=400),
    "CustomRoleBlocked": Kind(ContentFilterError, False, status=400),
    "IPInfringementSuspect": Kind(ContentFilterError, False, status=400),
    "InvalidApiKey": Kind(AuthenticationError, False, _KEY, 401),
    "NOT AUTHORIZED": Kind(AuthenticationError, False, "Is the workspace one of this key's?", 401),
    "AccessDenied": Kind(PermissionDeniedError, False, status=403),
    "AccessDenied.Unpurchased": Kind(PermissionDeniedError, False, "Activate the model in the console.", 403),
    "Model.AccessDenied": Kind(PermissionDeniedError, False, "The key's workspace does not have this model.", 403),
    "App.AccessDenied": Kind(PermissionDeniedError, False, status=403),
    "Workspace.AccessDenied": Kind(PermissionDeniedError, False, status=403),
    "AllocationQuota.FreeTierOnly": Kind(
        QuotaExhaustedError, False, 'Switch off "use free tier only" in the console to go on, paid.', 403
    ),
    "ModelNotFound": Kind(NotFoundError, False, status=404),
    "Model.NotExist": Kind(NotFoundError, False, status=404),
    "WorkSpaceNotFound": Kind(NotFoundError, False, status=404),
    "NotFound": Kind(NotFoundError, False, status=404),
    "Throttling": Kind(RateLimitError, True, status=429),
    "Throttling.RateQuota": Kind(RateLimitError, True, status=429),
    "LimitRequests": Kind(RateLimitError, True, status=429),
    "Throttling.BurstRate": Kind(RateLimitError, True, "Raise the load more slowly.", 429),
    "Throttling.AllocationQuota": Kind(RateLimitError, True, _TOKENS, 429),
    "CommodityNotPurchased": Kind(QuotaExhaustedError, False, _PAY, 429),
    "PrepaidBillOverdue": Kind(QuotaExhaustedError, False, _PAY, 429),
    "PostpaidBillOverdue": Kind(QuotaExhaustedError, False, _PAY, 429),
    "InternalError": Kind(InternalServerError, True, status=500),
    "InternalError.Algo": Kind(InternalServerError, True, status=500),
    "InternalError.Timeout": Kind(InternalServerError, True, status=500),
    "SystemError": Kind(InternalServerError, True, status=500),
    "ModelServiceFailed": Kind(InternalServerError, True, status=500),
    "RequestTimeOut": Kind(InternalServerError, True, "Stream long answers.", 500),
    "ModelServingError": Kind(ServiceUnavailableError, True, status=503),
    "ModelUnavailable": Kind(ServiceUnavailableError, True, status=503),
    "ServiceUnavailable": Kind(ServiceUnavailableError, True, status=503),
    "GatewayTimeout": Kind(InternalServerError, True, status=504),
    # Compatible mode
    "invalid_parameter_error": Kind(BadRequestError, False, status=400),
    "invalid_value": Kind(BadRequestError, False, status=400),
    "data_inspection_failed": Kind(ContentFilterError, False, status=400),
    "invalid_api_key": Kind(AuthenticationError, False, _KEY, 401),
    "access_denied": Kind(PermissionDeniedError, False, status=403),
    "model_not_found": Kind(NotFoundError, False, status=404),
    "model_not_supported": Kind(
        NotFoundError,
        False,
        'This model has no compatible mode: use provider = "dashscope". For "auto" to know it, put it into the '
        'configuration: [models."NAME"] providers = ["dashscope"].',
        404,
    ),
    "limit_requests": Kind(RateLimitError, True, status=429),
    "limit_burst_rate": Kind(RateLimitError, True, "Raise the load more slowly.", 429),
    "insufficient_quota": Kind(RateLimitError, True, _TOKENS, 429),
    "internal_error": Kind(InternalServerError, True, status=500),
}

_FREE_QUOTA_GONE = Kind(QuotaExhaustedError, False, "The free quota is used up and the model is not payable yet.", 429)


def special(code: str | None, message: str) -> Kind | None:
    """The one case that only the text tells apart: a used-up free quota has the code of a limit that recovers."""
    if code in {"Throttling.AllocationQuota", "insufficient_quota"} and message.startswith(
        "Free allocated quota exceeded"
    ):
        return _FREE_QUOTA_GONE
    return None
