"""The run, step and model of the code that runs now.

A `ContextVar` holds them, so that they are right in nested calls and in asyncio. A new thread has an empty context. It
belongs to the open run of its process if there is exactly one; while several are open, the thread needs `bind`. A
process started by fork takes over the context of its parent. A process started by spawn, and any other child process,
reads the run from the environment variable TALLYMARK_RUN_ID, which is set while exactly one run is open.
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


# A run id begins with the start of the run, so that every process of the run knows it to the microsecond.
_START_FORMAT = "%Y%m%d-%H%M%S-%f"


def new_run_id(start: datetime) -> str:
    """Return a new id for a run that starts at this time."""
    return f"{start.strftime(_START_FORMAT)}-{secrets.token_hex(3)}"


def is_run_id(text: str) -> bool:
    """Return whether the text can be the id of a run."""
    return 0 < len(text) <= MAX_RUN_ID and all(ch.isascii() and (ch.isalnum() or ch in "._-") for ch in text)


def start_from_id(run_id: str, default: datetime) -> datetime:
    """Return the start that a run id contains; `default` if the user chose the id."""
    with suppress(ValueError):
        return datetime.strptime(run_id.rsplit("-", 1)[0], _START_FORMAT).replace(tzinfo=UTC)
    return default


def new_problems() -> RecordingProblems:
    """Return an empty collection of problems; imported here because the import takes time."""
    from tallymark.conversion.problems import RecordingProblems

    return RecordingProblems()


class RunRecorder(Protocol):
    """The recorder of a run in this process, as far as this module uses it."""

    def end(self) -> None:
        """End the recording of the run in this process."""


class ActiveRun:
    """A run in this process.

    `start` is when the run was started, `substitutions` fill in the templates of its models, and `owned` is True if
    this process started the run, and so finishes it.
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
        # True if the run was finished in another context than it was started in, which still holds the run.
        self.is_stale = False
        # By time.monotonic(); infinite while the run is open.
        self.ended_at = math.inf
        # The model of the run as a whole.
        self.model: ModelSpec | None = None
        self.problems: RecordingProblems = new_problems()
        # Created with the first record.
        self.recorder: RunRecorder | None = None
        self.open_steps: set[str] = set()
        # By name and version of a model: the same version for all `Model` objects with that name and version.
        self.versions: dict[tuple[str, str], ModelVersion] = {}

    def __repr__(self) -> str:
        return f"run {self.id}"

    @property
    def key(self) -> tuple[str, str, str]:
        """The url and project of the registry, and the run's id."""
        return (self.settings.url, self.settings.project, self.id)

    def describe(self, error: BaseException) -> str:
        """Return the error as text, with the step in which it was raised."""
        text = error_text(error)
        return f"step {self.failed_step}: {text}" if self.failed_with is error else text


def error_text(error: BaseException) -> str:
    """Return an exception as text that can be encoded and has no secrets."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - the user's class may raise anything, and its name is enough
        message = ""
    from tallymark.conversion.redaction import redacted_error

    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    text = redacted_error(text[: 2 * MAX_ERROR].encode(errors="backslashreplace").decode().replace("\0", "\\x00"))
    return text if len(text) <= MAX_ERROR else f"{text[:MAX_ERROR]}…"


class Frame(NamedTuple):
    """The run, step and model of some code; the step is empty in the pipeline itself.

    `substitutions` were given with the model, in addition to those of the run.
    """

    run: ActiveRun
    model: ModelSpec | None
    step: str
    substitutions: Mapping[str, str] = {}


_frame: ContextVar[Frame | EndedRun | None] = ContextVar("tallymark_frame", default=None)


class _Process:
    """The open runs of this process, for threads that have no context of their own."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.frames: dict[ActiveRun, Frame] = {}
        self.original: dict[str, str | None] | None = None
        self.joined: dict[tuple[str, ...], Frame] = {}

    def add(self, frame: Frame) -> None:
        with self.lock:
            self.frames[frame.run] = frame
            self._export()

    def remove(self, run: ActiveRun) -> None:
        with self.lock:
            self.frames.pop(run, None)
            self._export()

    def outer_run_id(self) -> str:
        """Return the run id that this process inherited, not the one that it exports to its children."""
        run_id = (os.environ.get(RUN_ID) if self.original is None else self.original[RUN_ID]) or ""
        if run_id and not is_run_id(run_id):
            raise InvalidSetting(f"{RUN_ID} is {run_id!r}; a run id has 1 to 100 of the characters A-Z a-z 0-9 . _ -")
        return run_id

    def _export(self) -> None:
        """Set the environment of child processes if exactly one run is open; otherwise restore it."""
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


