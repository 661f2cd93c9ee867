"""The versions that a program sees while nothing is recorded (TALLYMARK_MODE=disabled)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tallymark.settings import Settings
from tallymark.types.enums import Stage
from tallymark.types.resources import ModelVersion


def disabled_version(model: str, version: str | None, settings: Settings, **changes: Any) -> ModelVersion:
    """Return a version for `Model(model, version)` without the registry: of that number, or else number 0.

    `changes` replace fields of the version.
    """
    reference, now = version or "", datetime.now(UTC)
    placeholder = ModelVersion(
        project=settings.project,
        model=model,
        number=int(reference) if reference.isdecimal() else 0,
        name=reference or "0",
        stage=Stage(reference) if reference in tuple(Stage) else Stage.NONE,
        aliases=(reference.removeprefix("@"),) if reference.startswith("@") else (),
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
    return replace(placeholder, **changes)
