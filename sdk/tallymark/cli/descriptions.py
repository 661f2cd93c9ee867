"""Descriptions of models, versions and runs, and their layout for people."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import click

from tallymark.cli import times
from tallymark.cli.columns import compact, reference_to, short_name, started, text
from tallymark.cli.terminal import coloured, columns_of, is_coloured, printable, width_of_terminal
from tallymark.types.artifact_info import ArtifactInfo
from tallymark.types.resources import Event, Lineage, ModelInfo, ModelVersion, Run, RunStep

# The rows of a list that are shown at most; the command that shows the rest is named below it.
_MAX_ROWS = 20
_INDENT = 2
_LABEL_WIDTH = 15
Rows = Sequence[Sequence[object]]


class VersionDescription(NamedTuple):
    """A version with its run, steps, artifacts, lineage and moves between stages."""

    version: ModelVersion
    run: Run | None
    steps: list[RunStep]
    artifacts: list[ArtifactInfo]
    sources: Lineage
    results: Lineage
    moves: list[Event]


class ModelDescription(NamedTuple):
    """A model with its newest versions and moves between stages."""

    model: ModelInfo
    versions: list[ModelVersion]
    moves: list[Event]


class RunDescription(NamedTuple):
    """A run with its steps and the versions that it made and used."""

    run: Run
    steps: list[RunStep]
    made: list[ModelVersion]
    used: list[ModelVersion]


class Page:
    """Prints a description, fitted to the terminal: labels with values, and sections with rows."""

    def __init__(self) -> None:
        self._width = width_of_terminal()
        self._coloured = is_coloured()

    def label(self, name: str, value: object) -> None:
        """Print a value with its name, unless it is empty."""
        shown = _cell_text(value)
        if not shown:
            return
        indent = " " * _LABEL_WIDTH
        lines = [line for part in shown.split("\n") for line in self._wrapped(printable(part), _LABEL_WIDTH)]
        if self._coloured:
            lines = [" ".join(map(coloured, line.split(" "))) for line in lines]
        click.echo(f"{name + ':':<{_LABEL_WIDTH}}" + f"\n{indent}".join(lines), color=self._coloured)

    def section(self, title: str, rows: Rows, more: str = "") -> None:
        """Print rows below a title, aligned; nothing if there are none. `more` names the command for the rest."""
        if not rows:
            return
        click.echo(f"\n{title}")
        lines = [[printable(_cell_text(cell)) or "-" for cell in row] for row in rows[:_MAX_ROWS]]
        widths = [max(map(columns_of, cells)) for cells in zip(*lines, strict=True)]
        for line in lines:
            self._row(line, widths)
        if len(rows) > _MAX_ROWS:
            click.echo(f"{' ' * _INDENT}... more: {more}")

    def _row(self, line: list[str], widths: list[int]) -> None:
        """Print the cells in their columns, and wrap the last one."""
        *first, last = line
        start = "".join(
            (coloured(cell) if self._coloured else cell) + " " * (width - columns_of(cell) + 2)
            for cell, width in zip(first, widths, strict=False)
        )
        indent = _INDENT + sum(widths[:-1]) + 2 * len(first)
        if self._width is not None and indent > self._width // 2 and indent + columns_of(last) > self._width:
            # If there is no room beside the other columns, the last one is printed below them.
            click.echo(f"{' ' * _INDENT}{start}".rstrip(), color=self._coloured)
            indent, start = _INDENT * 3, " " * (_INDENT * 2)
        parts = self._wrapped(last, indent)
        styled = [coloured(part) if self._coloured else part for part in parts]
        click.echo(f"{' ' * _INDENT}{start}" + f"\n{' ' * indent}".join(styled), color=self._coloured)

    def _wrapped(self, line: str, indent: int) -> list[str]:
        if self._width is None or indent + columns_of(line) <= self._width:
            return [line]
        return textwrap.wrap(line, max(self._width - indent, 20)) or [""]


def _cell_text(value: object) -> str:
    match value:
        case None | "" | () | []:
            return ""
        case datetime():
            return f"{times.local(value, zone=True)} ({times.age_in_words(value)})"
        case str():
            return value
        case tuple() | list():
            return ", ".join(map(str, value))
        case Mapping():
            return compact(dict(value))
        case bool():
            return "yes" if value else "no"
        case _:
            return text(value)


def _time_and_actor(time: datetime | None, actor: str) -> str:
    return f"{_cell_text(time)} by {actor}" if time else ""


def _size(count: int) -> str:
    """Return a number of bytes with a unit."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def show(found: VersionDescription | ModelDescription | RunDescription) -> None:
    """Print the description for people."""
    match found:
        case VersionDescription():
            show_version(found)
        case ModelDescription():
            show_model(found)
        case RunDescription():
            show_run(found)


