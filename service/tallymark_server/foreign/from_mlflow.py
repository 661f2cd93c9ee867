"""Finds in MLflow: registered models, their versions, and the runs that made them, by MLflow's own client."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from tallymark_server.domain import naming
from tallymark_server.domain.model import ArtifactType, ModelCard, Point, RunState, Stage, Uri, Value
from tallymark_server.foreign.fitting import fit_facts, fit_name, fit_run_id, fit_tags, fit_text, share_stages
from tallymark_server.foreign.found import (
    CannotReadError,
    FoundArtifact,
    FoundModel,
    FoundRun,
    FoundVersion,
    Report,
)
from tallymark_server.foreign.opened import copied

MAKER = "mlflow"
_TABLES = ("alembic_version", "model_versions", "registered_models")
_LOGGED = "models:/m-"
_PROMPTS = "tag.`mlflow.prompt.is_prompt` = 'true'"
# Registries that MLflow knows by a word alone.
_WORDS = {"databricks", "databricks-uc", "uc"}
# A server that is not there is told in seconds, not in minutes; a folder may be read; and nobody is told of the import.
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ALLOW_FILE_STORE": "true",
}
_STATES = {"FINISHED": RunState.SUCCEEDED, "FAILED": RunState.FAILED, "KILLED": RunState.FAILED}
# Tags by which MLflow tells what is a field here.
_FIELDS = {"mlflow.user", "mlflow.source.git.commit", "mlflow.note.content"}


def find(uri: str, runs: str | None, report: Report, tell: Callable[[int, int], None]) -> list[FoundModel]:
    """Every registered model at the URI; runs are asked for at `runs`, or there too. CannotReadError.

    `tell` is called with how many versions are done, and how many there are.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    with ExitStack() as stack:
        registry = stack.enter_context(_readable(uri))
        tracking = stack.enter_context(_readable(runs)) if runs else registry
        # Stages are deprecated there, and here they are read.
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        try:
            mlflow = import_module("mlflow")
            if "sqlite" in (registry.partition(":")[0], tracking.partition(":")[0]):
                for name in ("sqlalchemy", "alembic"):
                    import_module(name)
            # What the client was told is not told to all of its parts, and these would make a database where they are.
            mlflow.set_tracking_uri(tracking)
            client = mlflow.MlflowClient(tracking_uri=tracking, registry_uri=registry)
            return _Finder(client, mlflow.exceptions.MlflowException, report).models(tell)
        except ImportError as error:
            # MLflow's client for servers is light, and needs more for what lies in a database.
            what = "'tallymark[mlflow]'" if error.name == "mlflow" else f"mlflow {error.name}"
            raise CannotReadError(f"this needs {error.name}, which is not installed: pip install {what}") from None
        except Exception as error:
            if not _is_theirs(error):
                raise
            raise CannotReadError(f"cannot read {uri}: {str(error).strip().splitlines()[0]}") from None


def _is_theirs(error: Exception) -> bool:
    """Whether the error comes from MLflow, or from what MLflow is made of."""
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in {"mlflow", "sqlalchemy", "yaml"}


@contextmanager
def _readable(uri: str) -> Iterator[str]:
    """The URI, or that of a copy: MLflow makes what is not there, and makes its tables in any database."""
    scheme, _, rest = uri.rpartition("://")
    if scheme == "sqlite" or (not scheme and Path(uri).is_file()):
        with copied(Path(rest.removeprefix("/") if scheme else uri), _TABLES, "a database of MLflow") as copy:
            yield f"sqlite:///{copy}"
    elif scheme in ("", "file") and uri not in _WORDS and not Path(rest, "models").is_dir():
        raise CannotReadError(f"{uri or 'an empty text'} is no MLflow server, database, or folder with models in it")
    else:
        yield uri


def _pages(ask: Callable[..., Any], **asked: Any) -> Iterator[Any]:
    token = None
    while True:
        page = ask(page_token=token, **asked)
        yield from page
        if not (token := page.token):
            return


