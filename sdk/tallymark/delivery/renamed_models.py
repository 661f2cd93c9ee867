"""Versions whose model is renamed while somebody records in them: the name is another, and the version stays."""

from __future__ import annotations

from dataclasses import replace

from tallymark.errors import ModelNotFound, TallymarkError
from tallymark.types.resources import ModelVersion


def new_name(version: str, error: TallymarkError) -> str:
    """Return the resource name of the version under the new name of its model; empty if the error tells of none."""
    renamed_to = error.metadata.get("renamed_to", "") if isinstance(error, ModelNotFound) else ""
    parts = version.split("/")
    # The error may be about another model than the version's.
    if not renamed_to or error.metadata.get("model") != parts[3]:
        return ""
    return "/".join([*parts[:3], renamed_to, *parts[4:]])


def under_new_name(version: ModelVersion, error: TallymarkError) -> ModelVersion | None:
    """Return the version with the new name of its model; None if the error tells of none."""
    found = new_name(version.resource_name, error)
    return replace(version, model=found.split("/")[3]) if found else None
