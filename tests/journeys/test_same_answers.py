"""Repeated requests of every method get their first answer, whether it was an effect, no change or a refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from grpc_calls import DEADLINE, PROJECT, Calls, refusal_of
from google.protobuf.message import Message

from tallymark.testing import Server
from tallymark.v1 import artifact_pb2, model_pb2, model_registry_pb2, project_pb2, run_pb2, run_registry_pb2
from tallymark.v1.model_pb2 import (
    RUN_STATE_FAILED,
    RUN_STATE_SUCCEEDED,
    STAGE_ARCHIVED,
    STAGE_PRODUCTION,
    STAGE_STAGING,
)

MODEL = f"{PROJECT}/models/churn"
RUN = f"{PROJECT}/runs/r1"
EFFECT, NOTHING = "has an effect", "changes nothing"
SERVICES = (
    model_registry_pb2.DESCRIPTOR.services_by_name["ModelRegistry"],
    run_registry_pb2.DESCRIPTOR.services_by_name["RunRegistry"],
)


@dataclass
class StoryRequest:
    """A request, its expected outcome (an effect, no change or a reason), and its first answer."""

    method: str
    outcome: str
    request: Any
    answer: Message | tuple[Any, ...] | None = None


def config(model: str = "churn", version: str = "") -> model_pb2.ModelConfig:
    return model_pb2.ModelConfig(model=model, version=version)


def v(reference: object, model: str = MODEL) -> str:
    return f"{model}/versions/{reference}"


def story() -> Iterator[StoryRequest]:
    """Yield requests of every method with every kind of outcome, in order."""
    m, r = model_registry_pb2, run_registry_pb2
    project = project_pb2.CreateProjectRequest
    yield StoryRequest("CreateProject", EFFECT, project(project_id="lab"))
    yield StoryRequest("CreateProject", "PROJECT_EXISTS", project(project_id="lab"))
    yield StoryRequest(
        "CreateModel", "PROJECT_NOT_FOUND", m.CreateModelRequest(parent="projects/none", model_id="churn")
    )
    yield StoryRequest("CreateModelVersion", "MODEL_NOT_FOUND", m.CreateModelVersionRequest(parent=MODEL))
    yield StoryRequest("CreateModel", EFFECT, m.CreateModelRequest(parent=PROJECT, model_id="churn"))
    yield StoryRequest("CreateModel", "MODEL_EXISTS", m.CreateModelRequest(parent=PROJECT, model_id="churn"))
    named = model_pb2.ModelVersion(version_name="a", tags=["t"])
    yield StoryRequest("CreateModelVersion", EFFECT, m.CreateModelVersionRequest(parent=MODEL, model_version=named))
    yield StoryRequest(
        "CreateModelVersion", "VERSION_NAME_TAKEN", m.CreateModelVersionRequest(parent=MODEL, model_version=named)
    )
    batch = m.BatchCreateModelVersionsRequest(parent=MODEL, model_versions=[model_pb2.ModelVersion() for _ in range(3)])
    yield StoryRequest("BatchCreateModelVersions", EFFECT, batch)
    yield from of_runs()
    yield from of_steps()
    yield from of_stages_and_aliases()
    yield from of_updates()
    yield from of_facts()
    yield from of_deletions()
    yield StoryRequest("CreateModel", EFFECT, m.CreateModelRequest(parent=PROJECT, model_id="churn"))
    yield StoryRequest("FinishRun", EFFECT, r.FinishRunRequest(name=RUN, state=RUN_STATE_SUCCEEDED))


def of_runs() -> Iterator[StoryRequest]:
    m, r = model_registry_pb2, run_registry_pb2

    def start(run: str, **fields: Any) -> Message:
        return r.StartRunRequest(parent=PROJECT, run_id=run, run=run_pb2.Run(pipeline="p"), **fields)

    def ensure(version: str, run: str = "", model: str = "churn") -> Message:
        return m.EnsureModelVersionRequest(parent=PROJECT, config=config(model, version), run=run)

    yield StoryRequest("StartRun", EFFECT, start("r1"))
    yield StoryRequest("StartRun", NOTHING, start("r1"))
    yield StoryRequest("StartRun", EFFECT, start("r2", config=config()))
    yield StoryRequest("StartRun", NOTHING, start("r2"))
    yield StoryRequest("StartRun", EFFECT, start("r3", config=config(version="latest")))
    yield StoryRequest("StartRun", EFFECT, start("r4", config=config("fresh")))
    yield StoryRequest("StartRun", EFFECT, start("r1", config=config()))
    yield StoryRequest("StartRun", NOTHING, start("r1", config=config()))
    yield StoryRequest("StartRun", EFFECT, start("r1", config=config(version="1")))
    yield StoryRequest("StartRun", "STAGE_EMPTY", start("r9", config=config(version="production")))
    yield StoryRequest("EnsureModelVersion", EFFECT, ensure("", RUN, "own"))
    yield StoryRequest("EnsureModelVersion", NOTHING, ensure("", RUN, "own"))
    yield StoryRequest("EnsureModelVersion", EFFECT, ensure("2", RUN))
    yield StoryRequest("EnsureModelVersion", NOTHING, ensure("2", RUN))
    yield StoryRequest("EnsureModelVersion", EFFECT, ensure("b"))
    yield StoryRequest("EnsureModelVersion", NOTHING, ensure("b"))
    yield StoryRequest("EnsureModelVersion", NOTHING, ensure("latest"))
    yield StoryRequest("EnsureModelVersion", EFFECT, ensure(""))
    yield StoryRequest("EnsureModelVersion", "RUN_NOT_FOUND", ensure("", f"{PROJECT}/runs/none"))
    yield StoryRequest("EnsureModelVersion", "ALIAS_NOT_FOUND", ensure("@champion"))


def of_steps() -> Iterator[StoryRequest]:
    r = run_registry_pb2
    step = run_pb2.RunStep(display_name="fit", model_version=v(1))
    yield StoryRequest("StartStep", EFFECT, r.StartStepRequest(parent=RUN, step_id="s", step=step))
    yield StoryRequest("StartStep", NOTHING, r.StartStepRequest(parent=RUN, step_id="s", step=step))
    yield StoryRequest("StartStep", "RUN_NOT_FOUND", r.StartStepRequest(parent=f"{PROJECT}/runs/none", step_id="s"))
    finish = r.FinishStepRequest(name=f"{RUN}/steps/s", state=RUN_STATE_SUCCEEDED)
    yield StoryRequest("FinishStep", EFFECT, finish)
    yield StoryRequest("FinishStep", NOTHING, finish)
    yield StoryRequest(
        "FinishStep", "STEP_FINISHED", r.FinishStepRequest(name=f"{RUN}/steps/s", state=RUN_STATE_FAILED)
    )
    problems = [run_pb2.RecordingProblem(subject="a", problem="b", count=2)]
    yield StoryRequest("ReportRecordingProblems", EFFECT, r.ReportRecordingProblemsRequest(name=RUN, problems=problems))
    yield StoryRequest(
        "ReportRecordingProblems",
        "RUN_NOT_FOUND",
        r.ReportRecordingProblemsRequest(name=f"{PROJECT}/runs/none", problems=problems),
    )
    for run in ("r2", "r4"):
        name = f"{PROJECT}/runs/{run}"
        yield StoryRequest("FinishRun", EFFECT, r.FinishRunRequest(name=name, state=RUN_STATE_FAILED))
        yield StoryRequest("FinishRun", NOTHING, r.FinishRunRequest(name=name, state=RUN_STATE_FAILED))
        yield StoryRequest("FinishRun", "RUN_FINISHED", r.FinishRunRequest(name=name, state=RUN_STATE_SUCCEEDED))


def of_stages_and_aliases() -> Iterator[StoryRequest]:
    m = model_registry_pb2
    yield StoryRequest("SetStage", EFFECT, m.SetStageRequest(name=v(1), stage=STAGE_PRODUCTION))
    yield StoryRequest("SetStage", NOTHING, m.SetStageRequest(name=v(1), stage=STAGE_PRODUCTION))
    yield StoryRequest("SetStage", "STAGE_OCCUPIED", m.SetStageRequest(name=v(2), stage=STAGE_PRODUCTION))
    yield StoryRequest(
        "SetStage", "STAGE_MOVED", m.SetStageRequest(name=v(2), stage=STAGE_PRODUCTION, expected_number=3)
    )
    yield StoryRequest("SetStage", "RUN_NOT_SUCCEEDED", m.SetStageRequest(name=v(5), stage=STAGE_STAGING))
    yield StoryRequest("SetStage", "ETAG_MISMATCH", m.SetStageRequest(name=v(2), stage=STAGE_STAGING, etag="r1"))
    production = m.EnsureModelVersionRequest(parent=PROJECT, config=config(version="production"), run=RUN)
    yield StoryRequest("EnsureModelVersion", NOTHING, production)
    used = m.EnsureModelVersionRequest(parent=PROJECT, config=config(version="production"), run=f"{PROJECT}/runs/r4")
    yield StoryRequest("EnsureModelVersion", EFFECT, used)
    yield StoryRequest("SetStage", EFFECT, m.SetStageRequest(name=v(3), stage=STAGE_PRODUCTION, force=True))
    yield StoryRequest("SetAlias", EFFECT, m.SetAliasRequest(name=v(1), alias="champion"))
    yield StoryRequest("SetAlias", EFFECT, m.SetAliasRequest(name=v(2), alias="canary"))
    yield StoryRequest("SetAlias", EFFECT, m.SetAliasRequest(name=v(2), alias="champion"))
    yield StoryRequest("SetAlias", NOTHING, m.SetAliasRequest(name=v(2), alias="champion"))
    yield StoryRequest("SetAlias", "ALIAS_MOVED", m.SetAliasRequest(name=v(1), alias="champion", expected_number=1))
    yield StoryRequest("DeleteAlias", EFFECT, m.DeleteAliasRequest(parent=MODEL, alias="canary"))
    yield StoryRequest("DeleteAlias", "ALIAS_NOT_FOUND", m.DeleteAliasRequest(parent=MODEL, alias="canary"))


def of_updates() -> Iterator[StoryRequest]:
    m = model_registry_pb2
    update = m.UpdateModelRequest(model=model_pb2.Model(name=MODEL, license="MIT"))
    update.update_mask.paths.append("license")
    yield StoryRequest("UpdateModel", EFFECT, update)
    yield StoryRequest("UpdateModel", NOTHING, update)
    stale = m.UpdateModelRequest()
    stale.CopyFrom(update)
    stale.model.etag = "r1"
    yield StoryRequest("UpdateModel", "ETAG_MISMATCH", stale)
    naming = m.UpdateModelVersionRequest(model_version=model_pb2.ModelVersion(name=v(2), version_name="c"))
    naming.update_mask.paths.append("version_name")
    yield StoryRequest("UpdateModelVersion", EFFECT, naming)
    yield StoryRequest("UpdateModelVersion", NOTHING, naming)


def of_facts() -> Iterator[StoryRequest]:
    m, a = model_registry_pb2, artifact_pb2
    facts = {"auc": model_pb2.MetadataValue(number=0.5)}
    yield StoryRequest("LogMetadata", EFFECT, m.LogMetadataRequest(name=v(1), metadata=facts))
    yield StoryRequest("LogMetadata", NOTHING, m.LogMetadataRequest(name=v(1), metadata=facts))
    yield StoryRequest("LogMetadata", "VERSION_NOT_FOUND", m.LogMetadataRequest(name=v(99), metadata=facts))
    link = a.LinkArtifactRequest(
        parent=v(1), artifact_id="clf", artifact=a.Artifact(uri="s3://b/o", type=a.ARTIFACT_TYPE_MODEL)
    )
    yield StoryRequest("LinkArtifact", EFFECT, link)
    yield StoryRequest("LinkArtifact", NOTHING, link)
    nowhere = a.LinkArtifactRequest(parent=v(99), artifact_id="clf", artifact=link.artifact)
    yield StoryRequest("LinkArtifact", "VERSION_NOT_FOUND", nowhere)
    yield StoryRequest("UnlinkArtifact", EFFECT, a.UnlinkArtifactRequest(name=f"{v(1)}/artifacts/clf"))
    yield StoryRequest("UnlinkArtifact", "ARTIFACT_NOT_FOUND", a.UnlinkArtifactRequest(name=f"{v(1)}/artifacts/clf"))


def of_deletions() -> Iterator[StoryRequest]:
    """Yield requests that delete and purge what the earlier requests returned."""
    m = model_registry_pb2
    leavers = f"{PROJECT}/models/leavers"
    yield StoryRequest("DeleteModelVersion", "VERSION_IN_USE", m.DeleteModelVersionRequest(name=v(3)))
    for number in (1, 2, 3):
        yield StoryRequest("DeleteModelVersion", EFFECT, m.DeleteModelVersionRequest(name=v(number), force=True))
    yield StoryRequest("UndeleteModelVersion", EFFECT, m.UndeleteModelVersionRequest(name=v(3)))
    yield StoryRequest("UndeleteModelVersion", "VERSION_NOT_DELETED", m.UndeleteModelVersionRequest(name=v(3)))
    yield StoryRequest("PurgeModelVersion", "VERSION_NOT_DELETED", m.PurgeModelVersionRequest(name=v(3)))
    yield StoryRequest("PurgeModelVersion", EFFECT, m.PurgeModelVersionRequest(name=v(2)))
    yield StoryRequest("SetStage", EFFECT, m.SetStageRequest(name=v(4), stage=STAGE_ARCHIVED))
    yield StoryRequest("RenameModel", NOTHING, m.RenameModelRequest(name=MODEL, new_model_id="churn"))
    yield StoryRequest("RenameModel", EFFECT, m.RenameModelRequest(name=MODEL, new_model_id="leavers"))
    yield StoryRequest("RenameModel", "MODEL_EXISTS", m.RenameModelRequest(name=leavers, new_model_id="own"))
    yield StoryRequest("UpdateModelVersion", "MODEL_NOT_FOUND", rename_of(v(4)))
    yield StoryRequest("DeleteModel", EFFECT, m.DeleteModelRequest(name=leavers, force=True))
    yield StoryRequest("DeleteModel", "MODEL_DELETED", m.DeleteModelRequest(name=leavers))
    yield StoryRequest("UndeleteModel", EFFECT, m.UndeleteModelRequest(name=leavers))
    yield StoryRequest("UndeleteModel", "MODEL_NOT_DELETED", m.UndeleteModelRequest(name=leavers))
    yield StoryRequest("PurgeModel", "MODEL_NOT_DELETED", m.PurgeModelRequest(name=leavers))
    yield StoryRequest("DeleteModel", EFFECT, m.DeleteModelRequest(name=leavers))
    yield StoryRequest("PurgeModel", EFFECT, m.PurgeModelRequest(name=leavers))
    yield StoryRequest("CreateModel", EFFECT, m.CreateModelRequest(parent=PROJECT, model_id="leavers"))
    yield StoryRequest("CreateModelVersion", EFFECT, m.CreateModelVersionRequest(parent=leavers))
    yield StoryRequest("CreateModel", EFFECT, m.CreateModelRequest(parent="projects/lab", model_id="churn"))
    yield StoryRequest("BatchCreateModelVersions", "MODEL_NOT_FOUND", m.BatchCreateModelVersionsRequest(
        parent=MODEL, model_versions=[model_pb2.ModelVersion()]
    ))  # fmt: skip


def rename_of(name: str) -> model_registry_pb2.UpdateModelVersionRequest:
    asked = model_registry_pb2.UpdateModelVersionRequest(model_version=model_pb2.ModelVersion(name=name))
    asked.update_mask.paths.append("description")
    return asked


def call_of(calls: Calls, method: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(calls.models if hasattr(calls.models, method) else calls.runs, method)
    return found


def answer_of(calls: Calls, asked: StoryRequest) -> Message | tuple[Any, ...]:
    """Return the reply, or the content of the refusal."""
    try:
        reply: Message = call_of(calls, asked.method)(asked.request, timeout=DEADLINE)
    except grpc.RpcError as error:
        refusal = refusal_of(error)
        return refusal.code, refusal.reason, refusal.message, refusal.metadata
    return reply


def heads(calls: Calls) -> tuple[int, int]:
    """Return the revisions of the two projects, 0 for one that does not exist."""
    replies = [listed(calls, parent) for parent in (PROJECT, "projects/lab")]
    default, lab = (0 if isinstance(reply, tuple) else reply.revision for reply in replies)
    return default, lab


def listed(calls: Calls, parent: str) -> Any:
    return answer_of(
        calls,
        StoryRequest("ListModels", "", model_registry_pb2.ListModelsRequest(parent=parent)),
    )


def outcome_of(calls: Calls, asked: StoryRequest) -> str:
    before = heads(calls)
    asked.answer = answer_of(calls, asked)
    if isinstance(asked.answer, tuple):
        return str(asked.answer[1])
    return NOTHING if heads(calls) == before else EFFECT


@pytest.fixture(scope="module")
def answered_story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[StoryRequest]]]:
    """A server that has answered the story, and its requests with their answers."""
    with Server(tmp_path_factory.mktemp("answered_story") / "tallymark.db") as server:
        with grpc.insecure_channel(server.address) as channel:
            calls = Calls(channel)
            asked = list(story())
            for place, each in enumerate(asked):
                each.request.request_id = f"id-{place}"
                assert outcome_of(calls, each) == each.outcome, each
        yield server, asked


def test_every_method_that_takes_a_request_id_is_in_the_story() -> None:
    """Each method with a request_id is in the story, with an effect and with a refusal."""
    answered_story = [(each.method, each.outcome) for each in story()]
    methods = {
        method.name
        for service in SERVICES
        for method in service.methods
        if "request_id" in method.input_type.fields_by_name
    }
    assert {method for method, outcome in answered_story if outcome == EFFECT} == methods
    assert {method for method, outcome in answered_story if outcome not in (EFFECT, NOTHING)} == methods


def test_a_repeated_request_is_answered_as_it_was_first(answered_story: tuple[Server, list[StoryRequest]]) -> None:
    """A repeated request gets its first answer, also after renames and purges and after a restart."""
    server, asked = answered_story
    for restart in (False, True):
        if restart:
            server.restart()
        with grpc.insecure_channel(server.address) as channel:
            calls = Calls(channel)
            before = heads(calls)
            for each in asked:
                assert answer_of(calls, each) == each.answer, (each.method, each.outcome)
            assert heads(calls) == before


def test_the_id_of_an_answered_request_is_taken(answered_story: tuple[Server, list[StoryRequest]]) -> None:
    """Another request with a used request_id is refused, whatever the first answer was."""
    server, asked = answered_story
    with grpc.insecure_channel(server.address) as channel:
        calls = Calls(channel)
        for each in asked:
            if each.outcome == "PROJECT_NOT_FOUND":
                continue  # every request to a missing project is refused
            other = model_registry_pb2.CreateModelRequest(
                parent="projects/lab" if each.method == "CreateProject" else PROJECT,
                model_id="another",
                request_id=each.request.request_id,
            )
            if "projects/lab" in str(each.request):
                other.parent = "projects/lab"
            answer = answer_of(calls, StoryRequest("CreateModel", "", other))
            assert isinstance(answer, tuple)
            assert answer[1] == "REQUEST_ID_REUSED", each


def test_concurrent_copies_of_a_request_get_one_answer(server: Server) -> None:
    """Four copies of each request, sent at the same time over two connections, get the same answer."""
    with (
        grpc.insecure_channel(server.address) as one,
        grpc.insecure_channel(server.address, options=[("grpc.use_local_subchannel_pool", 1)]) as two,
        ThreadPoolExecutor(4) as pool,
    ):
        senders = [Calls(one), Calls(two)] * 2
        for place, each in enumerate(story()):
            each.request.request_id = f"id-{place}"
            answers = list(pool.map(lambda calls, asked=each: answer_of(calls, asked), senders))
            assert answers == [answers[0]] * 4, each
