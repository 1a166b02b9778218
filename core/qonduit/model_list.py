"""Model lists: what a provider says it serves."""

from __future__ import annotations

from typing import ClassVar, Self

from qonduit.embeddings import unique
from qonduit.request import Request
from qonduit.response import Response
from qonduit.value import Value


class ListedModel(Value):
    """One model of a provider's list, by the name that requests use."""

    id: str
    created: int | None = None
    owned_by: str | None = None


class ModelList(Response):
    """The provider's models, in its order. Providers' lists are known to be incomplete."""

    data: tuple[ListedModel, ...] = ()
    more: bool = False
    """Whether the provider has a further page; False in what a client gives."""

    @classmethod
    def joined(cls, responses: list[Self]) -> Self:
        """The pages as one list."""
        if len(responses) == 1:
            return responses[0]
        return responses[-1].replace(
            data=tuple(model for response in responses for model in response.data),
            more=False,
            warnings=unique(warning for response in responses for warning in response.warnings),
            content=tuple(part for response in responses for part in response.content),
        )


class ModelsRequest(Request):
    """Ask for the provider's models; `page` counts from 1 and is turned by the core."""

    operation: ClassVar[str] = "models"
    response_type: ClassVar[type[Response]] = ModelList
    needs_model: ClassVar[bool] = False

    page: int = 1
