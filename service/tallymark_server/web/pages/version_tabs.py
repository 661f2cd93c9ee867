"""The tabs of a version, as HTML and as JSON."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from google.protobuf.json_format import MessageToDict

from tallymark_server.domain.model import ModelVersion, RunStep
from tallymark_server.registry import Direction, Lineage, ListOptions, NodeKey
from tallymark_server.rpc import messages
from tallymark_server.web import charts, history, lineage_graph
from tallymark_server.web.request import PageRequest

NAMES = {
    "": "Overview",
    "metrics": "Metrics",
    "metadata": "Metadata",
    "artifacts": "Artifacts",
    "lineage": "Lineage",
    "history": "History",
    "raw": "Raw",
}
EVENTS = 50
MAX_REVISION = 2**63 - 1
DEPTH = 4
MAX_SERIES = 12
MAX_POINTS = 1000
MAX_STEPS = 100
MAX_RUNS = 20


class Shown(NamedTuple):
    """The variables of a tab's template, and its part of the JSON."""

    facts: dict[str, Any]
    data: dict[str, Any]


def plain(request: PageRequest, version: ModelVersion) -> dict[str, Any]:
    """Return the version as JSON."""
    found: dict[str, Any] = MessageToDict(messages.version(request.project, version))
    return found


async def shown(request: PageRequest, tab: str, version: ModelVersion, production: ModelVersion | None) -> Shown:
    """Return what the tab shows."""
    return await _TABS[tab](request, version, production) if tab in _TABS else Shown({}, {})


async def _overview(request: PageRequest, version: ModelVersion, _: ModelVersion | None) -> Shown:
    steps: list[RunStep] = []
    if version.run is not None:
        steps = (await request.registry.steps(request.project, version.run, MAX_STEPS, "")).items
    return Shown({"steps": steps}, {})


async def _metrics(request: PageRequest, version: ModelVersion, production: ModelVersion | None) -> Shown:
    """Return the curves of the metrics, up to their first thousand points, over those of production."""
    other = None if production is None or production.number == version.number else production
    keys = sorted(version.series)[:MAX_SERIES]
    curves, points = [], {}
    for key in keys:
        own = (await request.registry.points(request.project, version, [key], MAX_POINTS, "")).items
        behind = []
        if other is not None and key in other.series:
            behind = (await request.registry.points(request.project, other, [key], MAX_POINTS, "")).items
        drawn = charts.curve(
            [(point.step, point.value) for point in own], [(point.step, point.value) for point in behind]
        )
        curves.append((key, drawn, own))
        points[key] = [MessageToDict(messages.point(point)) for point in own]
    facts = {"curves": curves, "other": other, "left_out": len(version.series) - len(keys), "most": MAX_POINTS}
    return Shown(facts, {"points": points})


async def _artifacts(request: PageRequest, version: ModelVersion, _: ModelVersion | None) -> Shown:
    options = ListOptions(page_size=request.page_size, page_token=request.text("page"))
    listed = await request.registry.artifacts(request.project, version, options)
    token = listed.next_page_token
    facts = {"artifacts": listed.items, "next": request.here(page=token) if token else ""}
    linked = [MessageToDict(messages.artifact(request.project, artifact)) for artifact in listed.items]
    return Shown(facts, {"artifacts": linked, "nextPageToken": token})


async def _lineage(request: PageRequest, version: ModelVersion, _: ModelVersion | None) -> Shown:
    found, revision = await request.registry.lineage(request.project, version, Direction.BOTH, DEPTH)
    runs = (await request.registry.runs(request.project, ListOptions(page_size=MAX_RUNS), version)).items
    facts = {
        "lineage": found,
        "picture": lineage_graph.picture(found),
        "called": lineage_graph.called,
        "about": lineage_graph.about,
        "sources": _sources(found),
        "runs": runs,
    }
    data = {
        "lineage": MessageToDict(messages.lineage(request.project, found, revision)),
        "runs": [MessageToDict(messages.run(request.project, run)) for run in runs],
    }
    return Shown(facts, data)


def _sources(found: Lineage) -> dict[NodeKey, list[str]]:
    """Return the names of the direct sources of each node."""
    names = {node.key: lineage_graph.called(node.resource) for node in found.nodes}
    came: dict[NodeKey, list[str]] = {key: [] for key in names}
    for edge in found.edges:
        came[edge.target].append(names[edge.source])
    return came


async def _history(request: PageRequest, version: ModelVersion, _: ModelVersion | None) -> Shown:
    """Return the history of the version, newest first."""
    before = request.integer("before") or MAX_REVISION
    past = await history.of(request.registry, request.project, version.model_id, version.number, before, limit=EVENTS)
    events = [MessageToDict(messages.event(request.project, event)) for event in past.events]
    return Shown({"past": past}, {"events": events, "before": str(past.before)})


async def _raw(request: PageRequest, version: ModelVersion, _: ModelVersion | None) -> Shown:
    return Shown({"raw": json.dumps(plain(request, version), indent=2, ensure_ascii=False)}, {})


_TABS: dict[str, Callable[[PageRequest, ModelVersion, ModelVersion | None], Awaitable[Shown]]] = {
    "": _overview,
    "metrics": _metrics,
    "artifacts": _artifacts,
    "lineage": _lineage,
    "history": _history,
    "raw": _raw,
}