def show_version(found: VersionDescription) -> None:
    """Print everything about a version."""
    version, run, page = found.version, found.run, Page()
    page.label("Version", short_name(version))
    page.label("Name", version.name if version.name != str(version.number) else None)
    page.label("Stage", "deleted" if version.delete_time else version.stage.value)
    page.label("Aliases", version.aliases)
    page.label("Run state", version.run_state)
    page.label("Description", version.description)
    page.label("Tags", version.tags)
    page.label("Created", _time_and_actor(version.create_time, version.creator))
    page.label("Updated", version.update_time if version.update_time != version.create_time else None)
    page.label("Deleted", version.delete_time)
    page.label("ETag", version.etag)
    if version.run:
        page.label("Run", version.run)
        page.label("Step", version.step)
    _values(page, "Metadata", {key: value for key, value in version.metadata.items() if key not in version.series})
    series = sorted(version.series.items())
    page.section(
        "Metrics",
        [(key, text(version.metadata.get(key)), f"at step {step}") for key, step in series],
        f"tallymark metadata points {short_name(version)}",
    )
    _artifacts(page, found.artifacts, f"tallymark artifact list {short_name(version)}")
    if run is not None:
        _run_section(page, run)
        _steps(page, found.steps, run)
    nodes = [("from", *_node(node)) for node in found.sources.nodes if node.depth]
    nodes += [("into", *_node(node)) for node in found.results.nodes if node.depth]
    page.section("Lineage", nodes, f"tallymark lineage {short_name(version)}")
    _moves(page, found.moves, f"tallymark version history {short_name(version)}")


def show_model(found: ModelDescription) -> None:
    """Print everything about a model."""
    model, page = found.model, Page()
    page.label("Model", model.name)
    for name in ("description", "license", "audience", "use_cases", "limitations", "trade_offs", "ethics"):
        page.label(name.replace("_", " ").capitalize(), getattr(model, name))
    page.label("Tags", model.tags)
    for name in ("latest", "production", "staging"):
        number = getattr(model, f"{name}_number")
        page.label(name.capitalize(), f"{model.name}/{number}" if number else None)
    page.label("Aliases", [f"{alias} = {number}" for alias, number in sorted(model.aliases.items())])
    page.label("Last number", model.last_number)
    page.label("Created", _time_and_actor(model.create_time, model.creator))
    page.label("Updated", model.update_time if model.update_time != model.create_time else None)
    page.label("Deleted", model.delete_time)
    page.label("ETag", model.etag)
    _values(page, "Metadata", model.metadata)
    rows = [
        (
            short_name(version),
            version.name if version.name != str(version.number) else "",
            "deleted" if version.delete_time else version.stage.value,
            version.run_state,
            times.age(version.create_time),
            version.aliases,
        )
        for version in found.versions
    ]
    page.section("Newest versions", _without_empty(rows), f"tallymark version list {model.name}")
    _moves(page, found.moves, f"tallymark model history {model.name} --kind stage_changed", of_model=True)


def show_run(found: RunDescription) -> None:
    """Print everything about a run."""
    page = Page()
    page.label("Run", found.run.id)
    _run_labels(page, found.run)
    page.label("Made", [short_name(version) for version in found.made])
    page.label("Used", [short_name(version) for version in found.used])
    _values(page, "Parameters", found.run.parameters)
    _steps(page, found.steps, found.run)
    _problems(page, found.run)


