"""The page of a version: its number, its metadata, and its history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tallymark_server.domain.errors import RunNotFound
from tallymark_server.domain.model import Model, ModelVersion, Run, Stage, Value
from tallymark_server.domain.reference import By, parse
from tallymark_server.registry import ListOptions
from tallymark_server.web import charts, history, snippets
from tallymark_server.web.addresses import named
from tallymark_server.web.formatting import numeric
from tallymark_server.web.pages import version_tabs
from tallymark_server.web.pages.models import holder
from tallymark_server.web.request import PageRequest, PageResult, Redirect, View


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of the version, and its values in the versions that it is compared with."""

    key: str
    value: float
    previous: float | None
    production: float | None


async def page(request: PageRequest) -> PageResult:
    """Show the version by number. Other references redirect there."""
    reference = parse(named(request.http.path_params["reference"]), "version")
    version = await request.registry.version(request.project, request.model, reference, deleted=True)
    if reference.by is not By.NUMBER or request.http.path_params["reference"] != str(version.number):
        return Redirect(request.to.version(version.model, version.number), 302)
    model = await request.registry.model(request.project, version.model, deleted=True)
    tab = request.text("tab") if request.text("tab") in version_tabs.NAMES else ""
    production = await holder(request, model, Stage.PRODUCTION)
    line = await _line(request, model, version)
    previous = line.get(version.number - 1)
    shown = await version_tabs.shown(request, tab, version, production)
    facts: dict[str, Any] = {
        "title": f"{model.name} No. {version.number}",
        "model": model,
        "version": version,
        "tab": tab,
        "tabs": version_tabs.NAMES,
        "run": await _run(request, version),
        "production": production,
        "previous": previous,
        "following": line.get(version.number + 1),
        "tally": charts.strokes(line, *charts.around(version.number, model.last_number)),
        "snippets": snippets.for_version(request, model.name, version.number),
        "metrics": list(_metrics(version, previous, production)),
        **shown.facts,
    }
    return View(
        template="version.html",
        facts=facts,
        data=lambda: {**version_tabs.plain(request, version), **shown.data},
        revision=await history.head(request.registry, request.project),
    )


async def _line(request: PageRequest, model: Model, version: ModelVersion) -> dict[int, ModelVersion]:
    """Return the version and its neighbours, by number."""
    first, last = charts.around(version.number, model.last_number)
    options = ListOptions(page_size=last - first + 1, filter=f"number >= {first} AND number <= {last}", deleted=True)
    found = await request.registry.versions(request.project, model.name, options)
    return {each.number: each for each in found.items}


async def _run(request: PageRequest, version: ModelVersion) -> Run | None:
    if version.run is None:
        return None
    try:
        return await request.registry.run(request.project, version.run)
    except RunNotFound:
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
