"""Record the events of a run: written to the run's journal at once, and sent by a background thread.

Unless a docstring says so, nothing here waits for the registry, or raises because a record could not be sent.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
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
from tallymark.delivery.sender import MAX_WAIT, Sender, close_all, sender_of
from tallymark.errors import InvalidSetting, Unavailable
from tallymark.tracking.context import ActiveRun, Frame
from tallymark.tracking.resolution import Resolution
from tallymark.types.enums import RunState
from tallymark.types.resources import MetricPoint, ModelVersion

if TYPE_CHECKING:
    from tallymark.tracking.model_spec import ModelSpec

logger = logging.getLogger("tallymark")
# How many seconds the end of a run waits for records of its other processes on this machine.
MAX_WAIT_FOR_PROCESSES = 2.0


class Recorder:
    """Records the events of one run in this process."""

    def __init__(self, run: ActiveRun) -> None:
        self.run = run
        settings = run.settings
        self._lock = threading.RLock()
        self._number_by_key: dict[tuple[str, ...], int] = {}
        # By id(model), until the model is garbage collected: a program may create one for each record.
        self._number_by_model: dict[int, tuple[weakref.ref[ModelSpec], int]] = {}
        # The version of each number, and the resolutions that wait for it: several models may mean the same version.
        self._version_by_number: dict[int, ModelVersion] = {}
        self._pending: dict[int, list[Resolution]] = {}
        self._files = itertools.count(1)
        self._claimed, why = spool.create(settings, _header_of(run))
        if why:
            run.problems.add("journal", f"kept in memory only, because the spool cannot be written: {why}")
        self._why_in_memory = why
        self._journal = self._claimed.journal
        self._delivery = Delivery(self._claimed, shared(settings), run.problems, self._on_resolved, self._before_end)
        self._sender: Sender | None = None
        if not settings.offline:
            self._sender = sender_of(settings)
            self._sender.add(self._delivery, self._rotate)

    def log_point(self, frame: Frame, model: ModelSpec, point: MetricPoint) -> None:
        """Record a metric point of the version that the model means in the frame."""
        self._record(Kind.POINT, point_body(point.key, point.step, point.value), frame, model)

    def log_point_to(self, version: str, point: MetricPoint) -> None:
        """Record a metric point of the version with this resource name."""
        known = (version,)
        with self._lock:
            number = self._number_by_key.get(known)
            if number is None:
                number = self._number_by_key[known] = len(self._number_by_key) + 1
                self._journal.append(Kind.VERSION, number, version.encode())
        if not self._append(Kind.POINT, number, point_body(point.key, point.step, point.value)):
            recorder_of(self.run).log_point_to(version, point)

    def log_metadata(self, frame: Frame, model: ModelSpec, metadata: Mapping[str, object]) -> None:
        """Record metadata of the version that the model means in the frame. Raises InvalidField."""
        self._record(Kind.METADATA, recorded.packed_metadata(metadata), frame, model)

    def link(self, frame: Frame, model: ModelSpec, name: str, fields: Mapping[str, Any]) -> None:
        """Record that an artifact is linked to the version that the model means in the frame. Raises InvalidField."""
        call = recorded.link_artifact_later(self.run.settings.project, name, fields)
        self._record(Kind.CALL, recorded.packed(call), frame, model)

    def upload(
        self, frame: Frame, model: ModelSpec, path: Path, name: str, fields: Mapping[str, Any], store: str
    ) -> None:
        """Move a file or folder to the spool, to be uploaded to the store and linked to the version later.

        Raises:
            OSError: The spool cannot be written.
            InvalidField: A field of the link is not valid.
        """
        call = recorded.link_artifact_later(self.run.settings.project, name, fields)
        if self._claimed.files is None:
            raise OSError(f"the spool cannot be written: {self.run.settings.spool}")
        file = f"{next(self._files):06d}{path.suffix}"
        uploads.move_to_spool(path, self._claimed.files, file)
        upload = {"file": file, "name": name, "store": store}
        if not self._append(Kind.UPLOAD, self._number_of(frame, model), uploads.packed(upload, call)):
            recorder_of(self.run).upload(frame, model, self._claimed.files / file, name, fields, store)

    def start_run(self, call: Call[Any], resolution: Resolution | None) -> None:
        """Record that the run starts. Raises InvalidSetting offline if the spool cannot be written."""
        if self._why_in_memory and self.run.settings.offline:
            raise InvalidSetting(
                "TALLYMARK_MODE=offline needs a spool that can be written; set TALLYMARK_SPOOL to such a folder:"
                f" {self._why_in_memory}"
            )
        number = 0 if resolution is None else self._assign_number(resolution)
        if resolution is not None:
            self._resolve_later(number, resolution)
        self._append(Kind.CALL, number, recorded.packed(call))

    def start_step(self, frame: Frame, step: str, name: str, parameters: Mapping[str, object]) -> None:
        """Record that a step starts, with the version that its model means."""
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
            # This process may end now, and the process that finishes the run waits for its records.
            self._sender.notify(hurry=True)

    def _report_problems(self) -> None:
        problems = self.run.problems.pop_unreported()
        if problems:
            call = calls.report_recording_problems(self.run.settings.project, self.run.id, problems)
            self._record(Kind.CALL, recorded.packed(call))

    def _record(self, kind: Kind, body: bytes, frame: Frame | None = None, model: ModelSpec | None = None) -> None:
        """Append a record; with a frame and a model, about the version that the model means in the frame."""
        number = 0 if frame is None or model is None else self._number_of(frame, model)
        if not self._append(kind, number, body):
            recorder_of(self.run)._record(kind, body, frame, model)  # noqa: SLF001 - its own class

    def _append(self, kind: Kind, version: int, body: bytes) -> bool:
        """Append a record. Return False if another recorder has replaced this one."""
        if not self._journal.append(kind, version, body):
            if self._journal.is_sealed and self.run.recorder is not self:
                return False
            self.run.problems.add("record", f"it could not be kept: {self._journal.why_in_memory}")
        if self._sender is not None and not self._delivery.is_notified:
            self._delivery.is_notified = True
            self._sender.notify()
        return True

    def _rotate(self) -> None:
        """Start another journal with the next record, to bound the size of each."""
        with _lock:
            if self.run.recorder is self:
                self.run.recorder = None
        if self._sender is not None:
            self._sender.end(self._delivery)

    def _number_of(self, frame: Frame, model: ModelSpec) -> int:
        """Return the number in this journal of the version that the model means in the frame."""
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
        """Return a callback that removes a model from the cache when it is garbage collected."""
        numbers = self._number_by_model
        return lambda gone: numbers.pop(model, None) if numbers.get(model, (None,))[0] is gone else None

    def _declare(self, resolution: Resolution) -> int:
        """Declare a version in the journal: by its resource name, or by the request that resolves it later."""
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
        """Resolve a model to the version of this number, now or once the version is known."""
        if resolution.cached() is not None:
            return
        self._pending.setdefault(number, []).append(resolution)
        if number in self._version_by_number:
            self._on_resolved(number, self._version_by_number[number])

    def _assign_number(self, resolution: Resolution) -> int:
        number = self._number_by_key[resolution.key] = len(self._number_by_key) + 1
        return number

    def _on_resolved(self, number: int, version: ModelVersion) -> None:
        self._version_by_number[number] = version  # first, so that a resolution added meanwhile sees it
        for resolution in self._pending.pop(number, ()):
            resolution.keep(version)

    def _before_end(self) -> None:
        """Wait until records of other processes of the run are delivered, so that they precede its end."""
        deadline = time.monotonic() + MAX_WAIT_FOR_PROCESSES
        while self._sender is not None:
            self._sender.deliver_run(self.run.id)
            waits = spool.has_unsent_records(self.run.settings, self.run.id, but=self._claimed.path)
            if not waits or time.monotonic() >= deadline:
                return
            time.sleep(0.02)

    def end(self) -> None:
        """End the recording of the run in this process.

        Wait until everything is delivered, as long as there is progress and the registry is available. Log what was
        left out, and what is not sent yet.
        """
        self._report_problems()
        self.run.recorder = None
        sender = self._sender
        if sender is not None:
            sender.end(self._delivery)
            delivery = self._delivery
            sender.wait(lambda: sender.is_delivered(delivery) or delivery.is_blocked, sender.wait_timeout, MAX_WAIT)
        summary = self.run.problems.summary()
        if summary:
            logger.warning("%r: %s", self.run, summary)
        if sender is None or not sender.is_delivered(self._delivery):
            self._log_unsent()
        if sender is None:
            self._claimed.release()

    def _log_unsent(self) -> None:
        in_file, in_memory = self._journal.waiting(self._delivery.sent)
        if in_memory:
            why = self._why_in_memory or self._journal.why_in_memory
            text = "%r: %d records are in memory only, and lost when this program ends: %s"
            logger.warning(text, self.run, in_memory, why)
        if in_file and self._claimed.path is not None:
            level = logging.INFO if self.run.settings.offline else logging.WARNING
            logger.log(
                level, "%r: %d records are kept in %s; %s", self.run, in_file, self._claimed.path.parent, self._when()
            )

    def _when(self) -> str:
        """Return when the unsent records will be sent, for the log."""
        if self._sender is None:
            return "`tallymark sync` sends them"
        if self._delivery.blocked is not None:
            return f"`tallymark sync` sends them once this is mended: {self._delivery.blocked}"
        if self._sender.outage is not None:
            return f"they are sent when the registry is back, or by `tallymark sync` ({self._sender.outage})"
        return "they are still being sent, and what is left when the program ends by `tallymark sync`"

    def leave_to_parent(self) -> None:
        """Close the journal in the child of a fork: the parent delivers it."""
        self.run.recorder = None
        self._journal.close_in_child()


def _header_of(run: ActiveRun) -> spool.Header:
    model = run.model
    name, version = (None, None) if model is None else (model.name, model.version)
    return spool.new_header(run.settings, run.id, run.start, owned=run.owned, model=name, version=version)


_lock = threading.Lock()
_recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()


def recorder_of(run: ActiveRun) -> Recorder:
    """Return the recorder of the run in this process, created at the first call."""
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
    """End recording in this process, and deliver its records: at exit, for runs that another process finishes."""
    for recorder in list(_recorders):
        if recorder.run.id and recorder.run.recorder is recorder:
            recorder.end()
    close_all()


def _end_before_exit() -> None:
    """Register `end_all` in processes of multiprocessing, which do not run `atexit` handlers."""
    from multiprocessing import process, util

    if process.parent_process() is not None:
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
