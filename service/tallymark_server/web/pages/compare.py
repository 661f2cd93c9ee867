"""Versions of a model side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tallymark_server.domain.errors import InvalidField
from tallymark_server.domain.model import ModelVersion, Stage
from tallymark_server.domain.reference import numbered
from tallymark_server.registry import Asked
from tallymark_server.web import formats, history
from tallymark_server.web.formats import numeric
from tallymark_server.web.pages.models import holder
from tallymark_server.web.pages.version import plain, run_of
from tallymark_server.web.visits import Answer, View, Visit

MOST = 6
MOST_ARTIFACTS = 200


@dataclass(frozen=True, slots=True)
class Cell:
    """What one version has in a row, and by how much it is more than the first version's."""

    text: str | None
    change: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One thing in which versions can differ."""

    name: str
    cells: list[Cell]

    @property
    def differs(self) -> bool:
        """Whether they do."""
        return len({cell.text for cell in self.cells}) > 1


async def page(visit: Visit) -> Answer:
    """Two or more versions of the model; the first is what the others are compared with."""
    model = await visit.registry.model(visit.project, visit.model, deleted=True)
    numbers = _numbers(visit)
    versions = [
        await visit.registry.version(visit.project, model.name, numbered(number), deleted=True) for number in numbers
    ]
    only = visit.text("only") == "differences"
    sections = {
        name: [row for row in rows if row.differs or not only]
        for name, rows in (
            ("Metrics", _metrics(versions)),
            ("Parameters of the run", await _parameters(visit, versions)),
            ("Metadata", _facts(versions)),
            ("Artifacts", await _artifacts(visit, versions)),
            ("About", _about(versions)),
        )
    }
    production = await holder(visit, model, Stage.PRODUCTION)
    facts: dict[str, Any] = {
        "title": f"{model.name} {' and '.join(f'No. {number}' for number in numbers)}",
        "model": model,
        "versions": versions,
        "numbers": numbers,
        "sections": {name: rows for name, rows in sections.items() if rows},
        "only": only,
        "production": production.number if production else 0,
    }
    return View(
        template="compare.html",
        facts=facts,
        data=lambda: {"modelVersions": [plain(visit, version) for version in versions]},
        revision=await history.head(visit.registry, visit.project),
    )


def _numbers(visit: Visit) -> list[int]:
    given = [part for text in visit.texts("number") for part in text.replace(",", " ").split()]
    numbers = list(dict.fromkeys(int(text) for text in given if text.isdecimal() and len(text) < 11))
    if not 2 <= len(numbers) <= MOST or len(given) < len(numbers):
        raise InvalidField("number", " ".join(given), f"name 2 to {MOST} numbers of versions to compare")
    return numbers


def _metrics(versions: list[ModelVersion]) -> list[Row]:
    rows = []
    for key in _keys(versions):
        values = [numeric(version.metadata.get(key)) for version in versions]
        if any(value is not None for value in values):
            first = values[0]
            cells = [
                Cell(
                    None if value is None else formats.number(value),
                    None if value is None or first is None or index == 0 else value - first,
                )
                for index, value in enumerate(values)
            ]
            rows.append(Row(key, cells))
    return rows


def _facts(versions: list[ModelVersion]) -> list[Row]:
    rows = []
    for key in _keys(versions):
        values = [version.metadata.get(key) for version in versions]
        if all(numeric(value) is None for value in values):
            rows.append(Row(key, [Cell(None if value is None else formats.value(value)) for value in values]))
    return rows


async def _parameters(visit: Visit, versions: list[ModelVersion]) -> list[Row]:
    runs = [await run_of(visit, version) for version in versions]
    told = [{} if run is None else {key: formats.value(value) for key, value in run.parameters.items()} for run in runs]
    return _beside(told)


async def _artifacts(visit: Visit, versions: list[ModelVersion]) -> list[Row]:
    """What is linked by each name: the same digest is the same thing."""
    told: list[dict[str, str]] = []
    for version in versions:
        listed = await visit.registry.artifacts(visit.project, version, Asked(page_size=MOST_ARTIFACTS))
        told.append({artifact.name: artifact.digest or artifact.uri for artifact in listed.items})
    return _beside(told)


def _beside(told: list[dict[str, str]]) -> list[Row]:
    keys = sorted({key for texts in told for key in texts})
    return [Row(key, [Cell(texts.get(key)) for texts in told]) for key in keys]


def _about(versions: list[ModelVersion]) -> list[Row]:
    rows: dict[str, list[str | None]] = {
        "name": [version.name for version in versions],
        "stage": [version.stage.value for version in versions],
        "aliases": [", ".join(version.aliases) for version in versions],
        "tags": [", ".join(version.tags) for version in versions],
        "description": [version.description for version in versions],
        "created by": [version.creator for version in versions],
        "created": [formats.stamp(version.create_time) for version in versions],
        "run": [version.run for version in versions],
        "step": [version.step for version in versions],
    }
    return [Row(name, [Cell(text or None) for text in texts]) for name, texts in rows.items() if any(texts)]


def _keys(versions: list[ModelVersion]) -> list[str]:
    return sorted({key for version in versions for key in version.metadata})
