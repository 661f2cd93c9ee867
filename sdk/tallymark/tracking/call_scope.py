"""One call of a decorated function, or one block of `run`: start and finish its run or step."""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tallymark.runtime.headroom import HeadRoom, check_headroom
from tallymark.settings import Settings, current
from tallymark.tracking.context import (
    ActiveRun,
    ContextValue,
    Frame,
    context_frame,
    current_frame,
    enter,
    frame_in_process,
    leave,
    mark_ended,
    open_runs,
    outer_run_id,
    register_run,
    unregister_run,
    within,
)

if TYPE_CHECKING:
    from tallymark.runtime.spans import WorkSpan
    from tallymark.tracking.handover import Origin
    from tallymark.tracking.model_spec import ModelSpec
    from tallymark.tracking.outputs import Output


def no_outputs() -> tuple[Output, ...]:
    """Return no outputs: the default for blocks of `run`."""
    return ()


class Definition(NamedTuple):
    """The arguments of a decorator or `run`. `outputs` returns the artifacts that the function returns."""

    name: str
    model: ModelSpec | None
    substitutions: Mapping[str, str]
    is_pipeline: bool
    outputs: Callable[[], tuple[Output, ...]] = no_outputs
    origin: Origin | None = None
    run_id: str = ""

    @property
    def start(self) -> tuple[str, ModelSpec | None, Mapping[str, str], str]:
        """The name, model, substitutions and run id with which the run or step is started."""
        return self.name, self.model, self.substitutions, self.run_id


class CallScope:
    """A context manager around one call of a decorated function, or one block of `run`.

    Args:
        definition: The arguments of the decorator or `run`.
        parameters: Return the parameters of the call as they are recorded.
        sets_context: Whether code within the block belongs to the call. False for generators, which set the context
            with `drive`, because code of their caller runs in between.
    """

    def __init__(
        self, definition: Definition, parameters: Callable[[], Mapping[str, object]], *, sets_context: bool = True
    ) -> None:
        self._definition = definition
        self._parameters = parameters
        self._step = ""
        self._span: WorkSpan | None = None
        self._sets_context = sets_context
        self._before: ContextValue = None
        self._starts_run = False
        self._is_armed = False
        self._process = 0
        self.outputs: tuple[Output, ...] = ()
        self.frame: Frame

    def __enter__(self) -> Self:
        check_headroom()
        with HeadRoom(), self._traced():
            self._open()
        self._enter_context()
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        with HeadRoom():
            self._leave_context()
            try:
                self._close(error)
            finally:
                self._end_span(error)
                self._disarm()

    async def __aenter__(self) -> Self:
        import asyncio

        check_headroom()
        with self._traced():
            opening = asyncio.ensure_future(asyncio.to_thread(self._open))
            try:
                await asyncio.shield(opening)
            except asyncio.CancelledError as cancelled:
                # The thread still starts the run, so finish it.
                await asyncio.wait((opening,))
                if opening.exception() is None:
                    await asyncio.to_thread(self._close, cancelled)
                raise
        self._enter_context()
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        import asyncio

        self._leave_context()
        try:
            await asyncio.to_thread(self._close, error)
        finally:
            self._end_span(error)
            self._disarm()

    def save_outputs(self, result: Any) -> None:
        """Save the values in the function's result that its annotation marks as artifacts."""
        if self.outputs:
            from tallymark.tracking.outputs import save_outputs

            save_outputs(self.outputs, result, self.frame)

    def _check_outputs(self) -> None:
        """Raise if the artifacts that the function returns could not be saved."""
        self.outputs = self._definition.outputs()
        if self.outputs:
            from tallymark.tracking import resolution
            from tallymark.tracking.outputs import check_outputs

            if self._definition.is_pipeline:
                # A run that another process has started may have a model.
                frame, may_have_model = self._handed_over() or context_frame(), bool(outer_run_id())
            else:
                frame, may_have_model = self._handed_over() or current_frame(resolution.joined_frame), False
            model = self._definition.model or (frame.model if frame else None)
            check_outputs(self.outputs, has_model=model is not None or may_have_model)

    @contextmanager
    def _traced(self) -> Iterator[None]:
        """Begin the span of the run or step, if there are any, in which the block opens it."""
        settings = current()
        if settings.otel == "off" or settings.disabled:
            yield
            return
        from tallymark.runtime.spans import WorkSpan

        kind = "run" if self._definition.is_pipeline else "step"
        self._span = span = WorkSpan(f"{kind} {self._definition.name}")
        try:
            yield
        except BaseException as error:
            self._end_span(error)
            raise
        model = self.frame.model.name if self.frame.model else ""
        span.describe(
            {"run": self.frame.run.id, "step": self._step, "model": model, "project": self.frame.run.settings.project}
        )
        if not self._sets_context:
            span.detach()

    def _end_span(self, error: BaseException | None) -> None:
        if self._span is not None:
            self._span.end(None if is_success(error) else error)

    def _enter_context(self) -> None:
        if self._starts_run and self.frame.run.owned:
            from tallymark.runtime import termination
            from tallymark.tracking import run_lifecycle

            self._is_armed = termination.arm(run_lifecycle.end_open_runs)
        if self._sets_context:
            self._before = enter(self.frame)

    def _leave_context(self) -> None:
        if self._sets_context:
            leave(self.frame, self._before, is_end=self._starts_run)
        elif self._starts_run:
            mark_ended(self.frame.run)

    def _disarm(self) -> None:
        if self._is_armed:
            from tallymark.runtime import termination

            termination.disarm()

    def _open(self) -> None:
        self._process = os.getpid()
        settings = current()
        if settings.disabled:
            self.frame = self._disabled_frame(settings)
            return
        self._check_outputs()
        if self._definition.is_pipeline:
            self._open_pipeline()
        else:
            self._open_step()

    def _disabled_frame(self, settings: Settings) -> Frame:
        outer = context_frame()
        run = outer.run if outer else _disabled_run(settings)
        return Frame(run, self._definition.model or (outer.model if outer else None), self._definition.name)

    def _open_pipeline(self) -> None:
        from tallymark.tracking import run_lifecycle

        name, model, substitutions, run_id = self._definition.start
        outer = self._handed_over() or context_frame()
        if outer is not None and run_id in ("", outer.run.id):
            self.frame = run_lifecycle.join_run(outer, model, substitutions)
        else:
            self._begin(run_lifecycle.start_run(name, model, substitutions, self._parameters(), run_id))

    def _open_step(self) -> None:
        from tallymark.tracking import resolution, run_lifecycle, steps

        name, model, substitutions, _ = self._definition.start
        outer = self._handed_over() or current_frame(resolution.joined_frame)
        parameters = self._parameters()
        if outer is None:
            self._begin(run_lifecycle.start_run(name, model, substitutions, parameters)._replace(step=name))
        else:
            self.frame = run_lifecycle.join_run(outer, model, substitutions, step=name)
        self._step = steps.start_step(self.frame, name, parameters)
        self.frame.run.open_steps.add(self._step)

    def _handed_over(self) -> Frame | None:
        """Return the frame that the function carries from another process, if no run is open in this one."""
        origin = self._definition.origin
        return None if origin is None or frame_in_process() is not None else origin.frame()

    def _begin(self, frame: Frame) -> None:
        self.frame = frame
        self._starts_run = True
        register_run(frame)
        if frame.run.owned:
            open_runs.add(frame.run)

    def _close(self, error: BaseException | None) -> None:
        run = self.frame.run
        if self._starts_run:
            unregister_run(run)
        error = None if is_success(error) else error
        if error is not None and not self._definition.is_pipeline and run.failed_with is not error:
            run.failed_with, run.failed_step = error, self._definition.name
        # In the child of a fork, an exception may pass through here, but the parent owns the step and the run.
        is_ours = os.getpid() == self._process
        if self._step and is_ours:
            from tallymark.tracking import steps

            run.open_steps.discard(self._step)
            steps.finish_step(run, self._step, error)
        if self._starts_run and run.owned and is_ours:
            from tallymark.tracking import run_lifecycle

            run_lifecycle.finish_run(run, error)
            open_runs.discard(run)
        if self._starts_run and is_ours and run.recorder is not None:
            run.recorder.end()


