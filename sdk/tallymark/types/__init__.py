"""What the registry keeps, as Python objects.

A version has methods that ask its registry. What they need, clients and stores, knows the types, so the types do not
know it: `tallymark` says here how a version is opened.

enums              stages, states, kinds of artifacts, and `Uri`
references         how people write which version they mean
proofs             what a proof of a project has found
recording_problem  what of a run could not be recorded
artifact_info      an artifact
html_repr          how notebooks show a resource
version_actions    the methods of a version that ask its registry
resources          models, versions, runs, steps, events and the rest
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# How to open a version, which is its first argument, in the registry of the settings that are its second.
_openers: list[Callable[[Any, Any], Any]] = []


def set_opener(opener: Callable[[Any, Any], Any]) -> None:
    """Let versions be opened by this function. Light programs open none, so it should import late what it needs."""
    _openers[:] = [opener]


def opened(version: Any, settings: Any) -> Any:
    """Return the version with what carries out its methods, as `version_actions.OpenedVersion` describes it."""
    return _openers[0](version, settings)
