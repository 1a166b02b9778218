"""ModelStudioOptions: a profile's options, which become headers of its requests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from qonduit.messages import ContentPart, Message
from qonduit.profile import Profile


class ModelStudioOptions(BaseModel):
    """`[profiles.NAME.options]` of the providers `qwen`, `dashscope` and `auto`."""

    model_config = ConfigDict(extra="forbid")

    data_inspection: bool | dict[str, str] = False
    """Have prompts and answers inspected by the account's content-safety product: true, or which of its services,
    e.g. `{input = "cip", output = "cip"}`. Source: https://help.aliyun.com/zh/model-studio/content-security"""
    wait_timeout: Annotated[int, Field(ge=1)] | None = None
    """Seconds that the server may hold a request which came too fast, in place of refusing it; the vendor advises 3 to
    120. It counts against `timeout`. Source: https://help.aliyun.com/zh/model-studio/rate-limiting-best-practices"""

    def headers(self, profile: Profile) -> dict[str, str]:
        """The headers of every request of a profile."""
        headers = {"content-type": "application/json"}
        if profile.workspace:
            headers["x-dashscope-workspace"] = profile.workspace
        if self.data_inspection:
            given = self.data_inspection
            headers["x-dashscope-datainspection"] = "enable" if given is True else to_json(given).decode()
        if self.wait_timeout is not None:
            headers["x-dashscope-wait-timeout"] = str(self.wait_timeout)
        return headers

    @staticmethod
    def resource_headers(messages: Iterable[Message]) -> dict[str, str]:
        """The header without which an `oss:` URL, of a file uploaded before, is not found."""
        if any(
            _names_upload(part)
            for message in messages
            if isinstance(message.content, tuple)
            for part in message.content
        ):
            return {"x-dashscope-ossresourceresolve": "enable"}
        return {}


def _names_upload(part: ContentPart) -> bool:
    """Whether an `oss:` URL stands anywhere in a part; text is not looked at."""
    for name, item in part.items():
        if name == "text":
            continue
        urls = item.values() if isinstance(item, dict) else item if isinstance(item, (list, tuple)) else (item,)
        if any(isinstance(url, str) and url.startswith("oss://") for url in urls):
            return True
    return False
