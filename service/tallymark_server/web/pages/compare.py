"""Versions of a model side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict

from tallymark_server.domain.errors import InvalidField, RunNotFound
from tallymark_server.domain.model import Artifact, ModelVersion, Run, Stage
from tallymark_server.domain.reference import numbered
from tallymark_server.registry import ListOptions
from tallymark_server.rpc import messages
from tallymark_server.web import formatting, history
from tallymark_server.web.formatting import numeric
from tallymark_server.web.pages.models import holder
from tallymark_server.web.pages.version_tabs import plain
from tallymark_server.web.request import PageRequest, PageResult, View

MAX_COMPARED = 6
MAX_ARTIFACTS = 100
# Common keys of metadata with the input and output columns of a model.
SCHEMA = re.compile(r"schema|signature", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cell:
    """The value of a version in a row, and its difference to that of the first version."""

    text: str | None
    change: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the comparison."""

    name: str
    cells: list[Cell]

    @property
    def differs(self) -> bool:
        """Whether the versions differ in it."""
        return len({cell.text for cell in self.cells}) > 1


async def page(request: PageRequest) -> PageResult:
    """Show two or more versions of the model, compared with the first."""
    model = await request.registry.model(request.project, request.model, deleted=True)
    numbers = _numbers(request)
    versions = [
        await request.registry.version(request.project, model.name, numbered(number), deleted=True)
        for number in numbers
    ]
    only = request.text("only") == "differences"
    artifacts = [await _artifacts(request, version) for version in versions]
    compared = _compared(versions, artifacts, [await _run(request, version) for version in versions])
    sections = {name: [row for row in rows if row.differs or not only] for name, rows in compared.items()}
    production = await holder(request, model, Stage.PRODUCTION)
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
        data=lambda: _data(request, versions, artifacts, compared),
        revision=await history.head(request.registry, request.project),
    )


def _compared(
    versions: list[ModelVersion], artifacts: list[list[Artifact]], runs: list[Run | None]
) -> dict[str, list[Row]]:
    return {
        "Metrics": metrics(versions),
        "Schema": _facts(versions, schema=True),
        "Parameters of the run": _parameters(runs),
        "Metadata": _facts(versions, schema=False),
        "Artifacts": _linked(artifacts),
        "About": _about(versions, runs),
    }


def _data(
    request: PageRequest, versions: list[ModelVersion], artifacts: list[list[Artifact]], compared: dict[str, list[Row]]
) -> dict[str, object]:
    return {
        "modelVersions": [plain(request, version) for version in versions],
        "artifacts": [
            [MessageToDict(messages.artifact(request.project, each)) for each in linked] for linked in artifacts
        ],
        "differences": {
            name: {row.name: [cell.text for cell in row.cells] for row in rows if row.differs}
            for name, rows in compared.items()
        },
    }


def _numbers(request: PageRequest) -> list[int]:
    given = [part for text in request.texts("number") for part in text.replace(",", " ").split()]
    numbers = list(dict.fromkeys(int(text) for text in given if text.isdecimal() and len(text) < 11))
    if not 2 <= len(numbers) <= MAX_COMPARED or len(given) < len(numbers):
        raise InvalidField("number", " ".join(given), f"name 2 to {MAX_COMPARED} numbers of versions to compare")
    return numbers


def metrics(versions: Sequence[ModelVersion]) -> list[Row]:
    """Return the rows of numeric metadata, with the differences to the first version."""
    rows = []
    for key in _keys(versions):
        values = [numeric(version.metadata.get(key)) for version in versions]
        if any(value is not None for value in values):
            first = values[0]
            cells = [
                Cell(
                    _text(versions[index], key) if value is None else formatting.number(value),
                    None if value is None or first is None or index == 0 else value - first,
                )
                for index, value in enumerate(values)
            ]
            rows.append(Row(key, cells))
    return rows


def _facts(versions: list[ModelVersion], *, schema: bool) -> list[Row]:
    rows = []
    for key in _keys(versions):
        if bool(SCHEMA.search(key)) is not schema:
            continue
        if all(numeric(version.metadata.get(key)) is None for version in versions):
            rows.append(Row(key, [Cell(_text(version, key)) for version in versions]))
    return rows


def _text(version: ModelVersion, key: str) -> str | None:
    """Return the formatted fact, None if the version has none of that key."""
    return formatting.value(version.metadata[key]) if key in version.metadata else None


async def _artifacts(request: PageRequest, version: ModelVersion) -> list[Artifact]:
    return (await request.registry.artifacts(request.project, version, ListOptions(page_size=MAX_ARTIFACTS))).items


async def _run(request: PageRequest, version: ModelVersion) -> Run | None:
    with suppress(RunNotFound):
        return None if version.run is None else await request.registry.run(request.project, version.run)
    return None


def _parameters(runs: list[Run | None]) -> list[Row]:
    given = [run.parameters if run else {} for run in runs]
    keys = sorted({key for each in given for key in each})
    return [Row(key, [Cell(formatting.value(each[key]) if key in each else None) for each in given]) for key in keys]


def _linked(artifacts: list[list[Artifact]]) -> list[Row]:
    """Return the rows of the newest artifact of each name. Artifacts with the same digest are equal."""
    newest = [{each.name: each for each in linked} for linked in artifacts]
    return [
        Row(name, [Cell(_fingerprint(each[name]) if name in each else None) for each in newest])
        for name in sorted({name for each in newest for name in each})
    ]


def _fingerprint(artifact: Artifact) -> str:
    known = f"{artifact.digest[:19]}…" if len(artifact.digest) > 19 else artifact.digest or artifact.uri
    return f"{known} · {formatting.size(artifact.size)}" if artifact.size else known


def _about(versions: list[ModelVersion], runs: list[Run | None]) -> list[Row]:
    rows: dict[str, list[str | None]] = {
        "name": [version.name for version in versions],
        "stage": [version.stage.value for version in versions],
        "aliases": [", ".join(version.aliases) for version in versions],
        "tags": [", ".join(version.tags) for version in versions],
        "description": [version.description for version in versions],
        "created by": [version.creator for version in versions],
        "created": [formatting.stamp(version.create_time) for version in versions],
        "run": [version.run for version in versions],
        "run state": [version.run_state and version.run_state.value for version in versions],
        "step": [version.step for version in versions],
        "commit": [run.commit if run else None for run in runs],
    }
    return [Row(name, [Cell(text or None) for text in texts]) for name, texts in rows.items() if any(texts)]


def _keys(versions: Sequence[ModelVersion]) -> list[str]:
    return sorted({key for version in versions for key in version.metadata})
