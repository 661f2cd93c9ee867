"""Formats of artifacts: every kind of value is saved in its default format, and loaded unchanged."""

import dataclasses
import datetime
import enum
import json
import math
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import matplotlib.figure
import numpy
import pandas
import pytest
import xgboost
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from virtualenvs import pip
from cached_folders import cached_folder
from tallymark.artifacts import formats
from tallymark.errors import InvalidArgument


def save_and_load(value: Any, folder: Path, format_: str | None = None) -> tuple[str, Any]:
    """Return the format that was chosen, and the value that was read."""
    chosen = formats.format_for(value, format_)
    path = folder / f"value{chosen.suffix_of(value)}"
    chosen.write(value, path)
    return chosen.name, chosen.read(path, ())


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Scores:
    auc: float
    cut: numpy.float32


JSON: dict[str, tuple[Any, Any]] = {
    "numbers of numpy": ({"a": numpy.float32(1), "n": numpy.int64(2**60)}, {"a": 1.0, "n": 2**60}),
    "arrays beside numbers": ({"auc": 0.5, "cm": numpy.eye(2, dtype=int)}, {"auc": 0.5, "cm": [[1, 0], [0, 1]]}),
    "one number of numpy": (numpy.float64(0.25), 0.25),
    "dates": ([datetime.date(2026, 1, 2), pandas.Timestamp("2026-01-02")], ["2026-01-02", "2026-01-02T00:00:00"]),
    "what is missing": ([None, pandas.NA, pandas.NaT], [None, None, None]),
    "a dataclass": (Scores(0.5, numpy.float32(0.5)), {"auc": 0.5, "cut": 0.5}),
    "an enum": ({Colour.RED: Colour.RED, 1: True}, {"red": "red", "1": True}),
    "a set and a path": ([{2, 1}, Path("/a")], [[1, 2], "/a"]),
}  # fmt: skip


@pytest.mark.parametrize("case", JSON)
def test_plain_values_are_saved_as_json(tmp_path: Path, case: str) -> None:
    """Numbers of numpy, dates and dataclasses are saved as JSON, not as tensors or pickles."""
    value, expected = JSON[case]
    assert save_and_load(value, tmp_path) == ("json", expected)


def test_nan_and_infinities_are_kept(tmp_path: Path) -> None:
    """NaN and infinities are loaded from JSON unchanged."""
    _, back = save_and_load({"nan": numpy.float32("nan"), "inf": -math.inf}, tmp_path)
    assert math.isnan(back["nan"])
    assert back["inf"] == -math.inf


def test_an_unsupported_value_is_named(tmp_path: Path) -> None:
    """The message names the unsupported part of a mapping."""
    with pytest.raises(InvalidArgument, match=r"the value\['a'\]\[1\] is an object"):
        formats.format_for({"a": [1, object()]}, None)
    with pytest.raises(InvalidArgument, match="too many for JSON"):
        formats.format_for("x", "json").write({"a": 1, "big": numpy.zeros(200_000)}, tmp_path / "x")


TABLES: dict[str, Any] = {
    "frame": pandas.DataFrame({"a": [1, 2], "b": ["x", None]}, index=["i", "j"]),
    "series": pandas.Series([1.5, 2.5], name="y"),
    "series without a name": pandas.Series(["a", "b"], index=pandas.date_range("2026-01-01", periods=2, unit="us")),
    "index": pandas.Index([3, 1, 2], name="id"),
    "index without a name": pandas.date_range("2026-01-01", periods=3, unit="us"),
    "index of two levels": pandas.MultiIndex.from_tuples([(1, "a"), (2, "b")], names=["p", None]),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLES)
def test_tables_columns_and_indices_are_kept(tmp_path: Path, case: str) -> None:
    """Objects of pandas are loaded with their class and names."""
    value = TABLES[case]
    name, back = save_and_load(value, tmp_path)
    assert name == "parquet"
    assert type(back) is type(value)
    assert back.equals(value)
    if not isinstance(value, pandas.DataFrame):
        assert list(getattr(back, "names", [back.name])) == list(getattr(value, "names", [value.name]))


