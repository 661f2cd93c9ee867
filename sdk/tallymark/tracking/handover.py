"""The run to which code belongs, handed over to other threads and, by pickle, to other processes.

A process that is started within a run finds the run in its environment. The workers of a pool, though, may be older
than the run, or left over from the run before. So a function that is sent to them by value, or by `bind`, brings the
run along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import copy_context
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, ParamSpec, TypeVar

from tallymark.errors import NotFound, Unavailable
from tallymark.settings import current
from tallymark.tracking.context import ActiveRun, Frame, joined_once, present_frame, within

if TYPE_CHECKING:
    from tallymark.tracking.model_spec import ModelSpec

P = ParamSpec("P")
R = TypeVar("R")


class Handover(NamedTuple):
    """What another process has to know of a frame. Everything in it can be pickled."""

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
    def of_here(cls) -> Handover | None:
        """Return that of the code that runs now, None if it belongs to no run, or nothing is recorded."""
        frame = present_frame()
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

        joined = joined_once((self.url, self.project, self.run_id, "handover"), join)
        return Frame(joined.run, self.model, self.step, self.substitutions)

    def goes_on(self) -> bool:
        """Return whether the registry has the run as running; a function may have been kept in a file for long."""
        from tallymark.client.blocking import shared
        from tallymark.delivery.spool import is_live
        from tallymark.types.enums import RunState

        settings = current()._replace(url=self.url, project=self.project)
        if settings.offline:
            return is_live(settings, self.run_id)
        try:
            return shared(settings).get_run(self.run_id).state is RunState.RUNNING
        except NotFound:
            return False
        except Unavailable:
            return True  # as when the registry goes away in the midst of a run, which then goes on


class Origin:
    """The run in which a decorated function was pickled, None for one that was not."""

    def __init__(self, handover: Handover | None = None) -> None:
        self._handover = handover
        self._goes_on: bool | None = None

    def frame(self) -> Frame | None:
        """Return what the function belongs to where nothing else says so."""
        if self._handover is None:
            return None
        if self._goes_on is None:
            self._goes_on = self._handover.goes_on()
        return self._handover.frame() if self._goes_on else None

    def __reduce__(self) -> tuple[Any, ...]:
        return Origin, (Handover.of_here() or self._handover,)


def bind(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function belong to the run and step in which `bind` is called, in whatever thread or process it is called.

    A thread that belongs to no run belongs to the one run that is open in its process. While several are open, as with
    pipelines in threads that use thread pools of their own, give the pool `bind(function)` from within the run:

        with ThreadPoolExecutor() as pool:
            pool.map(tallymark.bind(work), items)

    So must a process pool that is older than the run, and one whose start method is `forkserver`. What `bind` returns
    can be pickled if the function can.
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
        return Bound, (self._function, self._handover or self._context.copy().run(Handover.of_here))
