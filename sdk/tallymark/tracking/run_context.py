"""`run`: a run without decorators, for notebooks, callbacks of trainers, and orchestrators."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tallymark.arguments import described, mapping, text, text_mapping
from tallymark.errors import InvalidArgument, NoCurrentModel, NoCurrentRun, Refused
from tallymark.runtime.machine import is_notebook
from tallymark.settings import current
from tallymark.tracking.call_scope import CallScope, Definition, is_success
from tallymark.tracking.context import MAX_RUN_ID, Frame, is_run_id, within
from tallymark.tracking.model import Model, as_model

if TYPE_CHECKING:
    from tallymark.types.artifact_info import ArtifactInfo
    from tallymark.types.enums import ArtifactType
    from tallymark.types.resources import ModelVersion


def run(
    *,
    model: Model | None = None,
    name: str | None = None,
    id: str | None = None,  # noqa: A002 - as it is called everywhere
    parameters: Mapping[str, object] | None = None,
    substitutions: Mapping[str, str] | None = None,
) -> RunContext:
    """Make a block of code a run.

        with tallymark.run(model=Model("churn"), name="nightly") as run:
            run.log_metrics({"loss": 0.2, "auc": 0.9}, step=1)
        print(run.number)

    The version of `model` is found or created together with the run when the block starts. An exception that leaves
    the block fails the run, and is re-raised. `async with` does not block the event loop; `start()` and `finish()` are
    for callbacks of trainers. Within a run, or if TALLYMARK_RUN_ID names one, the block belongs to that run.

    SIGTERM ends the runs of the process as failed if one was started in the main thread and the program has no handler
    of its own; otherwise the runs become lost.

    Args:
        model: The model of the run, in which `log_metric` and the like record.
        name: The run's name in lists, by default that of the program.
        id: The run's id, to start it or to join it if it is running. A process that joins a run does not finish it,
            unless the run was lost.
        parameters: Parameters of the run, such as hyperparameters.
        substitutions: Values for the templates in names and versions of all models of the run.

    Returns:
        The run, to be used as a context manager.

    Raises:
        InvalidArgument: An argument has the wrong type, or `id` is not a valid run id.
    """
    run_id = "" if id is None else _checked_id(id)
    values = {} if parameters is None else mapping(parameters, "run(parameters=...)", "{'depth': 3}")
    return RunContext(_definition(model, name, run_id, substitutions), values)


def _definition(model: object, name: object, run_id: str, substitutions: object) -> Definition:
    if model is not None and not isinstance(model, Model):
        raise InvalidArgument(f"run(model=...) takes a Model, not {described(model)}")
    label = _program_name() if name is None else text(name, "run(name=...)")
    values = {} if substitutions is None else text_mapping(substitutions, "run(substitutions=...)")
    return Definition(label, model, values, is_pipeline=True, run_id=run_id)


def _checked_id(value: object) -> str:
    run_id = text(value, "run(id=...)")
    if not is_run_id(run_id):
        raise InvalidArgument(
            f"run(id=...) is {run_id!r}; a run id has 1 to {MAX_RUN_ID} of the characters A-Z a-z 0-9 . _ -"
        )
    return run_id


class RunContext:
    """A run that `tallymark.run` returns: a context manager whose methods are thread-safe.

    Steps, pipelines and threads within its block belong to the run. In a generator, the block also covers the code that
    iterates over the generator.
    """

    def __init__(self, definition: Definition, parameters: Mapping[str, object]) -> None:
        self._definition = definition
        self._parameters = parameters
        self._scope: CallScope | None = None
        self._state = "not started"

    def __enter__(self) -> Self:
        scope = self._new_scope()
        scope.__enter__()
        return self._mark_started(scope)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._end(error).__exit__(kind, error, trace)

    async def __aenter__(self) -> Self:
        scope = self._new_scope()
        await scope.__aenter__()
        return self._mark_started(scope)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        await self._end(error).__aexit__(kind, error, trace)

    def start(self) -> Self:
        """Start the run, where a `with` block does not fit.

        A run that is not finished when the program ends has failed.

        Returns:
            The run itself.

        Raises:
            Refused: The run was started already.
            RunFinished: The run with this id has ended.
            Unavailable: The registry is unavailable.
        """
        self.__enter__()
        atexit.register(self._finish_at_exit)
        return self

    def finish(self, error: BaseException | None = None) -> None:
        """Finish a run that was started with `start`; a run that has ended stays unchanged.

        Args:
            error: If given, the run has failed with it.
        """
        if self._state == "running":
            atexit.unregister(self._finish_at_exit)
            self.__exit__(None, error, None)

    def __repr__(self) -> str:
        if self._scope is None or self._state == "not started":
            return f"RunContext({self._definition.name!r}, not started)"
        model = self.model
        version = "" if model is None else f" of {model!r}"
        return f"RunContext({self.id} {self._definition.name!r}{version}, {self._state})"

    @property
    def id(self) -> str:
        """The run's id. Raises NoCurrentRun before the run is started."""
        return self._frame.run.id

    @property
    def model(self) -> Model | None:
        """The model of the run, None if it has none. Raises NoCurrentRun before the run is started."""
        model = self._frame.model
        return None if model is None else as_model(model)

    @property
    def version(self) -> ModelVersion:
        """The run's version, as it was when it was resolved. Raises NoCurrentModel, NoCurrentRun."""
        model = self._own_model()
        if current().disabled:
            return model.info
        from tallymark.tracking.resolution import Resolution

        return Resolution.in_frame(model, self._frame).ensure().version

    @property
    def number(self) -> int:
        """The number of the run's version. Raises NoCurrentModel, NoCurrentRun."""
        return self.version.number

    def log_metric(self, key: str, value: float, *, step: int | None = None) -> None:
        """Log a value of a metric in the run's version, as `Model.log_metric` does.

        Args:
            key: The metric's name.
            value: The value, a number of any library.
            step: The step at which it was measured, such as an epoch or a batch; None for a value without steps.

        Raises:
            NoCurrentModel: The run has no model.
            NoCurrentRun: The run is not started.
        """
        self.log_metrics({key: value}, step=step)

    def log_metrics(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        """Log values of several metrics in the run's version, as `Model.log_metrics` does.

        Args:
            metrics: The values by name.
            step: The step at which they were measured; None for values without steps.

        Raises:
            NoCurrentModel, NoCurrentRun: As `log_metric` does.
        """
        with self._within() as model:
            model.log_metrics(metrics, step=step)

    def log_metadata(self, metadata: Mapping[str, object]) -> None:
        """Set metadata of the run's version, as `Model.log_metadata` does.

        Args:
            metadata: Values by key.

        Raises:
            NoCurrentModel, NoCurrentRun: As `log_metric` does.
        """
        with self._within() as model:
            model.log_metadata(metadata)

    def save(
        self,
        name: str,
        value: object,
        *,
        format: str | None = None,  # noqa: A002 - the contract's word
        type: ArtifactType | str | None = None,  # noqa: A002 - the contract's word
    ) -> ArtifactInfo | None:
        """Save a value as an artifact of the run's version, as `Model.save` does.

        Args:
            name: The artifact's name.
            value: The value.
            format: The name of a format; by default the value decides it.
            type: `data`, `model` or `deployment`; by default that of the format.

        Returns:
            The artifact; None while its link waits in the spool, or nothing is recorded.

        Raises:
            NoCurrentModel, NoCurrentRun: As `log_metric` does.
            InvalidArgument, InvalidSetting, StoreUnavailable: As `Model.save` does.
        """
        with self._within() as model:
            return model.save(name, value, format=format, type=type)

    @property
    def _frame(self) -> Frame:
        if self._scope is None or self._state == "not started":
            raise NoCurrentRun("the run has not begun: use it as `with tallymark.run(...) as run:`, or call start()")
        return self._scope.frame

    def _own_model(self) -> Model:
        model = self._frame.model
        if model is None:
            raise NoCurrentModel("the run has no model; pass one: tallymark.run(model=...)")
        return as_model(model)

    @contextmanager
    def _within(self) -> Iterator[Model]:
        """Run a block in the run, and yield its model; after the run, yield a model of the run's version."""
        model = self._own_model()
        if self._state == "running":
            with within(self._frame):
                yield model
        else:
            yield model if current().disabled else Model(self.version.model, self.number)

    def _new_scope(self) -> CallScope:
        if self._scope is not None:
            raise Refused(f"{self!r} has begun already; call tallymark.run() again for another run")
        return CallScope(self._definition, self._recorded_parameters)

    def _mark_started(self, scope: CallScope) -> Self:
        self._scope, self._state = scope, "running"
        return self

    def _recorded_parameters(self) -> Mapping[str, object]:
        from tallymark.tracking.environment import recorded_parameters

        return recorded_parameters(self._parameters)

    def _end(self, error: BaseException | None) -> CallScope:
        assert self._scope is not None  # noqa: S101 - set when the block was entered
        self._state = "succeeded" if is_success(error) else "failed"
        return self._scope

    def _finish_at_exit(self) -> None:
        error = getattr(sys, "last_value", None)  # the exception that ended the program, if any
        self.finish(error or RuntimeError("the program ended before it called finish()"))


def _program_name() -> str:
    """Return the name of the program, for lists of runs."""
    if is_notebook():
        return "notebook"
    return Path(sys.argv[0]).name if sys.argv and sys.argv[0] not in ("", "-c") else "python"
