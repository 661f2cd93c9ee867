"""What programs record of runs, and values of every kind, as the dashboard shows them."""

from __future__ import annotations

import re

from grpc_calls import DEADLINE, PROJECT, Calls
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import NULL_VALUE

from tallymark.testing import Server
from tallymark.v1 import event_pb2, run_registry_pb2
from tallymark.v1.event_log_pb2 import WatchRequest
from tallymark.v1.model_pb2 import RUN_STATE_SUCCEEDED, MetadataValue, ModelConfig
from tallymark.v1.run_pb2 import RecordingProblem, Run
from web.http_client import ask, number


def text_of(server: Server, path: str) -> str:
    """Return the text that a person reads on the page."""
    answer = ask(server.dashboard, path)
    assert answer.status == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.text))


def test_the_activity_tells_how_a_run_went(server: Server, calls: Calls) -> None:
    """The activity says that a run was lost, resumed, had problems and ended, with what that means for its version."""
    run = Run(pipeline="training", heartbeat_timeout=Duration(seconds=1))
    request = run_registry_pb2.StartRunRequest(
        parent=PROJECT, run_id="train", run=run, config=ModelConfig(model="churn")
    )
    calls.runs.StartRun(request, timeout=DEADLINE)
    watch = calls.log.Watch(
        WatchRequest(parent=PROJECT, after_revision=0, kinds=[event_pb2.EVENT_KIND_VERSION_RUN_STATE_CHANGED]),
        timeout=DEADLINE,
    )
    assert any(told.events for told in watch)
    name = f"{PROJECT}/runs/train"
    calls.runs.HeartbeatRun(run_registry_pb2.HeartbeatRunRequest(name=name), timeout=DEADLINE)
    problem = RecordingProblem(subject="metric 'loss'", problem="registry away", count=3)
    calls.runs.ReportRecordingProblems(
        run_registry_pb2.ReportRecordingProblemsRequest(name=name, problems=[problem]), timeout=DEADLINE
    )
    calls.finish_run("train", RUN_STATE_SUCCEEDED)
    shown = text_of(server, "/activity")
    for words in (
        "train of training is lost: no heartbeat arrived in time, for churn No. 1",
        "train of training goes on: a heartbeat arrived again",
        "reported what could not be recorded of the run train",
        "The run train that made churn No. 1 is now lost",
        "The run train that made churn No. 1 is now running",
        "The run train that made churn No. 1 is now succeeded",
    ):
        assert words in shown, words
    only = text_of(server, "/activity?kind=run_lost")
    assert ("is lost" in only, "goes on" in only) == (True, False)


def test_null_and_large_numbers_are_shown_as_they_are(server: Server, calls: Calls) -> None:
    """A version's page, its list and the comparison show null and every digit, and distinguish null from missing."""
    calls.create_model("churn")
    large, null = MetadataValue(integer=2**53 + 1), MetadataValue(null=NULL_VALUE)
    calls.create_version("churn", metadata={"depth": null, "id": large, "mixed": number(0.5)})
    calls.create_version("churn", metadata={"id": large, "mixed": null})
    page = text_of(server, "/models/churn/versions/1?tab=metadata")
    for words in ("depth null null", "id 9,007,199,254,740,993 number"):
        assert words in page, words
    assert ask(server.dashboard, "/models/churn").status == 200
    compared = ask(server.dashboard, "/models/churn/compare.json?number=1&number=2").json["differences"]
    assert compared["Metadata"] == {"depth": ["null", None]}
    assert compared["Metrics"] == {"mixed": ["0.5", "null"]}
    form = ask(server.dashboard, "/models/churn/compare?number=1&number=2")
    assert "9,007,199,254,740,993" in form.text
