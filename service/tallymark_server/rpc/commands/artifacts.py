"""Requests about artifacts of versions, as commands."""

from __future__ import annotations

import re

from tallymark.v1 import (
    artifact_pb2,
)
from tallymark_server.domain import commands as c
from tallymark_server.domain import naming
from tallymark_server.domain.errors import InvalidField
from tallymark_server.domain.model import (
    ArtifactRole,
    ArtifactType,
)
from tallymark_server.rpc import names
from tallymark_server.rpc.commands.fields import attempt

MAX_URI = 8192

_DIGEST = re.compile(r"[a-z0-9]{1,32}:[0-9a-f]{16,256}", re.ASCII)
_TYPES = {
    artifact_pb2.ARTIFACT_TYPE_UNSPECIFIED: ArtifactType.DATA,
    artifact_pb2.ARTIFACT_TYPE_DATA: ArtifactType.DATA,
    artifact_pb2.ARTIFACT_TYPE_MODEL: ArtifactType.MODEL,
    artifact_pb2.ARTIFACT_TYPE_DEPLOYMENT: ArtifactType.DEPLOYMENT,
}
_ROLES = {
    artifact_pb2.ARTIFACT_ROLE_UNSPECIFIED: ArtifactRole.MADE,
    artifact_pb2.ARTIFACT_ROLE_MADE: ArtifactRole.MADE,
    artifact_pb2.ARTIFACT_ROLE_USED: ArtifactRole.USED,
}


def link_artifact(request: artifact_pb2.LinkArtifactRequest, actor: str) -> c.LinkArtifact:
    """Return the command of a LinkArtifact request. Raises InvalidField and others."""
    project, model, which = names.version(request.parent, "parent")
    artifact = request.artifact
    _check(artifact)
    run = None
    if artifact.run:
        owner, run = names.run(artifact.run, "artifact.run")
        if owner != project:
            raise InvalidField("artifact.run", artifact.run, f"it belongs to another project than {request.parent}")
    return c.LinkArtifact(
        **attempt(request, project, actor),
        model=model,
        reference=which,
        name=naming.model_name(request.artifact_id, "artifact_id"),
        type=_TYPES[artifact.type],
        uri=artifact.uri,
        digest=artifact.digest,
        size=artifact.size_bytes,
        format=naming.plain_label(artifact.format, "artifact.format") if artifact.format else "",
        role=_ROLES[artifact.role],
        run=run,
        step=naming.prose(artifact.step, "artifact.step"),
    )


def _check(artifact: artifact_pb2.Artifact) -> None:
    if not (1 <= len(artifact.uri) <= MAX_URI and artifact.uri.isprintable()):
        raise InvalidField("artifact.uri", artifact.uri, f"it needs 1 to {MAX_URI:,} printable characters")
    if artifact.digest and not _DIGEST.fullmatch(artifact.digest):
        raise InvalidField("artifact.digest", artifact.digest, "it needs the form sha256: and hexadecimal digits")
    if artifact.size_bytes < 0:
        raise InvalidField("artifact.size_bytes", artifact.size_bytes, "a size is 0 or more")
    if artifact.type not in _TYPES:
        raise InvalidField("artifact.type", artifact.type, "name a type of artifact")
    if artifact.role not in _ROLES:
        raise InvalidField("artifact.role", artifact.role, "name a role of artifacts")


def unlink_artifact(request: artifact_pb2.UnlinkArtifactRequest, actor: str) -> c.UnlinkArtifact:
    """Return the command of an UnlinkArtifact request. Raises InvalidField and others."""
    project, model, which, name, ordinal = names.artifact(request.name, "name")
    return c.UnlinkArtifact(
        **attempt(request, project, actor),
        model=model,
        reference=which,
        name=name,
        ordinal=ordinal,
        reason=naming.prose(request.reason, "reason"),
    )
