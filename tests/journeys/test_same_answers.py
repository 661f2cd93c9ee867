"""A request is answered once: every method, whether it had an effect, changed nothing or was refused."""

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
class Asked:
    """A call, what comes of it the first time (or the reason of its refusal), and what it is answered with."""

    method: str
    comes_of_it: str
    request: Any
    answer: Message | tuple[Any, ...] | None = None


def config(model: str = "churn", version: str = "") -> model_pb2.ModelConfig:
    return model_pb2.ModelConfig(model=model, version=version)


def v(reference: object, model: str = MODEL) -> str:
    return f"{model}/versions/{reference}"


def story() -> Iterator[Asked]:
    """Calls one after the other, of every method and every kind of outcome."""
    m, r = model_registry_pb2, run_registry_pb2
    project = project_pb2.CreateProjectRequest
    yield Asked("CreateProject", EFFECT, project(project_id="lab"))
    yield Asked("CreateProject", "PROJECT_EXISTS", project(project_id="lab"))
    yield Asked("CreateModel", "PROJECT_NOT_FOUND", m.CreateModelRequest(parent="projects/none", model_id="churn"))
    yield Asked("CreateModelVersion", "MODEL_NOT_FOUND", m.CreateModelVersionRequest(parent=MODEL))
    yield Asked("CreateModel", EFFECT, m.CreateModelRequest(parent=PROJECT, model_id="churn"))
    yield Asked("CreateModel", "MODEL_EXISTS", m.CreateModelRequest(parent=PROJECT, model_id="churn"))
    named = model_pb2.ModelVersion(version_name="a", tags=["t"])
    yield Asked("CreateModelVersion", EFFECT, m.CreateModelVersionRequest(parent=MODEL, model_version=named))
    yield Asked(
        "CreateModelVersion", "VERSION_NAME_TAKEN", m.CreateModelVersionRequest(parent=MODEL, model_version=named)
    )
    batch = m.BatchCreateModelVersionsRequest(parent=MODEL, model_versions=[model_pb2.ModelVersion() for _ in range(3)])
    yield Asked("BatchCreateModelVersions", EFFECT, batch)
    yield from of_runs()
    yield from of_steps()
    yield from of_places()
    yield from of_updates()
    yield from of_facts()
    yield from of_deletions()
    yield Asked("CreateModel", EFFECT, m.CreateModelRequest(parent=PROJECT, model_id="churn"))
    yield Asked("FinishRun", EFFECT, r.FinishRunRequest(name=RUN, state=RUN_STATE_SUCCEEDED))


def of_runs() -> Iterator[Asked]:
    m, r = model_registry_pb2, run_registry_pb2

    def start(run: str, **fields: Any) -> Message:
        return r.StartRunRequest(parent=PROJECT, run_id=run, run=run_pb2.Run(pipeline="p"), **fields)

    def ensure(version: str, run: str = "", model: str = "churn") -> Message:
        return m.EnsureModelVersionRequest(parent=PROJECT, config=config(model, version), run=run)

    yield Asked("StartRun", EFFECT, start("r1"))
    yield Asked("StartRun", NOTHING, start("r1"))
    yield Asked("StartRun", EFFECT, start("r2", config=config()))
    yield Asked("StartRun", NOTHING, start("r2"))
    yield Asked("StartRun", EFFECT, start("r3", config=config(version="latest")))
    yield Asked("StartRun", EFFECT, start("r4", config=config("fresh")))
    yield Asked("StartRun", EFFECT, start("r1", config=config()))
    yield Asked("StartRun", NOTHING, start("r1", config=config()))
    yield Asked("StartRun", EFFECT, start("r1", config=config(version="1")))
    yield Asked("StartRun", "STAGE_EMPTY", start("r9", config=config(version="production")))
    yield Asked("EnsureModelVersion", EFFECT, ensure("", RUN, "own"))
    yield Asked("EnsureModelVersion", NOTHING, ensure("", RUN, "own"))
    yield Asked("EnsureModelVersion", EFFECT, ensure("2", RUN))
    yield Asked("EnsureModelVersion", NOTHING, ensure("2", RUN))
    yield Asked("EnsureModelVersion", EFFECT, ensure("b"))
    yield Asked("EnsureModelVersion", NOTHING, ensure("b"))
    yield Asked("EnsureModelVersion", NOTHING, ensure("latest"))
    yield Asked("EnsureModelVersion", EFFECT, ensure(""))
    yield Asked("EnsureModelVersion", "RUN_NOT_FOUND", ensure("", f"{PROJECT}/runs/none"))
    yield Asked("EnsureModelVersion", "ALIAS_NOT_FOUND", ensure("@champion"))


