"""Convert arrays, tensors, series and tables of any library, which are recognised by their attributes."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tallymark.conversion.vocabulary import Converting, LeftOut, Place
    from tallymark.types.resources import Value

# Larger arrays are data, and only described.
MAX_VALUES = 1_000
# The public names of classes of jax and tensorflow.
_PUBLIC_NAMES = {"ArrayImpl": "Array", "EagerTensor": "Tensor", "ResourceVariable": "Variable"}


def package_of(kind: type) -> str:
    """Return the top-level package of a class."""
    module = type.__getattribute__(kind, "__module__")
    return module.partition(".")[0].removeprefix("_") if type(module) is str else ""


def is_array(kind: type) -> bool:
    """Return whether instances of the type have a shape."""
    # Checked on the type, because an instance may be a proxy that loads or invents any attribute.
    return hasattr(kind, "shape")


def convert(conversion: Converting, value: Any, place: Place) -> Value | LeftOut:
    """Return the value of a scalar, the values of a small array or series, or a description of a larger one."""
    name = _PUBLIC_NAMES.get(type(value).__name__, type(value).__name__)
    shape = _shape_of(value)
    if shape is None:
        return conversion.opaque(place, name, f"the {name} has no shape yet")
    if shape == () and hasattr(type(value), "dtype"):
        return _scalar(conversion, value, place)
    listing = next((each for each in ("tolist", "to_list", "numpy") if hasattr(type(value), each)), None)
    if not hasattr(type(value), "dtype") or listing is None:
        return conversion.described(place, f"{name} {shape}", "it is data, and only described: save it as an artifact")
    description = f"{name} {_dtype_of(value)} {shape}"
    if math.prod(shape) > MAX_VALUES:
        return conversion.described(place, description, f"it has over {MAX_VALUES:,} values, and is only described")
    try:
        labels, values = _labels_of(value), _to_list(value, listing)
    except Exception:  # noqa: BLE001 - sparse or uninitialised tensors raise many kinds of errors
        return conversion.described(place, description, "its values cannot be read, and it is only described")
    return conversion.value(values if labels is None else dict(zip(labels, values, strict=True)), place)


def _shape_of(value: Any) -> tuple[int, ...] | None:
    """Return the shape, None if it is unknown, as for lazy tables."""
    with suppress(TypeError, ValueError, AttributeError):
        shape = tuple(value.shape)
        if all(type(size) is int for size in shape):
            return shape
    return None


def _scalar(conversion: Converting, value: Any, place: Place) -> Value | LeftOut:
    kind = str(getattr(value.dtype, "kind", ""))
    if kind in ("M", "m"):
        return _convert_time(conversion, value, place)
    found = value.item() if hasattr(type(value), "item") else value.numpy().item()
    # `item` of a numpy.longdouble returns itself.
    return conversion.value(float(found) if type(found) is type(value) else found, place)


def _convert_time(conversion: Converting, value: Any, place: Place) -> Value | LeftOut:
    """Convert a numpy.datetime64 or numpy.timedelta64; nanoseconds are first reduced to microseconds."""
    found = value.item()
    if isinstance(found, int) and not value.dtype.str.endswith(("[Y]", "[M]")):
        found = value.astype(f"{value.dtype.kind}8[us]").item()
    if isinstance(found, date | timedelta) or found is None:
        return conversion.value(found, place)
    return conversion.text(str(value), place)


def _to_list(value: Any, listing: str) -> Any:
    """Return the values as Python lists."""
    if str(getattr(value.dtype, "kind", "")) in ("M", "m") and hasattr(type(value), "ravel") and hasattr(value, "flat"):
        return list(value) if value.ndim == 1 else [_to_list(row, listing) for row in value]
    found = getattr(value, listing)()
    return found.tolist() if listing == "numpy" else found


def _labels_of(value: Any) -> list[str] | None:
    """Return the labels of a pandas Series, None unless they are unique texts."""
    labels = getattr(getattr(value, "index", None), "tolist", None)
    if labels is None or package_of(type(value)) != "pandas":
        return None
    found = labels()
    texts = [label for label in found if isinstance(label, str)]
    return texts if found and len(set(texts)) == len(found) else None


def _dtype_of(value: Any) -> str:
    return str(getattr(value.dtype, "name", None) or value.dtype).removeprefix("torch.")
