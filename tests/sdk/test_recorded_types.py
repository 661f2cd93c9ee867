"""Every type of the table, recorded in and outside a run, and read back from the registry."""

from collections.abc import Mapping
from typing import Any

import pandas
import pytest
from sdk.recordables import FRAME, KEPT, LOST, MEASURED, NOT_MEASURED, Trainer
from sdk.test_conversion import HOSTILE, floats

from tallymark import Client, Model, RunState, log_metadata, log_metric, pipeline, step
from tallymark.tracking.context import _process
from tallymark.errors import InvalidArgument, InvalidField
from tallymark.testing import Server


def read(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the value from the registry in a form that can be compared, where NaN equals NaN."""
    return {name: repr(floats(values[name])) for name in sorted(values)}


EXPECTED = read({name: expected for name, (_, expected) in KEPT.items()})
GIVEN = {name: value for name, (value, _) in KEPT.items()}


def test_every_type_is_recorded_as_documented(registry_env: Server) -> None:
    """As metadata, by a model, a function and a client, and as parameters of runs and steps."""

    @step
    def fit(**values: Any) -> None:
        log_metadata(GIVEN)

    @pipeline(model=Model("churn"))
    def train(**values: Any) -> None:
        fit(**values)

    train(**GIVEN)
    Model("churn", version="outside").log_metadata(GIVEN)
    with Client() as client:
        client.create_version("churn", "client", metadata=GIVEN)
        run = next(client.list_runs())
        assert read(client.get_version("churn/1").metadata) == EXPECTED
        assert read(client.get_version("churn==outside").metadata) == EXPECTED
        assert read(client.get_version("churn==client").metadata) == EXPECTED
        assert read(run.parameters["values"]) == EXPECTED  # type: ignore[arg-type]  # parameters are any values of JSON
        assert read(next(client.list_steps(run.id)).parameters["values"]) == EXPECTED  # type: ignore[arg-type]  # parameters are any values of JSON
        assert client.get_version("churn/1").metadata["int that no double keeps"] == 2**53 + 1


def test_numbers_of_every_library_are_metrics(registry_env: Server) -> None:
    """They are recorded with and without steps; in a run, only other values are left out."""
    problems: list[Any] = []

    @pipeline(model=Model("churn"))
    def train() -> None:
        for name, (value, _) in MEASURED.items():
            log_metric(f"{name} at a step", value, step=1)
            log_metric(name, value)
        for name, value in NOT_MEASURED.items():
            log_metric(name, value, step=1)
            log_metric(name, value)
        problems.extend(next(iter(_process.frames)).problems.all())

    train()
    expected = {name: value for name, (_, value) in MEASURED.items()}
    with Client() as client:
        found = client.get_version("churn").metadata
        points = {point.key: point.value for point in client.list_metrics("churn")}
    assert read(points) == read({f"{name} at a step": value for name, value in expected.items()})
    assert read(found) == read({**expected, **points})
    assert {problem.subject: problem.count for problem in problems} == {f"metric {name!r}": 2 for name in NOT_MEASURED}
    for value in NOT_MEASURED.values():
        with pytest.raises(InvalidArgument, match="takes a number"):
            Model("churn", version=1).log_metric("loss", value)


def test_an_invalid_record_does_not_affect_others(registry_env: Server) -> None:
    """Whatever is wrong with a key, a value or a size, others are recorded, and the run reports it."""
    problems: list[Any] = []
    hostile = Model("hostile")

    @pipeline(model=Model("churn"))
    def train(frame: Any, trainer: Any, **lost: Any) -> None:
        for step_number in range(3):
            log_metric("loss", 1.0, step=step_number)
        log_metric("", 1.0, step=0)
        log_metric("x" * 300, 1.0, step=0)
        log_metric(5, 1.0)  # type: ignore[arg-type]  # what the types forbid
        log_metric("loss", 1.0, step=-1)
        for step_number in range(3, 1500):
            log_metric("loss", 1.0, step=step_number)
        log_metadata("text")  # type: ignore[arg-type]  # what the types forbid
        log_metadata({"": 1, "auc": 0.9, "x" * 300: 1, "cv": {"model": Trainer(), "n": 1}})
        for name, (value, *_) in LOST.items():
            log_metadata({name: value, f"beside {name}": 1})
        for name, make in HOSTILE.items():
            hostile.log_metadata({f"hostile {name}": make(), f"beside {name}": 1})
            log_metric(name, make())
        problems.extend(next(iter(_process.frames)).problems.all())

    train(FRAME, Trainer(), **{name: value for name, (value, *_) in LOST.items()})
    with Client() as client:
        (run,) = client.list_runs()
        version = client.get_version("churn")
        assert len(list(client.list_metrics("churn", "loss"))) == 1500
    assert run.state is RunState.SUCCEEDED
    assert version.metadata["cv"] == {"n": 1}
    assert {f"beside {name}" for name in LOST} | {"auc", "loss"} <= version.metadata.keys()
    assert {f"beside {name}" for name in HOSTILE} <= hostile.metadata.keys()
    assert run.parameters["frame"] == "DataFrame (200000, 20)"
    assert run.parameters["trainer"] == "Trainer"
    assert run.parameters["lost"].keys() == LOST.keys()  # type: ignore[union-attr]  # parameters are any values of JSON
    subjects = {problem.subject for problem in problems}
    assert {"metadata 'cv.model'", "metric ''", "metadata", "metric 'loss'", "parameter 'lost.long text'"} <= subjects


def test_a_value_that_cannot_be_recorded_is_refused_outside_runs(registry_env: Server) -> None:
    """Models and clients raise an error with its whole path, before any request."""
    model = Model("churn", version="1.0")
    with Client() as client:
        model.log_metadata({"auc": 0.9})
        acts: list[Any] = [
            model.log_metadata,
            lambda metadata: client.log_metadata("churn/1", metadata),
            lambda metadata: client.create_version("churn", metadata=metadata),
            lambda metadata: client.update_version("churn/1", metadata=metadata),
            lambda metadata: client.update_model("churn", metadata=metadata),
            lambda metadata: client.start_run("r1", parameters=metadata),
        ]
        for act in acts:
            with pytest.raises(InvalidField, match=r"^metadata\['cv'\]\['fit'\]\[1\]: a Trainer has no form"):
                act({"cv": {"fit": [1, Trainer()]}})
        with pytest.raises(InvalidField, match=r"1 to 255"):
            model.log_metadata({"": 1})
        assert client.get_version("churn/1").metadata == {"auc": 0.9}


def test_timestamps_of_pandas_can_be_parameters(registry_env: Server) -> None:
    """Steps can be called with times with and without a time zone, and with missing ones."""

    @step(model=Model("churn"))
    def fit(cutoff: Any) -> None: ...

    for cutoff in (pandas.Timestamp("2026-01-01"), pandas.NaT, pandas.Timestamp("2026-01-01", tz="Europe/Berlin")):
        fit(cutoff)
    with Client() as client:
        last, missing, first = (run.parameters["cutoff"] for run in client.list_runs())
    assert missing is None
    assert first == pandas.Timestamp("2026-01-01").to_pydatetime().astimezone()
    assert last == pandas.Timestamp("2026-01-01", tz="Europe/Berlin").to_pydatetime()
