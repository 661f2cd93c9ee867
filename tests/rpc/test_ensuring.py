"""EnsureModelVersion: the version that a `Model(name, version)` means."""

import grpc
import pytest
from grpc_calls import PROJECT, Calls, refused

from tallymark.v1 import model_pb2, model_registry_pb2


def test_a_name_is_got_or_created(calls: Calls) -> None:
    """The first call with a name creates the model and the version; later calls return it."""
    first, second = calls.ensure("churn", "1.0.5"), calls.ensure("churn", "1.0.5")
    assert (first.created, first.model_version.number) == (True, 1)
    assert (second.created, second.model_version) == (False, first.model_version)
    assert calls.model("churn").last_number == 1


def test_no_version_outside_a_run_is_a_new_one_each_time(calls: Calls) -> None:
    """Without a version, a new one is numbered automatically."""
    assert [calls.ensure("churn").model_version.number for _ in range(3)] == [1, 2, 3]


def test_a_run_has_one_automatic_version_of_a_model(calls: Calls) -> None:
    """Every call within a run returns the run's one version; another run, or another model, has another."""
    for run in ("r1", "r2"):
        calls.start_run(run)
    first = calls.ensure("churn", run="r1")
    assert first.created
    assert first.model_version.automatic
    assert first.model_version.run == f"{PROJECT}/runs/r1"
    again = calls.ensure("churn", run="r1")
    assert (again.created, again.model_version) == (False, first.model_version)
    assert calls.ensure("churn", run="r2").model_version.number == 2
    assert calls.ensure("other", run="r1").model_version.number == 1


def test_digits_stages_and_aliases_are_looked_up(calls: Calls) -> None:
    """A number, a stage, an alias and `latest` return the version that holds them, and create none."""
    calls.ensure("churn", "a")
    calls.ensure("churn", "b")
    calls.set_stage("churn", 1, model_pb2.STAGE_PRODUCTION)
    calls.set_alias("churn", 1, "champion")
    for version, number in (("1", 1), ("production", 1), ("@production", 1), ("@champion", 1), ("latest", 2)):
        ensured = calls.ensure("churn", version)
        assert (ensured.created, ensured.model_version.number) == (False, number), version


@pytest.mark.parametrize("version", ["7", "latest", "production", "@champion"])
def test_a_failed_lookup_creates_nothing_not_even_the_model(calls: Calls, version: str) -> None:
    """A call with the number, stage or alias of a missing model does not create the model."""
    with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        calls.ensure("churn", version)
    with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        calls.model("churn")
    assert calls.events() == []


def test_a_name_is_never_a_prefix(calls: Calls) -> None:
    """A model whose name begins like another's is another model."""
    calls.ensure("churn1")
    assert calls.ensure("churn").model_version.name == f"{PROJECT}/models/churn/versions/1"
    assert calls.model("churn1").last_number == 1


def test_an_unknown_run_is_refused(calls: Calls) -> None:
    """A version cannot be created for a run that was never started."""
    with refused("RUN_NOT_FOUND", grpc.StatusCode.NOT_FOUND) as refusal:
        calls.ensure("churn", run="r1")
    assert refusal.metadata == {"project": "default", "run": "r1"}
    assert calls.events() == []


def test_a_config_describes_what_it_creates_and_changes_nothing_else(calls: Calls) -> None:
    """Description, tags and metadata are those of the config that created the version."""

    def ensure(text: str) -> model_pb2.ModelVersion:
        config = model_pb2.ModelConfig(
            model="churn",
            version="a",
            new_model=model_pb2.Model(license=text),
            new_version=model_pb2.ModelVersion(description=text, tags=[text]),
        )
        request = model_registry_pb2.EnsureModelVersionRequest(parent=PROJECT, config=config)
        return calls.models.EnsureModelVersion(request).model_version

    first = ensure("first")
    assert (first.description, list(first.tags)) == ("first", ["first"])
    assert ensure("second") == first
    assert calls.model("churn").license == "first"


def test_a_dry_run_of_ensure_changes_nothing(calls: Calls) -> None:
    """validate_only returns the number that would be assigned, and assigns none."""
    config = model_pb2.ModelConfig(model="churn", version="a")
    request = model_registry_pb2.EnsureModelVersionRequest(parent=PROJECT, config=config, validate_only=True)
    assert calls.models.EnsureModelVersion(request).model_version.number == 1
    assert calls.events() == []
