"""Parts of a version's page: what each shows to people, and as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.json_format import MessageToDict

from tallymark_server.domain.model import ModelVersion
from tallymark_server.registry import Asked, Lineage, NodeKey
from tallymark_server.rpc import messages
from tallymark_server.web import drawing, history, tracing
from tallymark_server.web.visits import Visit

EVENTS = 50
MAX_REVISION = 2**63 - 1
DEPTH = 4
MOST_SERIES = 12
MOST_POINTS = 1000

Part = tuple[dict[str, Any], dict[str, Any]]


async def metrics(visit: Visit, version: ModelVersion) -> Part:
    """The curves of its metrics, of each the first thousand points."""
    series, points = [], []
    for key in sorted(version.series)[:MOST_SERIES]:
        page = await visit.registry.points(visit.project, version, [key], MOST_POINTS, "")
        series.append((key, drawing.curve([(point.step, point.value) for point in page.items])))
        points += [MessageToDict(messages.point(point)) for point in page.items]
    return {"series": series}, {"points": points}


async def artifacts(visit: Visit, version: ModelVersion) -> Part:
    """What it was made of, and what was made of it."""
    asked = Asked(page_size=visit.page_size, page_token=visit.text("page"))
    listed = await visit.registry.artifacts(visit.project, version, asked)
    told = [MessageToDict(messages.artifact(visit.project, artifact)) for artifact in listed.items]
    following = visit.here(page=listed.next_page_token) if listed.next_page_token else ""
    data = {"artifacts": told, "nextPageToken": listed.next_page_token}
    return {"artifacts": listed.items, "next": following}, data


async def lineage(visit: Visit, version: ModelVersion) -> Part:
    """What came from what around it."""
    found, revision = await visit.registry.lineage(visit.project, version, frozenset({False, True}), DEPTH)
    shown = {
        "lineage": found,
        "picture": tracing.picture(found),
        "called": tracing.called,
        "sources": _sources(found),
    }
    return shown, MessageToDict(messages.lineage(visit.project, found, revision))


async def past(visit: Visit, version: ModelVersion) -> Part:
    """What happened to it, the newest first."""
    before = visit.whole("before") or MAX_REVISION
    found = await history.of(visit.registry, visit.project, version.model_id, version.number, before, limit=EVENTS)
    data = {
        "events": [MessageToDict(messages.event(visit.project, event)) for event in found.events],
        "before": found.before,
    }
    return {"past": found}, data


PARTS: dict[str, Callable[[Visit, ModelVersion], Awaitable[Part]]] = {
    "metrics": metrics,
    "artifacts": artifacts,
    "lineage": lineage,
    "history": past,
}


def _sources(found: Lineage) -> dict[NodeKey, list[str]]:
    """What each thing came from directly, as it is called."""
    names = {node.key: tracing.called(node.resource) for node in found.nodes}
    return {key: [names[edge.source] for edge in found.edges if edge.target == key] for key in names}
