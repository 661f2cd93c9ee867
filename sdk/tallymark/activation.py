"""One call of a decorated function: what is asked of the registry before it runs, and what is told afterwards."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tallymark.context import (
    ActiveRun,
    Frame,
    current_frame,
    end,
    forgotten,
    known_to_threads,
    own_frame,
    within,
)
from tallymark.settings import Settings, current

if TYPE_CHECKING:
    from tallymark.artifacts import Output
    from tallymark.model import Model


class Definition(NamedTuple):
    """What a decorator says of its function. `outputs` are the artifacts that it returns."""

    name: str
    model: Model | None
    substitutions: Mapping[str, str]
    is_pipeline: bool
    outputs: Callable[[], tuple[Output, ...]]


class Activation:
    """One call of a decorated function, as a context around it.

    `parameters` gives what the function is called with. With `sets_context` the code within belongs to the call; a
    generator, whose caller's code runs in between, sets the context itself, by `drive`.
    """

    def __init__(
        self, definition: Definition, parameters: Callable[[], Mapping[str, object]], *, sets_context: bool = True
    ) -> None:
        self._definition = definition
        self._parameters = parameters
        self._step = ""
        self._sets_context = sets_context
        self._within: AbstractContextManager[None] | None = None
        self._starts_run = False
        self._process = 0
        self.frame: Frame

    def __enter__(self) -> Self:
        self._open()
        self._set()
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._unset()
        self._close(error)
        self._end()

    async def __aenter__(self) -> Self:
        import asyncio

        opening = asyncio.ensure_future(asyncio.to_thread(self._open))
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError as cancelled:
            # The run is being started all the same: it is ended, rather than left behind.
            await asyncio.wait((opening,))
            if opening.exception() is None:
                await asyncio.to_thread(self._close, cancelled)
            raise
        self._set()
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        import asyncio

        self._unset()
        await asyncio.to_thread(self._close, error)
        self._end()

    def keep(self, result: Any) -> None:
        """Save what the function returned, as far as its annotation says that these are artifacts."""
        if not current().disabled:
            from tallymark.artifacts import keep_outputs

            keep_outputs(self._definition.outputs(), result, self.frame)

    def _set(self) -> None:
        if self._sets_context:
            self._within = within(self.frame)
            self._within.__enter__()

    def _unset(self) -> None:
        if self._within is not None:
            self._within.__exit__(None, None, None)

    def _end(self) -> None:
        if self._starts_run:
            end(self.frame.run)

    def _open(self) -> None:
        self._process = os.getpid()
        settings = current()
        if settings.disabled:
            self.frame = self._unrecorded(settings)
        elif self._definition.is_pipeline:
            self._open_pipeline()
        else:
            self._open_step()

    def _unrecorded(self, settings: Settings) -> Frame:
        outer = own_frame()
        run = outer.run if outer else ActiveRun("disabled", settings, datetime.now(UTC), {}, owned=False)
        return Frame(run, self._definition.model or (outer.model if outer else None), self._definition.name)

    def _open_pipeline(self) -> None:
        from tallymark import recording

        name, model, substitutions, *_ = self._definition
        outer = own_frame()
        if outer is not None:
            self.frame = recording.join_run(outer, model, substitutions)
        else:
            self._begin(recording.start_run(name, model, substitutions, self._parameters()))

    def _open_step(self) -> None:
        from tallymark import recording, stepping

        name, model, substitutions, *_ = self._definition
        outer = current_frame(recording.joined_frame)
        if outer is None:
            self._begin(recording.start_run(name, model, substitutions, self._parameters())._replace(step=name))
        elif model is None:
            self.frame = outer._replace(step=name)
        else:
            recording.resolve_for_step(model, outer.run, name, substitutions)
            self.frame = Frame(outer.run, model, name, substitutions)
        self._step = stepping.start_step(self.frame, name, self._parameters())

    def _begin(self, frame: Frame) -> None:
        self.frame = frame
        self._starts_run = True
        known_to_threads(frame)

    def _close(self, error: BaseException | None) -> None:
        run = self.frame.run
        if self._starts_run:
            forgotten(run)
        error = None if _is_no_failure(error) else error
        if error is not None and not self._definition.is_pipeline and run.failed_with is not error:
            run.failed_with, run.failed_step = error, self._definition.name
        if "tallymark.measuring" in sys.modules:
            from tallymark import measuring

            measuring.flush_all(run.settings)
        # A child of a fork that unwinds through here has started neither step nor run.
        is_ours = os.getpid() == self._process
        if self._step and is_ours:
            from tallymark import stepping

            stepping.finish_step(run, self._step, error)
        if self._starts_run and run.owned and is_ours:
            from tallymark import recording

            recording.finish_run(run, error)


def _is_no_failure(error: BaseException | None) -> bool:
    """Whether the function ended as it was meant to: read no further, or by sys.exit() without an error."""
    return error is None or isinstance(error, GeneratorExit) or (isinstance(error, SystemExit) and not error.code)


def drive(generator: Generator[Any, Any, Any], frame: Frame) -> Generator[Any, Any, Any]:
    """The generator's items, its code running within the frame and its reader's code without."""
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
    """The async generator's items, its code running within the frame and its reader's code without."""
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
