"""Calls about the log."""

from __future__ import annotations

from collections.abc import Sequence

from tallymark.client import messages as m
from tallymark.client.calls.call import PAGE_SIZE, Call, Cursor, ExportChunk, WatchFilter, WatchMessage, new_request_id
from tallymark.types.proofs import Checkpoint, Erased, Proof
from tallymark.types.references import means_version, model_name, version_name
from tallymark.types.resources import (
    Event,
)
from tallymark.v1 import (
    event_log_pb2,
)
from tallymark.v1.event_log_pb2_grpc import EventLogStub

# Verifications, erasures and exports take longer the longer the log is.
LONG_TIMEOUT = 3600.0


def list_events(project: str, after_revision: int, page_size: int = PAGE_SIZE) -> Call[list[Event]]:
    """ListEvents, one page."""
    request = event_log_pb2.ListEventsRequest(
        parent=f"projects/{project}", after_revision=after_revision, page_size=page_size
    )
    return Call(EventLogStub, "ListEvents", request, lambda page: [m.event_of(event) for event in page.events])


def head(project: str) -> Call[Cursor]:
    """ListEvents, for the end of the log."""
    request = event_log_pb2.ListEventsRequest(parent=f"projects/{project}", page_size=1)
    return Call(EventLogStub, "ListEvents", request, lambda page: Cursor(page.revision, page.log_id))


def watch(project: str, cursor: Cursor, watch_filter: WatchFilter) -> Call[WatchMessage]:
    """Watch: `read` reads each message of the stream."""
    request = event_log_pb2.WatchRequest(
        parent=f"projects/{project}",
        after_revision=cursor.revision,
        log_id=cursor.log_id,
        model=model_name(project, watch_filter.model) if watch_filter.model else "",
        kinds=[m.kind_to(kind) for kind in watch_filter.kinds],
        stages=[m.stage_to(stage) for stage in watch_filter.stages],
    )
    return Call(
        EventLogStub,
        "Watch",
        request,
        lambda message: WatchMessage(
            [m.event_of(event) for event in message.events], Cursor(message.revision, message.log_id)
        ),
    )


def history(project: str, reference: str, kinds: Sequence[str], before: int) -> Call[list[Event]]:
    """ListEvents of a model or a version, the newest first, one page."""
    name = (version_name if means_version(reference) else model_name)(project, reference)
    request = event_log_pb2.ListEventsRequest(
        parent=f"projects/{project}",
        name=name,
        kinds=[m.kind_to(kind) for kind in kinds],
        newest_first=True,
        before_revision=before,
        page_size=PAGE_SIZE,
    )
    return Call(EventLogStub, "ListEvents", request, lambda page: [m.event_of(event) for event in page.events])


def verify(project: str, checkpoint: Checkpoint | None) -> Call[Proof]:
    """Verify."""
    earlier = None if checkpoint is None else event_log_pb2.Checkpoint(**checkpoint._asdict())
    request = event_log_pb2.VerifyRequest(parent=f"projects/{project}", checkpoint=earlier)
    return Call(EventLogStub, "Verify", request, m.proof_of, default_timeout=LONG_TIMEOUT)


def erase(
    project: str, name: str, paths: Sequence[str], reason: str, *, keys: bool, validate_only: bool = False
) -> Call[Erased]:
    """Erase; `name` is a model, a version, a resource name, or empty for the project."""
    if not name:
        name = f"projects/{project}"
    elif not name.startswith("projects/"):
        name = (version_name if means_version(name) else model_name)(project, name)
    request = event_log_pb2.EraseRequest(
        name=name,
        paths=paths,
        erase_keys=keys,
        reason=reason,
        request_id=new_request_id(),
        validate_only=validate_only,
    )
    return Call(
        EventLogStub,
        "Erase",
        request,
        lambda message: Erased(message.content_count, message.revision),
        writes=True,
        default_timeout=LONG_TIMEOUT,
    )


def export(project: str, at: int | None) -> Call[ExportChunk]:
    """Export: `read` reads each message of the stream."""
    request = event_log_pb2.ExportRequest(parent=f"projects/{project}", read_revision=at)
    return Call(
        EventLogStub,
        "Export",
        request,
        lambda message: ExportChunk(message.lines, message.revision, message.read_revision),
        default_timeout=LONG_TIMEOUT,
    )
