"""The file formats of artifacts. Reading a file runs no code from it, except in the format joblib.

arrays         arrays of numpy, tables of pandas, figures
classes        check whether values of a class can be saved
estimators     scikit-learn, LightGBM, XGBoost, Keras, and joblib
folders        folders: a manifest with the digest of each file
kind           the class `Format`
plain          JSON, and the values that it supports
tensors        tensors of torch and mappings of arrays
trees          check decision trees that are read from files
trusted_types  the types that a skops file may contain by default

The library of a format is imported when the format is used.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallymark.arguments import described
from tallymark.artifacts.formats import arrays, estimators, plain, tensors
from tallymark.artifacts.formats.kind import Format, class_is, class_is_of, is_of, library
from tallymark.errors import InvalidArgument
from tallymark.types.enums import ArtifactType

if TYPE_CHECKING:
    from tallymark.types.artifact_info import ArtifactInfo

__all__ = ["FILE", "FOLDER", "FORMATS", "Format", "format_called", "format_for", "format_for_class", "format_named"]

FOLDER = "folder"
FILE = "file"
_is_sklearn = class_is_of("sklearn", "lightgbm", "xgboost")
_has_own_file = class_is("xgboost", "Booster", "XGBModel")


def format_for(value: object, name: str | None) -> Format:
    """Return the format with this name, or the one that supports the value. Raises InvalidArgument."""
    if name is not None:
        return format_called(name)
    for kind in FORMATS:
        if kind.takes(value):
            return kind
    wrong = ""
    if isinstance(value, dict | list | tuple):
        try:
            plain.plain(value)
        except InvalidArgument as error:
            wrong = f" ({error})"
    raise InvalidArgument(
        f"{described(value)} has no known format{wrong}; name one of {_names()}, or save it to a file or a"
        " folder yourself and pass its pathlib.Path. joblib takes every object, but is a pickle, which runs the code of"
        " whoever wrote it when it is loaded"
    )


def format_for_class(kind: object) -> Format | None:
    """Return the format for values of a class, None if the class alone does not decide it."""
    if not isinstance(kind, type):
        return None
    return next((each for each in FORMATS if each.classes(kind)), None)


def format_named(name: str, artifact: ArtifactInfo, *, is_explicit: bool) -> Format:
    """Return the format in which to read the artifact. Raises InvalidArgument.

    `is_explicit` is True if the user named the format, which joblib requires.
    """
    if not name:
        raise InvalidArgument(f"the format of {artifact!r} is not known; name it: load({artifact.name!r}, format=...)")
    kind = format_called(name)
    if kind.name == "joblib" and not is_explicit:
        raise InvalidArgument(
            f"{artifact!r} is a pickle, which runs the code of whoever wrote it; if you trust them, name the format:"
            f" load({artifact.name!r}, format='joblib')"
        )
    return kind


def format_called(name: str) -> Format:
    """Return the format with this name. Raises InvalidArgument."""
    for kind in FORMATS:
        if kind.name == name:
            return kind
    raise InvalidArgument(f"format is {name!r}; name one of {_names()}")


def table() -> str:
    """Return the formats as a Markdown table: the supported values, the format, and its libraries."""
    rows = ["| a value that is | becomes | with |", "| --- | --- | --- |"]
    rows += [f"| {kind.holds} | `{kind.name}` | {f'`{kind.packages}`' if kind.packages else ''} |" for kind in FORMATS]
    return "\n".join(rows) + "\n"


def _names() -> str:
    return ", ".join(kind.name for kind in FORMATS)


def _is_figure(kind: type) -> bool:
    return class_is("matplotlib", "Figure")(kind)


def _is_table(kind: type) -> bool:
    return class_is("pandas", "DataFrame", "Series", "Index")(kind)


def _is_estimator(kind: type) -> bool:
    return _is_sklearn(kind) and not _has_own_file(kind) and hasattr(kind, "get_params")


def _not_a_folder(_value: Any, _path: Path) -> None:
    raise InvalidArgument("pass a folder as its pathlib.Path")


# The first format that supports a value is used. Keras comes before torch, because its models may be modules of torch.
FORMATS = (
    Format(
        FOLDER, ".folder", ArtifactType.DATA, "a `pathlib.Path` of a folder",
        lambda value: isinstance(value, Path) and value.is_dir(),
        # The store saves the files of a folder one by one.
        _not_a_folder,
        lambda path, _: path,
    ),
    Format(
        FILE, "", ArtifactType.DATA, "a `pathlib.Path` of a file, kept as it is",
        lambda value: isinstance(value, Path),
        shutil.copyfile,
        lambda path, _: path,
        classes=lambda kind: issubclass(kind, Path),
    ),
    Format(
        "bytes", ".bin", ArtifactType.DATA, "`bytes`", lambda value: isinstance(value, bytes),
        lambda value, path: path.write_bytes(value),
        lambda path, _: path.read_bytes(),
    ),
    Format(
        "text", ".txt", ArtifactType.DATA, "`str`", lambda value: type(value) is str,
        lambda value, path: path.write_text(value, encoding="utf-8", newline=""),
        lambda path, _: path.read_bytes().decode("utf-8"),
    ),
    Format(
        "keras", ".keras", ArtifactType.MODEL, "a model of Keras 3",
        lambda value: class_is("keras", "Model")(type(value)),
        estimators.write_keras, estimators.read_keras,
        classes=class_is("keras", "Model"), needs=("keras",), packages="keras",
    ),
    Format(
        "npy", ".npy", ArtifactType.DATA, "an array of numpy",
        lambda value: arrays.is_array(value) and (value.ndim > 0 or not plain.is_plain(value)),
        arrays.write_array,
        lambda path, _: library("numpy").load(path, allow_pickle=False),
        classes=class_is("numpy", "ndarray"), needs=("numpy",), packages="numpy",
    ),
    Format(
        "npz", ".npz", ArtifactType.DATA, "a list of arrays of numpy",
        arrays.are_arrays, arrays.write_arrays, arrays.read_arrays,
        needs=("numpy",), packages="numpy",
    ),
    Format(
        "safetensors", ".safetensors", ArtifactType.MODEL,
        "tensors of torch in mappings and lists, such as a `state_dict()` or a checkpoint; a `torch.nn.Module`, as"
        " its `state_dict()`; a mapping of arrays of numpy",
        tensors.are_tensors, tensors.write_tensors, tensors.read_tensors,
        classes=class_is("torch", "Module", "Tensor"), needs=("safetensors",), packages="safetensors",
    ),
    Format(
        "json", ".json", ArtifactType.DATA,
        "None, numbers, dates, enums, dataclasses, lists and mappings of these, also with what numpy has of them",
        plain.is_plain,
        plain.write_json,
        lambda path, _: plain.read_json(path),
    ),
    Format(
        "parquet", ".parquet", ArtifactType.DATA, "a DataFrame, Series or Index of pandas",
        lambda value: _is_table(type(value)),
        arrays.write_table, arrays.read_table,
        classes=_is_table, needs=("pyarrow", "pandas"), packages="pandas pyarrow",
    ),
    Format(
        "png", ".png", ArtifactType.DATA, "a figure of matplotlib, loaded as the `bytes` of its picture",
        lambda value: _is_figure(type(value)),
        arrays.write_figure,
        lambda path, _: path.read_bytes(),
        classes=_is_figure,
    ),
    Format(
        "onnx", ".onnx", ArtifactType.MODEL, "a `ModelProto` of ONNX", is_of("onnx"),
        lambda value, path: path.write_bytes(value.SerializeToString()),
        lambda path, _: library("onnx").load(path),
        classes=class_is_of("onnx"), needs=("onnx",), packages="onnx",
    ),
    Format(
        "lightgbm", ".txt", ArtifactType.MODEL, "a `Booster` of LightGBM",
        lambda value: class_is("lightgbm", "Booster")(type(value)),
        estimators.write_lightgbm, estimators.read_lightgbm,
        classes=class_is("lightgbm", "Booster"), needs=("lightgbm",), packages="lightgbm",
    ),
    Format(
        "xgboost", ".ubj", ArtifactType.MODEL, "a `Booster` of XGBoost, `XGBClassifier`, `XGBRegressor`, …",
        lambda value: _has_own_file(type(value)),
        estimators.write_xgboost, estimators.read_xgboost,
        classes=_has_own_file, needs=("xgboost",), packages="xgboost",
    ),
    Format(
        "skops", ".skops", ArtifactType.MODEL,
        "an estimator of scikit-learn, also with steps of LightGBM or XGBoost; `LGBMClassifier`, `LGBMRegressor`, …",
        lambda value: _is_estimator(type(value)),
        estimators.write_estimator, estimators.read_estimator,
        classes=_is_estimator, needs=("skops",), packages="skops",
    ),
    Format(
        "joblib", ".joblib", ArtifactType.MODEL, "any object, if you name the format: a pickle",
        lambda _: False, estimators.write_pickle, estimators.read_pickle,
        needs=("joblib",), packages="joblib",
    ),
)  # fmt: skip
