"""The fields of dataclasses, named tuples, and classes of attrs, pydantic and msgspec."""

from __future__ import annotations

from typing import Any


def has_fields(kind: type) -> bool:
    """Return whether the type declares fields."""
    return _declared(kind) is not None


def names_of(value: Any) -> list[str]:
    """Return the names of the fields of an instance, including extra fields of pydantic."""
    extra = getattr(value, "__pydantic_extra__", None)
    return [*(_declared(type(value)) or ()), *(extra if type(extra) is dict else ())]


def _declared(kind: type) -> list[str] | None:
    if hasattr(kind, "__dataclass_fields__"):
        declared = kind.__dataclass_fields__.values()
        # Class variables are excluded.
        return [field.name for field in declared if field._field_type.name == "_FIELD"]  # noqa: SLF001 - as in dataclasses
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return list(kind._fields)
    if hasattr(kind, "__attrs_attrs__"):
        return [attribute.name for attribute in kind.__attrs_attrs__]
    if hasattr(kind, "__struct_fields__"):
        return list(kind.__struct_fields__)
    # pydantic 2, or else 1, whose attribute `__fields__` causes a warning in 2.
    found = getattr(kind, "__pydantic_fields__", None)
    if found is None and any("__fields_set__" in vars(each) for each in kind.__mro__):
        found = getattr(kind, "__fields__", None)
    return list(found) if isinstance(found, dict) else None
