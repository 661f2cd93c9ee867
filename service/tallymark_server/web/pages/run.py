"""The page of a run: its state, parameters and steps, and what it created and used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from google.protobuf.json_format import MessageToDict

from tallymark_server.domain.model import Artifact, ArtifactRole, ModelVersion, Run
from tallymark_server.registry import Direction, ListOptions
from tallymark_server.rpc import messages
from tallymark_server.web import charts, history, snippets
from tallymark_server.web.pages.search_box import quoted
from tallymark_server.web.request import PageRequest, PageResult, View

MAX_STEPS = 200
MAX_VERSIONS = 50
MAX_ARTIFACTS = 100


class Work(NamedTuple):
    """What a run created or used: versions and linked artifacts. `more` counts versions that are not shown."""

    versions: list[ModelVersion]
    artifacts: list[Artifact]
    more: int


async def page(request: PageRequest) -> PageResult:
    """Show the run."""
    run = await request.registry.run(request.project, request.run)
    steps = await request.registry.steps(request.project, run.id, MAX_STEPS, "")
    made, used = await _work(request, run)
    facts: dict[str, Any] = {
        "title": f"Run {run.id}",
        "run": run,
        "steps": charts.spans(run, steps.items, request.now),
        "more_steps": bool(steps.next_page_token),
        "work": {"made": made, "used": used},
        "snippets": snippets.for_run(request, run.id),
    }
    return View(
        template="run.html",
        facts=facts,
        data=lambda: {
            "run": MessageToDict(messages.run(request.project, run)),
            "steps": [MessageToDict(messages.step(request.project, step)) for step in steps.items],
            "made": _plain(request, made),
            "used": _plain(request, used),
        },
        revision=await history.head(request.registry, request.project),
    )


async def _work(request: PageRequest, run: Run) -> tuple[Work, Work]:
    found, _ = await request.registry.lineage(request.project, run, Direction.BOTH, 1)
    resources, this = {node.key: node.resource for node in found.nodes}, ("run", run.id, 0)
    made = _versions(resources[edge.target] for edge in found.edges if edge.source == this)
    used = _versions(resources[edge.source] for edge in found.edges if edge.target == this)
    options = ListOptions(page_size=MAX_ARTIFACTS, filter=f"run = {quoted(run.id)}")
    linked: list[Artifact] = []
    for version in [*made, *used][:MAX_VERSIONS]:
        linked += (await request.registry.artifacts(request.project, version, options)).items
    return (
        Work(made[:MAX_VERSIONS], _of(linked, ArtifactRole.MADE), max(0, len(made) - MAX_VERSIONS)),
        Work(used[:MAX_VERSIONS], _of(linked, ArtifactRole.USED), max(0, len(used) - MAX_VERSIONS)),
    )


def _versions(resources: Iterable[object]) -> list[ModelVersion]:
    versions = [each for each in resources if isinstance(each, ModelVersion)]
    return sorted(versions, key=lambda version: (version.model, version.number))


def _of(linked: list[Artifact], role: ArtifactRole) -> list[Artifact]:
    return [artifact for artifact in linked if artifact.role is role][:MAX_ARTIFACTS]


def _plain(request: PageRequest, work: Work) -> dict[str, object]:
    return {
        "modelVersions": [MessageToDict(messages.version(request.project, version)) for version in work.versions],
        "artifacts": [MessageToDict(messages.artifact(request.project, artifact)) for artifact in work.artifacts],
    }
