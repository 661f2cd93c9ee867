"""`Model`: which version of which model a program means."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tallymark.arguments import mapping, text, texts
from tallymark.settings import current
from tallymark.tracking.context import Frame, context_frame, current_frame
from tallymark.tracking.model_artifacts import ModelArtifacts
from tallymark.tracking.model_spec import ModelSpec, view_as
from tallymark.types.enums import Stage, stage_of

if TYPE_CHECKING:
    from tallymark.client.blocking import Client
    from tallymark.tracking.resolution import Resolution
    from tallymark.types.resources import ModelVersion, Value

logger = logging.getLogger("tallymark")


class Model(ModelArtifacts, ModelSpec):
    """Which version of which model a program means. Making one asks the registry for nothing.

    `version` says which version:

    - None: in a run, the run's one automatic version; outside runs, what the last run that used this object made of it
    - a number, or digits: the version of that number
    - `production`, `staging`, `latest` or `@ALIAS`: the version that holds it when it is first needed
    - any other text: the version of that explicit name

    After a run, the object means what that run made of it, whatever it meant before. Reading, loading and promoting
    create nothing, neither a model nor a version: they raise ModelNotFound or VersionNotFound for what is not there.
    These create: a run, `create`, `save`, `log_metric`, `log_metrics` and `log_metadata`; and reading `number`, `id`
    or `version_name`, which need a number. The logger `tallymark` says so when these three create:
    a warning for an empty version without a name outside runs, which is rarely wanted, else an info.

    `name` and `version` may contain `{date}` and `{time}` (of the run's start, UTC), and what `substitutions` of the
    run, the pipeline or the step name. While nothing is recorded (TALLYMARK_MODE=disabled) the registry is not
    contacted: the number is the one that was given, else 0.

    Args:
        name: The model's name.
        version: Which version, as above.
        description, license, audience, use_cases, limitations, trade_offs, ethics: Describe a model that is created.
        tags: Given to the model and to each version that is created.

    Raises:
        InvalidArgument: An argument has the wrong type, or is empty.
    """

    @property
    def number(self) -> int:
        """The version's number; a version is created if there is none yet, and the log says so.

        This waits for the registry, so in asyncio code use `await model.anumber()`. Raises NotFound, InvalidArgument,
        Unavailable.
        """
        return self._ensure_and_log().number

    async def anumber(self) -> int:
        """Return the version's number as `number` does, without holding up the event loop."""
        import asyncio

        return (await asyncio.to_thread(self._ensure_and_log)).number

    @property
    def version_name(self) -> str:
        """What the version is called: its explicit name, or its number as text. Creates as `number` does."""
        return self._ensure_and_log().name

    @property
    def id(self) -> str:
        """`projects/{project}/models/{model}/versions/{number}`. Creates as `number` does."""
        return self._ensure_and_log().resource_name

    def create(
        self, *, description: str = "", tags: Iterable[str] = (), metadata: Mapping[str, object] | None = None
    ) -> ModelVersion:
        """Create the version, and its model if that is missing, and return it.

        Without a `version`, each call outside runs creates the next version, and the object means that one from then
        on; in a run it is the run's one automatic version. With an explicit name that exists already, the version of
        that name is returned unchanged, and so is one that is named by number, stage, alias or `latest`.

        Args:
            description: Describes the version that is created.
            tags: Given to the version that is created, beside the object's own.
            metadata: Of the version that is created.

        Raises:
            NotFound: The number, stage or alias names no version.
            InvalidArgument: An argument or a name is not what the registry takes.
        """
        text(description, "create(description=...)")
        given = texts((tags,) if isinstance(tags, str) else tags, "create(tags=...)")
        facts = {} if metadata is None else mapping(metadata, "create(metadata=...)")
        if current().disabled:
            return self._disabled_version(description=description, tags=(*self.tags, *given), metadata=facts)
        from tallymark.conversion import recordable

        facts = recordable.metadata_or_raise(facts, redacts=True)
        return self._resolution().create(description=description, tags=given, metadata=facts).version

    @property
    def info(self) -> ModelVersion:
        """The version as it is now, read anew. Raises ModelNotFound, VersionNotFound."""
        return self._read()

    @property
    def stage(self) -> Stage:
        """The version's stage now, read anew."""
        return self.info.stage

    @property
    def metadata(self) -> Mapping[str, object]:
        """The version's metadata now, read anew."""
        return self.info.metadata

    @property
    def aliases(self) -> tuple[str, ...]:
        """The aliases that point at the version now, read anew."""
        return self.info.aliases

    def log_metric(self, key: str, value: float, *, step: int | None = None) -> None:
        """Log a metric: what was measured at a step, such as an epoch or a batch, or once, without one.

        The version's metadata has the value of the highest step, or the one that was measured once. In a run, metrics
        are kept on disk at once, and sent from the background; what cannot be recorded is left out, and reported at the
        end of the run. Elsewhere, it raises InvalidArgument.
        """
        self._log_points({key: value}, step)

    def log_metrics(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        """Log several metrics that were measured together, as `log_metric` does each of them."""
        self._log_points(metrics, step)

    def _log_points(self, metrics: Mapping[str, object], step: int | None) -> None:
        from tallymark.conversion import recordable

        frame = frame_or_join()
        settings = current() if frame is None else frame.run.settings
        if settings.disabled:
            return
        points = recordable.points_of(metrics, step, None if frame is None else frame.run.problems)
        if step is None:
            self._record_metadata({point.key: point.value for point in points}, frame)
        elif frame is not None:
            from tallymark.tracking.recorder import recorder_of

            recorder = recorder_of(frame.run)
            for point in points:
                recorder.log_point(frame, self, point)
        elif points:
            from tallymark.tracking import metrics_outside_runs

            version = self._ensure().resource_name
            for point in points:
                metrics_outside_runs.log_metric(settings, version, point)

    def log_metadata(self, metadata: Mapping[str, object]) -> None:
        """Set metadata of the version by key; `tallymark.conversion` has the table of what each type is recorded as.

        Secrets are recorded as `[redacted]`. In a run, it is kept on disk at once, and sent from the background; what
        cannot be recorded is left out, and reported at the end of the run: the training goes on. Elsewhere, it raises
        InvalidField, which names the path of what cannot be recorded, and Unavailable.
        """
        frame = frame_or_join()
        if (current() if frame is None else frame.run.settings).disabled:
            return
        from tallymark.conversion import recordable
        from tallymark.runtime.headroom import HeadRoom

        with HeadRoom():
            facts = recordable.metadata_of(metadata, None if frame is None else frame.run.problems)
            self._record_metadata(facts, frame)

    def _record_metadata(self, facts: Mapping[str, Value], frame: Frame | None) -> None:
        if frame is not None:
            from tallymark.tracking.recorder import recorder_of

            recorder = recorder_of(frame.run)  # which also reports what was left out
            if facts:
                recorder.log_metadata(frame, self, facts)
        elif facts:
            self._client().log_metadata(self._ensure().resource_name, facts)

    def set_stage(
        self, stage: Stage | str, *, force: bool = False, reason: str = "", allow_unfinished_run: bool = False
    ) -> ModelVersion:
        """Move the version to a stage, and return it.

        Args:
            stage: `production`, `staging`, `archived` or `none`.
            force: Move the version that holds the stage to the archive.
            reason: Why, for the history.
            allow_unfinished_run: Take a version whose run failed, is lost or still goes on; this needs a reason.

        Raises:
            ModelNotFound, VersionNotFound: There is no such version; none is created.
            StageOccupied: Another version holds the stage.
            RunNotSucceeded: The run that made the version has not succeeded.
        """
        if current().disabled:
            return self._disabled_version(stage=stage_of(stage))
        return self._find().set_stage(stage, force=force, reason=reason, allow_unfinished_run=allow_unfinished_run)

    def set_alias(self, alias: str, *, expected_number: int | None = None, reason: str = "") -> ModelVersion:
        """Point an alias at the version, and return it.

        Raises AliasMoved if the alias is not where it is expected (0: nowhere), ModelNotFound, VersionNotFound.
        """
        if current().disabled:
            return self._disabled_version(aliases=(alias,))
        return self._find().set_alias(alias, expected_number=expected_number, reason=reason)

    def _read(self) -> ModelVersion:
        """Read the version anew, after what runs have recorded of it is sent."""
        if current().disabled:
            return self._disabled_version()
        from tallymark.delivery.renamed_models import under_new_name
        from tallymark.errors import ModelNotFound

        resolution = self._resolution()
        version = resolution.find()
        try:
            return self._client().get_version(version.resource_name)
        except ModelNotFound as error:
            renamed = under_new_name(version, error)
            if renamed is None:
                raise
            resolution.keep(renamed)
            return self._client().get_version(renamed.resource_name)

    def _ensure_and_log(self) -> ModelVersion:
        """Return the version, created if it is not there, which the log then says."""
        if current().disabled:
            return self._disabled_version()
        resolution = self._resolution()
        ensured = resolution.ensure()
        if ensured.created:
            is_empty = resolution.run is None and self.version is None
            advice = "; to read what is there, name it, as in version='latest'" if is_empty else ""
            level = logging.WARNING if is_empty else logging.INFO
            logger.log(level, "asking %r for its number created %r%s", self, ensured.version, advice)
        return ensured.version

    def _ensure(self) -> ModelVersion:
        """Return the version, created if it is not there: for what records something in it."""
        return self._disabled_version() if current().disabled else self._resolution().ensure().version

    def _find(self) -> ModelVersion:
        """Return the version, and create none: for what reads, loads or promotes."""
        return self._resolution().find()

    def _client(self) -> Client:
        from tallymark.client.blocking import shared
        from tallymark.delivery.sender import check_reachable

        settings = current()
        check_reachable(settings)
        return shared(settings)

    def _resolution(self) -> Resolution:
        from tallymark.tracking.resolution import Resolution

        return Resolution.here(self, current())

    def _disabled_version(self, **changes: Any) -> ModelVersion:
        from tallymark.tracking.disabled import disabled_version

        return disabled_version(self.name, self.version, current(), **changes)


def frame_or_join() -> Frame | None:
    """Return the frame of the code that runs now, None outside runs; join a run that the environment names.

    Raises:
        AmbiguousRun: Several runs are open, and this thread belongs to none of them.
        RunNotFound: The registry has no run of the id in TALLYMARK_RUN_ID.
    """

    def join(run_id: str) -> Frame:
        from tallymark.tracking.resolution import joined_frame

        return joined_frame(run_id)

    return context_frame() or current_frame(join)


def as_model(spec: ModelSpec) -> Model:
    """Return what the run of another process means as a `Model`; one that is a `Model` already as it is."""
    return view_as(spec, Model)
