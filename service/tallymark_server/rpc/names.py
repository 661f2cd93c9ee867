"""Resource names: `projects/{project}/models/{model}/versions/{version}` and their parts."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from tallymark_server.domain import naming, reference
from tallymark_server.domain.errors import InvalidField
from tallymark_server.domain.reference import Reference


class ModelName(NamedTuple):
    """Which model."""

    project: str
    model: str


class VersionName(NamedTuple):
    """Which version."""

    project: str
    model: str
    reference: Reference


class RunName(NamedTuple):
    """Which run."""

    project: str
    run: str


# The same few names are asked for again and again.
_remembered = lru_cache(maxsize=4096)


@_remembered
def project(text: str, field: str) -> str:
    """The project of `projects/{project}`."""
    (name,) = _segments(text, field, "projects")
    return naming.project_name(name, field)


@_remembered
def model(text: str, field: str) -> ModelName:
    """The model of `projects/{project}/models/{model}`."""
    owner, name = _segments(text, field, "projects", "models")
    return ModelName(naming.project_name(owner, field), naming.model_name(name, field))


def version(text: str, field: str) -> VersionName:
    """The version of `projects/{project}/models/{model}/versions/{version}`."""
    owner, name, segment = _segments(text, field, "projects", "models", "versions")
    return VersionName(
        naming.project_name(owner, field), naming.model_name(name, field), reference.parse(segment, field)
    )


def run(text: str, field: str) -> RunName:
    """The run of `projects/{project}/runs/{run}`."""
    owner, name = _segments(text, field, "projects", "runs")
    return RunName(naming.project_name(owner, field), naming.run_id(name, field))


def of_model(project: str, model: str) -> str:
    """The resource name of a model."""
    return f"projects/{project}/models/{model}"


def of_version(project: str, model: str, number: int) -> str:
    """The resource name of a version."""
    return f"projects/{project}/models/{model}/versions/{number}"


def of_run(project: str, run: str) -> str:
    """The resource name of a run."""
    return f"projects/{project}/runs/{run}"


def _segments(text: str, field: str, *collections: str) -> list[str]:
    parts = text.split("/")
    if len(parts) != 2 * len(collections) or tuple(parts[::2]) != collections:
        pattern = "/".join(f"{collection}/{{{collection[:-1]}}}" for collection in collections)
        raise InvalidField(field, text, f"it needs the form {pattern}")
    return parts[1::2]
