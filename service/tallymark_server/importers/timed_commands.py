"""The contents of another registry as commands with their times.

A registry without history knows of each resource only the time of its creation, the time of its last change, and its
current state. So a version is created with what cannot have changed, and gets the rest at the time of its last change.
"""

from __future__ import annotations

import pickle
import tempfile
import zlib
from array import array
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NamedTuple, Self

from msgspec.structs import asdict

from tallymark_server.domain import commands as c
from tallymark_server.domain.decisions import AnyCommand
from tallymark_server.domain.metadata import MAX_POINTS
from tallymark_server.domain.model import ModelCard, RunState, Stage
from tallymark_server.domain.reference import named, numbered
from tallymark_server.importers.size_limits import fit_run, fit_version
from tallymark_server.importers.source_model import Found, FoundModel, FoundRun, FoundVersion, Report


class TimedCommand(NamedTuple):
    """A command, its time, and the number that it must give if it creates a version."""

    time: int
    command: AnyCommand
    number: int | None = None


# At the same time, runs start first and end last.
_START, _BETWEEN, _END = 0, 1, 2


class Plan:
    """The commands of an import by time, stored on disk: memory has three numbers for each."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="tallymark-import-")  # noqa: SIM115 - closed by __exit__
        self._end = 0
        self._places = array("q")
        self._times = array("q")
        self._ranks = array("b")
        self.models = self.versions = self.runs = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._times)

    def add(self, timed: TimedCommand, rank: int = _BETWEEN) -> None:
        """Add a command after the others of its time and rank."""
        data = pickle.dumps(timed, pickle.HIGHEST_PROTOCOL)
        self._file.write(data)
        self._places.append(self._end)
        self._times.append(timed.time)
        self._ranks.append(rank)
        self._end += len(data)

    def __iter__(self) -> Iterator[TimedCommand]:
        for index in sorted(range(len(self)), key=lambda index: (self._times[index], self._ranks[index])):
            self._file.seek(self._places[index])
            timed: TimedCommand = pickle.load(self._file)  # noqa: S301 - written above, into a file that only this process has
            yield timed


def plan_commands(found: Found, plan: Plan, project: str, maker: str, report: Report) -> None:
    """Read everything, a version at a time, and add the commands that recreate it to the plan."""
    planner = _Planner(project, maker, report)
    for model in found.models:
        plan.models += 1
        for timed in planner.model(model):
            plan.add(timed)
    plan.versions = planner.versions
    for run in found.runs:
        planner.add_run(run, run.start)
    for timed in planner.starts():
        plan.add(timed, _START)
        plan.runs += 1
    for timed in planner.ends():
        plan.add(timed, _END)


class _Planner:
    def __init__(self, project: str, maker: str, report: Report) -> None:
        self._project = project
        self._maker = maker
        self._reason = f"as imported from {maker}"
        self._report = report
        self._runs: dict[str, bytes] = {}
        # A run starts before the first version that it created or used, whatever the clocks said.
        self._starts: dict[str, int] = {}
        self._made: dict[tuple[str, str], int] = {}
        self.versions = 0

    def starts(self) -> Iterator[TimedCommand]:
        """Yield the starts of all runs."""
        for run in self._known():
            start = self._starts[run.id]
            if start < run.start:
                self._report.lost(f"run {run.id}", "is recorded as started with its first version: it started later")
            yield TimedCommand(
                start,
                c.StartRun(
                    **self._by(run.creator),
                    run=run.id,
                    pipeline=run.pipeline,
                    host=run.host,
                    user=run.user,
                    commit=run.commit,
                    parameters=run.parameters,
                ),
            )

    def _known(self) -> Iterator[FoundRun]:
        for data in self._runs.values():
            run: FoundRun = pickle.loads(zlib.decompress(data))  # noqa: S301 - packed below
            yield run

    def add_run(self, run: FoundRun, time: int) -> None:
        """Add a run, which has started at that time at the latest."""
        if run.id not in self._runs:
            run = fit_run(run, self._report)
            # Parameters repeat from run to run, and there may be as many runs as versions.
            self._runs[run.id] = zlib.compress(pickle.dumps(run, pickle.HIGHEST_PROTOCOL), 1)
        self._starts[run.id] = min(self._starts.get(run.id, run.start), time)

    def ends(self) -> Iterator[TimedCommand]:
        """Yield the ends of these runs."""
        for run in self._known():
            if run.state is not RunState.RUNNING:
                end = max(self._starts[run.id], run.end or run.start)
                yield TimedCommand(
                    end, c.FinishRun(**self._by(run.creator), run=run.id, state=run.state, error=run.error)
                )

    def model(self, model: FoundModel) -> Iterator[TimedCommand]:
        """Yield the commands of the model and its versions."""
        yield TimedCommand(
            model.create_time,
            c.CreateModel(**self._by(model.creator), model=model.name, card=self._first(model.card, model)),
        )
        if model.update_time > model.create_time and model.card != ModelCard():
            changes = {name: value for name, value in asdict(model.card).items() if value}
            yield TimedCommand(
                model.update_time, c.UpdateModel(**self._by(self._maker), model=model.name, changes=changes)
            )
        number, time = 0, model.create_time
        aliases = 0
        for found, time in self._times(model):
            version = fit_version(found, f"version {model.name}/{found.number}", aliases, self._report)
            aliases += len(version.aliases)
            while (number := number + 1) < version.number:
                yield from self._gap(model, number, time)
            self.versions += 1
            for run in version.used_by:
                self.add_run(run, run.start)
            if version.run is not None:
                self.add_run(version.run, time)
            yield self._created(model, version, time)
            yield from self._described(model, version, time)
            yield from self._changed(model, version, max(time, version.update_time))
        # A deleted number at the end must not be given again, either.
        while (number := number + 1) <= model.highest:
            yield from self._gap(model, number, time)

    def _first(self, card: ModelCard, model: FoundModel) -> ModelCard:
        return ModelCard() if model.update_time > model.create_time else card

    def _times(self, model: FoundModel) -> Iterator[tuple[FoundVersion, int]]:
        """Return the versions with the times of their creation, none before the previous version."""
        last = model.create_time
        for version in model.versions:
            if version.create_time < last:
                self._report.lost(
                    f"version {model.name}/{version.number}",
                    "its creation is recorded later than it was: numbers follow the order of time",
                )
            last = max(last, version.create_time)
            yield version, last

    def _gap(self, model: FoundModel, number: int, time: int) -> Iterator[TimedCommand]:
        """Yield commands for a number that exists no longer: a version is created, deleted and purged."""
        which: dict[str, Any] = {**self._by(self._maker), "model": model.name, "reference": numbered(number)}
        reason = f"not in {self._maker} any more; keeps the numbers after it as they were"
        created = c.CreateVersions(**self._by(self._maker), model=model.name, versions=(c.NewVersion(),))
        yield TimedCommand(time, created, number)
        yield TimedCommand(time, c.DeleteVersion(**which, reason=reason))
        yield TimedCommand(time, c.PurgeVersion(**which, reason=reason))

    def _created(self, model: FoundModel, version: FoundVersion, time: int) -> TimedCommand:
        by = self._by(version.creator)
        changed_since = version.update_time > time
        new = c.NewVersion(
            name=version.name,
            description="" if changed_since else version.description,
            tags=() if changed_since else version.tags,
            metadata={} if changed_since else version.metadata,
        )
        run = version.run
        if run is None or (version.name is None and not self._makes_first(run, model, version)):
            return TimedCommand(time, c.CreateVersions(**by, model=model.name, versions=(new,)), version.number)
        reference = None if version.name is None else named(version.name)
        config = c.Config(model=model.name, reference=reference, card=ModelCard(), version=new)
        return TimedCommand(time, c.EnsureVersion(**by, config=config, run=run.id), version.number)

    def _makes_first(self, run: FoundRun, model: FoundModel, version: FoundVersion) -> bool:
        first = self._made.setdefault((run.id, model.name), version.number)
        if first != version.number:
            self._report.lost(
                f"version {model.name}/{version.number}",
                f"run {run.id} made it too: a run makes one automatic version of a model, and that is {first}; it is"
                " kept in the metadata and with the artifacts",
            )
        return first == version.number

    def _described(self, model: FoundModel, version: FoundVersion, time: int) -> Iterator[TimedCommand]:
        """Yield the commands for what belongs to the version and has times of its own."""
        which: dict[str, Any] = {"model": model.name, "reference": numbered(version.number)}
        by = self._by(version.creator)
        for artifact in version.artifacts:
            link = c.LinkArtifact(
                **by,
                **which,
                name=artifact.name,
                type=artifact.type,
                uri=artifact.uri,
                role=artifact.role,
                run=version.run.id if version.run else None,
            )
            yield TimedCommand(max(time, artifact.time), link)
        for first in range(0, len(version.points), MAX_POINTS):
            points = tuple(version.points[first : first + MAX_POINTS])
            yield TimedCommand(time, c.LogMetadata(**by, **which, metadata={}, points=points))
        for facts in version.facts:
            logged = c.LogMetadata(**self._by(facts.actor), **which, metadata=facts.values)
            yield TimedCommand(max(time, facts.time), logged)
        for run in version.used_by:
            config = c.Config(
                model=model.name, reference=numbered(version.number), card=ModelCard(), version=c.NewVersion()
            )
            used = max(time, self._starts[run.id])
            yield TimedCommand(used, c.EnsureVersion(**self._by(run.creator), config=config, run=run.id))

    def _changed(self, model: FoundModel, version: FoundVersion, time: int) -> Iterator[TimedCommand]:
        """Yield the commands of the version's last change, whose actor is not known."""
        which: dict[str, Any] = {**self._by(self._maker), "model": model.name, "reference": numbered(version.number)}
        changes = {name: getattr(version, name) for name in ("description", "tags") if getattr(version, name)}
        if changes:
            yield TimedCommand(time, c.UpdateVersion(**which, changes=changes))
        if version.metadata:
            yield TimedCommand(time, c.LogMetadata(**which, metadata=version.metadata))
        if version.stage is not Stage.NONE:
            # The other registry promotes versions of any run.
            moved = c.SetStage(**which, stage=version.stage, allow_unfinished_run=True, reason=self._reason)
            yield TimedCommand(time, moved)
        for alias in version.aliases:
            yield TimedCommand(time, c.SetAlias(**which, alias=alias, reason=self._reason))

    def _by(self, actor: str) -> dict[str, Any]:
        return {"project": self._project, "actor": actor}
