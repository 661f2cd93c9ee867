"""What a program records in a run: kept in the run's journal at once, and sent from the background.

Nothing here waits for the registry, but for what says so, and nothing here raises because a record could not be sent.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallymark.client import calls
from tallymark.client.blocking import shared
from tallymark.client.calls import Call, recorded
from tallymark.delivery import spool, uploads
from tallymark.delivery.delivery import Delivery
from tallymark.delivery.journal import Kind, point_body
from tallymark.delivery.sender import LONGEST_WAIT, Sender, close_all, sender_of
from tallymark.errors import InvalidSetting, Unavailable
from tallymark.tracking.context import ActiveRun, Frame
from tallymark.tracking.resolution import Resolution
from tallymark.types.enums import RunState
from tallymark.types.resources import MetricPoint, ModelVersion

if TYPE_CHECKING:
    from tallymark.tracking.model_spec import ModelSpec

logger = logging.getLogger("tallymark")
# How long the end of a run waits for the records of its other processes on this machine, in seconds.
MAX_WAIT_FOR_OTHERS = 2.0


class Recorder:
    """Records what happens in one run in this process."""

    def __init__(self, run: ActiveRun) -> None:
        self.run = run
        settings = run.settings
        self._lock = threading.RLock()
        self._number_by_key: dict[tuple[str, ...], int] = {}
        # By the id of each model, for as long as it lives: a program may make one for each record.
        self._number_by_model: dict[int, tuple[weakref.ref[ModelSpec], int]] = {}
        # What each number was found to be, and who waits for that: several models may mean the same.
        self._version_by_number: dict[int, ModelVersion] = {}
        self._pending: dict[int, list[Resolution]] = {}
        self._files = itertools.count(1)
        self._claimed, why = spool.create(settings, _header_of(run))
        if why:
            run.problems.add("journal", f"kept in memory only, since the spool cannot be written: {why}")
        self._why_in_memory = why
        self._journal = self._claimed.journal
        self._delivery = Delivery(self._claimed, shared(settings), run.problems, self._on_resolved, self._before_end)
        self._sender: Sender | None = None
        if not settings.offline:
            self._sender = sender_of(settings)
            self._sender.add(self._delivery, self._rotate)

    def log_point(self, frame: Frame, model: ModelSpec, point: MetricPoint) -> None:
        """Record a point of a metric of the version that the model means in the frame."""
        self._record(Kind.POINT, point_body(point.key, point.step, point.value), frame, model)

    def log_point_to(self, version: str, point: MetricPoint) -> None:
        """Record a point of a metric of a version, by its resource name."""
        known = (version,)
        with self._lock:
            number = self._number_by_key.get(known)
            if number is None:
                number = self._number_by_key[known] = len(self._number_by_key) + 1
                self._journal.append(Kind.VERSION, number, version.encode())
        if not self._append(Kind.POINT, number, point_body(point.key, point.step, point.value)):
            recorder_of(self.run).log_point_to(version, point)

    def log_metadata(self, frame: Frame, model: ModelSpec, metadata: Mapping[str, object]) -> None:
        """Record metadata of that version. Raises InvalidField for what is none."""
        self._record(Kind.METADATA, recorded.packed_metadata(metadata), frame, model)

    def link(self, frame: Frame, model: ModelSpec, name: str, told: Mapping[str, Any]) -> None:
        """Record that an artifact is linked to that version. Raises InvalidField."""
        call = recorded.linked(self.run.settings.project, name, told)
        self._record(Kind.CALL, recorded.packed(call), frame, model)

    def upload(
        self, frame: Frame, model: ModelSpec, path: Path, name: str, told: Mapping[str, Any], store: str
    ) -> None:
        """Keep a file or folder in the spool, to be put into the store and linked to that version later.

        Raises OSError if it cannot be kept, and InvalidField.
        """
        call = recorded.linked(self.run.settings.project, name, told)
        if self._claimed.files is None:
            raise OSError(f"the spool cannot be written: {self.run.settings.spool}")
        kept = f"{next(self._files):06d}{path.suffix}"
        uploads.keep(path, self._claimed.files, kept)
        about = {"file": kept, "name": name, "store": store}
        if not self._append(Kind.UPLOAD, self._number_of(frame, model), uploads.packed(about, call)):
            recorder_of(self.run).upload(frame, model, self._claimed.files / kept, name, told, store)

    def start_run(self, call: Call[Any], resolution: Resolution | None) -> None:
        """Record that the run starts, to be sent later. Raises InvalidSetting if an offline run could not be kept."""
        if self._why_in_memory and self.run.settings.offline:
            raise InvalidSetting(f"TALLYMARK_MODE=offline needs a spool that can be written: {self._why_in_memory}")
        number = 0 if resolution is None else self._assign_number(resolution)
        if resolution is not None:
            self._resolve_later(number, resolution)
        self._append(Kind.CALL, number, recorded.packed(call))

    def start_step(self, frame: Frame, step: str, name: str, parameters: Mapping[str, object]) -> None:
        """Record that a step starts, with the version that is in force in it."""
        now = datetime.now(UTC)
        call = calls.start_step(self.run.settings.project, self.run.id, step, name, "", parameters, now)
        self._record(Kind.CALL, recorded.packed(call), frame, frame.model)

    def finish_step(self, step: str, state: RunState, error: str) -> None:
        """Record the outcome of a step."""
        self._finish(calls.finish_step(self.run.settings.project, self.run.id, step, state, error, datetime.now(UTC)))

    def finish_run(self, state: RunState, error: str) -> None:
        """Record the outcome of the run."""
        self._finish(calls.finish_run(self.run.settings.project, self.run.id, state, error, datetime.now(UTC)))

    def _finish(self, call: Call[Any]) -> None:
        self._report_problems()
        self._record(Kind.CALL, recorded.packed(call))
        if self._sender is not None and not self.run.owned:
            # A worker may be idle or gone from now on, and the process that ends the run waits for what it did.
            self._sender.notify(hurry=True)

    def _report_problems(self) -> None:
        problems = self.run.problems.take_unreported()
        if problems:
            call = calls.report_recording_problems(self.run.settings.project, self.run.id, problems)
            self._record(Kind.CALL, recorded.packed(call))

    def _record(self, kind: Kind, body: bytes, frame: Frame | None = None, model: ModelSpec | None = None) -> None:
        """Keep a record, with a model one about the version that the model means in the frame."""
        number = 0 if frame is None or model is None else self._number_of(frame, model)
        if not self._append(kind, number, body):
            recorder_of(self.run)._record(kind, body, frame, model)  # noqa: SLF001 - its own class

    def _append(self, kind: Kind, version: int, body: bytes) -> bool:
        """Keep a record. Return False if another recorder has taken over."""
        if not self._journal.append(kind, version, body):
            if self._journal.is_sealed and self.run.recorder is not self:
                return False
            self.run.problems.add("record", f"it could not be kept: {self._journal.why_in_memory}")
        if self._sender is not None and not self._delivery.is_noticed:
            self._delivery.is_noticed = True
            self._sender.notify()
        return True

    def _rotate(self) -> None:
        """Let the next record begin another journal, so that none grows without end."""
        with _lock:
            if self.run.recorder is self:
                self.run.recorder = None
        if self._sender is not None:
            self._sender.end(self._delivery)

    def _number_of(self, frame: Frame, model: ModelSpec) -> int:
        """The number by which the journal knows the version that the model means in the frame."""
        known = self._number_by_model.get(id(model))
        if known is not None and known[0]() is model and not frame.substitutions:
            return known[1]
        resolution = Resolution.in_frame(model, frame)
        with self._lock:
            number = self._number_by_key.get(resolution.key)
            if number is None:
                number = self._declare(resolution)
            else:
                self._resolve_later(number, resolution)
            if not frame.substitutions:
                self._number_by_model[id(model)] = (weakref.ref(model, self._forget(id(model))), number)
            return number

    def _forget(self, model: int) -> Callable[[object], object]:
        """Return what forgets a model that is gone."""
        numbers = self._number_by_model
        return lambda gone: numbers.pop(model, None) if numbers.get(model, (None,))[0] is gone else None

    def _declare(self, resolution: Resolution) -> int:
        """Declare a version in the journal: by its name if that is known, else by the request that finds it later."""
        try:
            version = resolution.resolve().version
            body = version.resource_name.encode()
            number = self._assign_number(resolution)
            self._version_by_number[number] = version
        except Unavailable:
            body = recorded.packed(resolution.request())
            number = self._assign_number(resolution)
            self._resolve_later(number, resolution)
        self._journal.append(Kind.VERSION, number, body)
        return number

    def _resolve_later(self, number: int, resolution: Resolution) -> None:
        """Let a model mean the version of that number, now or once it is found."""
        if resolution.known() is not None:
            return
        self._pending.setdefault(number, []).append(resolution)
        if number in self._version_by_number:
            self._on_resolved(number, self._version_by_number[number])

    def _assign_number(self, resolution: Resolution) -> int:
        number = self._number_by_key[resolution.key] = len(self._number_by_key) + 1
        return number

    def _on_resolved(self, number: int, version: ModelVersion) -> None:
        self._version_by_number[number] = version  # first, for whoever comes in between
        for resolution in self._pending.pop(number, ()):
            resolution.keep(version)

    def _before_end(self) -> None:
        """Let what other processes of the run have recorded come before its end."""
        deadline = time.monotonic() + MAX_WAIT_FOR_OTHERS
        while self._sender is not None:
            self._sender.deliver_run(self.run.id)
            waits = spool.is_anything_on_its_way(self.run.settings, self.run.id, but=self._claimed.path)
            if not waits or time.monotonic() >= deadline:
                return
            time.sleep(0.02)

    def end(self) -> None:
        """End the recording of the run in this process.

        Wait until all is delivered, for as long as there is progress and not while the registry is away; log what was
        left out or is kept.
        """
        self._report_problems()
        self.run.recorder = None
        sender = self._sender
        if sender is not None:
            sender.end(self._delivery)
            delivery = self._delivery
            sender.wait(lambda: sender.is_delivered(delivery) or delivery.is_blocked, sender.patience, LONGEST_WAIT)
        summary = self.run.problems.summary()
        if summary:
            logger.warning("%r: %s", self.run, summary)
        if sender is None or not sender.is_delivered(self._delivery):
            self._log_unsent()
        if sender is None:
            self._claimed.release()

    def _log_unsent(self) -> None:
        kept, in_memory = self._journal.waiting(self._delivery.sent)
        if in_memory:
            why = self._why_in_memory or self._journal.why_in_memory
            text = "%r: %d records are in memory only, and lost when this program ends: %s"
            logger.warning(text, self.run, in_memory, why)
        if kept and self._claimed.path is not None:
            level = logging.INFO if self.run.settings.offline else logging.WARNING
            logger.log(
                level, "%r: %d records are kept in %s; %s", self.run, kept, self._claimed.path.parent, self._when()
            )

    def _when(self) -> str:
        """Return when the records that are kept are sent."""
        if self._sender is None:
            return "`tallymark sync` sends them"
        if self._delivery.blocked is not None:
            return f"`tallymark sync` sends them once this is mended: {self._delivery.blocked}"
        if self._sender.away is not None:
            return f"they are sent when the registry is back, or by `tallymark sync` ({self._sender.away})"
        return "they are still being sent, and what is left when the program ends by `tallymark sync`"

    def leave_to_parent(self) -> None:
        """In the child of a fork, leave the journal to the parent."""
        self.run.recorder = None
        self._journal.leave()


def _header_of(run: ActiveRun) -> spool.Header:
    model = run.model
    name, version = (None, None) if model is None else (model.name, model.version)
    return spool.new_header(run.settings, run.id, run.start, owned=run.owned, model=name, version=version)


_lock = threading.Lock()
_recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()


def recorder_of(run: ActiveRun) -> Recorder:
    """Return what records the run in this process."""
    found = run.recorder
    if isinstance(found, Recorder):
        return found
    with _lock:
        found = run.recorder
        if not isinstance(found, Recorder):
            found = run.recorder = Recorder(run)
            _recorders.add(found)
            _end_before_exit()
        return found


def end_all() -> None:
    """End the recording in this process of runs that somebody else ends, and deliver what there is."""
    for recorder in list(_recorders):
        if recorder.run.id and recorder.run.recorder is recorder:
            recorder.end()
    close_all()


def _end_before_exit() -> None:
    """Processes of multiprocessing end without calling what is registered with `atexit`."""
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        util.Finalize(None, end_all, exitpriority=0)


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()
    for recorder in list(_recorders):
        recorder.leave_to_parent()
    _recorders.clear()


atexit.register(end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
