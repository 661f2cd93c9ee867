"""Runs, steps, artifacts, metrics and lineage as of the past."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from grpc_calls import DEADLINE, PROJECT, Calls, refusal_of, refused
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from tallymark.v1 import artifact_pb2, event_log_pb2, lineage_pb2, metric_pb2, model_registry_pb2, run_registry_pb2
from tallymark.v1.artifact_pb2 import ARTIFACT_ROLE_USED, Artifact
from tallymark.v1.lineage_pb2 import QueryLineageRequest
from tallymark.v1.metric_pb2 import ListMetricPointsRequest, MetricPoint
from tallymark.v1.model_pb2 import STAGE_PRODUCTION, ModelConfig
from tallymark.v1.model_pb2 import RUN_STATE_FAILED, RUN_STATE_SUCCEEDED
from tallymark.v1.run_pb2 import RecordingProblem, RunStep
from tallymark.v1.run_registry_pb2 import GetRunRequest, ListRunsRequest, ListStepsRequest

VERSION = f"{PROJECT}/models/churn/versions/1"
MOST = 1000
QUESTIONS: dict[str, Message] = {
    "run": GetRunRequest(name=f"{PROJECT}/runs/train"),
    "runs": ListRunsRequest(parent=PROJECT, page_size=MOST),
    "runs that go on": ListRunsRequest(parent=PROJECT, filter="state = running", order_by="pipeline", page_size=MOST),
    "runs of a version": ListRunsRequest(parent=PROJECT, model_version=VERSION, page_size=MOST),
    "steps": ListStepsRequest(parent=f"{PROJECT}/runs/train", page_size=MOST),
    "artifact": artifact_pb2.GetArtifactRequest(name=f"{VERSION}/artifacts/data"),
    "first artifact": artifact_pb2.GetArtifactRequest(name=f"{VERSION}/artifacts/data@1"),
    "artifact of whoever serves": artifact_pb2.GetArtifactRequest(
        name=f"{PROJECT}/models/churn/versions/@production/artifacts/weights"
    ),
    "artifacts": artifact_pb2.ListArtifactsRequest(parent=VERSION, filter="uri:s3", page_size=MOST),
    "points": ListMetricPointsRequest(parent=VERSION, page_size=MOST),
    "points of a metric": ListMetricPointsRequest(parent=VERSION, keys=["loss"], page_size=MOST),
    "lineage": QueryLineageRequest(name=VERSION),
    "lineage of what serves": QueryLineageRequest(name=f"{PROJECT}/models/churn/versions/@production", depth=9),
    "lineage of a run": QueryLineageRequest(name=f"{PROJECT}/runs/train"),
}
ASKED_OF = {type(request): request.DESCRIPTOR.name.removesuffix("Request") for request in QUESTIONS.values()}


def ask(calls: Calls, request: Message) -> Any:
    method = ASKED_OF[type(request)]
    stub = calls.runs if hasattr(calls.runs, method) else calls.models
    return getattr(stub, method)(request, timeout=DEADLINE)


def answer(calls: Calls, request: Message) -> object:
    """Return the response, or the reason of the refusal."""
    try:
        return ask(calls, request)
    except grpc.RpcError as error:
        return refusal_of(error).info.reason


def as_of(request: Any, **moment: Any) -> Any:
    copy = type(request)()
    copy.CopyFrom(request)
    copy.MergeFrom(type(request)(**moment))
    return copy


def link(calls: Calls, version: str, name: str, uri: str, role: Any = 0) -> None:
    artifact = Artifact(uri=uri, role=role)
    parent = f"{PROJECT}/models/{version.replace('/', '/versions/')}"
    calls.models.LinkArtifact(artifact_pb2.LinkArtifactRequest(parent=parent, artifact_id=name, artifact=artifact))


def unlink(calls: Calls, version: str, name: str) -> None:
    name = f"{PROJECT}/models/{version.replace('/', '/versions/')}/artifacts/{name}"
    calls.models.UnlinkArtifact(artifact_pb2.UnlinkArtifactRequest(name=name))


def measure(calls: Calls, *points: tuple[str, int, float], without: tuple[str, ...] = ()) -> None:
    told = [MetricPoint(key=key, step=step, value=value) for key, step, value in points]
    request = model_registry_pb2.LogMetadataRequest(name=VERSION, points=told, delete_keys=without)
    calls.models.LogMetadata(request)


def step(calls: Calls, name: str) -> None:
    run = f"{PROJECT}/runs/train"
    calls.runs.StartStep(
        run_registry_pb2.StartStepRequest(
            parent=run, step_id=name, step=RunStep(display_name=name, model_version=VERSION)
        )
    )


def report(calls: Calls, subject: str) -> None:
    problems = [RecordingProblem(subject=subject, problem="too many", count=3)]
    calls.runs.ReportRecordingProblems(
        run_registry_pb2.ReportRecordingProblemsRequest(name=f"{PROJECT}/runs/train", problems=problems)
    )


def rename(calls: Calls, old: str, new: str) -> None:
    request = model_registry_pb2.RenameModelRequest(name=f"{PROJECT}/models/{old}", new_model_id=new)
    calls.models.RenameModel(request)


def story(calls: Calls) -> Iterator[Callable[[], object]]:
    """Yield one change after the other, as functions to call, of runs, steps, artifacts, metrics and lineage."""
    yield lambda: calls.start_run("train", ModelConfig(model="churn"))
    yield lambda: step(calls, "fit")
    yield lambda: link(calls, "churn/1", "data", "s3://a", ARTIFACT_ROLE_USED)
    yield lambda: measure(calls, ("loss", 0, 1.0), ("loss", 1, 0.5), ("auc", 0, float("nan")))
    yield lambda: link(calls, "churn/1", "data", "s3://b", ARTIFACT_ROLE_USED)
    yield lambda: measure(calls, ("loss", 1, 0.4), ("loss", 2, float("inf")))
    yield lambda: unlink(calls, "churn/1", "data@2")
    yield lambda: calls.runs.FinishStep(
        run_registry_pb2.FinishStepRequest(name=f"{PROJECT}/runs/train/steps/fit", state=RUN_STATE_SUCCEEDED)
    )
    yield lambda: calls.set_stage("churn", 1, STAGE_PRODUCTION, allow_unfinished_run=True, reason="a trial")
    yield lambda: link(calls, "churn/1", "weights", "s3://w1")
    yield lambda: calls.start_run("tune", ModelConfig(model="churn"), pipeline="tuning")
    yield lambda: calls.ensure("churn", "1", run="tune")
    yield lambda: measure(calls, ("auc", 3, 0.9), without=("loss",))
    yield lambda: measure(calls, ("loss", 1, 0.3))
    yield lambda: link(calls, "churn/2", "weights", "s3://w2")
    yield lambda: link(calls, "churn/2", "start", "s3://w1", ARTIFACT_ROLE_USED)
    yield lambda: report(calls, "metric 'loss'")
    yield lambda: calls.finish_run("train", RUN_STATE_FAILED, "tired")
    yield lambda: report(calls, "metric 'auc'")
    yield lambda: calls.finish_run("tune", RUN_STATE_SUCCEEDED)
    yield lambda: calls.set_stage("churn", 2, STAGE_PRODUCTION, force=True)
    yield lambda: unlink(calls, "churn/1", "data")
    yield lambda: step(calls, "late")
    yield lambda: rename(calls, "churn", "retention")
    yield lambda: calls.create_model("churn")
    yield lambda: rename(calls, "churn", "other")
    yield lambda: rename(calls, "retention", "churn")
    yield lambda: calls.models.DeleteModelVersion(model_registry_pb2.DeleteModelVersionRequest(name=VERSION))


def test_what_is_asked_as_of_a_revision_is_answered_as_it_was_then(calls: Calls) -> None:
    """Every get, list and lineage, by every reference, as of a revision returns what it returned then."""
    seen: dict[int, dict[str, object]] = {}
    for happens in story(calls):
        happens()
        seen[calls.events()[-1].revision] = {name: answer(calls, request) for name, request in QUESTIONS.items()}
    for at, answers in seen.items():
        for name, expected in answers.items():
            assert answer(calls, as_of(QUESTIONS[name], read_revision=at)) == expected, (at, name)
    for name in QUESTIONS:
        assert len({repr(answers[name]) for answers in seen.values()}) > 2, f"{name} never changed"


def test_a_time_means_the_last_revision_until_then(calls: Calls) -> None:
    """A read as of the time of an event returns the state at its revision, or at the last revision of that time."""
    for happens in story(calls):
        happens()
    told = calls.events()
    for event in (told[3], told[12], told[-1]):
        last = max(each.revision for each in told if each.time == event.time)
        for name, request in QUESTIONS.items():
            by_time = answer(calls, as_of(request, read_time=event.time))
            assert by_time == answer(calls, as_of(request, read_revision=last)), (event.revision, name)
    early = Timestamp(seconds=1)
    assert answer(calls, as_of(QUESTIONS["run"], read_time=early)) == "RUN_NOT_FOUND"
    assert answer(calls, as_of(QUESTIONS["points"], read_time=early)) == "MODEL_NOT_FOUND"
    assert list(ask(calls, as_of(QUESTIONS["runs"], read_time=early)).runs) == []


@pytest.mark.parametrize(("at", "reason"), [(999, "REVISION_IN_FUTURE"), (0, "INVALID_FIELD"), (-1, "INVALID_FIELD")])
def test_a_revision_that_never_was_is_refused_by_each(calls: Calls, at: int, reason: str) -> None:
    """The future cannot be read, and revisions go from 1."""
    next(story(calls))()
    for request in QUESTIONS.values():
        with refused(reason):
            ask(calls, as_of(request, read_revision=at))


def test_pages_show_one_revision_while_runs_go_on(calls: Calls) -> None:
    """Changes between two pages are not seen on the second page."""
    lists = ("runs", "runs of a version", "steps", "artifacts", "points")
    happening = list(story(calls))
    for happens in happening[:6]:
        happens()
    for name in ("evaluate", "report"):
        step(calls, name)
        calls.start_run(name)
        calls.ensure("churn", "1", run=name)
    expected = {name: things(ask(calls, QUESTIONS[name])) for name in lists}
    first = {name: ask(calls, as_of(QUESTIONS[name], page_size=1)) for name in lists}
    for happens in happening[6:20]:
        happens()
    for name in lists:
        found, page = things(first[name]), first[name]
        assert page.next_page_token, name
        while page.next_page_token:
            page = ask(calls, as_of(QUESTIONS[name], page_size=1, page_token=page.next_page_token))
            assert page.revision == first[name].revision, name
            found += things(page)
        assert found == expected[name], name


def test_pages_stay_with_the_version_with_which_they_began(calls: Calls) -> None:
    """Later pages are of the same version, even if it is no longer the latest, is deleted, or its model is renamed."""
    calls.start_run("train", ModelConfig(model="churn"))
    calls.start_run("tune")
    calls.ensure("churn", "1", run="tune")
    for name in ("data", "weights"):
        link(calls, "churn/1", name, f"s3://{name}")
    measure(calls, ("loss", 0, 1.0), ("loss", 1, 0.5))
    latest = VERSION.replace("/1", "/latest")
    questions: list[Any] = [
        artifact_pb2.ListArtifactsRequest(parent=latest),
        ListMetricPointsRequest(parent=latest),
        ListRunsRequest(parent=PROJECT, model_version=latest),
    ]
    whole = [things(ask(calls, question)) for question in questions]
    first = [ask(calls, as_of(question, page_size=1)) for question in questions]
    calls.create_version("churn")
    calls.models.DeleteModelVersion(model_registry_pb2.DeleteModelVersionRequest(name=VERSION))
    rename(calls, "churn", "leads")
    for question, page, expected in zip(questions, first, whole, strict=True):
        then = ask(calls, as_of(question, page_size=1, page_token=page.next_page_token))
        assert things(page) + things(then) == expected


def things(page: Any) -> list[object]:
    (field,) = (each.name for each in page.DESCRIPTOR.fields if each.message_type)
    return list(getattr(page, field))


def test_every_get_and_list_can_be_asked_as_of_the_past() -> None:
    """Each request that gets or lists has read_revision and read_time in the contract, except those for the log."""
    files = (artifact_pb2, lineage_pb2, metric_pb2, model_registry_pb2, run_registry_pb2, event_log_pb2)
    asked = [message for file in files for message in file.DESCRIPTOR.message_types_by_name.values()]
    reads = {each.name: each for each in asked if each.name.startswith(("Get", "List", "Query"))}
    reads = {name: each for name, each in reads.items() if name.endswith("Request")}
    without = {name for name, each in reads.items() if not {"read_revision", "read_time"} <= set(each.fields_by_name)}
    assert without == {"ListEventsRequest"}
    assert len(reads) == 12
