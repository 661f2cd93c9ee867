"""What programs record of runs, and the kinds of values of runs and of versions."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from grpc_calls import DEADLINE, PROJECT, Calls, refused
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import NULL_VALUE
from google.protobuf.timestamp_pb2 import Timestamp

from tallymark.v1 import event_pb2, run_pb2, run_registry_pb2
from tallymark.v1.model_pb2 import (
    RUN_STATE_FAILED,
    RUN_STATE_SUCCEEDED,
    STAGE_PRODUCTION,
    MetadataList,
    MetadataMap,
    MetadataValue,
    ModelConfig,
)
from tallymark.v1.model_registry_pb2 import (
    DeleteModelVersionRequest,
    ListModelVersionsRequest,
    PurgeModelVersionRequest,
    RenameModelRequest,
    UndeleteModelVersionRequest,
)
from tallymark.v1.run_pb2 import RecordingProblem, Run, RunStep

RUN = f"{PROJECT}/runs/train"
NULL, LARGE = MetadataValue(null=NULL_VALUE), 2**53 + 1


def start(calls: Calls, **fields: Any) -> run_pb2.Run:
    request = run_registry_pb2.StartRunRequest(parent=PROJECT, run_id="train", run=Run(**fields))
    return calls.runs.StartRun(request, timeout=DEADLINE).run


def report(calls: Calls, *problems: RecordingProblem, request_id: str = "") -> run_pb2.Run:
    request = run_registry_pb2.ReportRecordingProblemsRequest(name=RUN, problems=problems, request_id=request_id)
    return calls.runs.ReportRecordingProblems(request, timeout=DEADLINE)


def found(calls: Calls, filter: str, order_by: str = "number") -> list[int]:  # noqa: A002 - the contract's word
    request = ListModelVersionsRequest(parent=f"{PROJECT}/models/churn", filter=filter, order_by=order_by)
    return [version.number for version in calls.models.ListModelVersions(request, timeout=DEADLINE).model_versions]


def test_a_run_says_when_it_began_and_with_which_command(calls: Calls) -> None:
    """The program's own times, its command line and its timeout are stored, found by filters, and in the log."""
    began, ended = Timestamp(seconds=1_000), Timestamp(seconds=2_000, nanos=5_000)
    run = start(calls, start_time=began, command="train.py --lr 0.1", heartbeat_timeout=Duration(seconds=90))
    assert (run.start_time, run.command, run.heartbeat_timeout) == (began, "train.py --lr 0.1", Duration(seconds=90))
    step = RunStep(display_name="fit", start_time=began)
    request = run_registry_pb2.StartStepRequest(parent=RUN, step_id="fit", step=step)
    assert calls.runs.StartStep(request, timeout=DEADLINE).start_time == began
    finished = run_registry_pb2.FinishStepRequest(name=f"{RUN}/steps/fit", state=RUN_STATE_SUCCEEDED, end_time=ended)
    assert calls.runs.FinishStep(finished, timeout=DEADLINE).end_time == ended
    end = run_registry_pb2.FinishRunRequest(name=RUN, state=RUN_STATE_SUCCEEDED, end_time=ended)
    assert calls.runs.FinishRun(end, timeout=DEADLINE).end_time == ended
    assert calls.run("train") == calls.events()[-1].run
    calls.start_run("later")
    for filter_, ids in (
        ('start_time < "1970-01-02T00:00:00Z"', ["train"]),
        ('start_time > "2020-01-01T00:00:00Z"', ["later"]),
        ('command = "train.py*"', ["train"]),
    ):
        listed = run_registry_pb2.ListRunsRequest(parent=PROJECT, filter=filter_, order_by="start_time")
        runs = calls.runs.ListRuns(listed, timeout=DEADLINE).runs
        assert [each.name.rpartition("/")[2] for each in runs] == ids, filter_


def test_a_wrong_clock_does_not_lose_the_end(calls: Calls) -> None:
    """An end before the start is stored as the start; a time that is out of range is refused."""
    start(calls, start_time=Timestamp(seconds=2_000))
    far = run_registry_pb2.FinishRunRequest(name=RUN, state=RUN_STATE_FAILED, end_time=Timestamp(seconds=2**50))
    with refused("INVALID_FIELD") as refusal:
        calls.runs.FinishRun(far, timeout=DEADLINE)
    assert refusal.metadata["field"] == "end_time"
    early = run_registry_pb2.FinishRunRequest(name=RUN, state=RUN_STATE_FAILED, end_time=Timestamp(seconds=1_000))
    assert calls.runs.FinishRun(early, timeout=DEADLINE).end_time == Timestamp(seconds=2_000)


