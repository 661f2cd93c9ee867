"""The artifacts that steps return: checked before the call, and saved after it."""

import collections.abc
import dataclasses
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NewType, Protocol, TypedDict, TypeVar

import lightgbm
import numpy
import numpy.typing
import pandas
import pytest
import xgboost
from matplotlib.figure import Figure
from sklearn.base import ClassifierMixin
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline

from tallymark import Artifact, Client, Model, RunState, pipeline, step
from tallymark.tracking.context import context_frame
from tallymark.errors import InvalidArgument, InvalidSetting, StoreUnavailable
from tallymark.artifacts.formats.classes import may_be_saved
from tallymark.testing import Server

if TYPE_CHECKING:
    from decimal import Decimal as ForCheckersOnly

churn = Model("churn")


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of its own for each test."""
    monkeypatch.setenv("TALLYMARK_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


class Unknown:
    """A class that no format supports."""


def states() -> list[tuple[str, str, RunState]]:
    """Return the pipeline, error and state of the runs, the newest first."""
    with Client() as client:
        return [(run.pipeline, run.error, run.state) for run in client.list_runs()]


def test_an_unsaved_artifact_fails_the_step_and_the_run(registry_env: Server) -> None:
    """The error names the artifact and what to do."""

    @step(model=churn)
    def odd() -> Annotated[object, Artifact("thing")]:
        return Unknown()

    @pipeline(model=churn)
    def training() -> None:
        odd()

    with pytest.raises(
        InvalidArgument, match=r"artifact 'thing' could not be saved: an Unknown has no known format"
    ) as failed:
        training()
    assert "pdb.pm()" in failed.value.__notes__[0]
    frame = failed.traceback[-1].frame
    assert isinstance(frame.f_locals["result"], Unknown)
    ((name, error, state),) = states()
    assert (name, state) == ("training", RunState.FAILED)
    assert error.startswith("step odd: InvalidArgument: artifact 'thing' could not be saved")


def test_an_optional_artifact_fails_nothing(registry_env: Server) -> None:
    """With `optional=True`, the step returns its result, and the run reports the problem."""
    problems: list[Any] = []

    @step(model=churn)
    def odd() -> Annotated[object, Artifact("thing", optional=True)]:
        return Unknown()

    @pipeline(model=churn)
    def training() -> None:
        assert isinstance(odd(), Unknown)
        frame = context_frame()
        assert frame is not None
        problems.extend(frame.run.problems.all())

    training()
    assert [(each.subject, each.count) for each in problems] == [("artifact 'thing'", 1)]
    assert "an Unknown has no known format" in problems[0].problem
    assert states()[0][2] is RunState.SUCCEEDED


def test_recursive_values_are_refused(registry_env: Server) -> None:
    """A list that contains itself ends with an error, and an unknown type is named."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidArgument, match="has itself in it"):
        Model("churn").save("x", endless)
    with pytest.raises(InvalidArgument, match="type is 'modle'; name one of data, model, deployment"):
        Artifact("x", type="modle")


def test_a_result_of_another_shape_is_refused(registry_env: Server) -> None:
    """A result that does not fit its annotation fails the step, with an explanation."""

    def returning(result: Any) -> Any:
        @step(model=churn)
        def split() -> tuple[Annotated[list[int], Artifact("train")], int]:
            return result  # type: ignore[no-any-return]  # also what does not fit the annotation

        return split

    for result, found in ((1, "an int"), ({"a": 1, "b": 2}, "a dict"), ((1,), "1 items"), ((1, 2, 3), "3 items")):
        with pytest.raises(InvalidArgument, match=f"is a tuple of 2 items, but the function returned {found}"):
            returning(result)()
    assert returning(([1], 2))() == ([1], 2)
    assert churn.load("train") == [1]


class Recorder:
    """Records whether a function was called."""

    def __init__(self) -> None:
        self.began = False


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("fsspec", r"pip install 'tallymark\[artifacts\]'"),
        ("tqdm", r"pip install 'tallymark\[artifacts\]'"),
        ("pyarrow", "pip install pandas pyarrow"),
    ],
)
def test_a_missing_library_is_reported_before_the_training(
    registry_env: Server, monkeypatch: pytest.MonkeyPatch, missing: str, message: str
) -> None:
    """The step's function is not called, and no run is started."""
    seen = Recorder()

    @step(model=churn)
    def train() -> Annotated[pandas.Series, Artifact("scores")]:
        seen.began = True
        return pandas.Series([1])

    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises((InvalidArgument, InvalidSetting), match=message):
        train()
    assert not seen.began
    assert states() == []


