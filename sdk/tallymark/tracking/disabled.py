"""What a program sees of its versions while nothing is recorded (TALLYMARK_MODE=disabled)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tallymark.settings import Settings
from tallymark.types.enums import Stage
from tallymark.types.resources import ModelVersion


def unrecorded(model: str, version: str | None, settings: Settings, **changes: Any) -> ModelVersion:
    """The version that `Model(model, version)` means, with changes, as far as it says so itself; else number 0."""
    asked, now = version or "", datetime.now(UTC)
    meant = ModelVersion(
        project=settings.project,
        model=model,
        number=int(asked) if asked.isdecimal() else 0,
        name=asked or "0",
        stage=Stage(asked) if asked in tuple(Stage) else Stage.NONE,
        aliases=(asked.removeprefix("@"),) if asked.startswith("@") else (),
        description="",
        tags=(),
        metadata={},
        series={},
        run=None,
        run_state=None,
        step="",
        automatic=version is None,
        creator=settings.actor,
        create_time=now,
        update_time=now,
        create_revision=0,
        mod_revision=0,
        etag="",
        delete_time=None,
    )
    return replace(meant, **changes)
