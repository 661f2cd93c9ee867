"""A version: why it has its number, what is known of it, and what happened to it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict

from tallymark_server.domain.errors import RunNotFound, VersionNotFound
from tallymark_server.domain.model import Model, ModelVersion, Run, Stage, Value
from tallymark_server.domain.reference import By, numbered, parse
from tallymark_server.rpc import messages
from tallymark_server.web import history, snippets
from tallymark_server.web.addresses import named
from tallymark_server.web.formats import numeric
from tallymark_server.web.pages import tabs
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
    run = await run_of(visit, version)
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
    data = plain(visit, version)
    if tab in tabs.PARTS:
        shown, data = await tabs.PARTS[tab](visit, version)
        facts |= shown
    if tab == "raw":
        facts["raw"] = json.dumps(data, indent=2, ensure_ascii=False)
    return View(
        template="version.html",
        facts=facts,
        data=lambda: data,
        revision=await history.head(visit.registry, visit.project),
    )


def plain(visit: Visit, version: ModelVersion) -> dict[str, Any]:
    """The version as JSON."""
    found: dict[str, Any] = MessageToDict(messages.version(visit.project, version))
    return found


async def run_of(visit: Visit, version: ModelVersion) -> Run | None:
    """The run that made the version, if one did."""
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
