"""`Model`: a version of a model in the registry."""

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
    """A version of a model in the registry. Creating the object does not call the registry.

    `version` selects the version:

    - None: in a run, the run's one automatic version; outside runs, the version of the last run that used this object
    - a number, or digits: the version with that number
    - `production`, `staging`, `latest` or `@ALIAS`: the version that has this stage or alias at the first use
    - any other text: the version with that explicit name

    After a run, the object refers to the version of that run, whatever it referred to before. Reading, loading and
    promoting never create a model or a version: they raise ModelNotFound or VersionNotFound if it does not exist.
    Runs, `create`, `save`, `log_metric`, `log_metrics` and `log_metadata` create what is missing; so does reading
    `number`, `id` or `version_name`, which need a number. When one of these three creates a version, the logger
    `tallymark` logs it: as a warning for an empty version without a name outside runs, which is rarely intended, else
    as info.

    `name` and `version` may contain `{date}` and `{time}` (of the run's start, in UTC), and the keys of `substitutions`
    of the run, the pipeline or the step. While nothing is recorded (TALLYMARK_MODE=disabled), the registry is not
    called: the number is the given one, or 0.

    Args:
        name: The model's name.
        version: Which version, as above.
        description: A description of the model; like the next six, it is set when the model is created.
        license: The licence under which the model may be used.
        audience: For whom the model is.
        use_cases: What the model should be used for.
        limitations: What the model is known not to do well.
        trade_offs: What was given up for what.
        ethics: Ethical considerations in using the model.
        tags: Tags of the model and of each version that is created.

    Raises:
        InvalidArgument: An argument has the wrong type, or is empty.
    """

    @property
    def number(self) -> int:
        """The version's number. A version is created and logged if there is none yet.

        This waits for the registry, so in asyncio code use `await model.anumber()`.

        Raises:
            NotFound: The number, stage or alias names no version.
            InvalidArgument: The name or version is not valid, or a template has no value.
            Unavailable: The registry is unavailable.
        """
        return self._ensure_and_log().number

    async def anumber(self) -> int:
        """Return the version's number without blocking the event loop.

        Returns:
            The number, as `number` does.

        Raises:
            NotFound, InvalidArgument, Unavailable: As `number` does.
        """
        import asyncio

        return (await asyncio.to_thread(self._ensure_and_log)).number

    @property
    def version_name(self) -> str:
        """The version's explicit name, or its number as text. Creates a version and raises as `number` does."""
        return self._ensure_and_log().name

    @property
    def id(self) -> str:
        """The version's resource name, `projects/{project}/models/{model}/versions/{number}`.

        Creates a version and raises as `number` does.
        """
        return self._ensure_and_log().resource_name

    def create(
        self, *, description: str = "", tags: Iterable[str] = (), metadata: Mapping[str, object] | None = None
    ) -> ModelVersion:
        """Create the version, and its model if that does not exist.

        Without a `version`, each call outside runs creates the next version, and the object then refers to it; in a run
        the result is the run's one automatic version. A version that exists already is returned unchanged.

        Args:
            description: The description of a version that is created.
            tags: The tags of a version that is created, in addition to the object's own.
            metadata: The metadata of a version that is created.

        Returns:
            The version that was created, or that exists under the name, number, stage or alias.

        Raises:
            NotFound: The number, stage or alias names no version.
            InvalidArgument: An argument or a name is not valid.
            Unavailable: The registry is unavailable.
        """
        text(description, "create(description=...)")
        new_tags = texts((tags,) if isinstance(tags, str) else tags, "create(tags=...)")
        facts = {} if metadata is None else mapping(metadata, "create(metadata=...)")
        if current().disabled:
            return self._disabled_version(description=description, tags=(*self.tags, *new_tags), metadata=facts)
        from tallymark.conversion import recordable

        facts = recordable.metadata_or_raise(facts, redacts=True)
        return self._resolution().create(description=description, tags=new_tags, metadata=facts).version

    @property
    def info(self) -> ModelVersion:
        """The version as it is now; each access reads it again. Raises ModelNotFound, VersionNotFound, Unavailable."""
        return self._read()

    @property
    def stage(self) -> Stage:
        """The version's stage; each access reads it again. Raises as `info` does."""
        return self.info.stage

    @property
    def metadata(self) -> Mapping[str, object]:
        """The version's metadata; each access reads them again. Raises as `info` does."""
        return self.info.metadata

    @property
    def aliases(self) -> tuple[str, ...]:
        """The aliases that point to the version; each access reads them again. Raises as `info` does."""
        return self.info.aliases

    def log_metric(self, key: str, value: float, *, step: int | None = None) -> None:
        """Log a value of a metric.

        The version's metadata has the value of the highest step, or the one that was logged without a step. In a run,
        metrics are written to disk at once, and sent in the background; an invalid metric is left out, and reported at
        the end of the run.

        Args:
            key: The metric's name.
            value: The value, a number of any library.
            step: The step at which it was measured, such as an epoch or a batch; None for a value without steps.

        Raises:
            InvalidArgument: The key, value or step is not valid (only outside runs).
            Unavailable: The registry is unavailable (only outside runs).
        """
        self._log_points({key: value}, step)

    def log_metrics(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        """Log values of several metrics that were measured together.

        Args:
            metrics: The values by name.
            step: The step at which they were measured, as for `log_metric`.

        Raises:
            InvalidArgument, Unavailable: As `log_metric` does.
        """
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
        """Set metadata of the version by key.

        Secrets are recorded as `[redacted]`. In a run, metadata are written to disk at once, and sent in the
        background; a value that cannot be recorded is left out, and reported at the end of the run.

        Args:
            metadata: Values by key. The docstring of `tallymark.conversion` has the table of supported types.

        Raises:
            InvalidField: A value cannot be recorded; the message has its path (only outside runs).
            InvalidArgument: The argument is not a mapping (only outside runs).
            Unavailable: The registry is unavailable (only outside runs).
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

            recorder = recorder_of(frame.run)  # created even without facts, so that problems are reported
            if facts:
                recorder.log_metadata(frame, self, facts)
        elif facts:
            self._client().log_metadata(self._ensure().resource_name, facts)

    def set_stage(
        self, stage: Stage | str, *, force: bool = False, reason: str = "", allow_unfinished_run: bool = False
    ) -> ModelVersion:
        """Move the version to a stage.

        Args:
            stage: `production`, `staging`, `archived` or `none`.
            force: If another version is in the stage, archive it.
            reason: The reason, for the history.
            allow_unfinished_run: Accept a version whose run failed, is lost or is still running; needs a reason.

        Returns:
            The version after the change.

        Raises:
            ModelNotFound, VersionNotFound: The version does not exist; none is created.
            StageOccupied: Another version is in the stage, and `force` is False.
            RunNotSucceeded: The run that created the version has not succeeded.
        """
        if current().disabled:
            return self._disabled_version(stage=stage_of(stage))
        return self._find().set_stage(stage, force=force, reason=reason, allow_unfinished_run=allow_unfinished_run)

    def set_alias(self, alias: str, *, expected_number: int | None = None, reason: str = "") -> ModelVersion:
        """Point an alias to the version.

        Args:
            alias: The alias.
            expected_number: Make the change only if the alias points at this number now; 0 means no version.
            reason: The reason, for the history.

        Returns:
            The version after the change.

        Raises:
            AliasMoved: The alias does not point to `expected_number`.
            ModelNotFound, VersionNotFound: The version does not exist; none is created.
        """
        if current().disabled:
            return self._disabled_version(aliases=(alias,))
        return self._find().set_alias(alias, expected_number=expected_number, reason=reason)

    def _read(self) -> ModelVersion:
        """Read the version again, after the records of runs are sent."""
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
        """Return the version; create and log it if it does not exist."""
        if current().disabled:
            return self._disabled_version()
        resolution = self._resolution()
        ensured = resolution.ensure()
        if ensured.created:
            is_empty = resolution.run is None and self.version is None
            advice = "; to read an existing version, name it, as in version='latest'" if is_empty else ""
            level = logging.WARNING if is_empty else logging.INFO
            logger.log(level, "reading the number of %r created %r%s", self, ensured.version, advice)
        return ensured.version

    def _ensure(self) -> ModelVersion:
        """Return the version, created if it does not exist: for methods that record something in it."""
        return self._disabled_version() if current().disabled else self._resolution().ensure().version

    def _find(self) -> ModelVersion:
        """Return the version without creating one: for methods that read, load or promote."""
        return self._resolution().find()

    def _client(self) -> Client:
        from tallymark.client.blocking import shared
        from tallymark.delivery.sender import check_reachable

        settings = current()
        check_reachable(settings)
        return shared(settings)

    def _resolution(self) -> Resolution:
        from tallymark.tracking.resolution import Resolution

        return Resolution.in_context(self, current())

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
    """Return the spec as a `Model`; a `Model` is returned as it is."""
    return view_as(spec, Model)