class _Finder:
    def __init__(self, client: Any, missing: type[Exception], report: Report) -> None:
        self._client = client
        self._missing = missing
        self._report = report
        self._runs: dict[str, tuple[FoundRun, list[Point]] | None] = {}
        self._experiments: dict[str, str] = {}

    def models(self, tell: Callable[[int, int], None]) -> list[FoundModel]:
        listed = [(model, self._versions(model.name)) for model in _pages(self._client.search_registered_models)]
        count, done = sum(len(versions) for _, versions in listed), 0
        taken: set[str] = set()
        models = []
        for model, versions in listed:
            found = self._model(model, taken)
            aliases = self._aliases(model)
            for version in versions:
                found.versions.append(self._version(version, aliases.get(int(version.version), [])))
                tell(done := done + 1, count)
            found.creator = next((version.creator for version in found.versions), MAKER)
            share_stages(found.name, found.versions, self._report)
            models.append(found)
        self._tell_what_stays()
        return models

    def _tell_what_stays(self) -> None:
        if prompts := len(list(_pages(self._client.search_registered_models, filter_string=_PROMPTS))):
            self._report.lost("prompts", f"{prompts} are not imported: they are no models")
        if self._runs:
            self._report.stays("of the runs: their artifacts, inputs and traces")

    def _model(self, model: Any, taken: set[str]) -> FoundModel:
        where = f"model {model.name}"
        name = fit_name(model.name, naming.model_name, taken, self._report, where)
        taken.add(name)
        tags, metadata = self._tags(model.tags, where, ())
        card = ModelCard(
            description=fit_text(model.description or "", self._report, f"{where}: its description"),
            tags=tags,
            metadata=metadata,
        )
        created = _micros(model.creation_timestamp)
        return FoundModel(
            name=name,
            card=card,
            creator=MAKER,
            create_time=created,
            update_time=max(created, _micros(model.last_updated_timestamp)),
        )

    def _aliases(self, model: Any) -> dict[int, list[str]]:
        where = f"model {model.name}"
        aliases: dict[int, list[str]] = {}
        for alias, number in sorted(model.aliases.items()):
            known = [one for ones in aliases.values() for one in ones]
            fitting = fit_name(alias, naming.version_name, known, self._report, where, "alias")
            aliases.setdefault(int(number), []).append(fitting)
        return aliases

    def _versions(self, model: str) -> list[Any]:
        """The versions in the order of their numbers."""
        # There is no escape in MLflow's filters: what has both quotes cannot be asked for.
        quote = next((quote for quote in "'\"" if quote not in model), None)
        asked = {"filter_string": f"name={quote}{model}{quote}"} if quote else {}
        found = [one for one in _pages(self._client.search_model_versions, **asked) if one.name == model]
        return sorted(found, key=lambda version: int(version.version))

    def _version(self, version: Any, aliases: Sequence[str]) -> FoundVersion:
        where = f"version {version.name}/{version.version}"
        run, points = (version.run_id and self._run(version.run_id, where)) or (None, [])
        measured = {point.key for point in points}
        metrics, facts = self._logged(version, where)
        points = [*points, *self._points(metrics, where, without=measured)]
        tags, metadata = self._tags({**facts, **version.tags}, where, {point.key for point in points})
        more: dict[str, Value] = {"mlflow.source": Uri(version.source)} if version.source else {}
        more |= {"mlflow.run_id": version.run_id} if version.run_id else {}
        if version.status != "READY":
            more["mlflow.status"] = f"{version.status} {version.status_message or ''}".strip()
        metadata |= fit_facts(more, self._report, where, metadata)
        created = _micros(version.creation_timestamp)
        return FoundVersion(
            number=int(version.version),
            stage=self._stage(version.current_stage, where),
            aliases=tuple(aliases),
            description=fit_text(version.description or "", self._report, f"{where}: its description"),
            tags=tags,
            metadata=metadata,
            points=points,
            artifacts=self._artifacts(version, where, created),
            run=run,
            creator=version.user_id or (run.creator if run else MAKER),
            create_time=created,
            update_time=max(created, _micros(version.last_updated_timestamp)),
        )

    def _logged(self, version: Any, where: str) -> tuple[Sequence[Any], dict[str, str]]:
        """Metrics and facts of the logged model from which the version was made; since MLflow 3 there are such."""
        source = version.source or ""
        if not source.startswith(_LOGGED):
            return [], {}
        logged = source.removeprefix("models:/")
        try:
            model = self._client.get_logged_model(logged)
        except self._missing:
            self._report.lost(
                where, f"its logged model {logged} is not there; its metrics and parameters are not known"
            )
            return [], {}
        told = {key: value for key, value in model.tags.items() if not key.startswith("mlflow.")}
        return model.metrics or [], {**told, **model.params}

    def _artifacts(self, version: Any, where: str, time: int) -> list[FoundArtifact]:
        try:
            uri = self._client.get_model_version_download_uri(version.name, version.version)
        except self._missing:
            uri = version.source
        if not uri:
            self._report.lost(where, "has no place where its model is")
            return []
        return [FoundArtifact(name="model", type=ArtifactType.MODEL, uri=uri, time=time)]

    def _stage(self, name: str | None, where: str) -> Stage:
        try:
            return Stage((name or "none").lower())
        except ValueError:
            self._report.lost(where, f"stage {name!r} is unknown here")
            return Stage.NONE

    def _tags(
        self, tags: dict[str, str], where: str, metrics: Sequence[str] | set[str]
    ) -> tuple[tuple[str, ...], dict[str, Value]]:
        """Tags without a value are labels, and those with one are metadata."""
        labels = [key for key, value in tags.items() if not value]
        facts: dict[str, Value] = {
            f"tag.{key}" if key in metrics else key: value for key, value in tags.items() if value
        }
        return fit_tags(labels, self._report, where), fit_facts(facts, self._report, where)

    def _run(self, run_id: str, where: str) -> tuple[FoundRun, list[Point]] | None:
        if run_id not in self._runs:
            try:
                self._runs[run_id] = self._read_run(self._client.get_run(run_id))
            except self._missing:
                self._runs[run_id] = None
        if self._runs[run_id] is None:
            self._report.lost(where, f"its run {run_id} is not there; its metrics and parameters are not known")
        return self._runs[run_id]

    def _read_run(self, run: Any) -> tuple[FoundRun, list[Point]]:
        info, data, where = run.info, run.data, f"run {run.info.run_id}"
        state = _STATES.get(info.status, RunState.RUNNING)
        parameters: dict[str, Value] = {**data.params}
        parameters |= {key: value for key, value in data.tags.items() if key not in _FIELDS and value}
        found = FoundRun(
            id=fit_run_id(info.run_id),
            pipeline=self._experiment(info.experiment_id),
            state=state,
            error="it was killed" if info.status == "KILLED" else "",
            user=info.user_id or data.tags.get("mlflow.user", ""),
            commit=data.tags.get("mlflow.source.git.commit", ""),
            parameters=fit_facts(parameters, self._report, where),
            creator=info.user_id or MAKER,
            start=_micros(info.start_time),
            end=_micros(info.end_time) if info.end_time else None,
        )
        points: list[Point] = []
        for key in data.metrics:
            points += self._points(self._client.get_metric_history(info.run_id, key), where)
        return found, points

    def _experiment(self, experiment_id: str) -> str:
        if experiment_id not in self._experiments:
            try:
                self._experiments[experiment_id] = self._client.get_experiment(experiment_id).name
            except self._missing:
                self._experiments[experiment_id] = experiment_id
        return self._experiments[experiment_id]

    def _points(self, metrics: Sequence[Any], where: str, without: set[str] | None = None) -> list[Point]:
        """Points by metric and step; of several at one step, the last."""
        by_step: dict[tuple[str, int], Point] = {}
        for metric in sorted(metrics, key=lambda one: (one.timestamp, one.step)):
            if metric.key in (without or ()):
                continue
            point = Point(metric.key, metric.step, float(metric.value), _micros(metric.timestamp))
            place = (metric.key, metric.step)
            if metric.step < 0:
                self._report.lost(where, f"metric {metric.key!r} has points at steps before 0, which are left out")
            elif not fit_facts({metric.key: math.nan}, self._report, where):
                continue
            else:
                if place in by_step and by_step[place].value != point.value:
                    self._report.lost(where, f"metric {metric.key!r} has several points at one step: the last is kept")
                by_step[place] = point
        return list(by_step.values())


def _micros(milliseconds: int | None) -> int:
    return (milliseconds or 0) * 1000
