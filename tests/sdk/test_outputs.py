"""What steps return as artifacts: checked before they run, and saved when they return."""

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
    """Of no format."""


def states() -> list[tuple[str, str, RunState]]:
    """What the runs were, the newest first: pipeline, error, state."""
    with Client() as client:
        return [(run.pipeline, run.error, run.state) for run in client.list_runs()]


def test_what_cannot_be_saved_fails_the_step_and_the_run(registry_env: Server) -> None:
    """A trained model that would be lost is an error where it is lost, which names the artifact, and what to do."""

    @step(model=churn)
    def odd() -> Annotated[object, Artifact("thing")]:
        return Unknown()

    @pipeline(model=churn)
    def training() -> None:
        odd()

    with pytest.raises(
        InvalidArgument, match=r"artifact 'thing' could not be saved: an Unknown is in no format"
    ) as failed:
        training()
    assert "pdb.pm()" in failed.value.__notes__[0]
    frame = failed.traceback[-1].frame
    assert isinstance(frame.f_locals["result"], Unknown)
    ((name, error, state),) = states()
    assert (name, state) == ("training", RunState.FAILED)
    assert error.startswith("step odd: InvalidArgument: artifact 'thing' could not be saved")


def test_an_optional_artifact_fails_nothing(registry_env: Server) -> None:
    """With `optional=True` the step goes on with its result, and the run knows what is missing."""
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
    assert "an Unknown is in no format" in problems[0].problem
    assert states()[0][2] is RunState.SUCCEEDED


def test_what_goes_round_is_refused_in_words(registry_env: Server) -> None:
    """A list that has itself in it is no endless work, and a type that is none is named."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidArgument, match="has itself in it"):
        Model("churn").save("x", endless)
    with pytest.raises(InvalidArgument, match="type is 'modle'; name one of data, model, deployment"):
        Artifact("x", type="modle")


def test_a_tuple_of_another_shape_is_said_so(registry_env: Server) -> None:
    """What comes back in another shape than the annotation says fails the step, in words."""

    def returning(result: Any) -> Any:
        @step(model=churn)
        def split() -> tuple[Annotated[list[int], Artifact("train")], int]:
            return result  # type: ignore[no-any-return]

        return split

    for result, found in ((1, "an int"), ({"a": 1, "b": 2}, "a dict"), ((1,), "1 items"), ((1, 2, 3), "3 items")):
        with pytest.raises(InvalidArgument, match=f"says a tuple of 2 items, and {found} came back"):
            returning(result)()
    assert returning(([1], 2))() == ([1], 2)
    assert churn.load("train") == [1]


class Recorder:
    """Whether a function began."""

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
def test_what_is_not_installed_is_told_before_the_training(
    registry_env: Server, monkeypatch: pytest.MonkeyPatch, missing: str, message: str
) -> None:
    """A missing library stops the step before its first line, and no run is started for it."""
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


def test_what_can_be_known_is_told_before_the_training(registry_env: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown format, no model, a store without a driver, an annotation that cannot be read: told at the start."""
    seen = Recorder()

    def training(result: Any, **given: Any) -> Any:
        def train() -> object:
            seen.began = True
            return 1

        train.__annotations__["return"] = result
        return step(**given)(train)

    with pytest.raises(InvalidArgument, match="format is 'zip'; name one of"):
        training(Annotated[int, Artifact("x", format="zip")], model=churn)()
    with pytest.raises(InvalidArgument, match="no model is in force; give one to @step"):
        training(Annotated[int, Artifact("x")])()
    with pytest.raises(InvalidArgument, match=r"cannot be evaluated \(name 'Nothing' is not defined\).*TYPE_CHECKING"):
        training("Annotated[Nothing, Artifact('x')]", model=churn)()
    for unknown in (Unknown, Unknown | Recorder):
        for optional in (False, True):
            with pytest.raises(
                InvalidArgument, match=r"Artifact\('x'\) is .*Unknown.*, which is in no format.*'joblib'"
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
    """Of no format itself, but values that inherit from it may be."""


class Trained(Untrained, Ridge):
    """Of a format."""


class Row(NamedTuple):
    """JSON."""

    number: int


class Columns(TypedDict):
    """JSON."""

    number: int


class Fits(Protocol):
    """What many estimators are."""

    def fit(self) -> None: ...


class Listed(list[int]):
    """JSON."""


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
def test_an_annotation_that_allows_what_can_be_saved_is_no_obstacle(kind: Any) -> None:
    """Only a class that no format takes, nor any class that inherits from it, is refused before the function runs."""
    assert may_be_saved(kind) is (kind is not numpy.random.Generator)


def test_annotations_of_arguments_may_be_for_type_checkers_only(registry_env: Server) -> None:
    """What cannot be evaluated beside the result is no obstacle, and names of an enclosing function are found."""
    local = Artifact("scores")

    @step(model=churn)
    def train(x: "ForCheckersOnly") -> "Annotated[list[int], local]":
        assert local
        return [1]

    assert train(1) == [1]  # type: ignore[arg-type]
    assert churn.load("scores") == [1]


def test_nothing_is_asked_of_an_annotation_when_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With TALLYMARK_MODE=disabled a step is its function, whatever its annotation says."""
    monkeypatch.setenv("TALLYMARK_MODE", "disabled")

    @step
    def train() -> "Annotated[Nothing, Artifact('x')]":  # type: ignore[name-defined] # noqa: F821 - the point
        return 1

    assert train() == 1


@dataclasses.dataclass
class Report:
    auc: numpy.float32


def test_a_dataclass_that_a_step_returns_is_json(registry_env: Server) -> None:
    """Metrics with numbers of numpy are JSON, not tensors."""

    @step(model=churn)
    def evaluate() -> tuple[Annotated[Report, Artifact("report")], Annotated[dict[str, Any], Artifact("metrics")]]:
        return Report(numpy.float32(0.5)), {"a": numpy.float32(1)}

    evaluate()
    assert churn.load("report") == {"auc": 0.5}
    assert churn.load("metrics") == {"a": 1.0}
    assert {artifact.format for artifact in churn.artifacts} == {"json"}


def test_threads_may_save_at_once(registry_env: Server) -> None:
    """Each of many threads that save at the same time finds what it saved."""
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
    """A store that is no folder is an error that names it, where nothing is kept for later."""
    store.write_text("a file")
    with pytest.raises(StoreUnavailable, match=r"store.* cannot be read or written"):
        Model("churn").save("x", 1)