def test_lists_and_mappings_of_arrays_are_kept(tmp_path: Path) -> None:
    """Lists keep their order, also beyond ten items; mappings their keys; arrays their types and shapes."""
    arrays = [numpy.full((place, 2), place, dtype="int16") for place in range(12)]
    name, back = save_and_load(arrays, tmp_path)
    assert name == "npz"
    assert [(each.shape, each.dtype, each.tolist()) for each in back] == [
        (each.shape, each.dtype, each.tolist()) for each in arrays
    ]
    name, mapping = save_and_load({"w": numpy.eye(2).T, "b": numpy.float32(2)}, tmp_path)
    assert name == "safetensors"
    assert (list(mapping), mapping["w"].tolist(), mapping["b"].shape) == (["w", "b"], [[1, 0], [0, 1]], ())


def test_a_figure_is_saved_as_png(tmp_path: Path) -> None:
    """A figure of matplotlib is saved as PNG, and loaded as bytes."""
    figure = matplotlib.figure.Figure()
    figure.subplots().plot([1, 2])
    name, back = save_and_load(figure, tmp_path)
    assert (name, back[:8]) == ("png", b"\x89PNG\r\n\x1a\n")


X = numpy.random.RandomState(0).rand(60, 4)
y = numpy.array([0, 1] * 30)
FRAME = pandas.DataFrame(X, columns=list("abcd")).assign(kind=["u", "v", "w"] * 20)


CATEGORIES = pandas.DataFrame(X, columns=list("abcd")).assign(k=pandas.Categorical(FRAME.kind))


def lgbm(kind: type = lightgbm.LGBMClassifier) -> Any:
    return kind(n_estimators=3, min_child_samples=5, verbose=-1)


ESTIMATORS: dict[str, tuple[str, Callable[[], Any]]] = {
    "forest": ("skops", lambda: RandomForestClassifier(5).fit(X, y)),
    "boosting with categories": (
        "skops",
        lambda: HistGradientBoostingClassifier(max_iter=3, categorical_features="from_dtype").fit(CATEGORIES, y),
    ),
    "columns": (
        "skops",
        lambda: Pipeline([
            ("columns", ColumnTransformer([
                ("numbers", StandardScaler(), make_column_selector(dtype_include="number")),
                ("kinds", OneHotEncoder(handle_unknown="ignore"), ["kind"]),
            ])),
            ("forest", RandomForestClassifier(3)),
        ]).fit(FRAME, y),
    ),
    "search": ("skops", lambda: GridSearchCV(RandomForestClassifier(2), {"max_depth": [1, 2]}, cv=2).fit(X, y)),
    "lightgbm": ("skops", lambda: lgbm().fit(X, y)),
    "lightgbm in a pipeline": ("skops", lambda: make_pipeline(StandardScaler(), lgbm()).fit(X, y)),
    "booster of lightgbm": ("lightgbm", lambda: lgbm().fit(X, y).booster_),
    "xgboost": ("xgboost", lambda: xgboost.XGBClassifier(n_estimators=3, max_depth=2).fit(X, y)),
    "xgboost in a pipeline": (
        "skops",
        lambda: make_pipeline(StandardScaler(), xgboost.XGBRegressor(n_estimators=3)).fit(X, y),
    ),
    "booster of xgboost": ("xgboost", lambda: xgboost.XGBRegressor(n_estimators=3).fit(X, y).get_booster()),
}  # fmt: skip


def shown(parameters: object) -> str:
    """The parameters as text, without addresses."""
    return re.sub(r" at 0x\w+", "", str(parameters))


@pytest.mark.parametrize("case", ESTIMATORS)
def test_models_of_well_known_libraries_predict_as_before(tmp_path: Path, case: str) -> None:
    """Forests, boosting, pipelines, LightGBM and XGBoost need no list of trusted types."""
    format_, make = ESTIMATORS[case]
    model = make()
    name, back = save_and_load(model, tmp_path)
    assert (name, type(back)) == (format_, type(model))
    data: Any = X
    if hasattr(model, "feature_names_in_"):
        data = FRAME if "kind" in model.feature_names_in_ else CATEGORIES
    if isinstance(model, xgboost.Booster):
        data = xgboost.DMatrix(X)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        assert back.predict(data).tolist() == model.predict(data).tolist()
        if hasattr(model, "predict_proba"):
            assert back.predict_proba(data).tolist() == model.predict_proba(data).tolist()
            assert shown(back.get_params()) == shown(model.get_params())