def context_frame() -> Frame | None:
    """Return the frame in the context of the code that runs now, None if it has none."""
    value = _frame.get()
    return value if isinstance(value, Frame) and not value.run.is_stale else None


def frame_in_process() -> Frame | None:
    """Return the frame in the context, or else of the only open run of the process; None if there is neither."""
    frame = context_frame()
    if frame is None and _frame.get() is None and len(_process.frames) == 1:
        (frame,) = _process.frames.values()
    return frame


def ended_run() -> EndedRun | None:
    """Return the run that was started last in this context, if it has ended."""
    value = _frame.get()
    if isinstance(value, Frame) and value.run.is_stale:
        return EndedRun(value.run.key, value.run.ended_at)
    return value if isinstance(value, EndedRun) else None


ContextValue = Frame | EndedRun | None


def enter(frame: Frame) -> ContextValue:
    """Set the frame of this context. Return the previous value, for `leave`."""
    before = _frame.get()
    _frame.set(frame)
    return before


def leave(frame: Frame, before: ContextValue, *, is_end: bool) -> None:
    """Restore the previous value of this context; at the end of a run, keep that the run ended here.

    If the run was started in another context, such as another cell of a notebook or another callback, mark it as stale
    there.
    """
    if is_end:
        frame.run.ended_at = time.monotonic()
    if _frame.get() is frame:
        is_open = isinstance(before, Frame) and not before.run.is_stale
        _frame.set(EndedRun(frame.run.key, frame.run.ended_at) if is_end and not is_open else before)
    elif is_end:
        frame.run.is_stale = True


def mark_ended(run: ActiveRun) -> None:
    """Keep in this context that the run was started here and has ended."""
    run.ended_at = time.monotonic()
    if context_frame() is None:
        _frame.set(EndedRun(run.key, run.ended_at))


def current_frame(join: Callable[[str], Frame]) -> Frame | None:
    """Return the frame of the code that runs now, None outside runs.

    Args:
        join: Return the frame of the run with this id; called for the id in the environment if no run is open here.

    Raises:
        AmbiguousRun: The thread has no context, and several runs are open.
        InvalidSetting: TALLYMARK_RUN_ID is not a valid run id.
    """
    value = _frame.get()
    if isinstance(value, Frame) and not value.run.is_stale:
        return value
    # Code whose own run has ended must not record in the run of another thread.
    frames = [] if value is not None else list(_process.frames.values())
    if len(frames) == 1:
        return frames[0]
    if frames:
        raise AmbiguousRun(
            f"{len(frames)} runs go on in this process, and this thread belongs to none of them; in its run, pass"
            " tallymark.bind(function) to the thread or pool, as in pool.submit(tallymark.bind(function), ...)"
        )
    run_id = _process.outer_run_id()
    return join(run_id) if run_id else None


def cached_joined_frame(key: tuple[str, ...], create: Callable[[], Frame]) -> Frame:
    """Return the frame of a run that this process has joined, created at the first call."""
    if key not in _process.joined:
        _process.joined[key] = create()
    return _process.joined[key]


def outer_run_id() -> str:
    """Return the run id that this process inherited from its environment, empty if none."""
    return _process.outer_run_id()


def outer_substitutions() -> dict[str, str]:
    """Return the substitutions that this process inherited from its environment."""
    found: dict[str, str] = json.loads(os.environ.get(SUBSTITUTIONS) or "{}")
    return found


def register_run(frame: Frame) -> None:
    """Make the run the default for threads without a context, and export it to child processes."""
    _process.add(frame)


def unregister_run(run: ActiveRun) -> None:
    """Undo `register_run`."""
    _process.remove(run)


@contextmanager
def within(frame: Frame) -> Iterator[None]:
    """Set the frame of this context within the block."""
    token = _frame.set(frame)
    try:
        yield
    finally:
        _frame.reset(token)


def _after_fork_in_child() -> None:
    _process.lock = threading.Lock()
    open_runs.clear()
    for run in {frame.run for frame in (*_process.frames.values(), *_process.joined.values())}:
        # The parent finishes the run, and reports the problems that were added before the fork.
        run.owned = False
        run.problems = new_problems()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
