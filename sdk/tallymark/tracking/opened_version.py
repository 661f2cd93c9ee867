"""The methods of a `ModelVersion` that call its registry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallymark.client.blocking import Client, shared
from tallymark.delivery.sender import flush

if TYPE_CHECKING:
    from tallymark.settings import Settings
    from tallymark.types.artifact_info import ArtifactInfo
    from tallymark.types.enums import Stage
    from tallymark.types.resources import ModelVersion


class RegistryVersion:
    """A version and the client of its registry; creating one first waits until recorded events are sent."""

    def __init__(self, version: ModelVersion, settings: Settings) -> None:
        flush(settings)
        self._name = version.resource_name
        self._client: Client = shared(settings)

    def list_artifacts(self) -> list[ArtifactInfo]:
        """Return the version's artifacts, in the order in which they were linked."""
        return list(self._client.list_artifacts(self._name))

    def load(self, name: str, form: str | None, trusted: Sequence[str]) -> Any:
        """Return the value of an artifact, and record that the current run uses it."""
        from tallymark.artifacts import save_load
        from tallymark.tracking import run_artifacts
        from tallymark.tracking.resolution import current_frame_or_none

        found = self._client.get_artifact(self._name, name)
        value = save_load.load(found, format=form, trusted=trusted)
        run_artifacts.record_use(current_frame_or_none(), found)
        return value

    def download(self, name: str, folder: Path, *, force: bool) -> Path:
        """Download an artifact into a folder, and return its path."""
        from tallymark.artifacts import save_load

        return save_load.download(self._client.get_artifact(self._name, name), folder, force=force)

    def set_stage(self, stage: Stage | str, *, force: bool, reason: str, allow_unfinished_run: bool) -> ModelVersion:
        """Move the version to a stage."""
        return self._client.set_stage(
            self._name, stage, force=force, reason=reason, allow_unfinished_run=allow_unfinished_run
        )

    def set_alias(self, alias: str, *, expected_number: int | None, reason: str) -> ModelVersion:
        """Point an alias at the version."""
        return self._client.set_alias(self._name, alias, expected_number=expected_number, reason=reason)
