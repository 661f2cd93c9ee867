"""What can be done with a version, however a program came by it: from a list, `get_version`, an event or `follow`.

A version remembers the registry from which it came, so that what is done with it is done there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from tallymark.errors import ArtifactNotFound
from tallymark.settings import Settings, current
from tallymark.types import opened
from tallymark.types.enums import Stage, stage_of

if TYPE_CHECKING:
    from tallymark.types.artifact_info import ArtifactInfo


# What has no version in it, and makes up the longest pages: points of metrics.
_PLAIN = {str, int, float, bytes, bool, type(None), datetime}


class OpenedVersion(Protocol):
    """A version together with its registry and its artifacts: what carries out the methods of `VersionActions`."""

    def list_artifacts(self) -> list[ArtifactInfo]:
        """Return the version's artifacts, in the order in which they were linked."""

    def load(self, name: str, form: str | None, trusted: Sequence[str]) -> Any:
        """Return the value of an artifact, and record that the current run uses it."""

    def download(self, name: str, folder: Path, *, force: bool) -> Path:
        """Download an artifact into a folder, and return its path."""

    def set_stage(self, stage: Stage | str, *, force: bool, reason: str, allow_unfinished_run: bool) -> Any:
        """Move the version to a stage."""

    def set_alias(self, alias: str, *, expected_number: int | None, reason: str) -> Any:
        """Point an alias at the version."""


class VersionActions:
    """The methods of a ModelVersion that call the registry from which it came.

    They wait for it, so in asyncio code call them by `asyncio.to_thread`. The version itself stays as it was read. The
    registry is no field: it counts neither in comparisons nor in what is shown.
    """

    __slots__ = ("_registry",)

    if TYPE_CHECKING:

        @property
        def resource_name(self) -> str: ...

    def __reduce__(self) -> tuple[Any, ...]:
        values = {field.name: getattr(self, field.name) for field in fields(self._as_dataclass())}
        return _rebuilt, (type(self), values, self._settings())

    @property
    def artifacts(self) -> list[ArtifactInfo]:
        """What the version made and was made from, read now, in the order in which it was linked."""
        return [] if current().disabled else self._opened().list_artifacts()

    def load(
        self,
        name: str,
        *,
        format: str | None = None,  # noqa: A002 - the contract's word
        trusted: Sequence[str] = (),
    ) -> Any:
        """Return the value of an artifact, by `classifier` (the newest) or `classifier@2`, verified by its digest.

        Within a run, the version of the model in force is linked to the artifact as made from it.

        Args:
            name: The artifact's name.
            format: How to read it, if not as it was saved.
            trusted: Types that a file in the format skops may hold, beside those of scikit-learn, LightGBM and XGBoost
                and of the setting `trusted_types`: qualified names, or `my_package.*`.

        Raises:
            ArtifactNotFound: The version has no such artifact.
            DigestMismatch: The bytes are not those that were linked.
            StoreUnavailable: The store cannot be read.
        """
        return self._with_artifact(name).load(name, format, trusted)

    def download(self, name: str, folder: str | os.PathLike[str] = ".", *, force: bool = False) -> Path:
        """Download an artifact into a folder, which is made if need be, verify it, and return its path.

        The file is called as the artifact, such as `classifier.skops`; an artifact that is a folder becomes one. Raises
        AlreadyExists if something of that name is there and `force` does not say to replace it, ArtifactNotFound,
        DigestMismatch, StoreUnavailable.
        """
        return self._with_artifact(name).download(name, Path(folder), force=force)

    def set_stage(
        self,
        stage: Stage | str,
        *,
        force: bool = False,
        reason: str = "",
        allow_unfinished_run: bool = False,
    ) -> Self:
        """Move the version to a stage, and return it as it is then.

        Args:
            stage: `production`, `staging`, `archived` or `none`.
            force: Move the version that holds the stage to the archive.
            reason: Why, for the history.
            allow_unfinished_run: Take a version whose run failed, is lost or still goes on; this needs a reason.

        Raises:
            VersionNotFound: The version was deleted or purged.
            StageOccupied: Another version holds the stage.
            RunNotSucceeded: The run that made the version has not succeeded.
        """
        if current().disabled:
            return self._changed(stage=stage_of(stage))
        how = {"force": force, "allow_unfinished_run": allow_unfinished_run}
        moved: Self = self._opened().set_stage(stage, **how, reason=reason)
        return moved

    def set_alias(self, alias: str, *, expected_number: int | None = None, reason: str = "") -> Self:
        """Point an alias at the version, and return the version as it is then.

        Raises AliasMoved if the alias is not where it is expected (0: nowhere), VersionNotFound.
        """
        if current().disabled:
            return self._changed(aliases=(alias,))
        pointed_at: Self = self._opened().set_alias(alias, expected_number=expected_number, reason=reason)
        return pointed_at

    def _as_dataclass(self) -> Any:
        """Return the version as what it is besides: nothing else has these methods."""
        return self

    def _changed(self, **changes: Any) -> Self:
        changed: Self = replace(self._as_dataclass(), **changes)
        return changed

    def _settings(self) -> Settings | None:
        return getattr(self, "_registry", None)

    def _opened(self) -> OpenedVersion:
        """Return what carries out the methods."""
        found: OpenedVersion = opened(self, self._settings() or current())
        return found

    def _with_artifact(self, name: str) -> OpenedVersion:
        """Return what carries out the methods, if the version can have the artifact at all."""
        if current().disabled:
            raise ArtifactNotFound(
                f"nothing is recorded (TALLYMARK_MODE=disabled), so {self!r} has no artifact {name!r}"
            )
        return self._opened()


def came_from(found: Any, registry: Settings) -> None:
    """Let every version in what a client returns remember the registry: in pages, events, lineage and the like."""
    if type(found) in _PLAIN:
        return
    if isinstance(found, VersionActions):
        object.__setattr__(found, "_registry", registry)
        return
    if isinstance(found, list | tuple):
        for item in found:
            came_from(item, registry)
        return
    for name in ("version", "resource", "nodes"):
        if hasattr(found, name):
            came_from(getattr(found, name), registry)


def _rebuilt(kind: type[VersionActions], values: dict[str, Any], registry: Settings | None) -> VersionActions:
    version = kind(**values)
    if registry is not None:
        came_from(version, registry)
    return version