def of_steps() -> Iterator[Asked]:
    r = run_registry_pb2
    step = run_pb2.RunStep(display_name="fit", model_version=v(1))
    yield Asked("StartStep", EFFECT, r.StartStepRequest(parent=RUN, step_id="s", step=step))
    yield Asked("StartStep", NOTHING, r.StartStepRequest(parent=RUN, step_id="s", step=step))
    yield Asked("StartStep", "RUN_NOT_FOUND", r.StartStepRequest(parent=f"{PROJECT}/runs/none", step_id="s"))
    finish = r.FinishStepRequest(name=f"{RUN}/steps/s", state=RUN_STATE_SUCCEEDED)
    yield Asked("FinishStep", EFFECT, finish)
    yield Asked("FinishStep", NOTHING, finish)
    yield Asked("FinishStep", "STEP_FINISHED", r.FinishStepRequest(name=f"{RUN}/steps/s", state=RUN_STATE_FAILED))
    problems = [run_pb2.RecordingProblem(subject="a", problem="b", count=2)]
    yield Asked("ReportRecordingProblems", EFFECT, r.ReportRecordingProblemsRequest(name=RUN, problems=problems))
    yield Asked(
        "ReportRecordingProblems",
        "RUN_NOT_FOUND",
        r.ReportRecordingProblemsRequest(name=f"{PROJECT}/runs/none", problems=problems),
    )
    for run in ("r2", "r4"):
        name = f"{PROJECT}/runs/{run}"
        yield Asked("FinishRun", EFFECT, r.FinishRunRequest(name=name, state=RUN_STATE_FAILED))
        yield Asked("FinishRun", NOTHING, r.FinishRunRequest(name=name, state=RUN_STATE_FAILED))
        yield Asked("FinishRun", "RUN_FINISHED", r.FinishRunRequest(name=name, state=RUN_STATE_SUCCEEDED))


def of_places() -> Iterator[Asked]:
    m = model_registry_pb2
    yield Asked("SetStage", EFFECT, m.SetStageRequest(name=v(1), stage=STAGE_PRODUCTION))
    yield Asked("SetStage", NOTHING, m.SetStageRequest(name=v(1), stage=STAGE_PRODUCTION))
    yield Asked("SetStage", "STAGE_OCCUPIED", m.SetStageRequest(name=v(2), stage=STAGE_PRODUCTION))
    yield Asked("SetStage", "STAGE_MOVED", m.SetStageRequest(name=v(2), stage=STAGE_PRODUCTION, expected_number=3))
    yield Asked("SetStage", "RUN_NOT_SUCCEEDED", m.SetStageRequest(name=v(5), stage=STAGE_STAGING))
    yield Asked("SetStage", "ETAG_MISMATCH", m.SetStageRequest(name=v(2), stage=STAGE_STAGING, etag="r1"))
    production = m.EnsureModelVersionRequest(parent=PROJECT, config=config(version="production"), run=RUN)
    yield Asked("EnsureModelVersion", NOTHING, production)
    used = m.EnsureModelVersionRequest(parent=PROJECT, config=config(version="production"), run=f"{PROJECT}/runs/r4")
    yield Asked("EnsureModelVersion", EFFECT, used)
    yield Asked("SetStage", EFFECT, m.SetStageRequest(name=v(3), stage=STAGE_PRODUCTION, force=True))
    yield Asked("SetAlias", EFFECT, m.SetAliasRequest(name=v(1), alias="champion"))
    yield Asked("SetAlias", EFFECT, m.SetAliasRequest(name=v(2), alias="canary"))
    yield Asked("SetAlias", EFFECT, m.SetAliasRequest(name=v(2), alias="champion"))
    yield Asked("SetAlias", NOTHING, m.SetAliasRequest(name=v(2), alias="champion"))
    yield Asked("SetAlias", "ALIAS_MOVED", m.SetAliasRequest(name=v(1), alias="champion", expected_number=1))
    yield Asked("DeleteAlias", EFFECT, m.DeleteAliasRequest(parent=MODEL, alias="canary"))
    yield Asked("DeleteAlias", "ALIAS_NOT_FOUND", m.DeleteAliasRequest(parent=MODEL, alias="canary"))