def _run_section(page: Page, run: Run) -> None:
    """Print the run that made a version."""
    took = f" in {times.duration(run.end_time - started(run))}" if run.end_time else ""
    rows: list[tuple[object, object]] = [("state", f"{run.state.value}{took}")]
    for name in ("pipeline", "error", "host", "user", "commit", "command", "url"):
        rows += [(name, getattr(run, name))] if getattr(run, name) else []
    page.section("Run", rows)
    _values(page, "Parameters", run.parameters)
    _problems(page, run)


def _run_labels(page: Page, run: Run) -> None:
    page.label("State", run.state.value)
    page.label("Error", run.error)
    page.label("Pipeline", run.pipeline)
    page.label("Model version", reference_to(run.model_version))
    page.label("Started", _time_and_actor(started(run), run.creator))
    page.label("Ended", run.end_time)
    page.label("Duration", times.duration(run.end_time - started(run)) if run.end_time else None)
    for name in ("host", "user", "commit", "command", "url"):
        page.label(name.capitalize(), getattr(run, name))


def _problems(page: Page, run: Run) -> None:
    rows = [
        (each.subject, f"{each.count} times" if each.count > 1 else "once", each.problem)
        for each in run.recording_problems
    ]
    page.section("Not recorded", rows, f"tallymark run describe {run.id} -o json")


def _values(page: Page, title: str, values: Mapping[str, object]) -> None:
    page.section(title, [(key, compact(value)) for key, value in sorted(values.items())], "-o json shows all")


def _artifacts(page: Page, artifacts: list[ArtifactInfo], more: str) -> None:
    rows = [
        (short_name(each), each.role.value, each.type.value, _size(each.size) if each.size else "", each.uri)
        for each in artifacts
    ]
    page.section("Artifacts", rows, more)


def _steps(page: Page, steps: list[RunStep], run: Run) -> None:
    rows = [
        (
            step.name,
            step.state.value,
            times.duration(step.end_time - started(step)) if step.end_time else "",
            reference_to(step.model_version),
            step.error,
        )
        for step in steps
    ]
    page.section("Steps", _without_empty(rows), f"tallymark run steps {run.id}")


def _moves(page: Page, moves: list[Event], more: str, *, of_model: bool = False) -> None:
    rows = [
        [
            short_name(event.resource) if of_model else "",
            f"{event.previous_stage or 'none'} -> {getattr(event.resource, 'stage', '')}",
            times.local(event.time),
            event.actor,
            event.reason,
        ]
        for event in moves
    ]
    page.section("Stages", _without_empty(rows), more)


def _without_empty(rows: Rows) -> Rows:
    """Return the rows without the columns that are empty in all of them."""
    has_text = [any(_cell_text(cell) for cell in cells) for cells in zip(*rows, strict=True)]
    return [[cell for cell, keep in zip(row, has_text, strict=True) if keep] for row in rows]


def _node(node: Any) -> tuple[str, str]:
    kind = {"ModelVersion": "version", "Run": "run"}.get(type(node.resource).__name__, "artifact")
    return kind, node.resource.uri if isinstance(node.resource, ArtifactInfo) else short_name(node.resource)


def documents(
    found: VersionDescription | ModelDescription | RunDescription, document: Callable[[Any], Any]
) -> dict[str, Any]:
    """Return the parts of the description as messages of the contract, by name."""
    return dict(_documents(found, document))


def _documents(
    found: VersionDescription | ModelDescription | RunDescription, document: Callable[[Any], Any]
) -> Iterator[tuple[str, Any]]:
    names = {"version": "modelVersion", "versions": "modelVersions", "moves": "stageChanges"}
    for name, value in found._asdict().items():
        match value:
            case Lineage():
                shown: Any = [document(node.resource) for node in value.nodes if node.depth]
            case list():
                shown = [document(each) for each in value]
            case _:
                shown = None if value is None else document(value)
        yield names.get(name, name), shown
