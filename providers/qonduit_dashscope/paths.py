"""Generation paths: a model answers on exactly one of two, and says "url error" on the other.

Source: requests of Alibaba's own SDKs and https://help.aliyun.com/zh/model-studio/error-code (2026-05-25). There is no
endpoint that tells a model's path: the model table knows it, or guesses it from the name, and a wrong guess is mended
by asking the sibling path once. Where that answers, it is remembered.
"""

from __future__ import annotations

from qonduit.models import Model, ModelTable
from qonduit.request import ChatRequest
from qonduit_dashscope.messages import has_media

TEXT = "/services/aigc/text-generation/generation"
MULTIMODAL = "/services/aigc/multimodal-generation/generation"
URL_ERROR = "url error, please check url"


class Paths:
    """Where each model is asked: where it has answered after a url error, else where the table says, else as text.

    `learned` (paths by model) is shared by the parts of one provider: what one hears, the others know.
    """

    def __init__(self, models: ModelTable, learned: dict[str, str]) -> None:
        self._models = models
        self._learned = learned

    def of(self, model: Model) -> str:
        """The path of `model` for messages that are text only."""
        if self._learned and (path := self._learned.get(model.name)) is not None:
            return path
        return MULTIMODAL if model.path == "multimodal" else TEXT

    def answered(self, request: ChatRequest, url: str) -> None:
        """Remember that the request's model answered at `url`, where its text would be asked on the other path."""
        name = request.model or ""
        if url.endswith(self.of(self._models.get(name))) or has_media(request.messages):
            return
        for path in (TEXT, MULTIMODAL):
            if url.endswith(path):
                self._learned[name] = path


def sibling(url: str) -> str | None:
    """The other path of `url`; None when it is on neither."""
    for path, other in ((TEXT, MULTIMODAL), (MULTIMODAL, TEXT)):
        if url.endswith(path):
            return url.removesuffix(path) + other
    return None
