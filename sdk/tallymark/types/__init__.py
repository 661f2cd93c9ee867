"""The registry's resources as Python objects.

Some methods of a version call its registry. They need clients and stores, which import these types, so the types do not
import them: `tallymark` sets here the function that opens a version.

access             tokens, service accounts, grants and callers
enums              stages, states, types and roles of artifacts, roles of callers, and `Uri`
references         references to versions, and resource names
proofs             results of verifications and erasures
recording_problem  what of a run could not be recorded
artifact_info      artifacts
html_repr          HTML tables, as which notebooks show resources
version_actions    the methods of a version that call its registry
resources          models, versions, runs, steps, events and the rest
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# The function that opens a version, its first argument, in the registry of the settings, its second.
_openers: list[Callable[[Any, Any], Any]] = []


def set_version_opener(opener: Callable[[Any, Any], Any]) -> None:
    """Set the function that opens versions. It should import lazily, since many programs open none."""
    _openers[:] = [opener]


def open_version(version: Any, settings: Any) -> Any:
    """Return a `version_actions.OpenedVersion` for the version, in the registry of the settings."""
    return _openers[0](version, settings)
