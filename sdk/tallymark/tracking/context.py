"""Which run, step and model the code that runs now belongs to.

A `ContextVar` carries it, so that it is right in nested calls and in asyncio. A thread starts without it: a thread that
belongs to no run belongs to the one that goes on in its process; while several do, `bind` says which. A process
started by fork has what its parent had; one started by spawn, or any other program, finds the run in the environment
variable TALLYMARK_RUN_ID, which is set while exactly one run goes on.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tallymark.errors import AmbiguousRun, InvalidSetting
from tallymark.settings import Settings
from tallymark.tracking.version_cache import EndedRun

if TYPE_CHECKING:
    from tallymark.conversion.problems import RecordingProblems
    from tallymark.tracking.model_spec import ModelSpec
    from tallymark.types.resources import ModelVersion

RUN_ID = "TALLYMARK_RUN_ID"
MAX_RUN_ID = 100
# The service takes 65,535 bytes.
MAX_ERROR = 10_000
SUBSTITUTIONS = "TALLYMARK_RUN_SUBSTITUTIONS"
_SETTINGS = ("url", "project", "mode", "spool")
_EXPORTED = (RUN_ID, SUBSTITUTIONS, *(f"TALLYMARK_{name.upper()}" for name in _SETTINGS))


# A run id begins with its start, so that every process of the run knows it to the microsecond.
_START_FORMAT = "%Y%m%d-%H%M%S-%f"


def new_run_id(start: datetime) -> str:
    """Return an id for a run that starts at that time."""
    return f"{start.strftime(_START_FORMAT)}-{secrets.token_hex(3)}"


def is_run_id(text: str) -> bool:
    """Return whether the text can be the id of a run."""
    return 0 < len(text) <= MAX_RUN_ID and all(ch.isascii() and (ch.isalnum() or ch in "._-") for ch in text)


def start_of(run_id: str, otherwise: datetime) -> datetime:
    """Return the start that stands in a run id; `otherwise`, if somebody else made the id."""
    with suppress(ValueError):
        return datetime.strptime(run_id.rsplit("-", 1)[0], _START_FORMAT).replace(tzinfo=UTC)
    return otherwise


def new_problems() -> RecordingProblems:
    """Return where a run collects its problems; what that is made of takes time to import."""
    from tallymark.conversion.problems import RecordingProblems

    return RecordingProblems()


class RunRecorder(Protocol):
    """What records a run in this process, as far as the run itself must know it."""

    def end(self) -> None:
        """End the recording of the run in this process."""


class ActiveRun:
    """An open run, as this process knows it: `start` is when it was started, `substitutions` fill in its templates.

    `owned` tells whether this process has started it, and so finishes it.
    """

    def __init__(
        self, run_id: str, settings: Settings, start: datetime, substitutions: dict[str, str], *, owned: bool
    ) -> None:
        self.id = run_id
        self.settings = settings
        self.start = start
        self.substitutions = substitutions
        self.owned = owned
        self.failed_with: BaseException | None = None
        self.failed_step = ""
        # A context in which the run was started still holds it, because it was finished in another.
        self.is_stale = False
        # By the clock of the process, infinite while the run goes on.
        self.ended_at = math.inf
        # The model of the run as a whole.
        self.model: ModelSpec | None = None
        self.problems: RecordingProblems = new_problems()
        # What records it in this process, once there is something to record.
        self.recorder: RunRecorder | None = None
        self.open_steps: set[str] = set()
        # What the names and versions of models are found to mean in it, whichever object asks.
        self.versions: dict[tuple[str, str], ModelVersion] = {}

    def __repr__(self) -> str:
        return f"run {self.id}"

    @property
    def key(self) -> tuple[str, str, str]:
        """The registry and the id, which identify the run."""
        return (self.settings.url, self.settings.project, self.id)

    def describe(self, error: BaseException) -> str:
        """Return what went wrong, and in which step."""
        text = outcome(error)
        return f"step {self.failed_step}: {text}" if self.failed_with is error else text


def outcome(error: BaseException) -> str:
    """Return what went wrong, as text that can be sent, without secrets: an exception may say anything, or nothing."""
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - it is the user's, and what it is called is known
        said = ""
    from tallymark.conversion.redaction import redacted_error

    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    text = redacted_error(text[: 2 * MAX_ERROR].encode(errors="backslashreplace").decode().replace("\0", "\\x00"))
    return text if len(text) <= MAX_ERROR else f"{text[:MAX_ERROR]}…"


class Frame(NamedTuple):
    """What the code belongs to: a run, the model in force, and the step, empty in the pipeline itself.

    `substitutions` are those that came with the model, beside the run's.
    """

    run: ActiveRun
    model: ModelSpec | None
    step: str
    substitutions: Mapping[str, str] = {}


_frame: ContextVar[Frame | EndedRun | None] = ContextVar("tallymark_frame", default=None)


class _Process:
    """The open runs of this process, in which threads without a context look for theirs."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.frames: dict[ActiveRun, Frame] = {}
        self.original: dict[str, str | None] | None = None
        self.joined: dict[tuple[str, ...], Frame] = {}

    def enter(self, frame: Frame) -> None:
        with self.lock:
            self.frames[frame.run] = frame
            self._export()

    def leave(self, run: ActiveRun) -> None:
        with self.lock:
            self.frames.pop(run, None)
            self._export()

    def outer_run_id(self) -> str:
        """Return the id of the run that this process is to join, not of the one that its children are to join."""
        run_id = (os.environ.get(RUN_ID) if self.original is None else self.original[RUN_ID]) or ""
        if run_id and not is_run_id(run_id):
            raise InvalidSetting(f"{RUN_ID} is {run_id!r}; a run id has 1 to 100 of the characters A-Z a-z 0-9 . _ -")
        return run_id

    def _export(self) -> None:
        """Set the environment of processes that are started from now on, if exactly one run is open."""
        if self.original is None:
            self.original = {name: os.environ.get(name) for name in _EXPORTED}
        if len(self.frames) == 1:
            (run,) = self.frames
            values = (run.id, json.dumps(run.substitutions), *(getattr(run.settings, name) for name in _SETTINGS))
            os.environ.update(zip(_EXPORTED, values, strict=True))
            return
        for name, value in self.original.items():
            if value is None or (self.frames and name in (RUN_ID, SUBSTITUTIONS)):
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if not self.frames:
            self.original = None


