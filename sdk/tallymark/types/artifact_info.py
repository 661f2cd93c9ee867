"""`ArtifactInfo`: the registry's record of an artifact."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tallymark.types.enums import ArtifactRole, ArtifactType


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ArtifactInfo:
    """An artifact, kept elsewhere, that a version created or used: the `ordinal`-th of its name.

    `digest` is `sha256:` and 64 hexadecimal digits, or empty; `size` is in bytes, 0 if unknown; `format` says how to
    read its bytes.
    """

    project: str
    model: str
    number: int
    name: str
    ordinal: int
    type: ArtifactType
    uri: str
    digest: str
    size: int
    format: str
    role: ArtifactRole
    run: str | None
    step: str
    creator: str
    create_time: datetime
    create_revision: int
    mod_revision: int

    @property
    def resource_name(self) -> str:
        """`projects/{project}/models/{model}/versions/{number}/artifacts/{name}@{ordinal}`."""
        version = f"projects/{self.project}/models/{self.model}/versions/{self.number}"
        return f"{version}/artifacts/{self.name}@{self.ordinal}"

    def __repr__(self) -> str:
        return f"ArtifactInfo({self.model} No.{self.number} {self.role.value} {self.name}@{self.ordinal} {self.uri})"