def test_the_wrapper_of_xgboost_keeps_its_parameters_or_is_refused(tmp_path: Path) -> None:
    """Parameters are kept; one that is code is refused when saving, with advice."""
    model = xgboost.XGBClassifier(n_estimators=numpy.int64(3), max_depth=2, learning_rate=numpy.float32(0.5)).fit(X, y)
    _, back = save_and_load(model, tmp_path)
    assert (back.n_estimators, back.max_depth, back.learning_rate, back.classes_.tolist()) == (3, 2, 0.5, [0, 1])
    coded = xgboost.XGBRegressor(n_estimators=1, eval_metric=lambda a, b: 0.0).fit(X, y)
    with pytest.raises(InvalidArgument, match=r"eval_metric.* save its booster, model.get_booster\(\)"):
        save_and_load(coded, tmp_path)


def test_a_vectorizer_keeps_its_vocabulary(tmp_path: Path) -> None:
    """A loaded vectorizer has the same vocabulary."""
    vectorizer = TfidfVectorizer().fit(["a bc de", "bc fg"])
    _, back = save_and_load(vectorizer, tmp_path)
    assert (back.transform(["bc de"]).toarray() == vectorizer.transform(["bc de"]).toarray()).all()


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(InvalidArgument, match="pip install safetensors"):
        formats.format_called("safetensors").check_installed()


def test_a_class_can_decide_the_format() -> None:
    """The annotated class of a step's result determines the library that it needs."""
    assert {
        kind: getattr(formats.format_for_class(kind), "name", None)
        for kind in (pandas.Series, Pipeline, lightgbm.Booster, xgboost.XGBRanker, numpy.ndarray, dict, object, str)
    } == {
        pandas.Series: "parquet", Pipeline: "skops", lightgbm.Booster: "lightgbm", xgboost.XGBRanker: "xgboost",
        numpy.ndarray: "npy", dict: None, object: None, str: None,
    }  # fmt: skip


def test_tensors_are_kept(tmp_path: Path) -> None:
    """A checkpoint of torch keeps nesting, numbers, types and shared tensors; a module is saved as its state dict."""
    torch = pytest.importorskip("torch", reason="torch brings gigabytes of CUDA, so tests do not install it")
    weight = torch.randn(4, 4)
    layer = torch.nn.BatchNorm1d(3)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    checkpoint = {
        "model": {"a": weight, "tied": weight, "view": weight[:2], "turned": weight.T, "half": weight.bfloat16()},
        "optimizer": optimizer.state_dict(), "epoch": 3, "best": [torch.tensor(5), None],
    }  # fmt: skip
    name, back = save_and_load(checkpoint, tmp_path)
    assert name == "safetensors"
    assert back["model"]["tied"] is back["model"]["a"]
    for key, tensor in checkpoint["model"].items():
        assert back["model"][key].dtype == tensor.dtype
        assert torch.equal(back["model"][key], tensor)
    torch.optim.Adam(layer.parameters()).load_state_dict(back["optimizer"])
    assert (back["epoch"], back["best"]) == (3, [torch.tensor(5), None])
    _, state = save_and_load(layer, tmp_path)
    torch.nn.BatchNorm1d(3).load_state_dict(state)
    assert int(state["num_batches_tracked"]) == 1


# In an environment of its own, because servers would import some of these packages too. The numpy backend needs jax.
KERAS = [
    *("keras==3.15.1", "jax==0.10.2", "jaxlib==0.10.2", "ml_dtypes", "optree", "h5py", "namex", "absl-py"),
    *("opt_einsum", "rich", "markdown-it-py", "mdurl", "pygments", "packaging", "scipy", "numpy"),
]


@pytest.mark.timeout(300)
def test_a_model_of_keras_predicts_as_before() -> None:
    """A model with code in it, which Keras would not load, is refused when saving."""

    def make(folder: Path) -> None:
        pip("install", "--no-deps", "--target", folder, *KERAS)

    with cached_folder("keras", [*KERAS, sys.version], make, shared=True) as folder:
        environment = {**os.environ, "PYTHONPATH": str(folder), "KERAS_BACKEND": "numpy"}
        program = Path(__file__).with_name("keras_model.py")
        done = subprocess.run(
            [sys.executable, program], capture_output=True, text=True, check=False, env=environment, cwd=folder
        )
    assert done.stdout == "came back\n", done.stderr


def test_the_table_of_formats_is_complete() -> None:
    """The documented table has each format, with the libraries that it needs."""
    table = formats.table()
    assert table.count("\n") == len(formats.FORMATS) + 2
    assert all(f"`{kind.name}`" in table for kind in formats.FORMATS)
    assert json.dumps(table)