def test_long_texts_of_a_run_are_cut(calls: Calls) -> None:
    """A command line is cut at 65,535 bytes, the text of a problem at 1,000 characters, between characters."""
    assert start(calls, command="é" * 40_000).command == "é" * 32_767
    (problem,) = report(calls, RecordingProblem(subject="é" * 1001, problem="x" * 5000, count=1)).recording_problems
    assert (problem.subject, problem.problem) == ("é" * 1000, "x" * 1000)


def test_problems_of_recording_add_up_on_the_run(calls: Calls) -> None:
    """Reports of a running and of a finished run are added, each is an event, and a repeated one counts once."""
    start(calls)
    lost = RecordingProblem(subject="metric 'loss'", problem="registry away", count=3)
    report(calls, lost, RecordingProblem(subject="parameter 'df'", problem="too large", count=1), request_id="one")
    calls.finish_run("train", RUN_STATE_SUCCEEDED)
    again = report(
        calls, lost, RecordingProblem(subject="parameter 'df'", problem="too large", count=1), request_id="one"
    )
    assert [problem.count for problem in again.recording_problems] == [3, 1]
    assert [problem.count for problem in report(calls, lost).recording_problems] == [6, 1]
    kinds = [event.kind for event in calls.events()]
    assert kinds.count(event_pb2.EVENT_KIND_RECORDING_PROBLEMS_REPORTED) == 2
    with refused("REQUEST_ID_REUSED", grpc.StatusCode.FAILED_PRECONDITION):
        report(calls, lost, request_id="one")


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    ("problems", "field"),
    [
        ([], "problems"),
        ([RecordingProblem(problem="b", count=1)], "problems.subject"),
        ([RecordingProblem(subject="a", count=1)], "problems.problem"),
        ([RecordingProblem(subject="a", problem="b")], "problems.count"),
        ([RecordingProblem(subject="a", problem="b", count=-1)], "problems.count"),
    ],
    ids=["none", "no subject", "no problem", "no count", "negative count"],
)
def test_a_report_of_nothing_is_refused(calls: Calls, problems: list[RecordingProblem], field: str) -> None:
    """A report has a problem at least, and each has a subject, a problem and a count."""
    start(calls)
    with refused("INVALID_FIELD") as refusal:
        report(calls, *problems)
    assert refusal.metadata["field"] == field


