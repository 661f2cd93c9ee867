"""References to versions, and the resource names that they mean.

    churn               the version with the highest number
    churn/41            the version with that number
    churn@production    the version in that stage; also @staging
    churn@champion      the version at which that alias points
    churn==1.0.5        the version with that explicit name

A resource name, `projects/default/models/churn/versions/41`, is accepted, too.
"""

from __future__ import annotations


def project_name(project: str) -> str:
    """Return the resource name of a project, given by name or by resource name."""
    return project if project.startswith("projects/") else f"projects/{project}"


def model_name(project: str, model: str) -> str:
    """Return the resource name of a model, given by name or by resource name."""
    return model if model.startswith("projects/") else f"projects/{project}/models/{model}"


def version_name(project: str, reference: str) -> str:
    """Return the resource name of a version, given by reference or by resource name."""
    if reference.startswith("projects/"):
        return reference
    for mark, prefix in (("==", "="), ("@", "@"), ("/", "")):
        model, found, segment = reference.partition(mark)
        if found:
            return f"projects/{project}/models/{model}/versions/{prefix}{segment}"
    return f"projects/{project}/models/{reference}/versions/latest"


def artifact_name(project: str, reference: str, artifact: str) -> str:
    """Return the resource name of an artifact of a version; `artifact` may end in `@` and its ordinal."""
    return f"{version_name(project, reference)}/artifacts/{artifact}"


def means_version(reference: str) -> bool:
    """Return whether the reference names a version by more than its model, so that it cannot mean the model."""
    if reference.startswith("projects/"):
        return "/versions/" in reference
    return any(mark in reference for mark in ("==", "@", "/"))


def run_name(project: str, run: str) -> str:
    """Return the resource name of a run, given by id or by resource name."""
    return run if run.startswith("projects/") else f"projects/{project}/runs/{run}"


def last_segment(name: str) -> str:
    """Return the last segment of a resource name."""
    return name.rsplit("/", 1)[-1]
