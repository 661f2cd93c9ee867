"""Tallymark: which versions of a model exist, what number each is, who made it, and which one is in production.

    from tallymark import Model, pipeline, step

    model = Model(name="churn")

    @step(model=model)
    def train() -> None: ...

    @pipeline(model=model)
    def training_pipeline() -> None:
        train()

    training_pipeline()
    print(model.number)

The service is found at TALLYMARK_URL (HOST:PORT, by default 127.0.0.1:50051). Importing this package loads neither grpc
nor protobuf: that waits until the first call.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from tallymark import errors
from tallymark.errors import TallymarkError
from tallymark.settings import configure
from tallymark.types import set_opener
from tallymark.values import ArtifactRole, ArtifactType, RunState, Stage, Uri

if TYPE_CHECKING:
    from tallymark import serving
    from tallymark.aio import AsyncClient
    from tallymark.artifact_info import ArtifactInfo
    from tallymark.artifacts import Artifact
    from tallymark.calls import NewVersion
    from tallymark.client import Client
    from tallymark.decorators import pipeline, step
    from tallymark.handover import bind
    from tallymark.here import current_model, current_run, log_metadata, log_metric, log_metrics
    from tallymark.model import Model
    from tallymark.proofs import Checkpoint, Problem, Proof
    from tallymark.recording_problem import RecordingProblem
    from tallymark.resources import (
        Event,
        Heartbeat,
        Lineage,
        MetricPoint,
        ModelInfo,
        ModelVersion,
        Project,
        Run,
        RunStep,
    )
    from tallymark.runs import RunContext, run
    from tallymark.settings import Settings

__version__ = "0.1.0"
__all__ = [
    "Artifact",
    "ArtifactInfo",
    "ArtifactRole",
    "ArtifactType",
    "AsyncClient",
    "Checkpoint",
    "Client",
    "Event",
    "Heartbeat",
    "Lineage",
    "MetricPoint",
    "Model",
    "ModelInfo",
    "ModelVersion",
    "NewVersion",
    "Problem",
    "Project",
    "Proof",
    "RecordingProblem",
    "Run",
    "RunContext",
    "RunState",
    "RunStep",
    "Stage",
    "TallymarkError",
    "Uri",
    "bind",
    "configure",
    "current_model",
    "current_run",
    "errors",
    "log_metadata",
    "log_metric",
    "log_metrics",
    "pipeline",
    "run",
    "serving",
    "step",
]

# Names that need grpc or protobuf, or that the command `tallymark` does without, and where they live.
_LATER = {
    "Artifact": "artifacts",
    "ArtifactInfo": "artifact_info",
    "Checkpoint": "proofs",
    "Lineage": "resources",
    "MetricPoint": "resources",
    "RunStep": "resources",
    "log_metric": "here",
    "log_metrics": "here",
    "RunContext": "runs",
    "run": "runs",
    "AsyncClient": "aio",
    "Client": "client",
    "Event": "resources",
    "Heartbeat": "resources",
    "Model": "model",
    "ModelInfo": "resources",
    "ModelVersion": "resources",
    "NewVersion": "calls",
    "Problem": "proofs",
    "Project": "resources",
    "Proof": "proofs",
    "RecordingProblem": "recording_problem",
    "Run": "resources",
    "bind": "handover",
    "current_model": "here",
    "current_run": "here",
    "log_metadata": "here",
    "pipeline": "decorators",
    "step": "decorators",
    "serving": "serving",
}


def _open(version: ModelVersion, settings: Settings) -> object:
    opened_version = import_module(f"{__name__}.opened_version")
    return opened_version.RegistryVersion(version, settings)


set_opener(_open)


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_LATER[name]}")
    found = module if name == _LATER[name] else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
