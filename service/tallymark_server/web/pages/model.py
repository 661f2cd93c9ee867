"""The page of a model: its stages, its numbers, a metric by number, and its versions."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict

from tallymark_server.domain.errors import InvalidFilter, VersionNotFound
from tallymark_server.domain.events import Event
from tallymark_server.domain.model import Model, ModelVersion, Stage
from tallymark_server.domain.reference import numbered
from tallymark_server.registry import ListOptions
from tallymark_server.rpc import messages
from tallymark_server.web import charts, formatting, history, snippets
from tallymark_server.web.formatting import numeric
from tallymark_server.web.pages import search_box
from tallymark_server.web.pages.models import holder, metrics
from tallymark_server.web.request import PageRequest, PageResult, View

# How many numbers the charts show; the table has all.
DRAWN = 120
BY_NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Lane:
    """An exclusive stage, its holder, and the event that moved it there."""

    stage: Stage
    version: ModelVersion | None
    since: Event | None


async def page(request: PageRequest) -> PageResult:
    """Show the model."""
    model = await request.registry.model(request.project, request.model, deleted=True)
    recent = await request.registry.versions(request.project, model.name, ListOptions(page_size=DRAWN, deleted=True))
    alive = [version for version in recent.items if version.delete_time is None]
    keys = metrics(alive)
    metric = request.text("metric") or next(iter(keys), "")
    lanes = [await _lane(request, model, stage) for stage in (Stage.PRODUCTION, Stage.STAGING)]
    table = await _table(request, model, metric)
    values = [(each, value) for each in reversed(alive) if (value := numeric(each.metadata.get(metric))) is not None]
    aliases = model.holders.aliases if model.holders else {}
    facts: dict[str, Any] = {
        "title": model.name,
        "model": model,
        "lanes": lanes,
        "latest": alive[0] if alive else None,
        "aliases": aliases,
        "metric": metric,
        "metrics": keys,
        "plot": charts.plot(values),
        "snippets": snippets.for_model(request, model.name),
        "first": snippets.first_version(request, model.name)[0],
        **_drawn(model, recent.items),
        **table,
    }
    data: dict[str, object] = {
        "latest": alive[0].number if alive else None,
        "aliases": aliases,
        "metric": metric,
        "byNumber": [{"number": version.number, "value": value} for version, value in values],
    }
    return View(
        template="model.html",
        facts=facts,
        data=lambda: {**_plain(request, model, lanes, table["versions"], table["token"]), **data},
        revision=recent.revision,
        problem=table["problem"],
        status=200 if table["problem"] is None else 400,
    )


def _drawn(model: Model, recent: list[ModelVersion]) -> dict[str, Any]:
    """Return the last numbers as tally marks, and the kinds of marks to explain."""
    return {
        "tally": charts.tally({version.number: version for version in recent}, model.last_number, DRAWN),
        "gone": any(version.delete_time is not None for version in recent),
        "broken": any(version.run_state in charts.BROKEN and version.delete_time is None for version in recent),
    }


async def _lane(request: PageRequest, model: Model, stage: Stage) -> Lane:
    version = await holder(request, model, stage)
    if version is None:
        return Lane(stage, None, None)
    return Lane(stage, version, await history.entered(request.registry, request.project, version, stage))


async def _table(request: PageRequest, model: Model, metric: str) -> dict[str, Any]:
    """Return the page of versions that the query requests."""
    search, deleted = request.text("q"), request.text("deleted") == "yes"
    sort = request.text("sort") if request.text("sort") in (BY_NUMBER, "metric", "-metric") else BY_NUMBER
    problem = None
    options = ListOptions(
        page_size=request.page_size,
        page_token=request.text("page"),
        filter=search_box.versions(search),
        order_by=_order(sort, metric),
        deleted=deleted or bool(model.delete_time),
    )
    try:
        found = await request.registry.versions(request.project, model.name, options)
        token = found.next_page_token
        # The rows of later pages are as of the first page, but each row shows the current values.
        versions = await _present(request, found.items) if options.page_token else found.items
    except InvalidFilter as error:
        versions, token, problem = [], "", error
    return {
        "versions": versions,
        "values": _values(versions, metric),
        "token": token,
        "next": request.here(page=token) if token else "",
        "search": search,
        "sort": sort,
        "deleted": deleted,
        "problem": problem,
        "chosen": set(request.texts("number")),
    }


async def _present(request: PageRequest, versions: list[ModelVersion]) -> list[ModelVersion]:
    """Return the versions as they are now, without purged ones."""
    present = []
    for version in versions:
        with suppress(VersionNotFound):
            found = await request.registry.version(
                request.project, version.model, numbered(version.number), deleted=True
            )
            present.append(found)
    return present


def _values(versions: list[ModelVersion], metric: str) -> dict[int, str]:
    """Return the column of the metric, by number."""
    texts = formatting.column([version.metadata.get(metric) for version in versions])
    return {version.number: text for version, text in zip(versions, texts, strict=True)}


def _order(sort: str, metric: str) -> str:
    """Return the order of the table in the registry's language."""
    if sort == BY_NUMBER or not metric:
        return ""
    key = metric.replace("\\", "\\\\").replace('"', '\\"')
    return f'metadata."{key}"{" desc" if sort == "-metric" else ""}'


def _plain(
    request: PageRequest, model: Model, lanes: list[Lane], versions: list[ModelVersion], token: str
) -> dict[str, object]:
    return {
        "model": MessageToDict(messages.model(request.project, model)),
        "stages": {lane.stage.value: lane.version.number if lane.version else None for lane in lanes},
        "modelVersions": [MessageToDict(messages.version(request.project, version)) for version in versions],
        "nextPageToken": token,
    }
