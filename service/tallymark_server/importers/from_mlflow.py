"""Read MLflow: registered models, their versions, and the runs that created them, from any store of any release."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tallymark_server.domain import naming
from tallymark_server.domain.model import EXCLUSIVE_STAGES, ArtifactType, ModelCard, Point, RunState, Stage, Uri, Value
from tallymark_server.importers.mlflow_files import FolderSource
from tallymark_server.importers.mlflow_records import (
    Counts,
    ModelRecord,
    PointRecord,
    RunRecord,
    Source,
    Unread,
    VersionRecord,
)
from tallymark_server.importers.mlflow_rest import opened_databricks, opened_server
from tallymark_server.importers.mlflow_sql import opened_database, opened_sqlite
from tallymark_server.importers.sanitize import fit_facts, fit_name, fit_run_id, fit_tags, fit_text, share_stages
from tallymark_server.importers.source_model import (
    CannotReadError,
    Found,
    FoundArtifact,
    FoundModel,
    FoundRun,
    FoundVersion,
    MissingError,
    ObjectError,
    Report,
)

MAKER = "mlflow"
_LOGGED = "models:/m-"
_STATES = {"FINISHED": RunState.SUCCEEDED, "FAILED": RunState.FAILED, "KILLED": RunState.FAILED}
# Tags of MLflow that are fields here.
_FIELDS = {"mlflow.user", "mlflow.source.git.commit", "mlflow.note.content"}
_EXCLUSIVE = {"production": Stage.PRODUCTION, "staging": Stage.STAGING}
_DATABASES = ("postgresql", "mysql", "mssql", "oracle", "mariadb", "cockroachdb")

# Versions of one run mostly follow each other.
MAX_RECENT = 256

OnProgress = Callable[[int, int], None]


@contextmanager
def find(
    uri: str, runs: str | None, report: Report, on_progress: OnProgress, *, all_runs: bool = False
) -> Iterator[Found]:
    """Yield every registered model at the URI, with the runs that created its versions. Raises CannotReadError.

    Runs are read at `runs`, or at the URI too; with `all_runs` also those without versions. `on_progress` is called
    with how many versions are done, and how many there are.
    """
    with ExitStack() as stack:
        registry = stack.enter_context(opened(uri))
        tracking = registry if runs is None else stack.enter_context(opened(runs))
        finder = _Finder(registry, tracking, report)
        try:
            yield Found(finder.models(on_progress), finder.other_runs(all_runs=all_runs))
        except ObjectError as error:
            # The whole registry, not one object in it.
            raise CannotReadError(str(error)) from None


@contextmanager
def opened(uri: str) -> Iterator[Source]:
    """Open the store with this URI of MLflow. Raises CannotReadError."""
    given = uri.strip()
    scheme = given.partition(":")[0]
    if given in ("databricks", "databricks://") or given.startswith("databricks://"):
        yield opened_databricks(given.partition("://")[2])
    elif scheme in ("http", "https") and urlsplit(given).hostname:
        yield opened_server(given)
    elif scheme == "sqlite":
        with opened_sqlite(_sqlite_path(given)) as source:
            yield source
    elif scheme.partition("+")[0] in _DATABASES:
        with opened_database(given) as database:
            yield database
    elif scheme == "file" or "://" not in given:
        path = _path(given) if scheme == "file" else Path(given)
        if given and path.is_file():
            with opened_sqlite(path) as source:
                yield source
        elif not given or not path.is_dir():
            shown = given or "an empty text"
            raise CannotReadError(f"{shown} is no MLflow server, database, or folder with models or runs in it")
        else:
            yield FolderSource(path)
    else:
        raise CannotReadError(
            f"{given} has an unsupported URI; name a server (http://…), a database (sqlite:///…, postgresql://…,"
            " mysql://…, mssql://…), a folder or its file:// URI, or databricks"
        )


def _sqlite_path(uri: str) -> Path:
    # sqlite:///relative, sqlite:////absolute, and either with options behind a question mark.
    return Path(unquote(uri.partition("://")[2].removeprefix("/").partition("?")[0]))


def _path(uri: str) -> Path:
    parts = urlsplit(uri)
    return Path(unquote(parts.path or parts.netloc))


class _Finder:
    def __init__(self, registry: Source, tracking: Source, report: Report) -> None:
        self._registry = registry
        self._tracking = tracking
        self._report = report
        # The last runs that were read, since a run may have created versions of several models; and all requested ids.
        self._recent: OrderedDict[str, tuple[FoundRun, list[Point]] | str] = OrderedDict()
        self._asked: set[str] = set()
        self._read: Counter[str] = Counter()

    def models(self, on_progress: OnProgress) -> Iterator[FoundModel]:
        """Yield the models by name, each with its versions. At the end, compare with the counts of the store."""
        counts, taken = self._registry.counts(), set[str]()
        done = 0
        for record in self._registry.models():
            if isinstance(record, Unread):
                self._report.cannot_read(record.where, record.why)
                self._read["models"] += 1
                continue
            records = self._records(record)
            self._read["prompts" if record.is_prompt else "models"] += 1
            self._read["of prompts" if record.is_prompt else "versions"] += len(records)
            if not record.is_prompt:
                yield self._model(record, records, taken)
            on_progress(done := done + len(records), counts.versions or done)
        self._compare(counts)

    def _records(self, model: ModelRecord) -> list[VersionRecord]:
        records = []
        for version in self._registry.versions(model):
            if isinstance(version, Unread):
                self._report.cannot_read(version.where, version.why)
                self._read["unread versions"] += 1
            else:
                records.append(version)
        return records

    def _compare(self, counts: Counts) -> None:
        """Raise CannotReadError unless everything that the store counts was read or reported as unreadable."""
        read = self._read
        models, versions = read["models"] + read["prompts"], read["versions"] + read["unread versions"]
        if models != counts.models:
            raise CannotReadError(f"MLflow counts {counts.models:,} models, and {models:,} were read")
        # Whether servers count the versions of prompts depends on their release.
        if counts.versions not in (None, versions, versions + read["of prompts"]):
            if not any(line.startswith("model ") for line in self._report.unread):
                raise CannotReadError(f"MLflow counts {counts.versions:,} versions, and {versions:,} were read")
            beside = (counts.versions or 0) - versions
            self._report.cannot_read("versions", f"{beside:,} belong to models that cannot be read")

    def _report_what_stays(self) -> None:
        if prompts := self._read["prompts"]:
            self._report.lost("prompts", f"{prompts} are not imported: they are no models")
        if self._read["runs"]:
            self._report.stays("of the runs: their artifacts, inputs and traces")
        for limit in dict.fromkeys(self._registry.limits):
            self._report.stays(limit)

    def _model(self, record: ModelRecord, versions: list[VersionRecord], taken: set[str]) -> FoundModel:
        where = f"model {record.name}"
        name = fit_name(record.name, naming.model_name, taken, self._report, where)
        taken.add(name)
        tags, metadata = self._tags(record.tags, where, ())
        card = ModelCard(
            description=fit_text(record.description, self._report, f"{where}: its description"),
            tags=tags,
            metadata=metadata,
        )
        places = self._places(name, record, versions)
        found = (self._version(record.name, version, *places[version.number]) for version in versions)
        first = next(found, None)
        return FoundModel(
            name=name,
            card=card,
            creator=first.creator if first else MAKER,
            create_time=record.created,
            update_time=record.updated,
            versions=chain((first,) if first else (), found),
            highest=record.highest,
        )

    def _places(
        self, name: str, record: ModelRecord, versions: Sequence[VersionRecord]
    ) -> dict[int, tuple[Stage, tuple[str, ...]]]:
        """Return the stage and the aliases of each version, with one version in production and one in staging."""
        aliases = self._aliases(record, versions)
        stages = {
            version.number: self._stage(version.stage, f"version {record.name}/{version.number}")
            for version in versions
        }
        share_stages(name, stages, {version.number: version.updated for version in versions}, self._report)
        for word, stage in _EXCLUSIVE.items():
            number = next((number for number, words in aliases.items() if word in words), None)
            if number is None:
                continue
            aliases[number].remove(word)
            holder = next((other for other, held in stages.items() if held is stage), None)
            if holder is None and stages[number] not in EXCLUSIVE_STAGES:
                # Here this word is a stage.
                stages[number] = stage
            elif holder != number:
                where = f"model {record.name}"
                aliases[number].append(
                    fit_name(word, naming.version_name, aliases[number], self._report, where, "alias")
                )
        return {version.number: (stages[version.number], tuple(aliases[version.number])) for version in versions}

    def _aliases(self, record: ModelRecord, versions: Sequence[VersionRecord]) -> dict[int, list[str]]:
        where = f"model {record.name}"
        aliases: dict[int, list[str]] = {version.number: [] for version in versions}
        taken: set[str] = set()
        for alias, number in sorted(record.aliases.items()):
            if number not in aliases:
                self._report.lost(where, f"its alias {alias!r} points at version {number}, which is not there")
                continue
            exclusive = alias in _EXCLUSIVE
            name = alias if exclusive else fit_name(alias, naming.version_name, taken, self._report, where, "alias")
            taken.add(name)
            aliases[number].append(name)
        return aliases

    def _version(self, model: str, record: VersionRecord, stage: Stage, aliases: tuple[str, ...]) -> FoundVersion:
        where = f"version {model}/{record.number}"
        run, points = (record.run_id and self._run(record.run_id, where)) or (None, [])
        measured = {point.key for point in points}
        location, metrics, facts = self._logged(record, where)
        points = [*points, *self._points(metrics, where, without=measured)]
        tags, metadata = self._tags({**facts, **record.tags}, where, {point.key for point in points})
        more: dict[str, Value] = {"mlflow.source": Uri(record.source)} if record.source else {}
        more |= {"mlflow.run_id": record.run_id} if record.run_id else {}
        if record.status != "READY":
            more["mlflow.status"] = f"{record.status} {record.status_message}".strip()
        metadata |= fit_facts(more, self._report, where, metadata)
        return FoundVersion(
            number=record.number,
            stage=stage,
            aliases=aliases,
            description=fit_text(record.description, self._report, f"{where}: its description"),
            tags=tags,
            metadata=metadata,
            points=points,
            artifacts=self._artifacts(record.location or location or record.source, where, record.created),
            run=run,
            creator=self._actor(record.user or (run.creator if run else MAKER), where),
            create_time=record.created,
            update_time=record.updated,
        )

    def _actor(self, name: str, where: str) -> str:
        try:
            return naming.plain_label(name, "user")
        except Exception as error:  # noqa: BLE001 - whatever the rule says of a name of theirs is a line
            self._report.lost(where, f"its user {name[:80]!r} cannot be one here: {error}")
            return MAKER

    def _logged(self, record: VersionRecord, where: str) -> tuple[str, Sequence[PointRecord], dict[str, str]]:
        """Return location, metrics and facts of the logged model of the version, which exists since MLflow 3."""
        if not record.source.startswith(_LOGGED):
            return "", [], {}
        logged = record.source.removeprefix("models:/")
        try:
            model = self._tracking.logged_model(logged)
        except ObjectError as error:
            self._report.lost(where, f"its logged model {logged}: {error}; its metrics and parameters are not known")
            return "", [], {}
        given = {key: value for key, value in model.tags.items() if not key.startswith("mlflow.")}
        return model.location, model.points, {**given, **model.parameters}

    def _artifacts(self, uri: str, where: str, time: int) -> list[FoundArtifact]:
        if not uri:
            self._report.lost(where, "has no place where its model is")
            return []
        return [FoundArtifact(name="model", type=ArtifactType.MODEL, uri=uri, time=time)]

    def _stage(self, name: str, where: str) -> Stage:
        try:
            return Stage((name or "none").lower())
        except ValueError:
            self._report.lost(where, f"stage {name!r} is unknown here")
            return Stage.NONE

    def _tags(
        self, tags: Mapping[str, str], where: str, metrics: Collection[str]
    ) -> tuple[tuple[str, ...], dict[str, Value]]:
        """Return tags without a value as labels, and those with one as metadata."""
        labels = [key for key, value in tags.items() if not value]
        facts: dict[str, Value] = {
            f"tag.{key}" if key in metrics else key: value for key, value in tags.items() if value
        }
        return fit_tags(labels, self._report, where), fit_facts(facts, self._report, where)

    def _run(self, run_id: str, where: str) -> tuple[FoundRun, list[Point]] | None:
        read = self._recent.get(run_id)
        if read is None:
            read = self._recent[run_id] = self._read_or_why(run_id)
            self._asked.add(run_id)
            if len(self._recent) > MAX_RECENT:
                self._recent.popitem(last=False)
        if isinstance(read, str):
            self._report.lost(where, f"{read}; its metrics and parameters are not known")
            return None
        return read

    def _read_or_why(self, run_id: str) -> tuple[FoundRun, list[Point]] | str:
        try:
            found = self._read_run(self._tracking.run(run_id))
        except MissingError:
            return f"its run {run_id} is not there"
        except ObjectError as error:
            return f"its run {run_id} cannot be read: {error}"
        self._read["runs"] += 1
        return found

    def other_runs(self, *, all_runs: bool) -> Iterator[FoundRun]:
        """Yield the runs without versions, or report their number; then report what cannot be imported."""
        others = 0
        for run_id in self._tracking.run_ids():
            if run_id in self._asked:
                continue
            others += 1
            if all_runs and (run := self._other_run(run_id)) is not None:
                yield run
        if others and not all_runs:
            self._report.stays(f"{others:,} runs that made no version; --all-runs imports them too")
        self._report_what_stays()

    def _other_run(self, run_id: str) -> FoundRun | None:
        where, read = f"run {run_id}", self._read_or_why(run_id)
        if isinstance(read, str):
            self._report.lost(where, read.removeprefix(f"its run {run_id} "))
            return None
        run, points = read
        if points:
            # Series belong to versions here, so a run without versions keeps only the last value of each.
            in_order = sorted(points, key=lambda point: (point.step, point.time))
            last: dict[str, Value] = {f"metric.{point.key}": point.value for point in in_order}
            run.parameters |= fit_facts(last, self._report, where, run.parameters)
            self._report.lost(
                where, f"of its {len(points):,} points of metrics, the last of each is kept, as a parameter"
            )
        return run

    def _read_run(self, record: RunRecord) -> tuple[FoundRun, list[Point]]:
        where = f"run {record.id}"
        state = _STATES.get(record.state, RunState.RUNNING)
        parameters: dict[str, Value] = {**record.parameters}
        parameters |= {key: value for key, value in record.tags.items() if key not in _FIELDS and value}
        if record.name:
            parameters.setdefault("mlflow.runName", record.name)
        found = FoundRun(
            id=fit_run_id(record.id),
            pipeline=fit_text(record.experiment, self._report, f"{where}: the name of its experiment"),
            state=state,
            error="it was killed" if record.state == "KILLED" else "",
            user=fit_text(record.user or record.tags.get("mlflow.user", ""), self._report, f"{where}: its user"),
            commit=fit_text(record.tags.get("mlflow.source.git.commit", ""), self._report, f"{where}: its commit"),
            parameters=fit_facts(parameters, self._report, where),
            creator=self._actor(record.user or MAKER, where),
            start=record.start,
            end=record.end,
        )
        return found, self._points(record.points, where)

    def _points(self, metrics: Sequence[PointRecord], where: str, without: Collection[str] = ()) -> list[Point]:
        """Return points by metric and step; of several at one step, the last."""
        by_step: dict[tuple[str, int], Point] = {}
        fitting: dict[str, bool] = {}
        for metric in sorted(metrics, key=lambda one: (one.time, one.step)):
            if metric.key in without:
                continue
            if metric.step < 0:
                self._report.lost(where, f"metric {metric.key!r} has points at steps before 0, which are left out")
                continue
            if metric.key not in fitting:
                fitting[metric.key] = bool(fit_facts({metric.key: math.nan}, self._report, where))
            if not fitting[metric.key]:
                continue
            place = (metric.key, metric.step)
            if place in by_step and by_step[place].value != metric.value:
                self._report.lost(where, f"metric {metric.key!r} has several points at one step: the last is kept")
            by_step[place] = Point(metric.key, metric.step, metric.value, metric.time)
        return [by_step[place] for place in sorted(by_step)]
