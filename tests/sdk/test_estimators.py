"""Every estimator of scikit-learn is saved and loaded, in another process and without a list of trusted types."""

import inspect
import itertools
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy
import pytest
import threadpoolctl
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.utils import all_estimators

from tallymark.artifacts import formats
from tallymark.errors import InvalidArgument

# Estimators that are refused when saving, and why.
REFUSED = {"Birch": "skops does not write it: its tree of clusters refers to itself"}

NUMBERS = numpy.random.RandomState(0).rand(30, 4)
LABELS = numpy.array([0, 1] * 15)
TEXTS = ["a bc", "bc cd", "cd ef"] * 10
DATA: tuple[tuple[Any, ...], ...] = (
    (NUMBERS, LABELS),
    (NUMBERS, numpy.c_[LABELS, 1 - LABELS]),
    (NUMBERS, NUMBERS[:, :2]),
    (NUMBERS, 1 + LABELS),
    (NUMBERS,),
    (TEXTS,),
    ([{"a": 1.0}] * 30,),
    (NUMBERS[:, 0], LABELS),
    (LABELS,),
    (NUMBERS @ NUMBERS.T,),
    (numpy.ones((2, 20, 20)),),
)
WAYS = ("predict", "transform", "score_samples", "embedding_", "labels_", "row_labels_", "covariance_", "components_")


def created(kind: type[Any], inner: Any) -> Any:
    """An estimator with the arguments that its constructor needs, small enough for a quick fit."""
    asked = {
        "estimator": inner, "estimators": [("a", inner)], "steps": [("a", inner)], "dictionary": numpy.eye(4),
        "transformers": [("a", "passthrough", [0, 1])], "transformer_list": [("a", "passthrough")],
        "param_grid": {"tol": [0.1, 1]}, "param_distributions": {"tol": [0.1, 1]},
    }  # fmt: skip
    small = {
        "n_estimators": 3,
        "n_init": 1,
        "n_best": 1,
        "perplexity": 5,
        "n_components": 1,
        "random_state": 0,
        "cv": 2,
    }
    small |= {"max_iter": 3} if "Boosting" in kind.__name__ else {}
    parameters = inspect.signature(kind).parameters
    return kind(**{name: value for name, value in (asked | small).items() if name in parameters})


def fitted(kind: type[Any]) -> tuple[Any, tuple[Any, ...]]:
    """The estimator, fitted to the first data set that it accepts, and the data."""
    for inner, data in itertools.product((LogisticRegression(), LinearRegression()), DATA):
        if kind is FrozenEstimator:
            inner.fit(NUMBERS, LABELS)
        try:
            estimator = created(kind, inner).fit(*data)
            outcome(estimator, data)
        except (ValueError, TypeError, AttributeError, IndexError):
            continue
        return estimator, data
    raise AssertionError(f"{kind.__name__} is fitted to nothing here")


def outcome(estimator: Any, data: tuple[Any, ...]) -> Any:
    """The result of the estimator for the data, by the first method that it has."""
    for way in WAYS:
        found = getattr(estimator, way, None)
        if found is not None:
            made_of = found(data[0]) if callable(found) else found
            return made_of.toarray() if hasattr(made_of, "toarray") else made_of
    return str(estimator.get_params())


LOADER = """
import sys, warnings, joblib
from pathlib import Path
warnings.simplefilter("ignore")
sys.path.insert(0, {tests!r})
from sdk.test_estimators import formats, outcome
folder = Path({folder!r})
skops = formats.format_called("skops")
found = {{}}
for path in sorted(folder.glob("*.skops")):
    estimator = skops.read(path, ())
    found[path.stem] = outcome(estimator, joblib.load(folder / (path.stem + ".data")))
joblib.dump(found, folder / "found")
"""


@pytest.mark.timeout(300)  # about two hundred estimators, each in two processes
def test_every_estimator_of_scikit_learn_can_be_loaded(tmp_path: Path) -> None:
    """The loaded estimators predict the same in another process; those that cannot be saved are refused, and listed."""
    expected, refused = {}, set()
    # One thread each, because the fits are so small that several threads only slow them down.
    with warnings.catch_warnings(), threadpoolctl.threadpool_limits(1):
        warnings.simplefilter("ignore")
        for name, kind in all_estimators():
            estimator, data = fitted(kind)
            chosen = formats.format_for(estimator, None)
            assert chosen.name == "skops", name
            try:
                chosen.write(estimator, tmp_path / f"{name}.skops")
            except InvalidArgument:
                (tmp_path / f"{name}.skops").unlink(missing_ok=True)
                refused.add(name)
                continue
            joblib.dump(data, tmp_path / f"{name}.data")
            expected[name] = outcome(estimator, data)
    assert refused == REFUSED.keys()
    assert len(expected) > 190
    program = LOADER.format(tests=str(Path(__file__).parents[1]), folder=str(tmp_path))
    subprocess.run([sys.executable, "-c", program], check=True, timeout=250, env=os.environ | {"OMP_NUM_THREADS": "1"})
    found = joblib.load(tmp_path / "found")
    assert found.keys() == expected.keys()
    different = {name for name in expected if not same(found[name], expected[name])}
    assert different == set()


def same(one: Any, other: Any) -> bool:
    if isinstance(one, str):
        return bool(one == other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    one, other = numpy.asarray(one), numpy.asarray(other)
    return bool(numpy.allclose(one, other, equal_nan=True) if one.dtype.kind in "fc" else (one == other).all())


class OwnEstimator(BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """An estimator of this module."""

    def fit(self, X: Any, y: Any = None) -> "OwnEstimator":  # noqa: N803 - the names of scikit-learn
        self.mean_ = 1.0
        return self


def test_an_own_class_is_refused_unless_it_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class that could not be loaded is not saved, and the message says what to do; the setting allows it."""
    skops, own = formats.format_called("skops"), OwnEstimator().fit([[1]])
    name = f"{OwnEstimator.__module__}.OwnEstimator"
    with pytest.raises(InvalidArgument, match=rf"holds {name}, .*TALLYMARK_TRUSTED_TYPES.*format='joblib'"):
        skops.write(own, tmp_path / "own.skops")
    for trusted in (name, f"other.Type, {OwnEstimator.__module__}.*"):
        monkeypatch.setenv("TALLYMARK_TRUSTED_TYPES", trusted)
        skops.write(own, tmp_path / "own.skops")
        assert skops.read(tmp_path / "own.skops", ()).mean_ == 1.0
    monkeypatch.delenv("TALLYMARK_TRUSTED_TYPES")
    with pytest.raises(InvalidArgument, match=rf"load\(..., trusted=\['{name}'\]\)"):
        skops.read(tmp_path / "own.skops", ())
    assert skops.read(tmp_path / "own.skops", [name]).mean_ == 1.0
