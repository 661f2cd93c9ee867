"""What becomes of records on their way: renamed and deleted models, and more of them than can be sent one by one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tallymark
from tallymark import ArtifactInfo, Client, Model, ModelVersion, log_metadata, log_metric
from tallymark.delivery.outcomes import is_undecided
from tallymark.client.calls import Call
from tallymark.client.statuses import error_of
from tallymark.testing import Server
from tallymark.types.enums import RunState


@pytest.fixture
def client(registry_env: Server) -> Iterator[Client]:
    with Client() as made:
        yield made


def test_a_run_goes_on_in_a_model_that_is_renamed(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Points, metadata, steps and artifacts go to the run's version under the model's new name, whoever asks."""
    monkeypatch.setenv("TALLYMARK_STORE", str(tmp_path / "store"))

    @tallymark.step(model=Model("old"))
    def evaluate() -> None:
        log_metadata({"auc": 0.9})

    model = Model("old")
    with tallymark.run(model=model) as begun:
        log_metric("loss", 0.5, step=0)
        assert model.metadata == {"loss": 0.5}
        client.rename_model("old", "new")
        for at in range(1, 100):
            log_metric("loss", 0.5, step=at)
        evaluate()
        assert isinstance(Model("old").save("scores", {"auc": 1}), ArtifactInfo)
        assert model.metadata["auc"] == Model("old").metadata["auc"] == 0.9
    assert [(each.name, each.latest_number) for each in client.list_models()] == [("new", 1)]
    assert [point.step for point in client.list_metrics("new/1", "loss")] == list(range(100))
    assert [each.name for each in client.get_version("new/1").artifacts] == ["scores"]
    found = client.get_run(begun.id)
    assert (found.state, found.recording_problems) == (RunState.SUCCEEDED, ())


def test_what_is_recorded_of_a_deleted_model_is_put_aside(client: Client, spool: Path) -> None:
    """It is said, the run goes on and ends, and the journal is kept."""
    with tallymark.run(model=Model("churn")) as begun:
        log_metric("loss", 0.5, step=0)
        assert Model("churn").metadata == {"loss": 0.5}
        client.delete_model("churn")
        for at in range(1, 10):
            log_metric("loss", 0.5, step=at)
    found = client.get_run(begun.id)
    assert found.state is RunState.SUCCEEDED
    assert [(each.subject, each.count) for each in found.recording_problems] == [("metric 'loss'", 9)]
    assert len(list(spool.glob("aside/*.journal"))) == 1


def test_what_is_recorded_faster_than_it_can_be_sent_is_sent_together(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Every point, and the last value of each key, are there at the end of the run; none of it is left to be sent."""
    with tallymark.run(model=Model("churn")) as begun:
        for at in range(20_000):
            log_metric("loss", at, step=at)
            log_metadata({"last": at})
    assert client.get_run(begun.id).state is RunState.SUCCEEDED
    assert client.get_version("churn/1").metadata == {"loss": 19_999, "last": 19_999}
    assert sum(1 for _ in client.list_metrics("churn/1", "loss")) == 20_000
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_values_that_are_set_one_after_the_other_are_in_the_history(client: Client) -> None:
    """A key that is set now and then has each of its values in the log."""
    with tallymark.run(model=Model("churn")):
        for at in range(50):
            log_metric("loss", at, step=at)
            log_metadata({"last": at})
    values = [
        event.resource.metadata["last"]
        for event in client.list_events()
        if isinstance(event.resource, ModelVersion) and "last" in event.resource.metadata
    ]
    assert sorted(set(values)) == list(range(50))


def test_a_version_that_is_full_costs_few_calls(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has room is there, also what is set again; each key that has none is a problem, and not a call."""
    made = client.ensure_version("churn", "full").version
    client.log_metadata(made.resource_name, {"ballast": "x" * 64_000, "state": "begun"})
    asked: list[str] = []
    run_call = Client.run_call

    def counted(self: Client, call: Call[Any]) -> Any:
        asked.append(call.method)
        return run_call(self, call)

    monkeypatch.setattr(Client, "run_call", counted)
    with tallymark.run(model=Model("churn", "full")) as begun:
        for at in range(400):
            log_metadata({f"note {at:03}": "y" * 50})
            log_metric("loss", at, step=at)
        log_metadata({f"many {at:03}": "z" * 50 for at in range(400)})
        log_metadata({"state": "over!"})
    found = client.get_version("churn==full").metadata
    assert found["state"] == "over!"
    assert 10 < sum(key.startswith("note") for key in found) < 30
    assert sum(1 for _ in client.list_metrics("churn==full", "loss")) == 400
    missing = sum(each.count for each in client.get_run(begun.id).recording_problems)
    assert missing == 800 - sum(key.startswith(("note", "many")) for key in found)
    assert len(asked) < 120


@pytest.mark.parametrize("code", ["UNKNOWN", "INTERNAL", "UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED"])
def test_a_call_that_nobody_has_decided_on_refuses_no_record(code: str) -> None:
    """A connection that is cut within a call, in whichever way gRPC says so, is no answer of the service."""
    assert is_undecided(error_of(code, "Stream removed"))
    assert not is_undecided(error_of("RESOURCE_EXHAUSTED", "message larger than max"))
    assert not is_undecided(error_of("FAILED_PRECONDITION", "deleted", "MODEL_DELETED"))
