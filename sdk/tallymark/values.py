"""The words and values that both sides of the SDK share."""

from __future__ import annotations

import enum


class Stage(enum.StrEnum):
    """The lifecycle state of a version. Staging and production hold one version of a model."""

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
    """Whether a version made an artifact or was made from it."""

    MADE = "made"
    USED = "used"


class RunState(enum.StrEnum):
    """How far a run has come."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Uri(str):
    """A metadata value that refers to something elsewhere."""

    __slots__ = ()
