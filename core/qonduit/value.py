"""The base of qonduit's values: frozen, compared by their declared fields, unknown fields carried along."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict

from qonduit.answer_json import finite

ModelT = TypeVar("ModelT", bound=BaseModel)
Finite: TypeAlias = Annotated[Any, AfterValidator(finite)]
"""Anything in which no float is NaN or infinite: JSON has neither, and pydantic would write null in their place."""


class Value(BaseModel):
    """A frozen pydantic model.

    Fields that a provider sends and qonduit does not know are kept (`value.model_extra`) and written back when the
    value is sent, but do not take part in `==`: two providers that mean the same give equal values.
    """

    model_config = ConfigDict(
        frozen=True, extra="allow", defer_build=True, hide_input_in_errors=True, protected_namespaces=()
    )

    def __eq__(self, other: object) -> bool:
        """Equal when the type and every declared field are."""
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]  # values hold lists and mappings: they are compared, not hashed

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Undo pydantic, which gives every frozen model a hash of its own."""
        cls.__hash__ = None  # type: ignore[assignment]

    def replace(self, **changes: Any) -> Self:
        """A copy with `changes`, checked like a new one. Raises: pydantic.ValidationError."""
        fields = {**self.__dict__, **(self.model_extra or {}), **changes}
        return type(self).model_validate(fields)


class FiniteValue(Value):
    """A value whose unknown fields are `Finite` as well."""

    if not TYPE_CHECKING:  # type checkers would take it for a field of the constructor's
        __pydantic_extra__: dict[str, Finite]


def json_parser(model: type[ModelT]) -> Callable[[bytes], ModelT]:
    """The function that makes a `model` of JSON bytes: pydantic's own, without the wrapper's cost for each call."""
    if not model.__pydantic_complete__:
        model.model_rebuild()
    return model.__pydantic_validator__.validate_json


def trusted(model: type[ModelT], fields: dict[str, Any], given: set[str] | None = None) -> ModelT:
    """A `model` of fields that are all there and valid: what `model_construct` does, at a fraction of its cost.

    `given` names those that count as set, by default all.
    """
    value: ModelT = _new(model)
    _set_fields(value, fields)
    _set_given(value, set(fields) if given is None else given)
    _set_extra(value, None)
    _set_private(value, None)
    return value


_new = object.__new__
_set_fields, _set_given, _set_extra, _set_private = (
    BaseModel.__dict__[name].__set__
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)
