"""A run: how it went, with which parameters and in which steps, and what it made and used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from google.protobuf.json_format import MessageToDict

from tallymark_server.domain.model import Artifact, ArtifactRole, ModelVersion, Run
from tallymark_server.registry import Asked
from tallymark_server.rpc import messages
from tallymark_server.web import charts, history, snippets
from tallymark_server.web.pages.search_box import quoted
from tallymark_server.web.request import Answer, View, Visit

MOST_STEPS = 200
MOST_VERSIONS = 50
MOST_ARTIFACTS = 100


class Work(NamedTuple):
    """What a run made, or what it used: versions, and artifacts that it linked to versions; `more` versions beside."""

    versions: list[ModelVersion]
    artifacts: list[Artifact]
    more: int


async def page(visit: Visit) -> Answer:
    """Show the run."""
    run = await visit.registry.run(visit.project, visit.run)
    steps = await visit.registry.steps(visit.project, run.id, MOST_STEPS, "")
    made, used = await _work(visit, run)
    facts: dict[str, Any] = {
        "title": f"Run {run.id}",
        "run": run,
        "steps": charts.spans(run, steps.items, visit.now),
        "more_steps": bool(steps.next_page_token),
        "work": {"made": made, "used": used},
        "snippets": snippets.for_run(visit, run.id),
    }
    return View(
        template="run.html",
        facts=facts,
        data=lambda: {
            "run": MessageToDict(messages.run(visit.project, run)),
            "steps": [MessageToDict(messages.step(visit.project, step)) for step in steps.items],
            "made": _plain(visit, made),
            "used": _plain(visit, used),
        },
        revision=await history.head(visit.registry, visit.project),
    )


async def _work(visit: Visit, run: Run) -> tuple[Work, Work]:
    found, _ = await visit.registry.lineage(visit.project, run, frozenset({False, True}), 1)
    resources, this = {node.key: node.resource for node in found.nodes}, ("run", run.id, 0)
    made = _versions(resources[edge.target] for edge in found.edges if edge.source == this)
    used = _versions(resources[edge.source] for edge in found.edges if edge.target == this)
    asked = Asked(page_size=MOST_ARTIFACTS, filter=f"run = {quoted(run.id)}")
    linked: list[Artifact] = []
    for version in [*made, *used][:MOST_VERSIONS]:
        linked += (await visit.registry.artifacts(visit.project, version, asked)).items
    return (
        Work(made[:MOST_VERSIONS], _of(linked, ArtifactRole.MADE), max(0, len(made) - MOST_VERSIONS)),
        Work(used[:MOST_VERSIONS], _of(linked, ArtifactRole.USED), max(0, len(used) - MOST_VERSIONS)),
    )


def _versions(resources: Iterable[object]) -> list[ModelVersion]:
    versions = [each for each in resources if isinstance(each, ModelVersion)]
    return sorted(versions, key=lambda version: (version.model, version.number))


def _of(linked: list[Artifact], role: ArtifactRole) -> list[Artifact]:
    return [artifact for artifact in linked if artifact.role is role][:MOST_ARTIFACTS]


def _plain(visit: Visit, work: Work) -> dict[str, object]:
    return {
        "modelVersions": [MessageToDict(messages.version(visit.project, version)) for version in work.versions],
        "artifacts": [MessageToDict(messages.artifact(visit.project, artifact)) for artifact in work.artifacts],
    }
