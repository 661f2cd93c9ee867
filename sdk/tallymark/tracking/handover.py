"""Pass the current run on to other threads and, by pickle, to other processes.

A process that is started within a run reads the run from its environment. The workers of a pool, however, may be older
than the run. So a decorated function that is pickled by value, and a function that is wrapped by `bind`, carry the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import copy_context
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, ParamSpec, TypeVar

from tallymark.errors import NotFound, Unavailable
from tallymark.settings import current
from tallymark.tracking.context import ActiveRun, Frame, cached_joined_frame, frame_in_process, within

if TYPE_CHECKING:
    from tallymark.tracking.model_spec import ModelSpec

P = ParamSpec("P")
R = TypeVar("R")


class Handover(NamedTuple):
    """A frame in a form that can be pickled and sent to another process."""

    url: str
    project: str
    run_id: str
    start: datetime
    run_substitutions: Mapping[str, str]
    run_model: ModelSpec | None
    model: ModelSpec | None
    step: str
    substitutions: Mapping[str, str]

    @classmethod
    def capture(cls) -> Handover | None:
        """Return the handover of the code that runs now; None outside runs, or while nothing is recorded."""
        frame = frame_in_process()
        if frame is None or frame.run.settings.disabled:
            return None
        run = frame.run
        return cls(
            run.settings.url,
            run.settings.project,
            run.id,
            run.start,
            dict(run.substitutions),
            run.model,
            frame.model,
            frame.step,
            dict(frame.substitutions),
        )

    def frame(self) -> Frame:
        """Return the frame in this process, which does not own the run."""

        def join() -> Frame:
            settings = current()._replace(url=self.url, project=self.project)
            run = ActiveRun(self.run_id, settings, self.start, dict(self.run_substitutions), owned=False)
            run.model = self.run_model
            return Frame(run, run.model, "")

        joined = cached_joined_frame((self.url, self.project, self.run_id, "handover"), join)
        return Frame(joined.run, self.model, self.step, self.substitutions)

    def is_running(self) -> bool:
        """Return whether the run is still running; a pickled function may be much older than this process."""
        from tallymark.client.blocking import shared
        from tallymark.delivery.spool import is_recording
        from tallymark.types.enums import RunState

        settings = current()._replace(url=self.url, project=self.project)
        if settings.offline:
            return is_recording(settings, self.run_id)
        try:
            return shared(settings).get_run(self.run_id).state is RunState.RUNNING
        except NotFound:
            return False
        except Unavailable:
            return True  # as within a run, which continues while the registry is unavailable


class Origin:
    """The run in which a decorated function was pickled; None if it was not pickled in a run."""

    def __init__(self, handover: Handover | None = None) -> None:
        self._handover = handover
        self._is_running: bool | None = None

    def frame(self) -> Frame | None:
        """Return the frame that the function carries, None if it carries none or the run has ended."""
        if self._handover is None:
            return None
        if self._is_running is None:
            self._is_running = self._handover.is_running()
        return self._handover.frame() if self._is_running else None

    def __reduce__(self) -> tuple[Any, ...]:
        return Origin, (Handover.capture() or self._handover,)


def bind(function: Callable[P, R]) -> Callable[P, R]:
    """Bind a function to the current run and step, for calls in other threads and processes.

    A new thread belongs to the open run of its process if there is exactly one. While several runs are open, as with
    pipelines in threads that use thread pools of their own, pass `bind(function)` to the pool:

        with ThreadPoolExecutor() as pool:
            pool.map(tallymark.bind(work), items)

    Process pools need it if they are older than the run, or use the start method `forkserver`.

    Args:
        function: The function to bind.

    Returns:
        A function with the same signature, which records in the run and step in which `bind` was called. It can be
        pickled if `function` can.
    """
    return Bound(function)


class Bound(Generic[P, R]):
    """A function that belongs to the run and step in which it was bound."""

    def __init__(self, function: Callable[P, R], handover: Handover | None = None) -> None:
        self._function = function
        self._handover = handover
        self._context = copy_context()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self._handover is None:
            return self._context.copy().run(self._function, *args, **kwargs)
        with within(self._handover.frame()):
            return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"tallymark.bind({self._function!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Bound, (self._function, self._handover or self._context.copy().run(Handover.capture))
