"""A version: why it has its number, what is known of it, and what happened to it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict

from tallymark_server.domain.errors import RunNotFound, VersionNotFound
from tallymark_server.domain.model import Model, ModelVersion, Run, Stage, Value
from tallymark_server.domain.reference import By, numbered, parse
from tallymark_server.registry import Asked, Lineage, NodeKey
from tallymark_server.rpc import messages
from tallymark_server.web import drawing, history, snippets, tracing
from tallymark_server.web.addresses import named
from tallymark_server.web.formats import numeric
from tallymark_server.web.pages.models import holder
from tallymark_server.web.visits import Answer, Elsewhere, View, Visit

TABS = {
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


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that the version keeps, and those of the versions with which it is compared, where they keep it too."""

    key: str
    value: float
    previous: float | None
    production: float | None


async def page(visit: Visit) -> Answer:
    """The version, by number; another way to name it leads there."""
    reference = parse(named(visit.request.path_params["reference"]), "version")
    version = await visit.registry.version(visit.project, visit.model, reference, deleted=True)
    if reference.by is not By.NUMBER or visit.request.path_params["reference"] != str(version.number):
        return Elsewhere(visit.to.version(version.model, version.number), 302)
    model = await visit.registry.model(visit.project, version.model, deleted=True)
    tab = visit.text("tab") if visit.text("tab") in TABS else ""
    run = await _run(visit, version)
    facts: dict[str, Any] = {
        "title": f"{model.name} No. {version.number}",
        "model": model,
        "version": version,
        "tab": tab,
        "tabs": TABS,
        "run": run,
        "snippets": snippets.for_version(visit, model.name, version.number),
        **await _neighbours(visit, model, version),
    }
    facts["metrics"] = list(_metrics(version, facts["previous"], facts["production"]))
    if tab == "metrics":
        facts["series"] = [await _series(visit, version, key) for key in sorted(version.series)[:MOST_SERIES]]
    if tab == "artifacts":
        asked = Asked(page_size=visit.page_size, page_token=visit.text("page"))
        listed = await visit.registry.artifacts(visit.project, version, asked)
        facts["artifacts"] = listed.items
        facts["next"] = visit.here(page=listed.next_page_token) if listed.next_page_token else ""
    if tab == "lineage":
        found, _ = await visit.registry.lineage(visit.project, version, frozenset({False, True}), DEPTH)
        facts["lineage"], facts["picture"], facts["called"] = found, tracing.picture(found), tracing.called
        facts["sources"] = _sources(found)
    if tab == "history":
        facts["past"] = await past(visit, version)
    if tab == "raw":
        facts["raw"] = json.dumps(plain(visit, version), indent=2, ensure_ascii=False)
    return View(
        template="version.html",
        facts=facts,
        data=lambda: plain(visit, version),
        revision=await history.head(visit.registry, visit.project),
    )


async def _series(visit: Visit, version: ModelVersion, key: str) -> tuple[str, drawing.Curve]:
    """The curve of a metric, of which the first thousand points are drawn."""
    page = await visit.registry.points(visit.project, version, [key], MOST_POINTS, "")
    return key, drawing.curve([(point.step, point.value) for point in page.items])


def _sources(found: Lineage) -> dict[NodeKey, list[str]]:
    """What each thing came from directly, as it is called."""
    names = {node.key: tracing.called(node.resource) for node in found.nodes}
    return {key: [names[edge.source] for edge in found.edges if edge.target == key] for key in names}


async def past(visit: Visit, version: ModelVersion) -> history.Past:
    """What happened to the version, the newest first."""
    before = visit.whole("before") or MAX_REVISION
    return await history.of(visit.registry, visit.project, version.model_id, version.number, before, limit=EVENTS)


def plain(visit: Visit, version: ModelVersion) -> dict[str, Any]:
    """The version as JSON."""
    found: dict[str, Any] = MessageToDict(messages.version(visit.project, version))
    return found


async def _run(visit: Visit, version: ModelVersion) -> Run | None:
    if version.run is None:
        return None
    try:
        return await visit.registry.run(visit.project, version.run)
    except RunNotFound:
        return None


async def _neighbours(visit: Visit, model: Model, version: ModelVersion) -> dict[str, ModelVersion | None]:
    """The versions one number down and up, and the one in production."""
    return {
        "previous": await _numbered(visit, model, version.number - 1),
        "following": await _numbered(visit, model, version.number + 1),
        "production": await holder(visit, model, Stage.PRODUCTION),
    }


async def _numbered(visit: Visit, model: Model, number: int) -> ModelVersion | None:
    if not 1 <= number <= model.last_number:
        return None
    try:
        return await visit.registry.version(visit.project, model.name, numbered(number), deleted=True)
    except VersionNotFound:
        return None


def _metrics(version: ModelVersion, previous: ModelVersion | None, production: ModelVersion | None) -> list[Metric]:
    found = []
    for key in sorted(version.metadata):
        value = numeric(version.metadata[key])
        if value is not None:
            found.append(Metric(key, value, _of(previous, key), _of(production, key)))
    return found


def _of(version: ModelVersion | None, key: str) -> float | None:
    value: Value | None = None if version is None else version.metadata.get(key)
    return numeric(value)