def of_updates() -> Iterator[Asked]:
    m = model_registry_pb2
    update = m.UpdateModelRequest(model=model_pb2.Model(name=MODEL, license="MIT"))
    update.update_mask.paths.append("license")
    yield Asked("UpdateModel", EFFECT, update)
    yield Asked("UpdateModel", NOTHING, update)
    stale = m.UpdateModelRequest()
    stale.CopyFrom(update)
    stale.model.etag = "r1"
    yield Asked("UpdateModel", "ETAG_MISMATCH", stale)
    update = m.UpdateModelVersionRequest(model_version=model_pb2.ModelVersion(name=v(2), version_name="c"))
    update.update_mask.paths.append("version_name")
    yield Asked("UpdateModelVersion", EFFECT, update)
    yield Asked("UpdateModelVersion", NOTHING, update)


def of_facts() -> Iterator[Asked]:
    m, a = model_registry_pb2, artifact_pb2
    facts = {"auc": model_pb2.MetadataValue(number=0.5)}
    yield Asked("LogMetadata", EFFECT, m.LogMetadataRequest(name=v(1), metadata=facts))
    yield Asked("LogMetadata", NOTHING, m.LogMetadataRequest(name=v(1), metadata=facts))
    yield Asked("LogMetadata", "VERSION_NOT_FOUND", m.LogMetadataRequest(name=v(99), metadata=facts))
    link = a.LinkArtifactRequest(
        parent=v(1), artifact_id="clf", artifact=a.Artifact(uri="s3://b/o", type=a.ARTIFACT_TYPE_MODEL)
    )
    yield Asked("LinkArtifact", EFFECT, link)
    yield Asked("LinkArtifact", NOTHING, link)
    nowhere = a.LinkArtifactRequest(parent=v(99), artifact_id="clf", artifact=link.artifact)
    yield Asked("LinkArtifact", "VERSION_NOT_FOUND", nowhere)
    yield Asked("UnlinkArtifact", EFFECT, a.UnlinkArtifactRequest(name=f"{v(1)}/artifacts/clf"))
    yield Asked("UnlinkArtifact", "ARTIFACT_NOT_FOUND", a.UnlinkArtifactRequest(name=f"{v(1)}/artifacts/clf"))


def of_deletions() -> Iterator[Asked]:
    """To the end of everything that was answered with before."""
    m = model_registry_pb2
    leavers = f"{PROJECT}/models/leavers"
    yield Asked("DeleteModelVersion", "VERSION_IN_USE", m.DeleteModelVersionRequest(name=v(3)))
    for number in (1, 2, 3):
        yield Asked("DeleteModelVersion", EFFECT, m.DeleteModelVersionRequest(name=v(number), force=True))
    yield Asked("UndeleteModelVersion", EFFECT, m.UndeleteModelVersionRequest(name=v(3)))
    yield Asked("UndeleteModelVersion", "VERSION_NOT_DELETED", m.UndeleteModelVersionRequest(name=v(3)))
    yield Asked("PurgeModelVersion", "VERSION_NOT_DELETED", m.PurgeModelVersionRequest(name=v(3)))
    yield Asked("PurgeModelVersion", EFFECT, m.PurgeModelVersionRequest(name=v(2)))
    yield Asked("SetStage", EFFECT, m.SetStageRequest(name=v(4), stage=STAGE_ARCHIVED))
    yield Asked("RenameModel", NOTHING, m.RenameModelRequest(name=MODEL, new_model_id="churn"))
    yield Asked("RenameModel", EFFECT, m.RenameModelRequest(name=MODEL, new_model_id="leavers"))
    yield Asked("RenameModel", "MODEL_EXISTS", m.RenameModelRequest(name=leavers, new_model_id="own"))
    yield Asked("UpdateModelVersion", "MODEL_NOT_FOUND", rename_of(v(4)))
    yield Asked("DeleteModel", EFFECT, m.DeleteModelRequest(name=leavers, force=True))
    yield Asked("DeleteModel", "MODEL_DELETED", m.DeleteModelRequest(name=leavers))
    yield Asked("UndeleteModel", EFFECT, m.UndeleteModelRequest(name=leavers))
    yield Asked("UndeleteModel", "MODEL_NOT_DELETED", m.UndeleteModelRequest(name=leavers))
    yield Asked("PurgeModel", "MODEL_NOT_DELETED", m.PurgeModelRequest(name=leavers))
    yield Asked("DeleteModel", EFFECT, m.DeleteModelRequest(name=leavers))
    yield Asked("PurgeModel", EFFECT, m.PurgeModelRequest(name=leavers))
    yield Asked("CreateModel", EFFECT, m.CreateModelRequest(parent=PROJECT, model_id="leavers"))
    yield Asked("CreateModelVersion", EFFECT, m.CreateModelVersionRequest(parent=leavers))
    yield Asked("CreateModel", EFFECT, m.CreateModelRequest(parent="projects/lab", model_id="churn"))
    yield Asked("BatchCreateModelVersions", "MODEL_NOT_FOUND", m.BatchCreateModelVersionsRequest(
        parent=MODEL, model_versions=[model_pb2.ModelVersion()]
    ))  # fmt: skip