def test_predictable_problems_are_reported_before_the_training(
    registry_env: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those are an unknown format, no model, a store without a driver, and an annotation that cannot be evaluated."""
    seen = Recorder()

    def training(result: Any, **given: Any) -> Any:
        def train() -> object:
            seen.began = True
            return 1

        train.__annotations__["return"] = result
        return step(**given)(train)

    with pytest.raises(InvalidArgument, match="format is 'zip'; name one of"):
        training(Annotated[int, Artifact("x", format="zip")], model=churn)()
    with pytest.raises(InvalidArgument, match="no model is in force; pass one to @step"):
        training(Annotated[int, Artifact("x")])()
    with pytest.raises(InvalidArgument, match=r"cannot be evaluated \(name 'Nothing' is not defined\).*TYPE_CHECKING"):
        training("Annotated[Nothing, Artifact('x')]", model=churn)()
    for unknown in (Unknown, Unknown | Recorder):
        for optional in (False, True):
            with pytest.raises(
                InvalidArgument, match=r"Artifact\('x'\) is .*Unknown.*, which has no known format.*'joblib'"
            ):
                training(Annotated[unknown, Artifact("x", optional=optional)], model=churn)()
    for unnamed in (Annotated[int, Artifact], tuple[int, Annotated[int, Artifact]], Annotated[int, Artifact] | None):
        with pytest.raises(
            InvalidArgument, match=r'where Artifact has no name.*write Annotated\[X, Artifact\("name"\)'
        ):
            training(unnamed, model=churn)()
    for misplaced in (Annotated[int, Artifact("x")] | None, list[Annotated[int, Artifact("x")]],
                      tuple[Annotated[int, Artifact("x")], ...]):  # fmt: skip
        with pytest.raises(InvalidArgument, match="with an Artifact where none is saved"):
            training(misplaced, model=churn)()
    monkeypatch.setenv("TALLYMARK_STORE", "nowhere://bucket")
    with pytest.raises(InvalidSetting, match="install its fsspec driver"):
        training(Annotated[int, Artifact("x")], model=churn)()
    assert not seen.began
    assert states() == []


class Untrained:
    """A class without a format, but with a subclass that has one."""


class Trained(Untrained, Ridge):
    """A class with a format."""


class Row(NamedTuple):
    """A class that is saved as JSON."""

    number: int


class Columns(TypedDict):
    """A class that is saved as JSON."""

    number: int


class Fits(Protocol):
    """A protocol that many estimators implement."""

    def fit(self) -> None: ...


class Listed(list[int]):
    """A class that is saved as JSON."""


@pytest.mark.parametrize(
    "kind",
    [
        *(Any, object, Untrained, Fits, TypeVar("T"), NewType("N", int), Unknown | int, Literal["a"], None),
        *(Row, Columns, Listed, list[Unknown], dict[str, Any], collections.abc.Sequence[int], str, bytes, Path),
        *(ClassifierMixin, Pipeline, lightgbm.LGBMModel, lightgbm.Booster, xgboost.XGBModel, xgboost.Booster),
        *(pandas.DataFrame, pandas.Index, pandas.Timestamp, numpy.ndarray, numpy.float32, numpy.generic, Figure),
        *(numpy.typing.NDArray[numpy.float64], numpy.random.Generator),
    ],
    ids=str,
)
def test_an_annotation_is_refused_only_if_no_value_can_be_saved(kind: Any) -> None:
    """A class is accepted if a format supports it or one of its subclasses."""
    assert may_be_saved(kind) is (kind is not numpy.random.Generator)


def test_annotations_of_arguments_may_be_for_type_checkers_only(registry_env: Server) -> None:
    """Only the return annotation is evaluated, with the names of an enclosing function."""
    local = Artifact("scores")

    @step(model=churn)
    def train(x: "ForCheckersOnly") -> "Annotated[list[int], local]":
        assert local is not None
        return [1]

    assert train(1) == [1]  # type: ignore[arg-type]  # the class of the annotation does not exist
    assert churn.load("scores") == [1]


def test_annotations_are_not_read_when_recording_is_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    """With TALLYMARK_MODE=disabled, a step only calls its function, whatever its annotation."""
    monkeypatch.setenv("TALLYMARK_MODE", "disabled")

    @step
    def train() -> "Annotated[Nothing, Artifact('x')]":  # type: ignore[name-defined] # noqa: F821 - the point
        return 1

    assert train() == 1


@dataclasses.dataclass
class Report:
    auc: numpy.float32


def test_a_returned_dataclass_is_saved_as_json(registry_env: Server) -> None:
    """Metrics with numbers of numpy are JSON, not tensors."""

    @step(model=churn)
    def evaluate() -> tuple[Annotated[Report, Artifact("report")], Annotated[dict[str, Any], Artifact("metrics")]]:
        return Report(numpy.float32(0.5)), {"a": numpy.float32(1)}

    evaluate()
    assert churn.load("report") == {"auc": 0.5}
    assert churn.load("metrics") == {"a": 1.0}
    assert {artifact.format for artifact in churn.artifacts} == {"json"}


def test_threads_can_save_concurrently(registry_env: Server) -> None:
    """Each of many threads can load the value that it saved."""
    model = Model("threads", version="one")
    model.save("first", 0)
    failed: list[BaseException] = []

    def save(place: int) -> None:
        try:
            for turn in range(5):
                model.save(f"part-{place}", {"place": place, "turn": turn})
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=save, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [model.load(f"part-{place}@{turn + 1}")["turn"] for place in range(4) for turn in range(5)] == [
        *range(5)
    ] * 4


def test_a_store_that_cannot_be_written_is_an_error_outside_runs(registry_env: Server, store: Path) -> None:
    """The error names the store, and nothing waits in the spool."""
    store.write_text("a file")
    with pytest.raises(StoreUnavailable, match=r"store.* cannot be read or written"):
        Model("churn").save("x", 1)
