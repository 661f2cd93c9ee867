"""The formats of estimators: skops, those of LightGBM, XGBoost and Keras, and joblib.

skops saves estimators with the interface of scikit-learn; a file contains the names of types, but no code. LightGBM and
XGBoost have formats of their own for boosters. A wrapper of LightGBM with the interface of scikit-learn, and a pipeline
with a wrapper as a step, contain more than a booster, so skops saves them as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from tallymark.arguments import described
from tallymark.artifacts.formats.kind import class_is, library
from tallymark.artifacts.formats.plain import plain
from tallymark.artifacts.formats.trees import check_trees
from tallymark.artifacts.formats.trusted_types import untrusted
from tallymark.errors import InvalidArgument
from tallymark.runtime.caller_warnings import warn
from tallymark.settings import current

_XGBOOST_WRAPPERS = ("XGBClassifier", "XGBRegressor", "XGBRanker", "XGBRFClassifier", "XGBRFRegressor")
# The attribute of an XGBoost model with the class and parameters of its wrapper.
_WRAPPER = "tallymark"


def write_estimator(value: Any, path: Path) -> None:
    """Write an estimator. Raises InvalidArgument if it contains types that could not be loaded again."""
    skops = library("skops.io", "skops")
    try:
        skops.dump(value, path)
        unknown = untrusted(skops.get_untrusted_types(file=path), current().trusted_types)
    except Exception as error:
        raise InvalidArgument(f"skops cannot write {described(value)}: {error}; {_PICKLE}") from error
    if unknown:
        raise InvalidArgument(
            f"{described(value)} holds {', '.join(unknown)}, which would not be loaded again: if whoever loads it may"
            f" run these, name them in configure(trusted_types=...) or TALLYMARK_TRUSTED_TYPES; {_PICKLE}"
        )


_PICKLE = "or use format='joblib', a pickle, which runs the code of whoever wrote it when it is loaded"


def read_estimator(path: Path, trusted: Sequence[str]) -> Any:
    """Read an estimator. Raises InvalidArgument if the file contains types that are not trusted, or is not valid."""
    skops = library("skops.io", "skops")
    try:
        held = skops.get_untrusted_types(file=path)
    except Exception as error:
        raise InvalidArgument(f"the file cannot be read by skops: {error}") from error
    unknown = untrusted(held, (*current().trusted_types, *trusted))
    if unknown:
        raise InvalidArgument(
            f"the file contains {', '.join(unknown)}; if you trust these, load(..., trusted={unknown}), or name them in"
            " TALLYMARK_TRUSTED_TYPES"
        )
    try:
        loaded = skops.load(path, trusted=held)
    except Exception as error:
        raise InvalidArgument(f"the file cannot be read by skops: {error}") from error
    check_trees(loaded)
    return loaded


def write_lightgbm(value: Any, path: Path) -> None:
    """Write a booster of LightGBM, or that of a wrapper, in LightGBM's text format."""
    booster = value if class_is("lightgbm", "Booster")(type(value)) else getattr(value, "booster_", None)
    if booster is None:
        raise InvalidArgument(f"{described(value)} has no booster of LightGBM")
    path.write_text(booster.model_to_string(), encoding="utf-8")


def read_lightgbm(path: Path, _: Sequence[str]) -> Any:
    """Read a booster. Raises InvalidArgument if the file is not a model of LightGBM."""
    lightgbm = library("lightgbm")
    try:
        return lightgbm.Booster(model_str=path.read_text(encoding="utf-8"))
    except (lightgbm.basic.LightGBMError, ValueError) as error:
        raise InvalidArgument(f"the file is no model of LightGBM: {error}") from error


def write_xgboost(value: Any, path: Path) -> None:
    """Write a booster of XGBoost, or a wrapper with its parameters, in XGBoost's UBJSON format."""
    if class_is("xgboost", "Booster")(type(value)):
        value.save_model(path)
        return
    if type(value).__name__ not in _XGBOOST_WRAPPERS or not hasattr(value, "get_booster"):
        raise InvalidArgument(
            f"{described(value)} is no booster of XGBoost, and none of {', '.join(_XGBOOST_WRAPPERS)}"
        )
    try:
        params = plain({key: each for key, each in value.get_params().items() if each is not None}, "its parameters")
    except InvalidArgument as error:
        raise InvalidArgument(f"{described(value)}: {error}; save its booster, model.get_booster()") from None
    value.save_model(path)
    booster = library("xgboost").Booster(model_file=path)
    booster.set_attr(**{_WRAPPER: json.dumps({"class": type(value).__name__, "params": params})})
    booster.save_model(path)


def read_xgboost(path: Path, _: Sequence[str]) -> Any:
    """Read a booster, or the wrapper that was saved. Raises InvalidArgument if the file is not a model of XGBoost."""
    xgboost = library("xgboost")
    try:
        booster = xgboost.Booster(model_file=path)
    except xgboost.core.XGBoostError as error:
        raise InvalidArgument(f"the file is no model of XGBoost: {str(error).splitlines()[0]}") from error
    wrapper = json.loads(booster.attr(_WRAPPER) or "{}")
    if not wrapper:
        return booster
    if wrapper["class"] not in _XGBOOST_WRAPPERS:
        raise InvalidArgument(f"the file names the class {wrapper['class']!r}, none of {', '.join(_XGBOOST_WRAPPERS)}")
    model = getattr(xgboost, wrapper["class"])(**wrapper["params"])
    params = model.get_params()
    model.load_model(path)
    # load_model sets parameters that were None to the values that XGBoost chose.
    return model.set_params(**params)


def write_keras(value: Any, path: Path) -> None:
    """Write a model of Keras. Raises InvalidArgument if it has a layer that Keras would not load again."""
    value.save(path)
    with ZipFile(path) as opened:
        config = opened.read("config.json")
    if b'"__lambda__"' in config:
        raise InvalidArgument(
            f"{described(value)} has a Lambda layer with code of its own, which Keras does not load again: make a layer"
            " class of it, and register that with keras.saving.register_keras_serializable"
        )


def read_keras(path: Path, _: Sequence[str]) -> Any:
    """Read a model of Keras, which refuses layers that would run code from the file."""
    return library("keras").saving.load_model(path, safe_mode=True)


def write_pickle(value: Any, path: Path) -> None:
    """Write a pickle, with a warning."""
    warn("joblib writes a pickle: whoever loads it runs the code in it", UserWarning)
    library("joblib").dump(value, path)


def read_pickle(path: Path, _: Sequence[str]) -> Any:
    """Read a pickle, with a warning."""
    warn("a pickle runs the code of whoever wrote it", UserWarning)
    return library("joblib").load(path)