def rename_of(name: str) -> model_registry_pb2.UpdateModelVersionRequest:
    asked = model_registry_pb2.UpdateModelVersionRequest(model_version=model_pb2.ModelVersion(name=name))
    asked.update_mask.paths.append("description")
    return asked


def call_of(calls: Calls, method: str) -> Callable[..., Any]:
    return getattr(calls.models if hasattr(calls.models, method) else calls.runs, method)


def answer_of(calls: Calls, asked: Asked) -> Message | tuple[Any, ...]:
    """Return the reply, or all that a refusal says."""
    try:
        return call_of(calls, asked.method)(asked.request, timeout=DEADLINE)
    except grpc.RpcError as error:
        refusal = refusal_of(error)
        return refusal.code, refusal.info.reason, refusal.message, refusal.metadata


def heads(calls: Calls) -> tuple[int, int]:
    """Return at which revisions the two projects are, 0 for one that is not there."""
    return tuple(
        0 if isinstance(found, tuple) else found.revision
        for parent in (PROJECT, "projects/lab")
        if (found := listed(calls, parent))
    )


def listed(calls: Calls, parent: str) -> Any:
    return answer_of(
        calls,
        Asked("ListModels", "", model_registry_pb2.ListModelsRequest(parent=parent)),
    )


def come_of(calls: Calls, asked: Asked) -> str:
    before = heads(calls)
    asked.answer = answer_of(calls, asked)
    if isinstance(asked.answer, tuple):
        return asked.answer[1]
    return NOTHING if heads(calls) == before else EFFECT


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[Asked]]]:
    """A server to which the story was told, and what it answered."""
    with Server(tmp_path_factory.mktemp("told") / "tallymark.db") as server:
        with grpc.insecure_channel(server.address) as channel:
            calls = Calls(channel)
            asked = list(story())
            for place, each in enumerate(asked):
                each.request.request_id = f"id-{place}"
                assert come_of(calls, each) == each.comes_of_it, each
        yield server, asked


def test_every_method_that_takes_a_request_id_is_in_the_story() -> None:
    """A new method has its place here, with an effect and refused."""
    told = [(each.method, each.comes_of_it) for each in story()]
    methods = {
        method.name
        for service in SERVICES
        for method in service.methods
        if "request_id" in method.input_type.fields_by_name
    }
    assert {method for method, comes_of_it in told if comes_of_it == EFFECT} == methods
    assert {method for method, comes_of_it in told if comes_of_it not in (EFFECT, NOTHING)} == methods


def test_a_repeated_request_is_answered_as_it_was_first(told: tuple[Server, list[Asked]]) -> None:
    """Whatever became of everything since, purged or renamed, and also after the server was started anew."""
    server, asked = told
    for restart in (False, True):
        if restart:
            server.restart()
        with grpc.insecure_channel(server.address) as channel:
            calls = Calls(channel)
            before = heads(calls)
            for each in asked:
                assert answer_of(calls, each) == each.answer, (each.method, each.comes_of_it)
            assert heads(calls) == before


def test_the_id_of_an_answered_request_is_taken(told: tuple[Server, list[Asked]]) -> None:
    """Another request under it is refused, whatever the first one was answered with."""
    server, asked = told
    with grpc.insecure_channel(server.address) as channel:
        calls = Calls(channel)
        for each in asked:
            if each.comes_of_it == "PROJECT_NOT_FOUND":
                continue  # of a project that is not there, all is refused
            other = model_registry_pb2.CreateModelRequest(
                parent="projects/lab" if each.method == "CreateProject" else PROJECT,
                model_id="another",
                request_id=each.request.request_id,
            )
            if "projects/lab" in str(each.request):
                other.parent = "projects/lab"
            answer = answer_of(calls, Asked("CreateModel", "", other))
            assert isinstance(answer, tuple)
            assert answer[1] == "REQUEST_ID_REUSED", each


def test_copies_that_are_under_way_at_once_get_one_answer(server: Server) -> None:
    """Each request of the story is sent four times at once, over two connections."""
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
