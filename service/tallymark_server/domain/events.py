"""Events: each records what one resource became at one revision of the project's log."""

from __future__ import annotations

import enum

from msgspec import Struct

from tallymark_server.domain.model import Resource, Stage


class Kind(enum.StrEnum):
    """The kind of an event."""

    MODEL_CREATED = "model_created"
    VERSION_CREATED = "version_created"
    STAGE_CHANGED = "stage_changed"
    ALIAS_SET = "alias_set"
    ALIAS_DELETED = "alias_deleted"
    METADATA_LOGGED = "metadata_logged"
    RUN_STARTED = "run_started"
    RUN_FINISHED = "run_finished"
    MODEL_UPDATED = "model_updated"
    MODEL_RENAMED = "model_renamed"
    MODEL_DELETED = "model_deleted"
    MODEL_UNDELETED = "model_undeleted"
    MODEL_PURGED = "model_purged"
    VERSION_UPDATED = "version_updated"
    VERSION_RENAMED = "version_renamed"
    VERSION_DELETED = "version_deleted"
    VERSION_UNDELETED = "version_undeleted"
    VERSION_PURGED = "version_purged"
    VERSION_USED = "version_used"
    METRICS_LOGGED = "metrics_logged"
    ARTIFACT_LINKED = "artifact_linked"
    ARTIFACT_UNLINKED = "artifact_unlinked"
    STEP_STARTED = "step_started"
    STEP_FINISHED = "step_finished"
    RUN_LOST = "run_lost"
    RUN_RESUMED = "run_resumed"
    RECORDING_PROBLEMS_REPORTED = "recording_problems_reported"
    VERSION_RUN_STATE_CHANGED = "version_run_state_changed"
    PROJECT_CREATED = "project_created"
    ERASED = "erased"


class Event(Struct, frozen=True, kw_only=True):
    """What happened at one revision. `image` is the whole resource after the change.

    `erased_at` is the revision of the last event that erased content of this one, 0 if none has.
    """

    revision: int
    kind: Kind
    time: int
    actor: str
    image: Resource
    reason: str = ""
    previous_stage: Stage | None = None
    alias: str = ""
    previous_number: int = 0
    previous_name: str = ""
    erased_at: int = 0