_process = _Process()
# The runs that this process has started and not yet finished.
open_runs: set[ActiveRun] = set()


def own_frame() -> Frame | None:
    """Return the frame of the code that runs now by its context alone, None if it has none."""
    here = _frame.get()
    return here if isinstance(here, Frame) and not here.run.is_stale else None


def present_frame() -> Frame | None:
    """Return the frame by context, or else that of the one open run of the process; None if there is neither."""
    frame = own_frame()
    if frame is None and _frame.get() is None and len(_process.frames) == 1:
        (frame,) = _process.frames.values()
    return frame


def ended_run() -> EndedRun | None:
    """Return the run that was started here last, if it has ended."""
    here = _frame.get()
    if isinstance(here, Frame) and here.run.is_stale:
        return EndedRun(here.run.key, here.run.ended_at)
    return here if isinstance(here, EndedRun) else None


Place = Frame | EndedRun | None


def enter(frame: Frame) -> Place:
    """Let the code that follows belong to the frame. Return what it belonged to, for `leave`."""
    before = _frame.get()
    _frame.set(frame)
    return before


def leave(frame: Frame, before: Place, *, is_end: bool) -> None:
    """Let the code that follows belong to what it belonged to before; at the end of a run, remember that it ended here.

    A run that was started in another context, such as one cell of a notebook or one callback, is stale there.
    """
    if is_end:
        frame.run.ended_at = time.monotonic()
    if _frame.get() is frame:
        goes_on = isinstance(before, Frame) and not before.run.is_stale
        _frame.set(EndedRun(frame.run.key, frame.run.ended_at) if is_end and not goes_on else before)
    elif is_end:
        frame.run.is_stale = True


def ended_here(run: ActiveRun) -> None:
    """Remember in this context that the run was started here and has ended."""
    run.ended_at = time.monotonic()
    if own_frame() is None:
        _frame.set(EndedRun(run.key, run.ended_at))


def current_frame(join: Callable[[str], Frame]) -> Frame | None:
    """Return the frame of the code that runs now. `join` gives the frame of a run that the environment names.

    Raises AmbiguousRun in a thread without a context while several runs are open.
    """
    here = _frame.get()
    if isinstance(here, Frame) and not here.run.is_stale:
        return here
    # Code that has had a run of its own does not slip into that of another thread.
    frames = [] if here is not None else list(_process.frames.values())
    if len(frames) == 1:
        return frames[0]
    if frames:
        raise AmbiguousRun(
            f"{len(frames)} runs go on in this process, and this thread belongs to none of them; in its run, give the"
            " thread or pool tallymark.bind(function), as in pool.submit(tallymark.bind(function), ...)"
        )
    run_id = _process.outer_run_id()
    return join(run_id) if run_id else None


def joined_once(key: tuple[str, ...], make: Callable[[], Frame]) -> Frame:
    """Return the frame of a run that this process has joined, made once."""
    if key not in _process.joined:
        _process.joined[key] = make()
    return _process.joined[key]


def outer_run_id() -> str:
    """Return the id of the run that this process is to join, empty if none."""
    return _process.outer_run_id()


def outer_substitutions() -> dict[str, str]:
    """Return the substitutions of the run that this process is to join."""
    found: dict[str, str] = json.loads(os.environ.get(SUBSTITUTIONS) or "{}")
    return found


def register_run(frame: Frame) -> None:
    """Let threads and processes without a context belong to this frame's run."""
    _process.enter(frame)


def unregister_run(run: ActiveRun) -> None:
    """Let nothing belong to the run any more."""
    _process.leave(run)


@contextmanager
def within(frame: Frame) -> Iterator[None]:
    """Let the code in the block belong to the frame."""
    token = _frame.set(frame)
    try:
        yield
    finally:
        _frame.reset(token)


def _after_fork_in_child() -> None:
    _process.lock = threading.Lock()
    open_runs.clear()
    for run in {frame.run for frame in (*_process.frames.values(), *_process.joined.values())}:
        # The parent ends the run, and reports the problems until here.
        run.owned = False
        run.problems = new_problems()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
