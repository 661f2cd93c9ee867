"""Requests about a whole log: proofs and exports."""

from __future__ import annotations

from tallymark.v1 import event_log_pb2
from tallymark_server.domain.errors import InvalidField
from tallymark_server.registry import Mark, wrong_hash
from tallymark_server.rpc import names

MAX_LOG_ID = 255


def proof(request: event_log_pb2.VerifyRequest) -> tuple[str, Mark | None]:
    """Return the project to prove, and the mark that its log must contain. Raises InvalidField."""
    project = names.project(request.parent, "parent")
    return project, _mark(request.checkpoint) if request.HasField("checkpoint") else None


def export(request: event_log_pb2.ExportRequest) -> tuple[str, int | None]:
    """Return the project to export, and the last revision of the export. Raises InvalidField."""
    project = names.project(request.parent, "parent")
    if not request.HasField("read_revision"):
        return project, None
    if request.read_revision < 1:
        raise InvalidField(
            "read_revision", request.read_revision, "revisions go from 1; leave it out to export the whole log"
        )
    return project, request.read_revision


def _mark(checkpoint: event_log_pb2.Checkpoint) -> Mark:
    if not 0 < len(checkpoint.log_id) <= MAX_LOG_ID or not checkpoint.log_id.isprintable():
        raise InvalidField(
            "checkpoint.log_id",
            checkpoint.log_id,
            "send the id of the log that Verify returned with the revision and the hash",
        )
    if checkpoint.revision < 0:
        raise InvalidField("checkpoint.revision", checkpoint.revision, "revisions go from 1; 0 is before the first")
    if why := wrong_hash(checkpoint.hash, checkpoint.revision):
        raise InvalidField("checkpoint.hash", checkpoint.hash, why)
    return Mark(checkpoint.log_id, checkpoint.revision, checkpoint.hash)
