"""Random requests of every method, with every kind of reference."""

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
# Methods that concern other projects than the checked one. Erase is one of them, since it changes past events, which
# would then differ from earlier answers.
UNCHECKED_METHODS = {"CreateProject", "GetProject", "ListProjects", "Erase"}


class RequestSource:
    """A source of random requests. `etags` has the etags that were read last, by name."""

    def __init__(self, seed: str, etags: dict[str, str]) -> None:
        self._random = random.Random(seed)
        self._etags = etags

    def choose(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def chance(self, share: float) -> bool:
        return self._random.random() < share

    @property
    def model(self) -> str:
        return f"{PROJECT}/models/{self.choose(*MODELS)}"

    @property
    def version(self) -> str:
        return f"{self.model}/versions/{self.reference}"

    @property
    def number(self) -> str:
        return str(self._random.randint(1, 12))

    @property
    def reference(self) -> str:
        return str(self.choose(*REFERENCES)) if self.chance(0.5) else self.number

    @property
    def run(self) -> str:
        return f"r{self._random.randint(1, 12)}"

    @property
    def outcome(self) -> Any:
        return self.choose(model_pb2.RUN_STATE_SUCCEEDED, model_pb2.RUN_STATE_SUCCEEDED, model_pb2.RUN_STATE_FAILED)

    def etag(self, name: str) -> str:
        """Return an etag that was read before, or an empty string."""
        return self._etags.get(name, "") if self.chance(0.3) else ""

    def config(self) -> model_pb2.ModelConfig:
        version = self.choose("", "", *NAMES, "latest", "production", "@champion", self.number)
        return model_pb2.ModelConfig(model=self.choose(*MODELS), version=version)

    def request(self, method: str, request_id: str) -> Any:
        """Return a request of that method, with that request_id if it has the field."""
        request = REQUESTS[method](self)
        if "request_id" in request.DESCRIPTOR.fields_by_name:
            request.request_id = request_id
        return request


def _update_model(c: RequestSource) -> Any:
    name = c.model
    model = model_pb2.Model(name=name, license=c.choose("MIT", "Apache-2.0"), etag=c.etag(name))
    request = model_registry_pb2.UpdateModelRequest(model=model)
    request.update_mask.paths.append("license")
    return request


def _update_version(c: RequestSource) -> Any:
    name = c.version
    version = model_pb2.ModelVersion(
        name=name, description=c.choose("", "good"), version_name=c.choose("", *NAMES), etag=c.etag(name)
    )
    request = model_registry_pb2.UpdateModelVersionRequest(model_version=version)
    request.update_mask.paths.append(c.choose("description", "version_name"))
    return request


def _log(c: RequestSource) -> Any:
    request = model_registry_pb2.LogMetadataRequest(name=c.version)
    if c.chance(0.5):
        request.metadata["auc"].number = float(c.number)
    else:
        request.points.add(key="loss", step=int(c.number), value=float(c.number))
    return request


def _link(c: RequestSource) -> Any:
    artifact = artifact_pb2.Artifact(uri=f"s3://bucket/{c.number}", type=artifact_pb2.ARTIFACT_TYPE_MODEL)
    return artifact_pb2.LinkArtifactRequest(parent=c.version, artifact_id=c.choose("clf", "data"), artifact=artifact)


def _set_alias(c: RequestSource) -> Any:
    request = model_registry_pb2.SetAliasRequest(name=c.version, alias=c.choose(*ALIASES), reason=c.number)
    if c.chance(0.3):
        request.expected_number = int(c.number)
    return request


def _set_stage(c: RequestSource) -> Any:
    stage = c.choose(1, 2, 3, 3, 4)
    request = model_registry_pb2.SetStageRequest(name=c.version, stage=stage, force=c.chance(0.5), reason=c.number)
    if stage in (2, 3) and c.chance(0.3):
        request.expected_number = int(c.number)
    return request


def _run_name(c: RequestSource) -> str:
    return f"{PROJECT}/runs/{c.run}"


m, r, a, e = model_registry_pb2, run_registry_pb2, artifact_pb2, event_log_pb2
_VERSION = model_pb2.ModelVersion
# By method, how a request is created. Every method of the contract must be here.
REQUESTS: dict[str, Callable[[RequestSource], Any]] = {
    "CreateProject": lambda c: project_pb2.CreateProjectRequest(project_id=f"p{c.number}"),
    "GetProject": lambda c: project_pb2.GetProjectRequest(name=f"projects/p{c.number}"),
    "ListProjects": lambda c: project_pb2.ListProjectsRequest(page_size=PAGE),
    "CreateModel": lambda c: m.CreateModelRequest(parent=PROJECT, model_id=c.choose(*MODELS)),
    "GetModel": lambda c: m.GetModelRequest(name=c.model, show_deleted=c.chance(0.2)),
    "ListModels": lambda c: m.ListModelsRequest(parent=PROJECT, page_size=PAGE, show_deleted=c.chance(0.2)),
    "UpdateModel": _update_model,
    "RenameModel": lambda c: m.RenameModelRequest(name=c.model, new_model_id=c.choose(*MODELS)),
    "DeleteModel": lambda c: m.DeleteModelRequest(name=c.model, force=c.chance(0.7), reason=c.number),
    "UndeleteModel": lambda c: m.UndeleteModelRequest(name=c.model),
    "PurgeModel": lambda c: m.PurgeModelRequest(name=c.model),
    "CreateModelVersion": lambda c: m.CreateModelVersionRequest(
        parent=c.model, model_version=_VERSION(version_name=c.choose("", "", *NAMES))
    ),
    "BatchCreateModelVersions": lambda c: m.BatchCreateModelVersionsRequest(
        parent=c.model, model_versions=[_VERSION() for _ in range(c.choose(1, 2, 3))]
    ),
    "EnsureModelVersion": lambda c: m.EnsureModelVersionRequest(
        parent=PROJECT, config=c.config(), run=c.choose("", _run_name(c))
    ),
    "GetModelVersion": lambda c: m.GetModelVersionRequest(name=c.version, show_deleted=c.chance(0.2)),
    "ListModelVersions": lambda c: m.ListModelVersionsRequest(
        parent=c.model, page_size=PAGE, show_deleted=c.chance(0.2)
    ),
    "UpdateModelVersion": _update_version,
    "DeleteModelVersion": lambda c: m.DeleteModelVersionRequest(name=c.version, force=c.chance(0.5)),
    "UndeleteModelVersion": lambda c: m.UndeleteModelVersionRequest(name=f"{c.model}/versions/{c.number}"),
    "PurgeModelVersion": lambda c: m.PurgeModelVersionRequest(name=f"{c.model}/versions/{c.number}"),
    "SetStage": _set_stage,
    "SetAlias": _set_alias,
    "DeleteAlias": lambda c: m.DeleteAliasRequest(parent=c.model, alias=c.choose(*ALIASES)),
    "LogMetadata": _log,
    "ListMetricPoints": lambda c: metric_pb2.ListMetricPointsRequest(parent=c.version, page_size=PAGE),
    "LinkArtifact": _link,
    "UnlinkArtifact": lambda c: a.UnlinkArtifactRequest(name=f"{c.version}/artifacts/{c.choose('clf', 'data')}"),
    "GetArtifact": lambda c: a.GetArtifactRequest(name=f"{c.version}/artifacts/{c.choose('clf', 'data')}"),
    "ListArtifacts": lambda c: a.ListArtifactsRequest(parent=c.version, page_size=PAGE),
    "QueryLineage": lambda c: lineage_pb2.QueryLineageRequest(name=c.choose(c.version, _run_name(c))),
    "StartRun": lambda c: r.StartRunRequest(
        parent=PROJECT, run_id=c.run, run=run_pb2.Run(pipeline="p"), config=c.config() if c.chance(0.7) else None
    ),
    "FinishRun": lambda c: r.FinishRunRequest(name=_run_name(c), state=c.outcome),
    "HeartbeatRun": lambda c: r.HeartbeatRunRequest(name=_run_name(c)),
    "ReportRecordingProblems": lambda c: r.ReportRecordingProblemsRequest(
        name=_run_name(c), problems=[run_pb2.RecordingProblem(subject="a", problem=c.number, count=1)]
    ),
    "GetRun": lambda c: r.GetRunRequest(name=_run_name(c)),
    "ListRuns": lambda c: r.ListRunsRequest(
        parent=PROJECT, page_size=PAGE, model_version=c.version if c.chance(0.5) else ""
    ),
    "StartStep": lambda c: r.StartStepRequest(
        parent=_run_name(c), step_id=c.choose("s", "t"), step=run_pb2.RunStep(display_name="fit")
    ),
    "FinishStep": lambda c: r.FinishStepRequest(name=f"{_run_name(c)}/steps/{c.choose('s', 't')}", state=c.outcome),
    "ListSteps": lambda c: r.ListStepsRequest(parent=_run_name(c), page_size=PAGE),
    "Erase": lambda c: e.EraseRequest(name=f"projects/p{c.number}", paths=["actors.anonymous"], reason="for a test"),
    "ListEvents": lambda c: e.ListEventsRequest(parent=PROJECT, page_size=PAGE, after_revision=c.choose(0, 1, 2)),
    "Watch": lambda c: e.WatchRequest(parent=PROJECT, after_revision=c.choose(0, 1, 2)),
    "Verify": lambda c: e.VerifyRequest(parent=PROJECT),
    "Export": lambda c: e.ExportRequest(parent=PROJECT),
}
# Expensive and destructive methods, which are called less often.
RARE_METHODS = {"Erase", "Verify", "Export", "Watch", "PurgeModel", "DeleteModel", "RenameModel", "CreateProject"}
WEIGHTED_METHODS = [method for method in REQUESTS for _ in range(2 if method in RARE_METHODS else 10)]
