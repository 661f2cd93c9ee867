"""The methods of a version that call its registry, whether it comes from a list, `get_version`, an event or `follow`.

A version remembers the registry from which it was read, and its methods call that one.
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
from tallymark.types import open_version
from tallymark.types.enums import Stage, stage_of

if TYPE_CHECKING:
    from tallymark.types.artifact_info import ArtifactInfo


# Types that contain no version. Pages of metric points, the longest ones, consist of them.
_SCALAR_TYPES = {str, int, float, bytes, bool, type(None), datetime}


class OpenedVersion(Protocol):
    """A version together with its registry and its artifacts, which implements the methods of `VersionActions`."""

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
    """The methods of a ModelVersion that call the registry from which it was read.

    They block, so in asyncio code call them by `asyncio.to_thread`. They do not change the object itself. The registry
    is not a field, so it is neither compared nor shown.
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
        """The artifacts that the version created and used, read now, in the order in which they were linked."""
        return [] if current().disabled else self._opened().list_artifacts()

    def load(
        self,
        name: str,
        *,
        format: str | None = None,  # noqa: A002 - the contract's word
        trusted: Sequence[str] = (),
    ) -> Any:
        """Load an artifact, and verify its digest.

        Within a run, the artifact is linked as used to the version of the model in force.

        Args:
            name: `classifier` for the newest of that name, or `classifier@2`.
            format: How to read it, if not as it was saved.
            trusted: Types that a file in the format skops may contain, beside those of scikit-learn, LightGBM and
                XGBoost and of the setting `trusted_types`: qualified names, or `my_package.*`.

        Returns:
            The value of the artifact.

        Raises:
            ArtifactNotFound: The version has no such artifact.
            DigestMismatch: The bytes do not have the digest with which the artifact was linked.
            StoreNotTrusted: The artifact is in a store that the settings do not trust.
            StoreUnavailable: The store cannot be read.
        """
        return self._with_artifact(name).load(name, format, trusted)

    def download(self, name: str, folder: str | os.PathLike[str] = ".", *, force: bool = False) -> Path:
        """Download an artifact, and verify its digest.

        The file has the artifact's name, such as `classifier.skops`; an artifact that is a folder becomes a folder.

        Args:
            name: `classifier` for the newest of that name, or `classifier@2`.
            folder: The folder to write it to, which is created if it does not exist.
            force: Replace a file or folder of that name.

        Returns:
            The path of the file or folder.

        Raises:
            AlreadyExists: Something has that name in the folder, and `force` is False.
            ArtifactNotFound: The version has no such artifact.
            DigestMismatch: The bytes do not have the digest with which the artifact was linked.
            StoreNotTrusted: The artifact is in a store that the settings do not trust.
            StoreUnavailable: The store cannot be read.
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
        """Move the version to a stage.

        Args:
            stage: `production`, `staging`, `archived` or `none`.
            force: Move the version that holds the stage to the archive.
            reason: The reason, recorded in the log.
            allow_unfinished_run: Move it although its run failed, is lost or still running; this needs a reason.

        Returns:
            The moved version, as a new object.

        Raises:
            VersionNotFound: The version was deleted or purged.
            StageOccupied: Another version holds the stage, and `force` is False.
            RunNotSucceeded: The run that created the version has not succeeded.
        """
        if current().disabled:
            return self._changed(stage=stage_of(stage))
        how = {"force": force, "allow_unfinished_run": allow_unfinished_run}
        moved: Self = self._opened().set_stage(stage, **how, reason=reason)
        return moved

    def set_alias(self, alias: str, *, expected_number: int | None = None, reason: str = "") -> Self:
        """Point an alias at the version.

        Args:
            alias: The alias, such as `champion`.
            expected_number: Make the change only if the alias points at this number now; 0 means no version.
            reason: The reason, recorded in the log.

        Returns:
            The version with its aliases, as a new object.

        Raises:
            VersionNotFound: The version was deleted or purged.
            AliasMoved: The alias does not point at the expected number.
        """
        if current().disabled:
            return self._changed(aliases=(alias,))
        pointed_at: Self = self._opened().set_alias(alias, expected_number=expected_number, reason=reason)
        return pointed_at

    def _as_dataclass(self) -> Any:
        """Return the version, typed as the dataclass that it is: only ModelVersion has these methods."""
        return self

    def _changed(self, **changes: Any) -> Self:
        changed: Self = replace(self._as_dataclass(), **changes)
        return changed

    def _settings(self) -> Settings | None:
        return getattr(self, "_registry", None)

    def _opened(self) -> OpenedVersion:
        """Return the object that implements the methods."""
        opened: OpenedVersion = open_version(self, self._settings() or current())
        return opened

    def _with_artifact(self, name: str) -> OpenedVersion:
        """Return the object that implements the methods. Raises ArtifactNotFound if nothing is recorded."""
        if current().disabled:
            raise ArtifactNotFound(
                f"nothing is recorded (TALLYMARK_MODE=disabled), so {self!r} has no artifact {name!r}"
            )
        return self._opened()


def remember_registry(result: Any, registry: Settings) -> None:
    """Have every version in the result of a call remember the registry: in pages, events, lineage and the like."""
    if type(result) in _SCALAR_TYPES:
        return
    if isinstance(result, VersionActions):
        object.__setattr__(result, "_registry", registry)
        return
    if isinstance(result, list | tuple):
        for item in result:
            remember_registry(item, registry)
        return
    for name in ("version", "resource", "nodes"):
        if hasattr(result, name):
            remember_registry(getattr(result, name), registry)


def _rebuilt(kind: type[VersionActions], values: dict[str, Any], registry: Settings | None) -> VersionActions:
    version = kind(**values)
    if registry is not None:
        remember_registry(version, registry)
    return version
