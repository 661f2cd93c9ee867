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

The service is expected at TALLYMARK_URL (HOST:PORT, by default 127.0.0.1:50051). Importing this package loads neither
grpc nor protobuf; the first call does.

The packages and modules, from the inside out; each imports only those above it:

v1/          the stubs, generated from the contract
errors       the exceptions, and their hierarchy
addresses    how the address of a service is written
arguments    checks of arguments, whose errors name the argument
runtime/     the interpreter, the process and the machine
contexts     registries by name, in the user's configuration file
credentials  the token that this program presents to the service
settings     settings from calls, the environment and contexts
types/       the registry's resources as Python objects
conversion/  conversion of Python values to metadata, without secrets
client/      `Client` and `AsyncClient`, and how calls reach the service
artifacts/   values as files in a store
delivery/    the journals of what runs record, and their delivery to the registry
tracking/    `Model`, `@step`, `@pipeline`, `run`: recording while a program runs
serving/     `follow` and `afollow`, for services
aio          `AsyncClient` by the name under which users import it
testing      a pytest plugin with a real service for tests
cli/         the command `tallymark`
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from tallymark import errors
from tallymark.errors import TallymarkError
from tallymark.settings import configure
from tallymark.types import set_version_opener
from tallymark.types.enums import ArtifactRole, ArtifactType, Role, RunState, Stage, Uri

if TYPE_CHECKING:
    from tallymark import serving
    from tallymark.aio import AsyncClient
    from tallymark.artifacts.save_load import Artifact
    from tallymark.client.blocking import Client
    from tallymark.client.calls import NewVersion
    from tallymark.settings import Settings
    from tallymark.tracking.current import current_model, current_run, log_metadata, log_metric, log_metrics
    from tallymark.tracking.decorators import pipeline, step
    from tallymark.tracking.handover import bind
    from tallymark.tracking.model import Model
    from tallymark.tracking.run_context import RunContext, run
    from tallymark.types.artifact_info import ArtifactInfo
    from tallymark.types.proofs import Checkpoint, Problem, Proof
    from tallymark.types.recording_problem import RecordingProblem
    from tallymark.types.resources import (
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

__version__ = "0.2.0.dev0"
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
    "Role",
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

# Names that are imported on first use, with their modules: they need grpc or protobuf, or most programs need them not.
_LAZY_NAMES = {
    "Artifact": "artifacts.save_load",
    "ArtifactInfo": "types.artifact_info",
    "Checkpoint": "types.proofs",
    "Lineage": "types.resources",
    "MetricPoint": "types.resources",
    "RunStep": "types.resources",
    "log_metric": "tracking.current",
    "log_metrics": "tracking.current",
    "RunContext": "tracking.run_context",
    "run": "tracking.run_context",
    "AsyncClient": "client.aio",
    "Client": "client.blocking",
    "Event": "types.resources",
    "Heartbeat": "types.resources",
    "Model": "tracking.model",
    "ModelInfo": "types.resources",
    "ModelVersion": "types.resources",
    "NewVersion": "client.calls",
    "Problem": "types.proofs",
    "Project": "types.resources",
    "Proof": "types.proofs",
    "RecordingProblem": "types.recording_problem",
    "Run": "types.resources",
    "bind": "tracking.handover",
    "current_model": "tracking.current",
    "current_run": "tracking.current",
    "log_metadata": "tracking.current",
    "pipeline": "tracking.decorators",
    "step": "tracking.decorators",
    "serving": "serving",
}


def _open_version(version: ModelVersion, settings: Settings) -> object:
    opened_version = import_module(f"{__name__}.tracking.opened_version")
    return opened_version.RegistryVersion(version, settings)


set_version_opener(_open_version)


def __getattr__(name: str) -> object:
    if name not in _LAZY_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_LAZY_NAMES[name]}")
    value = module if name == _LAZY_NAMES[name] else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
