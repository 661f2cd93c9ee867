"""Requests about lists, the log and lineage, as queries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tallymark.v1 import (
    event_log_pb2,
    event_pb2,
    lineage_pb2,
    model_pb2,
)
from tallymark_server.domain.errors import InvalidField
from tallymark_server.domain.events import Kind
from tallymark_server.domain.model import Stage
from tallymark_server.registry import Direction, ListOptions, Scope
from tallymark_server.rpc import names
from tallymark_server.rpc.commands.fields import read_at, stage
from tallymark_server.watch import Interest

MAX_DEPTH = 20
DEFAULT_DEPTH = 4

_KINDS = {
    number: Kind(name.removeprefix("EVENT_KIND_").lower()) for name, number in event_pb2.EventKind.items() if number
}
_DIRECTIONS = {
    lineage_pb2.LINEAGE_DIRECTION_UNSPECIFIED: Direction.BOTH,
    lineage_pb2.LINEAGE_DIRECTION_UPSTREAM: Direction.UPSTREAM,
    lineage_pb2.LINEAGE_DIRECTION_DOWNSTREAM: Direction.DOWNSTREAM,
}


def interest(request: event_log_pb2.WatchRequest) -> tuple[str, str, Interest]:
    """Return the project, the model (empty for all) and the interest of a Watch request."""
    project, model = names.project(request.parent, "parent"), ""
    if request.model:
        owner, model = names.model(request.model, "model")
        if owner != project:
            raise InvalidField("model", request.model, f"it belongs to another project than {request.parent}")
    return (
        project,
        model,
        Interest(
            after=cursor(request.after_revision) if request.HasField("after_revision") else None,
            log_id=request.log_id,
            kinds=kinds(request.kinds),
            stages=stages(request.stages),
        ),
    )


def cursor(after_revision: int) -> int:
    """Return the revision after which to read. Raises InvalidField if it cannot be one."""
    if after_revision < 0:
        raise InvalidField("after_revision", after_revision, "revisions go from 1; 0 reads from the first on")
    return after_revision


def kinds(given: Iterable[event_pb2.EventKind.ValueType]) -> frozenset[Kind]:
    """Return the kinds of events. Raises InvalidField."""
    for kind in given:
        if kind not in _KINDS:
            raise InvalidField("kinds", kind, "name kinds of events")
    return frozenset(_KINDS[kind] for kind in given)


def stages(given: Iterable[model_pb2.Stage.ValueType]) -> frozenset[Stage]:
    """Return the stages. Raises InvalidField."""
    return frozenset(stage(each, "stages") for each in given)


def list_options(request: Any) -> ListOptions:
    """Return the options of a list request. Raises InvalidField."""
    fields = request.DESCRIPTOR.fields_by_name
    return ListOptions(
        page_size=request.page_size,
        page_token=request.page_token,
        filter=request.filter,
        order_by=request.order_by if "order_by" in fields else "",
        deleted="show_deleted" in fields and request.show_deleted,
        read_at=read_at(request),
    )


def scope(request: event_log_pb2.ListEventsRequest) -> Scope:
    """Return the event filter of ListEvents, without its model or version. Raises InvalidField."""
    if request.newest_first and request.after_revision:
        raise InvalidField("after_revision", request.after_revision, "with newest_first, name before_revision")
    if request.before_revision and not request.newest_first:
        raise InvalidField("before_revision", request.before_revision, "it goes with newest_first")
    return Scope(
        kinds=kinds(request.kinds),
        after=cursor(request.after_revision),
        newest_first=request.newest_first,
        before=request.before_revision or None,
    )


def direction(request: lineage_pb2.QueryLineageRequest) -> Direction:
    """Return the direction in which lineage is followed. Raises InvalidField."""
    if request.direction not in _DIRECTIONS:
        raise InvalidField("direction", request.direction, "name a direction of lineage")
    return _DIRECTIONS[request.direction]


def depth(request: lineage_pb2.QueryLineageRequest) -> int:
    """Return how many edges to follow at most."""
    return min(request.depth, MAX_DEPTH) if request.depth > 0 else DEFAULT_DEPTH
