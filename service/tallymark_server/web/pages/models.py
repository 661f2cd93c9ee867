"""The page of all models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict

from tallymark_server.domain import naming
from tallymark_server.domain.errors import InvalidField, InvalidFilter, ModelNotFound, RunNotFound, StageEmpty
from tallymark_server.domain.model import Model, ModelVersion, Stage
from tallymark_server.domain.reference import in_stage
from tallymark_server.registry import Listing, ListOptions
from tallymark_server.rpc import messages
from tallymark_server.web import charts, snippets
from tallymark_server.web.formatting import numeric
from tallymark_server.web.pages import projects, search_box
from tallymark_server.web.request import PageRequest, PageResult, Redirect, View

RECENT = 20
SORTS = {
    "name": "name",
    "versions": "most versions",
    "newest": "newest first",
}
ORDERS = {"versions": "last_number desc", "newest": "create_time desc"}


@dataclass(frozen=True, slots=True)
class Row:
    """A model with its versions in stages and its latest version."""

    model: Model
    latest: ModelVersion | None
    production: ModelVersion | None
    staging: ModelVersion | None
    tally: list[list[charts.Stroke]]
    metric: str
    value: float | None
    spark: str

    @property
    def changed(self) -> int:
        """When the model or its latest version last changed."""
        return max(self.model.update_time, self.latest.update_time if self.latest else 0)


async def page(request: PageRequest) -> PageResult:
    """Show the models by name, or in another order."""
    search, sort = request.text("q"), request.text("sort")
    sort = sort if sort in SORTS else "name"
    deleted = request.text("deleted") == "yes"
    problem = None
    try:
        found = await _listed(request, search_box.models(search), sort, deleted=deleted)
    except InvalidFilter as error:
        found, problem = Listing([], "", 0), error
    token = found.next_page_token
    # The rows of later pages are as of the first page, but each row shows the current values.
    rows = [await _row(request, model) for model in await _present(request, found.items)]
    shelf = await _shelf(request)
    facts = {
        "title": "Models",
        **shelf,
        "rows": rows,
        "search": search,
        "sort": sort,
        "sorts": SORTS,
        "deleted": deleted,
        "next": request.here(page=token) if token else "",
        "problem": problem,
        "snippets": snippets.first_version(request),
        "bare": not (rows or search or request.text("page") or deleted),
    }
    return View(
        template="models.html",
        facts=facts,
        data=lambda: {
            "models": [_plain(request, row) for row in rows],
            "nextPageToken": token,
            "revision": str(found.revision),
            **_plain_shelf(shelf["shelf"]),
        },
        revision=found.revision,
        problem=problem,
        status=200 if problem is None else 400,
    )


async def _shelf(request: PageRequest) -> dict[str, Any]:
    """Return the projects for the start page, and whether there are more; none if there is only one."""
    if request.to.root or request.http.query_params:
        return {"shelf": [], "more_projects": False}
    found, token = await projects.rows(request, projects.ON_START_PAGE, "")
    return {"shelf": found if len(found) > 1 else [], "more_projects": bool(token)}


def _plain_shelf(shelf: list[projects.Row]) -> dict[str, object]:
    return {"projects": [projects.plain(row) for row in shelf]} if shelf else {}


async def go(request: PageRequest) -> PageResult:
    """Redirect from the search field to the version or run that is meant, or to the models found."""
    search = request.text("q")
    if (found := search_box.short(search)) is not None:
        name, reference = found
        version = await request.registry.version(request.project, name, reference, deleted=True)
        return Redirect(request.to.version(version.model, version.number))
    if (run := await _run(request, search)) is not None:
        return Redirect(request.to.run(run))
    return Redirect(request.to.models(q=search))


async def _run(request: PageRequest, search: str) -> str | None:
    """Return the id of the run that is meant: by its whole id, or by a unique prefix.

    A model of that name takes precedence, and any model that the search finds takes precedence over a prefix.
    """
    try:
        # Pages show only the beginning of long ids.
        meant = naming.run_id(search.rstrip("…"), "q")
        await request.registry.run(request.project, meant)
    except InvalidField:
        return None
    except RunNotFound:
        return await _run_beginning(request, meant)
    try:
        await request.registry.model(request.project, meant, deleted=True)
    except ModelNotFound:
        return meant
    return None


async def _run_beginning(request: PageRequest, beginning: str) -> str | None:
    """Return the id of the only run with that prefix, if the search finds no model."""
    try:
        models = await request.registry.models(
            request.project, ListOptions(page_size=1, filter=search_box.models(beginning))
        )
    except InvalidFilter:
        return None
    if models.items:
        return None
    options = ListOptions(page_size=2, filter=f"run = {search_box.quoted(f'{beginning}*')}")
    runs = (await request.registry.runs(request.project, options)).items
    return runs[0].id if len(runs) == 1 else None


async def _listed(request: PageRequest, filter_text: str, sort: str, *, deleted: bool) -> Listing[Model]:
    options = ListOptions(
        page_size=request.page_size,
        page_token=request.text("page"),
        filter=filter_text,
        order_by=ORDERS.get(sort, ""),
        deleted=deleted,
    )
    return await request.registry.models(request.project, options)


async def _present(request: PageRequest, models: list[Model]) -> list[Model]:
    """Return the models as they are now, without purged ones."""
    if not request.text("page"):
        return models
    present = []
    for model in models:
        with suppress(ModelNotFound):
            present.append(await request.registry.model(request.project, model.name, deleted=True))
    return present


async def _row(request: PageRequest, model: Model) -> Row:
    found = await request.registry.versions(request.project, model.name, ListOptions(page_size=RECENT, deleted=True))
    alive = [version for version in found.items if version.delete_time is None]
    metric = main_metric(alive)
    values = [value for each in reversed(alive) if (value := numeric(each.metadata.get(metric))) is not None]
    return Row(
        model,
        alive[0] if alive else None,
        await _held(request, model, Stage.PRODUCTION),
        await _held(request, model, Stage.STAGING),
        charts.tally({version.number: version for version in found.items}, model.last_number, RECENT - 5),
        metric,
        values[-1] if values else None,
        charts.spark(values),
    )


async def _held(request: PageRequest, model: Model, stage: Stage) -> ModelVersion | None:
    """Return the version in that stage, which is read only if the model's holders have one."""
    held = model.holders is None or getattr(model.holders, stage.value)
    return await holder(request, model, stage) if held else None


async def holder(request: PageRequest, model: Model, stage: Stage) -> ModelVersion | None:
    """Return the version in that stage, None if there is none."""
    with suppress(StageEmpty):
        return await request.registry.version(
            request.project, model.name, in_stage(stage), deleted=model.delete_time is not None
        )
    return None


def metrics(versions: Iterable[ModelVersion]) -> list[str]:
    """Return the keys of numeric metadata of these versions, the most frequent first."""
    counted = Counter(
        key for version in versions for key, value in version.metadata.items() if numeric(value) is not None
    )
    return sorted(counted, key=lambda key: (-counted[key], key))


def main_metric(versions: Iterable[ModelVersion]) -> str:
    """Return the key of the main metric of these versions, empty if they have none."""
    return next(iter(metrics(versions)), "")


def _plain(request: PageRequest, row: Row) -> dict[str, object]:
    found: dict[str, object] = MessageToDict(messages.model(request.project, row.model))
    for stage, version in (("latest", row.latest), ("production", row.production), ("staging", row.staging)):
        found[stage] = version.number if version else None
    return found
