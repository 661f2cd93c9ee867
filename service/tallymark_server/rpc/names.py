"""Resource names: `projects/{project}/models/{model}/versions/{version}` and their parts."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from tallymark_server.domain import naming, reference
from tallymark_server.domain.errors import InvalidField
from tallymark_server.domain.reference import Reference


class ModelName(NamedTuple):
    """The parts of a model's name."""

    project: str
    model: str


class VersionName(NamedTuple):
    """The parts of a version's name."""

    project: str
    model: str
    reference: Reference


class RunName(NamedTuple):
    """The parts of a run's name."""

    project: str
    run: str


class StepName(NamedTuple):
    """The parts of a step's name."""

    project: str
    run: str
    step: str


class ArtifactName(NamedTuple):
    """The parts of an artifact's name; without an ordinal, the newest."""

    project: str
    model: str
    reference: Reference
    artifact: str
    ordinal: int | None


# A few names are requested again and again.
_remembered = lru_cache(maxsize=4096)


@_remembered
def owner(text: str, field: str) -> str:
    """Return the project with which a resource name begins. Raises InvalidField."""
    collection, _, rest = text.partition("/")
    if collection != "projects" or not rest:
        raise InvalidField(field, text, "it needs a name that begins with projects/{project}")
    return naming.project_name(rest.partition("/")[0], field)


@_remembered
def project(text: str, field: str) -> str:
    """Parse `projects/{project}`. Raises InvalidField and others."""
    (name,) = _segments(text, field, "projects")
    return naming.project_name(name, field)


@_remembered
def model(text: str, field: str) -> ModelName:
    """Parse `projects/{project}/models/{model}`. Raises InvalidField and others."""
    owner, name = _segments(text, field, "projects", "models")
    return ModelName(naming.project_name(owner, field), naming.model_name(name, field))


@_remembered
def version(text: str, field: str) -> VersionName:
    """Parse `projects/{project}/models/{model}/versions/{version}`. Raises InvalidField and others."""
    owner, name, segment = _segments(text, field, "projects", "models", "versions")
    return VersionName(
        naming.project_name(owner, field), naming.model_name(name, field), reference.parse(segment, field)
    )


def run(text: str, field: str) -> RunName:
    """Parse `projects/{project}/runs/{run}`. Raises InvalidField and others."""
    owner, name = _segments(text, field, "projects", "runs")
    return RunName(naming.project_name(owner, field), naming.run_id(name, field))


def step(text: str, field: str) -> StepName:
    """Parse `projects/{project}/runs/{run}/steps/{step}`. Raises InvalidField and others."""
    owner, name, step = _segments(text, field, "projects", "runs", "steps")
    return StepName(naming.project_name(owner, field), naming.run_id(name, field), naming.run_id(step, field))


def artifact(text: str, field: str) -> ArtifactName:
    """Parse `projects/{project}/models/{model}/versions/{version}/artifacts/{artifact}@{ordinal}`."""
    *_, segment = _segments(text, field, "projects", "models", "versions", "artifacts")
    name, at, ordinal = segment.partition("@")
    if at and not (ordinal.isdecimal() and len(ordinal) < len(str(reference.MAX_NUMBER))):
        raise InvalidField(field, text, "the ordinal of an artifact is a number: classifier@2")
    owner = version(text.removesuffix(f"/artifacts/{segment}"), field)
    return ArtifactName(*owner, naming.model_name(name, field), int(ordinal) if at else None)


def of_project(project: str) -> str:
    """Return the resource name of a project."""
    return f"projects/{project}"


def of_step(project: str, run: str, step: str) -> str:
    """Return the resource name of a step."""
    return f"projects/{project}/runs/{run}/steps/{step}"


def of_artifact(project: str, model: str, number: int, artifact: str, ordinal: int) -> str:
    """Return the resource name of an artifact."""
    return f"projects/{project}/models/{model}/versions/{number}/artifacts/{artifact}@{ordinal}"


def of_model(project: str, model: str) -> str:
    """Return the resource name of a model."""
    return f"projects/{project}/models/{model}"


def of_version(project: str, model: str, number: int) -> str:
    """Return the resource name of a version."""
    return f"projects/{project}/models/{model}/versions/{number}"


def of_run(project: str, run: str) -> str:
    """Return the resource name of a run."""
    return f"projects/{project}/runs/{run}"


def _segments(text: str, field: str, *collections: str) -> list[str]:
    parts = text.split("/")
    if len(parts) != 2 * len(collections) or tuple(parts[::2]) != collections:
        pattern = "/".join(f"{collection}/{{{collection[:-1]}}}" for collection in collections)
        raise InvalidField(field, text, f"it needs the form {pattern}")
    return parts[1::2]
