"""How values become files, and files values again. None of these runs code when it is read, but for joblib.

A format needs a library only when it is used: skops for estimators of scikit-learn, safetensors for tensors, onnx,
pandas with pyarrow for tables.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tallymark.arguments import described
from tallymark.errors import InvalidArgument
from tallymark.values import ArtifactType
from tallymark.warning import warn

if TYPE_CHECKING:
    from tallymark.resources import ArtifactInfo

Read = Callable[[Path, Sequence[str]], Any]


class Format(NamedTuple):
    """A kind of file. `takes` tells whether a value becomes one when no format is named."""

    name: str
    suffix: str
    type: ArtifactType
    takes: Callable[[Any], bool]
    write: Callable[[Any, Path], object]
    read: Read

    def suffix_of(self, value: object) -> str:
        """How the file's name ends: a file keeps its own ending."""
        return value.suffix if isinstance(value, Path) else self.suffix


def format_for(value: object, name: str | None) -> Format:
    """The format of that name, or the one that takes the value; InvalidArgument."""
    if name is not None:
        return _named(name)
    for kind in FORMATS:
        if kind.takes(value):
            return kind
    if hasattr(value, "get_params"):
        raise InvalidArgument(
            f"{described(value)} is saved with skops: pip install skops; or ask for format='joblib', a pickle, which"
            " runs the code of whoever wrote it when it is loaded"
        )
    raise InvalidArgument(
        f"{described(value)} is in no format that is known; name one of {', '.join(kind.name for kind in FORMATS)}, or"
        " save it to a file yourself and give its pathlib.Path"
    )


def format_named(name: str, artifact: ArtifactInfo, *, asked: bool) -> Format:
    """The format in which the artifact is read; InvalidArgument. `asked` says that whoever loads it named it."""
    if not name:
        raise InvalidArgument(f"{artifact!r} does not tell its format; name it: load({artifact.name!r}, format=...)")
    kind = _named(name)
    if kind.name == "joblib" and not asked:
        raise InvalidArgument(
            f"{artifact!r} is a pickle, which runs the code of whoever wrote it; if you trust them, ask for it by name:"
            f" load({artifact.name!r}, format='joblib')"
        )
    return kind


def _named(name: str) -> Format:
    for kind in FORMATS:
        if kind.name == name:
            return kind
    raise InvalidArgument(f"format is {name!r}; name one of {', '.join(kind.name for kind in FORMATS)}")


def _library(name: str, package: str = "") -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        wanted = package or name.split(".", 1)[0]
        raise InvalidArgument(f"this format needs {wanted} ({error}): pip install {wanted}") from None


def _is_of(library: str) -> Callable[[Any], bool]:
    def takes(value: Any) -> bool:
        return any(kind.__module__.split(".")[0] == library for kind in type(value).__mro__)

    return takes


def _is_estimator(value: Any) -> bool:
    return _is_of("sklearn")(value) and _is_installed("skops")


def _is_installed(library: str) -> bool:
    from importlib.util import find_spec

    return find_spec(library) is not None


def _is_table(value: Any) -> bool:
    return _is_of("pandas")(value) and hasattr(value, "to_parquet")


def _are_tensors(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(key, str) and hasattr(item, "shape") for key, item in value.items())
    )


def _is_plain(value: Any) -> bool:
    match value:
        case None | bool() | int() | float() | str():
            return True
        case list() | tuple():
            return all(_is_plain(item) for item in value)
        case dict():
            return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
        case _:
            return False


def _write_array(value: Any, path: Path) -> None:
    _library("numpy").save(path, value, allow_pickle=False)


def _write_tensors(value: Any, path: Path) -> None:
    torch = any(type(item).__module__.startswith("torch") for item in value.values())
    library = _library("safetensors.torch" if torch else "safetensors.numpy")
    library.save_file(dict(value), path, metadata={"format": "pt" if torch else "np"})


def _read_tensors(path: Path, _: Sequence[str]) -> Any:
    with _library("safetensors").safe_open(path, framework="np") as opened:
        torch = (opened.metadata() or {}).get("format") == "pt"
    return _library("safetensors.torch" if torch else "safetensors.numpy").load_file(path)


def _read_estimator(path: Path, trusted: Sequence[str]) -> Any:
    library = _library("skops.io", "skops")
    unknown = sorted(set(library.get_untrusted_types(file=path)) - set(trusted))
    if unknown:
        raise InvalidArgument(
            f"the file contains {', '.join(unknown)}; if you trust these, load(..., trusted={unknown})"
        )
    return library.load(path, trusted=list(trusted))


def _write_pickle(value: Any, path: Path) -> None:
    warn("joblib writes a pickle: whoever loads it runs the code in it", UserWarning)
    _library("joblib").dump(value, path)


def _read_pickle(path: Path, _: Sequence[str]) -> Any:
    warn("a pickle runs the code of whoever wrote it", UserWarning)
    return _library("joblib").load(path)


# The first that takes a value is chosen.
FORMATS = (
    Format(
        "file", "", ArtifactType.DATA, lambda value: isinstance(value, Path),
        shutil.copyfile,
        lambda path, _: path,
    ),
    Format(
        "bytes", ".bin", ArtifactType.DATA, lambda value: isinstance(value, bytes),
        lambda value, path: path.write_bytes(value),
        lambda path, _: path.read_bytes(),
    ),
    Format(
        "text", ".txt", ArtifactType.DATA, lambda value: isinstance(value, str),
        lambda value, path: path.write_text(value, encoding="utf-8", newline=""),
        lambda path, _: path.read_bytes().decode("utf-8"),
    ),
    Format(
        "json", ".json", ArtifactType.DATA, _is_plain,
        lambda value, path: path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8"),
        lambda path, _: json.loads(path.read_text(encoding="utf-8")),
    ),
    Format(
        "npy", ".npy", ArtifactType.DATA,
        lambda value: type(value).__module__ == "numpy" and hasattr(value, "dtype") and not value.dtype.hasobject,
        _write_array,
        lambda path, _: _library("numpy").load(path, allow_pickle=False),
    ),
    Format(
        "parquet", ".parquet", ArtifactType.DATA, _is_table,
        lambda value, path: value.to_parquet(path),
        lambda path, _: _library("pandas").read_parquet(path),
    ),
    Format("safetensors", ".safetensors", ArtifactType.MODEL, _are_tensors, _write_tensors, _read_tensors),
    Format(
        "onnx", ".onnx", ArtifactType.MODEL, _is_of("onnx"),
        lambda value, path: path.write_bytes(value.SerializeToString()),
        lambda path, _: _library("onnx").load(path),
    ),
    Format(
        "skops", ".skops", ArtifactType.MODEL, _is_estimator,
        lambda value, path: _library("skops.io", "skops").dump(value, path),
        _read_estimator,
    ),
    Format("joblib", ".joblib", ArtifactType.MODEL, lambda _: False, _write_pickle, _read_pickle),
)  # fmt: skip