def test_a_problem_of_a_run_that_is_not_there_is_refused(calls: Calls) -> None:
    """Recording problems belong to a run, which must have been started."""
    with refused("RUN_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        report(calls, RecordingProblem(subject="a", problem="b", count=1))


def test_a_repeated_end_is_answered_as_the_first(calls: Calls) -> None:
    """The same request_id returns the run as it was finished then, even if it has changed since."""
    calls.start_run("train", ModelConfig(model="churn"))
    end = run_registry_pb2.FinishRunRequest(name=RUN, state=RUN_STATE_SUCCEEDED, request_id="end")
    first = calls.runs.FinishRun(end, timeout=DEADLINE)
    report(calls, RecordingProblem(subject="a", problem="b", count=1))
    before = len(calls.events())
    assert calls.runs.FinishRun(end, timeout=DEADLINE) == first
    assert len(calls.events()) == before


def test_null_is_a_value_of_its_own_kind(calls: Calls) -> None:
    """Null is stored in metadata and parameters, also in lists and maps, and differs from a missing key."""
    inner = {
        "list": MetadataValue(list=MetadataList(values=[NULL])),
        "map": MetadataValue(map=MetadataMap(values={"a": NULL})),
    }
    calls.create_model("churn", metadata={"depth": NULL})
    written = {"depth": NULL, **inner}
    assert calls.create_version("churn", metadata=written).metadata == written
    calls.create_version("churn", metadata={"depth": MetadataValue(number=3)})
    calls.create_version("churn", metadata={"depth": MetadataValue(text="null")})
    calls.create_version("churn")
    assert start(calls, parameters=written).parameters == calls.run("train").parameters == written
    assert calls.version("churn", "1") == calls.events()[1].model_version
    assert calls.model("churn").metadata == {"depth": NULL}
    for filter_, numbers in (
        ("metadata.depth:*", [1, 2, 3]),
        ("metadata:depth", [1, 2, 3]),
        ("metadata.depth = null", [1]),
        ("metadata.depth != null", [2, 3]),
        ('metadata.depth = "null"', [3]),
        ("metadata.depth > 2", [2]),
        ("NOT metadata.depth:*", [4]),
        ("NOT metadata.depth = null", [2, 3, 4]),
    ):
        assert found(calls, filter_) == numbers, filter_
    with refused("INVALID_FILTER"):
        found(calls, "metadata.depth < null")
    assert found(calls, "", "metadata.depth, number") == [2, 3, 1, 4]


def test_large_whole_numbers_are_kept_to_the_last_digit(calls: Calls) -> None:
    """Whole numbers beyond the precision of a double are stored, compared and ordered exactly."""
    calls.create_model("churn")
    for number in (LARGE, LARGE + 2, -LARGE, 2**63 - 1):
        made = calls.create_version("churn", metadata={"id": MetadataValue(integer=number)})
        assert made.metadata["id"] == MetadataValue(integer=number)
    for number in (5, 2**53, -(2**63)):
        made = calls.create_version("churn", metadata={"id": MetadataValue(integer=number)})
        assert made.metadata["id"] == MetadataValue(number=number)
    listed = MetadataValue(list=MetadataList(values=[MetadataValue(integer=7), MetadataValue(integer=LARGE)]))
    kept = calls.create_version("churn", metadata={"ids": listed}).metadata["ids"].list.values
    assert list(kept) == [MetadataValue(number=7), MetadataValue(integer=LARGE)]
    for filter_, numbers in (
        (f"metadata.id = {LARGE}", [1]),
        (f"metadata.id != {LARGE}", [2, 3, 4, 5, 6, 7]),
        (f"metadata.id > {LARGE}", [2, 4]),
        (f"metadata.id >= {LARGE}", [1, 2, 4]),
        (f"metadata.id < {LARGE}", [3, 5, 6, 7]),
        (f"metadata.id = {2**53}", [6]),
        ("metadata.id = 9223372036854775807", [4]),
        ("metadata.id < 99999999999999999999", [1, 2, 3, 4, 5, 6, 7]),
    ):
        assert found(calls, filter_) == numbers, filter_
    assert found(calls, "", "metadata.id, number") == [7, 3, 5, 6, 1, 2, 4, 8]
    page = ListModelVersionsRequest(parent=f"{PROJECT}/models/churn", order_by="metadata.id desc", page_size=3)
    first = calls.models.ListModelVersions(page, timeout=DEADLINE)
    page.page_token = first.next_page_token
    numbers = [each.number for told in (first, calls.models.ListModelVersions(page)) for each in told.model_versions]
    assert numbers == [4, 2, 1, 6, 5, 3]


def test_only_a_run_that_succeeded_promotes_without_a_word(calls: Calls) -> None:
    """The refusal, also of a dry run, names the run and its state; allow_unfinished_run requires a reason."""
    calls.start_run("train", ModelConfig(model="churn"))
    calls.finish_run("train", RUN_STATE_FAILED, "out of memory")
    for trial in (True, False):
        with refused("RUN_NOT_SUCCEEDED", grpc.StatusCode.FAILED_PRECONDITION) as refusal:
            calls.set_stage("churn", 1, STAGE_PRODUCTION, validate_only=trial)
        assert refusal.metadata == {
            "project": "default", "model": "churn", "number": "1", "run": "train", "run_state": "failed",
        }  # fmt: skip
    with refused("INVALID_FIELD") as refusal:
        calls.set_stage("churn", 1, STAGE_PRODUCTION, allow_unfinished_run=True)
    assert refusal.metadata["field"] == "reason"
    moved = calls.set_stage(
        "churn", 1, STAGE_PRODUCTION, allow_unfinished_run=True, reason="the model was saved before"
    )
    assert (moved.stage, moved.run_state) == (STAGE_PRODUCTION, RUN_STATE_FAILED)
    assert calls.events()[-1].reason == "the model was saved before"


def test_a_deleted_version_keeps_up_with_its_run(calls: Calls) -> None:
    """A version that is undeleted has the outcome of its run, which ended meanwhile; a purged one does not change."""
    for model in ("churn", "gone", "renamed"):
        calls.start_run("train", ModelConfig(model=model))
    for model in ("churn", "gone"):
        calls.models.DeleteModelVersion(DeleteModelVersionRequest(name=f"{PROJECT}/models/{model}/versions/1"))
    calls.models.PurgeModelVersion(PurgeModelVersionRequest(name=f"{PROJECT}/models/gone/versions/1"))
    calls.models.RenameModel(RenameModelRequest(name=f"{PROJECT}/models/renamed", new_model_id="now"))
    before = len(calls.events())
    calls.finish_run("train", RUN_STATE_FAILED)
    changed = [event.model_version.name for event in calls.events()[before + 1 :]]
    assert changed == [f"{PROJECT}/models/churn/versions/1", f"{PROJECT}/models/now/versions/1"]
    request = UndeleteModelVersionRequest(name=f"{PROJECT}/models/churn/versions/1")
    assert calls.models.UndeleteModelVersion(request).run_state == RUN_STATE_FAILED
