"""Stages, states, types and roles of artifacts, roles of callers, and `Uri`."""

from __future__ import annotations

import enum

from tallymark.errors import InvalidField


class Stage(enum.StrEnum):
    """The stage of a version. Staging and production hold at most one version of a model each."""

    NONE = "none"
    STAGING = "staging"
    PRODUCTION = "production"
    ARCHIVED = "archived"


class ArtifactType(enum.StrEnum):
    """What an artifact is."""

    DATA = "data"
    MODEL = "model"
    DEPLOYMENT = "deployment"


class ArtifactRole(enum.StrEnum):
    """Whether a version created an artifact or used it."""

    MADE = "made"
    USED = "used"


def stage_of(text: str) -> Stage:
    """Return the stage of that name. Raises InvalidField."""
    try:
        return Stage(text)
    except ValueError:
        raise InvalidField(f"stage is {text!r}; name one of {', '.join(Stage)}") from None


class RunState(enum.StrEnum):
    """The state of a run or a step."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"


class Role(enum.StrEnum):
    """What a caller may do in a project. Each role may do what those before it may."""

    READER = "reader"
    WRITER = "writer"
    PROMOTER = "promoter"
    ADMIN = "admin"


class Uri(str):
    """A metadata value that is a reference to something elsewhere."""

    __slots__ = ()
