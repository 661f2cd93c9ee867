"""The words and values that both sides of the SDK share."""

from __future__ import annotations

import enum

from tallymark.errors import InvalidField


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


def stage_of(text: str) -> Stage:
    """The stage of that name; InvalidField."""
    try:
        return Stage(text)
    except ValueError:
        raise InvalidField(f"stage is {text!r}; name one of {', '.join(Stage)}") from None


class RunState(enum.StrEnum):
    """How far a run has come."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"


class Uri(str):
    """A metadata value that refers to something elsewhere."""

    __slots__ = ()
