"""`run`: a run without decorators, for notebooks, trainers' callbacks and orchestrators."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tallymark.arguments import described, mapping, text, text_mapping
from tallymark.errors import InvalidArgument, NoCurrentModel, NoCurrentRun, Refused
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

    The version of `model` is found or created, in one step with the run, when the block begins. Steps, pipelines and
    threads within it belong to the run. An exception that leaves the block is recorded as the run's failure, and goes
    on. `async with` does the same without holding up the event loop; `start()` and `finish()` are for the callbacks of
    trainers. Within a run, or where TALLYMARK_RUN_ID names one, the block belongs to that run, as with @pipeline. In a
    generator the block also covers the code that reads it.

    SIGTERM ends the runs of the process as failed if, when they began, one was open in the main thread and the program
    had no handler of its own. Otherwise the process ends as ever, and the run becomes lost.

    Args:
        model: The model of the run, for which what is logged without naming a model is recorded.
        name: What the run is called in lists, by default as the program.
        id: Of the run: it is started, or, if it goes on already, joined. Who joins a run does not end it, unless it was
            lost with the process that had started it. A run that is over cannot be joined: RunFinished.
        parameters: What the run is given, such as hyperparameters.
        substitutions: Fill in the templates in names and versions of all models of the run.

    Raises:
        InvalidArgument: An argument has the wrong type, or `id` is no run's id.
    """
    run_id = "" if id is None else _checked_id(id)
    given = {} if parameters is None else mapping(parameters, "run(parameters=...)", "{'depth': 3}")
    return RunContext(_definition(model, name, run_id, substitutions), given)


def _definition(model: object, name: object, run_id: str, substitutions: object) -> Definition:
    if model is not None and not isinstance(model, Model):
        raise InvalidArgument(f"run(model=...) takes a Model, not {described(model)}")
    called = _program_name() if name is None else text(name, "run(name=...)")
    filled = {} if substitutions is None else text_mapping(substitutions, "run(substitutions=...)")
    return Definition(called, model, filled, is_pipeline=True, run_id=run_id)


def _checked_id(value: object) -> str:
    run_id = text(value, "run(id=...)")
    if not is_run_id(run_id):
        raise InvalidArgument(
            f"run(id=...) is {run_id!r}; a run id has 1 to {MAX_RUN_ID} of the characters A-Z a-z 0-9 . _ -"
        )
    return run_id


class RunContext:
    """A run of `tallymark.run`. Its methods may be called from any thread."""

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
        """Begin the run, where no `with` block fits. A run that nobody finishes has failed when the program ends."""
        self.__enter__()
        atexit.register(self._finish_at_exit)
        return self

    def finish(self, error: BaseException | None = None) -> None:
        """End a run that was begun by `start`, as failed if an error is given. A run that has ended stays as it is."""
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
        """The run's id. Raises NoCurrentRun before it begins."""
        return self._frame.run.id

    @property
    def model(self) -> Model | None:
        """The model of the run, None if it has none. Raises NoCurrentRun before the run begins."""
        model = self._frame.model
        return None if model is None else as_model(model)

    @property
    def version(self) -> ModelVersion:
        """The version that the run's model means in it, as it was when it was found. Raises NoCurrentModel."""
        model = self._own_model()
        if current().disabled:
            return model.info
        from tallymark.tracking.resolution import Resolution

        return Resolution.in_frame(model, self._frame).ensure().version

    @property
    def number(self) -> int:
        """The number of the run's version. Raises NoCurrentModel."""
        return self.version.number

    def log_metric(self, key: str, value: float, *, step: int | None = None) -> None:
        """Log a metric of the run's version, once or at a step. Raises NoCurrentModel."""
        self.log_metrics({key: value}, step=step)

    def log_metrics(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        """Log several metrics of the run's version, measured together. Raises NoCurrentModel."""
        with self._within() as model:
            model.log_metrics(metrics, step=step)

    def log_metadata(self, metadata: Mapping[str, object]) -> None:
        """Set metadata of the run's version, by key. Raises NoCurrentModel."""
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
        """Save a value as an artifact of the run's version, as `Model.save` does. Raises NoCurrentModel."""
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
            raise NoCurrentModel("the run has no model; give it one by tallymark.run(model=...)")
        return as_model(model)

    @contextmanager
    def _within(self) -> Iterator[Model]:
        """Let a block belong to the run, and give its model; after the run, the version that the run has made."""
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
        assert self._scope is not None  # noqa: S101 - a block is left after it was entered
        self._state = "succeeded" if is_success(error) else "failed"
        return self._scope

    def _finish_at_exit(self) -> None:
        error = getattr(sys, "last_value", None)  # what ended the program, if it was an exception
        self.finish(error or RuntimeError("the program ended before it called finish()"))


def _program_name() -> str:
    """Return what the program is called, for lists of runs."""
    if "ipykernel" in sys.modules:
        return "notebook"
    return Path(sys.argv[0]).name if sys.argv and sys.argv[0] not in ("", "-c") else "python"
