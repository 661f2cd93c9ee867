"""Find versions under the new name of their model when it is renamed while a program records in them."""

from __future__ import annotations

from dataclasses import replace

from tallymark.errors import ModelNotFound, TallymarkError
from tallymark.types.resources import ModelVersion


def new_name(version: str, error: TallymarkError) -> str:
    """Return the resource name of the version under its model's new name; empty if the error reports no rename."""
    renamed_to = error.metadata.get("renamed_to", "") if isinstance(error, ModelNotFound) else ""
    parts = version.split("/")
    # The error may be about another model than the version's.
    if not renamed_to or error.metadata.get("model") != parts[3]:
        return ""
    return "/".join([*parts[:3], renamed_to, *parts[4:]])


def under_new_name(version: ModelVersion, error: TallymarkError) -> ModelVersion | None:
    """Return the version with its model's new name; None if the error reports no rename."""
    found = new_name(version.resource_name, error)
    return replace(version, model=found.split("/")[3]) if found else None
