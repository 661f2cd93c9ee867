"""The delivery of records to renamed, deleted and full versions, and of many records at once."""

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


def test_a_run_continues_when_its_model_is_renamed(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Points, metadata, steps and artifacts go to the run's version under the model's new name."""
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


def test_records_of_a_deleted_model_are_quarantined(client: Client, spool: Path) -> None:
    """The run reports a problem and finishes, and its journal is kept."""
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


def test_fast_records_are_sent_in_batches(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """Every point, and the last value of each key, are in the registry at the end of the run."""
    with tallymark.run(model=Model("churn")) as begun:
        for at in range(20_000):
            log_metric("loss", at, step=at)
            log_metadata({"last": at})
    assert client.get_run(begun.id).state is RunState.SUCCEEDED
    assert client.get_version("churn/1").metadata == {"loss": 19_999, "last": 19_999}
    assert sum(1 for _ in client.list_metrics("churn/1", "loss")) == 20_000
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_every_value_of_a_key_is_in_the_history(client: Client) -> None:
    """A key that is set repeatedly has each of its values in the log."""
    with tallymark.run(model=Model("churn")):
        for at in range(50):
            log_metric("loss", at, step=at)
            log_metadata({"last": at})
    values = [
        event.resource.metadata["last"]
        for event in client.list_events()
        if isinstance(event.resource, ModelVersion) and "last" in event.resource.metadata
    ]
    assert set(values) == set(range(50))


def test_a_full_version_needs_few_calls(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metadata that fit are stored, also existing keys; each key without room is a problem, without a call for each."""
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
def test_an_undecided_call_is_retried(code: str) -> None:
    """An error of a cut connection, however gRPC reports it, is not a refusal by the service."""
    assert is_undecided(error_of(code, "Stream removed"))
    assert not is_undecided(error_of("RESOURCE_EXHAUSTED", "message larger than max"))
    assert not is_undecided(error_of("FAILED_PRECONDITION", "deleted", "MODEL_DELETED"))
