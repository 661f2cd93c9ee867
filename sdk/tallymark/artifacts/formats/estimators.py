"""Estimators of scikit-learn, and whatever has its interface: skops, which holds types by name and no code.

LightGBM and XGBoost have files of their own for boosters. A wrapper with scikit-learn's interface, and a pipeline that
has one as a step, is more than its booster: skops keeps it whole.
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
# The attribute of an XGBoost model under which its wrapper's class and parameters stand.
_WRAPPER = "tallymark"


def write_estimator(value: Any, path: Path) -> None:
    """Write an estimator; InvalidArgument if it holds what could not be loaded again."""
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


_PICKLE = "or ask for format='joblib', a pickle, which runs the code of whoever wrote it when it is loaded"


def read_estimator(path: Path, trusted: Sequence[str]) -> Any:
    """Return the estimator; InvalidArgument if the file holds types that nobody trusts, or is no sound file."""
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
    """Write a booster of LightGBM, or that of a wrapper, as LightGBM's text."""
    booster = value if class_is("lightgbm", "Booster")(type(value)) else getattr(value, "booster_", None)
    if booster is None:
        raise InvalidArgument(f"{described(value)} has no booster of LightGBM")
    path.write_text(booster.model_to_string(), encoding="utf-8")


def read_lightgbm(path: Path, _: Sequence[str]) -> Any:
    """Return the booster; InvalidArgument if the text is no model of LightGBM."""
    lightgbm = library("lightgbm")
    try:
        return lightgbm.Booster(model_str=path.read_text(encoding="utf-8"))
    except (lightgbm.basic.LightGBMError, ValueError) as error:
        raise InvalidArgument(f"the file is no model of LightGBM: {error}") from error


def write_xgboost(value: Any, path: Path) -> None:
    """Write a booster of XGBoost, or a wrapper with its parameters, as XGBoost's UBJSON."""
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
    """Return the booster, or the wrapper that was saved; InvalidArgument if the file is no model of XGBoost."""
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
    made = getattr(xgboost, wrapper["class"])(**wrapper["params"])
    params = made.get_params()
    made.load_model(path)
    # Loading sets what was left to XGBoost to what it chose.
    return made.set_params(**params)


def write_keras(value: Any, path: Path) -> None:
    """Write a model of Keras; InvalidArgument if it has a layer that Keras would not load again."""
    value.save(path)
    with ZipFile(path) as opened:
        config = opened.read("config.json")
    if b'"__lambda__"' in config:
        raise InvalidArgument(
            f"{described(value)} has a Lambda layer with code of its own, which Keras does not load again: make a layer"
            " class of it, and register that with keras.saving.register_keras_serializable"
        )


def read_keras(path: Path, _: Sequence[str]) -> Any:
    """Return the model; Keras refuses layers that would run code of the file."""
    return library("keras").saving.load_model(path, safe_mode=True)


def write_pickle(value: Any, path: Path) -> None:
    """Write a pickle, and warn of it."""
    warn("joblib writes a pickle: whoever loads it runs the code in it", UserWarning)
    library("joblib").dump(value, path)


def read_pickle(path: Path, _: Sequence[str]) -> Any:
    """Return what the pickle makes, and warn that it is one."""
    warn("a pickle runs the code of whoever wrote it", UserWarning)
    return library("joblib").load(path)
