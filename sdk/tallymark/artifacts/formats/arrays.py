"""Arrays, tables and figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tallymark.arguments import described
from tallymark.artifacts.formats.kind import class_is, library
from tallymark.artifacts.formats.plain import is_plain
from tallymark.errors import InvalidArgument

# The key in the metadata of the Parquet file for the original pandas class.
_MADE_OF = b"tallymark"


def is_array(value: Any) -> bool:
    """Return whether the value is an array of numpy that can be saved without pickle."""
    return type(value).__module__ == "numpy" and hasattr(value, "dtype") and not value.dtype.hasobject


def are_arrays(value: Any) -> bool:
    """Return whether the value is a list of arrays."""
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(is_array(item) for item in value)
        and any(item.ndim for item in value)
    )


def write_array(value: Any, path: Path) -> None:
    """Write one array."""
    library("numpy").save(path, value, allow_pickle=False)


def write_arrays(value: Any, path: Path) -> None:
    """Write arrays in their order."""
    library("numpy").savez(path, **{f"arr_{place}": array for place, array in enumerate(value)}, allow_pickle=False)


def read_arrays(path: Path, _: Sequence[str]) -> list[Any]:
    """Return the arrays in their order."""
    with library("numpy").load(path, allow_pickle=False) as opened:
        return [opened[f"arr_{place}"] for place in range(len(opened.files))]


def write_table(value: Any, path: Path) -> None:
    """Write a table, a column or an index, with its class."""
    pyarrow, parquet = library("pyarrow"), library("pyarrow.parquet")
    kind = next(each for each in ("DataFrame", "Series", "Index") if class_is("pandas", each)(type(value)))
    frame = value
    if kind == "Series":
        frame = value.to_frame("0" if value.name is None else str(value.name))
    elif kind == "Index":
        names = [str(place) for place in range(value.nlevels)]
        frame = value.to_frame(index=False, name=names if value.nlevels > 1 else names[0])
    made_of: dict[str, Any] = {"kind": kind}
    if kind != "DataFrame":
        made_of["names"] = list(value.names) if kind == "Index" else [value.name]
    if not is_plain(made_of):
        raise InvalidArgument(f"the name of the {kind} is {described(getattr(value, 'name', None))}; name it with text")
    table = pyarrow.Table.from_pandas(frame)
    parquet.write_table(
        table.replace_schema_metadata({**(table.schema.metadata or {}), _MADE_OF: json.dumps(made_of)}), path
    )


def read_table(path: Path, _: Sequence[str]) -> Any:
    """Read a table, column or index, in the class in which it was saved."""
    pandas = library("pandas")
    library("pyarrow", "pyarrow")
    metadata = library("pyarrow.parquet", "pyarrow").read_schema(path).metadata or {}
    made_of = json.loads(metadata.get(_MADE_OF, b'{"kind": "DataFrame"}'))
    frame = pandas.read_parquet(path)
    if made_of["kind"] == "Series":
        return frame.iloc[:, 0].rename(made_of["names"][0])
    if made_of["kind"] == "Index":
        if len(made_of["names"]) > 1:
            return pandas.MultiIndex.from_frame(frame, names=made_of["names"])
        return pandas.Index(frame.iloc[:, 0]).rename(made_of["names"][0])
    return frame


def write_figure(value: Any, path: Path) -> None:
    """Write a figure of matplotlib as a PNG image."""
    value.savefig(path, format="png", bbox_inches="tight")
