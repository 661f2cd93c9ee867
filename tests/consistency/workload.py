"""Requests of every method and of every kind of reference, chosen at random."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from consistency.expected import PROJECT
from tallymark.v1 import (
    artifact_pb2,
    event_log_pb2,
    event_log_pb2_grpc,
    lineage_pb2,
    metric_pb2,
    model_pb2,
    model_registry_pb2,
    model_registry_pb2_grpc,
    project_pb2,
    run_pb2,
    run_registry_pb2,
    run_registry_pb2_grpc,
)

MODELS = ("churn", "fraud", "leads")
ALIASES, NAMES = ("champion", "canary"), ("a", "b", "c")
REFERENCES = ("latest", "@production", "@staging", *(f"@{alias}" for alias in ALIASES), *(f"={name}" for name in NAMES))
PAGE = 1000
SERVICES: dict[str, tuple[Any, type]] = {
    "ModelRegistry": (model_registry_pb2, model_registry_pb2_grpc.ModelRegistryStub),
    "RunRegistry": (run_registry_pb2, run_registry_pb2_grpc.RunRegistryStub),
    "EventLog": (event_log_pb2, event_log_pb2_grpc.EventLogStub),
}
# About other projects, whose logs are no part of the one that is checked. What is erased is not as it was answered, on
# purpose, so nothing is erased from the log that is checked.
ELSEWHERE = {"CreateProject", "GetProject", "ListProjects", "Erase"}


class Choice:
    """What a client asks next. `etags` are those that were read last, by name."""

    def __init__(self, seed: str, etags: dict[str, str]) -> None:
        self._random = random.Random(seed)
        self._etags = etags

    def one(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def often(self, share: float) -> bool:
        return self._random.random() < share

    @property
    def model(self) -> str:
        return f"{PROJECT}/models/{self.one(*MODELS)}"

    @property
    def version(self) -> str:
        return f"{self.model}/versions/{self.reference}"

    @property
    def number(self) -> str:
        return str(self._random.randint(1, 12))

    @property
    def reference(self) -> str:
        return str(self.one(*REFERENCES)) if self.often(0.5) else self.number

    @property
    def run(self) -> str:
        return f"r{self._random.randint(1, 12)}"

    @property
    def outcome(self) -> Any:
        return self.one(model_pb2.RUN_STATE_SUCCEEDED, model_pb2.RUN_STATE_SUCCEEDED, model_pb2.RUN_STATE_FAILED)

    def etag(self, name: str) -> str:
        """An etag that was read, perhaps long ago, or none."""
        return self._etags.get(name, "") if self.often(0.3) else ""

    def config(self) -> model_pb2.ModelConfig:
        version = self.one("", "", *NAMES, "latest", "production", "@champion", self.number)
        return model_pb2.ModelConfig(model=self.one(*MODELS), version=version)

    def request(self, method: str, request_id: str) -> Any:
        """A request of that method, under that id if it takes one."""
        request = WORK[method](self)
        if "request_id" in request.DESCRIPTOR.fields_by_name:
            request.request_id = request_id
        return request


def _update_model(c: Choice) -> Any:
    name = c.model
    model = model_pb2.Model(name=name, license=c.one("MIT", "Apache-2.0"), etag=c.etag(name))
    request = model_registry_pb2.UpdateModelRequest(model=model)
    request.update_mask.paths.append("license")
    return request


def _update_version(c: Choice) -> Any:
    name = c.version
    version = model_pb2.ModelVersion(
        name=name, description=c.one("", "good"), version_name=c.one("", *NAMES), etag=c.etag(name)
    )
    request = model_registry_pb2.UpdateModelVersionRequest(model_version=version)
    request.update_mask.paths.append(c.one("description", "version_name"))
    return request


def _log(c: Choice) -> Any:
    request = model_registry_pb2.LogMetadataRequest(name=c.version)
    if c.often(0.5):
        request.metadata["auc"].number = float(c.number)
    else:
        request.points.add(key="loss", step=int(c.number), value=float(c.number))
    return request


def _link(c: Choice) -> Any:
    artifact = artifact_pb2.Artifact(uri=f"s3://bucket/{c.number}", type=artifact_pb2.ARTIFACT_TYPE_MODEL)
    return artifact_pb2.LinkArtifactRequest(parent=c.version, artifact_id=c.one("clf", "data"), artifact=artifact)


def _set_alias(c: Choice) -> Any:
    request = model_registry_pb2.SetAliasRequest(name=c.version, alias=c.one(*ALIASES), reason=c.number)
    if c.often(0.3):
        request.expected_number = int(c.number)
    return request


def _set_stage(c: Choice) -> Any:
    stage = c.one(1, 2, 3, 3, 4)
    request = model_registry_pb2.SetStageRequest(name=c.version, stage=stage, force=c.often(0.5), reason=c.number)
    if stage in (2, 3) and c.often(0.3):
        request.expected_number = int(c.number)
    return request


def _run_name(c: Choice) -> str:
    return f"{PROJECT}/runs/{c.run}"


m, r, a, e = model_registry_pb2, run_registry_pb2, artifact_pb2, event_log_pb2
_VERSION = model_pb2.ModelVersion
# By method: how its requests are made. Every method of the contract has its place here.
WORK: dict[str, Callable[[Choice], Any]] = {
    "CreateProject": lambda c: project_pb2.CreateProjectRequest(project_id=f"p{c.number}"),
    "GetProject": lambda c: project_pb2.GetProjectRequest(name=f"projects/p{c.number}"),
    "ListProjects": lambda c: project_pb2.ListProjectsRequest(page_size=PAGE),
    "CreateModel": lambda c: m.CreateModelRequest(parent=PROJECT, model_id=c.one(*MODELS)),
    "GetModel": lambda c: m.GetModelRequest(name=c.model, show_deleted=c.often(0.2)),
    "ListModels": lambda c: m.ListModelsRequest(parent=PROJECT, page_size=PAGE, show_deleted=c.often(0.2)),
    "UpdateModel": _update_model,
    "RenameModel": lambda c: m.RenameModelRequest(name=c.model, new_model_id=c.one(*MODELS)),
    "DeleteModel": lambda c: m.DeleteModelRequest(name=c.model, force=c.often(0.7), reason=c.number),
    "UndeleteModel": lambda c: m.UndeleteModelRequest(name=c.model),
    "PurgeModel": lambda c: m.PurgeModelRequest(name=c.model),
    "CreateModelVersion": lambda c: m.CreateModelVersionRequest(
        parent=c.model, model_version=_VERSION(version_name=c.one("", "", *NAMES))
    ),
    "BatchCreateModelVersions": lambda c: m.BatchCreateModelVersionsRequest(
        parent=c.model, model_versions=[_VERSION() for _ in range(c.one(1, 2, 3))]
    ),
    "EnsureModelVersion": lambda c: m.EnsureModelVersionRequest(
        parent=PROJECT, config=c.config(), run=c.one("", _run_name(c))
    ),
    "GetModelVersion": lambda c: m.GetModelVersionRequest(name=c.version, show_deleted=c.often(0.2)),
    "ListModelVersions": lambda c: m.ListModelVersionsRequest(
        parent=c.model, page_size=PAGE, show_deleted=c.often(0.2)
    ),
    "UpdateModelVersion": _update_version,
    "DeleteModelVersion": lambda c: m.DeleteModelVersionRequest(name=c.version, force=c.often(0.5)),
    "UndeleteModelVersion": lambda c: m.UndeleteModelVersionRequest(name=f"{c.model}/versions/{c.number}"),
    "PurgeModelVersion": lambda c: m.PurgeModelVersionRequest(name=f"{c.model}/versions/{c.number}"),
    "SetStage": _set_stage,
    "SetAlias": _set_alias,
    "DeleteAlias": lambda c: m.DeleteAliasRequest(parent=c.model, alias=c.one(*ALIASES)),
    "LogMetadata": _log,
    "ListMetricPoints": lambda c: metric_pb2.ListMetricPointsRequest(parent=c.version, page_size=PAGE),
    "LinkArtifact": _link,
    "UnlinkArtifact": lambda c: a.UnlinkArtifactRequest(name=f"{c.version}/artifacts/{c.one('clf', 'data')}"),
    "GetArtifact": lambda c: a.GetArtifactRequest(name=f"{c.version}/artifacts/{c.one('clf', 'data')}"),
    "ListArtifacts": lambda c: a.ListArtifactsRequest(parent=c.version, page_size=PAGE),
    "QueryLineage": lambda c: lineage_pb2.QueryLineageRequest(name=c.one(c.version, _run_name(c))),
    "StartRun": lambda c: r.StartRunRequest(
        parent=PROJECT, run_id=c.run, run=run_pb2.Run(pipeline="p"), config=c.config() if c.often(0.7) else None
    ),
    "FinishRun": lambda c: r.FinishRunRequest(name=_run_name(c), state=c.outcome),
    "HeartbeatRun": lambda c: r.HeartbeatRunRequest(name=_run_name(c)),
    "ReportRecordingProblems": lambda c: r.ReportRecordingProblemsRequest(
        name=_run_name(c), problems=[run_pb2.RecordingProblem(subject="a", problem=c.number, count=1)]
    ),
    "GetRun": lambda c: r.GetRunRequest(name=_run_name(c)),
    "ListRuns": lambda c: r.ListRunsRequest(
        parent=PROJECT, page_size=PAGE, model_version=c.version if c.often(0.5) else ""
    ),
    "StartStep": lambda c: r.StartStepRequest(
        parent=_run_name(c), step_id=c.one("s", "t"), step=run_pb2.RunStep(display_name="fit")
    ),
    "FinishStep": lambda c: r.FinishStepRequest(name=f"{_run_name(c)}/steps/{c.one('s', 't')}", state=c.outcome),
    "ListSteps": lambda c: r.ListStepsRequest(parent=_run_name(c), page_size=PAGE),
    "Erase": lambda c: e.EraseRequest(name=f"projects/p{c.number}", paths=["actors.anonymous"], reason="for a test"),
    "ListEvents": lambda c: e.ListEventsRequest(parent=PROJECT, page_size=PAGE, after_revision=c.one(0, 1, 2)),
    "Watch": lambda c: e.WatchRequest(parent=PROJECT, after_revision=c.one(0, 1, 2)),
    "Verify": lambda c: e.VerifyRequest(parent=PROJECT),
    "Export": lambda c: e.ExportRequest(parent=PROJECT),
}
# What costs much, or ends much, is asked seldom.
SELDOM = {"Erase", "Verify", "Export", "Watch", "PurgeModel", "DeleteModel", "RenameModel", "CreateProject"}
FREQUENT = [method for method in WORK for _ in range(2 if method in SELDOM else 10)]