@functools.lru_cache(maxsize=16)
def _disabled_run(settings: Settings) -> ActiveRun:
    """Return a placeholder for a run while nothing is recorded, shared because it has no state."""
    return ActiveRun("disabled", settings, datetime.now(UTC), {}, owned=False)


def is_success(error: BaseException | None) -> bool:
    """Return whether the exception means success: none, a closed generator, or sys.exit() without an error."""
    return error is None or isinstance(error, GeneratorExit) or (isinstance(error, SystemExit) and not error.code)


def drive(generator: Generator[Any, Any, Any], frame: Frame) -> Generator[Any, Any, Any]:
    """Yield from the generator; its code runs in the frame, but that of its caller does not."""
    try:
        with within(frame):
            item = next(generator)
        while True:
            try:
                sent = yield item
            except GeneratorExit:
                with within(frame):
                    generator.close()
                raise
            except BaseException as error:  # noqa: BLE001 - whatever is thrown in goes to the generator
                with within(frame):
                    item = generator.throw(error)
            else:
                with within(frame):
                    item = generator.send(sent)
    except StopIteration as stop:
        return stop.value


async def drive_async(generator: AsyncGenerator[Any, Any], frame: Frame) -> AsyncGenerator[Any, Any]:
    """Yield from the async generator; its code runs in the frame, but that of its caller does not."""
    try:
        with within(frame):
            item = await anext(generator)
        while True:
            try:
                sent = yield item
            except GeneratorExit:
                with within(frame):
                    await generator.aclose()
                raise
            except BaseException as error:  # noqa: BLE001 - whatever is thrown in goes to the generator
                with within(frame):
                    item = await generator.athrow(error)
            else:
                with within(frame):
                    item = await generator.asend(sent)
    except StopAsyncIteration:
        return
