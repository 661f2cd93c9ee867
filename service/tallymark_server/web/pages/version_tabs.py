"""What each tab of a version shows, to people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from google.protobuf.json_format import MessageToDict

from tallymark_server.domain.model import ModelVersion, RunStep
from tallymark_server.registry import Asked, Lineage, NodeKey
from tallymark_server.rpc import messages
from tallymark_server.web import charts, history, lineage_graph
from tallymark_server.web.request import Visit

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
MOST_SERIES = 12
MOST_POINTS = 1000
MOST_STEPS = 100
MOST_RUNS = 20


class Shown(NamedTuple):
    """The facts of a tab's template, and what its JSON has beside the version."""

    facts: dict[str, Any]
    data: dict[str, Any]


def plain(visit: Visit, version: ModelVersion) -> dict[str, Any]:
    """The version as JSON."""
    found: dict[str, Any] = MessageToDict(messages.version(visit.project, version))
    return found


async def shown(visit: Visit, tab: str, version: ModelVersion, production: ModelVersion | None) -> Shown:
    """What the tab shows."""
    return await _TABS[tab](visit, version, production) if tab in _TABS else Shown({}, {})


async def _overview(visit: Visit, version: ModelVersion, _: ModelVersion | None) -> Shown:
    steps: list[RunStep] = []
    if version.run is not None:
        steps = (await visit.registry.steps(visit.project, version.run, MOST_STEPS, "")).items
    return Shown({"steps": steps}, {})


async def _metrics(visit: Visit, version: ModelVersion, production: ModelVersion | None) -> Shown:
    """The curves, of which the first thousand points are drawn, with production's behind them."""
    other = None if production is None or production.number == version.number else production
    keys = sorted(version.series)[:MOST_SERIES]
    curves, points = [], {}
    for key in keys:
        own = (await visit.registry.points(visit.project, version, [key], MOST_POINTS, "")).items
        behind = []
        if other is not None and key in other.series:
            behind = (await visit.registry.points(visit.project, other, [key], MOST_POINTS, "")).items
        drawn = charts.curve(
            [(point.step, point.value) for point in own], [(point.step, point.value) for point in behind]
        )
        curves.append((key, drawn, own))
        points[key] = [MessageToDict(messages.point(point)) for point in own]
    facts = {"curves": curves, "other": other, "left_out": len(version.series) - len(keys), "most": MOST_POINTS}
    return Shown(facts, {"points": points})


async def _artifacts(visit: Visit, version: ModelVersion, _: ModelVersion | None) -> Shown:
    asked = Asked(page_size=visit.page_size, page_token=visit.text("page"))
    listed = await visit.registry.artifacts(visit.project, version, asked)
    token = listed.next_page_token
    facts = {"artifacts": listed.items, "next": visit.here(page=token) if token else ""}
    linked = [MessageToDict(messages.artifact(visit.project, artifact)) for artifact in listed.items]
    return Shown(facts, {"artifacts": linked, "nextPageToken": token})


async def _lineage(visit: Visit, version: ModelVersion, _: ModelVersion | None) -> Shown:
    found, revision = await visit.registry.lineage(visit.project, version, frozenset({False, True}), DEPTH)
    runs = (await visit.registry.runs(visit.project, Asked(page_size=MOST_RUNS), version)).items
    facts = {
        "lineage": found,
        "picture": lineage_graph.picture(found),
        "called": lineage_graph.called,
        "about": lineage_graph.about,
        "sources": _sources(found),
        "runs": runs,
    }
    data = {
        "lineage": MessageToDict(messages.lineage(visit.project, found, revision)),
        "runs": [MessageToDict(messages.run(visit.project, run)) for run in runs],
    }
    return Shown(facts, data)


def _sources(found: Lineage) -> dict[NodeKey, list[str]]:
    """What each thing came from directly, as it is called."""
    names = {node.key: lineage_graph.called(node.resource) for node in found.nodes}
    came: dict[NodeKey, list[str]] = {key: [] for key in names}
    for edge in found.edges:
        came[edge.target].append(names[edge.source])
    return came


async def _history(visit: Visit, version: ModelVersion, _: ModelVersion | None) -> Shown:
    """What happened to the version, the newest first."""
    before = visit.whole("before") or MAX_REVISION
    past = await history.of(visit.registry, visit.project, version.model_id, version.number, before, limit=EVENTS)
    events = [MessageToDict(messages.event(visit.project, event)) for event in past.events]
    return Shown({"past": past}, {"events": events, "before": str(past.before)})


async def _raw(visit: Visit, version: ModelVersion, _: ModelVersion | None) -> Shown:
    return Shown({"raw": json.dumps(plain(visit, version), indent=2, ensure_ascii=False)}, {})


_TABS: dict[str, Callable[[Visit, ModelVersion, ModelVersion | None], Awaitable[Shown]]] = {
    "": _overview,
    "metrics": _metrics,
    "artifacts": _artifacts,
    "lineage": _lineage,
    "history": _history,
    "raw": _raw,
}
