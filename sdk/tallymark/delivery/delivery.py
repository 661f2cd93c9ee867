"""Delivering a journal to the registry: its records in order, merged where that changes nothing, each once.

Points and metadata of one version that follow each other go in one request. Its request id is made of the places of
its records in the journal, so that the same records always have the same id. What the registry refuses costs itself
only: a request with several records is halved until the culprit is alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallymark.client.calls import recorded
from tallymark.client.calls.call import Call
from tallymark.conversion.problems import RecordingProblems
from tallymark.delivery.batches import MAX_RECORDS, batch_of, request_id_of, subjects_of
from tallymark.delivery.full_metadata import Fullness
from tallymark.delivery.journal import Kind, Record, point_of
from tallymark.delivery.outcomes import Anew, Asker, is_blocked, is_undecided
from tallymark.delivery.renamed_models import new_name
from tallymark.delivery.spool import Claimed
from tallymark.delivery.uploads import artifact_of, is_waiting, upload, waiting
from tallymark.errors import (
    InvalidArgument,
    ModelDeleted,
    ModelNotFound,
    NotFound,
    Refused,
    StoreUnavailable,
    TallymarkError,
    ValueTooLarge,
    VersionDeleted,
    VersionNotFound,
)
from tallymark.types.resources import ModelVersion

# A defect of the service may go away with its restart; a record that causes one each time must not stop the others.
MAX_DEFECTS = 5


class Delivery:
    """The records of one journal on their way to the registry.

    `problems` collects what the registry refuses. `resolved` is called with each version that is found or created, by
    the number under which the journal knows it, and `before_end` before the run is finished.
    """

    def __init__(
        self,
        claimed: Claimed,
        client: Asker,
        problems: RecordingProblems,
        resolved: Callable[[int, ModelVersion], object] | None = None,
        before_end: Callable[[], object] | None = None,
    ) -> None:
        self.claimed = claimed
        self.problems = problems
        self.delivered = 0
        # Whether something in it could not be read, or its version was refused: then it is put aside.
        self.is_damaged = False
        # Why it cannot be delivered for now, although the registry can be reached.
        self.blocked: Exception | None = None
        # Whether the sender knows that there is more; it forgets it before it looks.
        self.is_noticed = False
        self._journal = claimed.journal
        self._resolved = resolved
        self._before_end = before_end
        progress = self._journal.progress()
        self._client = Anew(client, progress.turn, self._journal.mark_turn)
        self._sent, self._sending = progress.sent, progress.sending
        self._declared: dict[int, bytes] = {}
        self._names: dict[int, str] = dict(progress.resolved)
        self._refused: dict[int, str] = {}
        self._defects = 0
        self._fullness = Fullness(client, claimed.header.project)
        # The uploads of which the problems say that they wait for their store.
        self._waiting: set[bytes] = set()
        self._read_to = 0
        self._records: list[Record] = []

    @property
    def sent(self) -> int:
        """Everything before this place of the journal is delivered."""
        return self._sent

    @property
    def is_blocked(self) -> bool:
        """Whether what is recorded cannot be delivered for now, although the registry can be reached."""
        return self.blocked is not None and not self.is_noticed

    def has_more(self) -> bool:
        """Return whether there is a record to deliver; OSError."""
        while not self._records:
            if not self._read_more():
                if self._sent < self._read_to:
                    self._sent = self._read_to
                    self._journal.mark(self._sent, 0)
                return False
        return True

    def is_sealed(self) -> bool:
        """Return whether all is delivered, and nothing is recorded any more; OSError."""
        return not self.has_more() and self._journal.seal(self._read_to)

    def is_pending(self) -> bool:
        """Return whether there may be records that are not delivered; safe to call from any thread."""
        return self._sent < self._journal.end

    def _read_more(self) -> bool:
        """Read on in the journal. Return whether anything was there."""
        records, damages, following = self._journal.read(self._read_to)
        for damage in damages:
            self.is_damaged = True
            self.problems.add("journal", f"{damage.end - damage.start} bytes of {self._journal.path} are damaged")
        if not records:
            following = self._journal.next_part(following)
        if following == self._read_to:
            return False
        self._read_to = following
        for record in records:
            if record.kind == Kind.VERSION:
                self._declared[record.version] = record.body
            elif record.kind != Kind.HEADER and record.start >= self._sent:
                self._records.append(record)
        return True

    def step(self) -> bool:
        """Deliver the next records. Return whether there were any; raises what `is_blocked` says, and OSError."""
        if not self.has_more():
            return False
        batch = self._next_batch()
        end = batch[-1].end
        self._journal.mark(self._sent, end)
        try:
            self._deliver(batch)
        except TallymarkError as error:
            if is_blocked(error):
                raise
            self._defects += 1
            if self._defects < MAX_DEFECTS:
                raise
            self._refuse(batch, "the service failed on it several times")
        except ValueError as error:  # the record is kept, since the journal is put aside
            self.is_damaged = True
            self.problems.add("journal", f"a record cannot be read: {error}")
        self._defects = 0
        del self._records[: len(batch)]
        self._sent, self._sending = end, 0
        self.delivered += len(batch)
        self._journal.forget(end)
        return True

    def finish(self) -> None:
        """Note that everything is delivered, and report what was refused; raises as `step`."""
        self._journal.mark(self._sent, 0)
        self._report(self._sent)

    def _next_batch(self) -> list[Record]:
        """The records that go in one request: those that were on their way, or as many as may be merged."""
        first = self._records[0]
        if first.kind not in (Kind.POINT, Kind.METADATA):
            return [first]
        while (len(self._records) < MAX_RECORDS or self._records[-1].end < self._sending) and self._read_more():
            pass
        if self._sending > first.start:
            again = [record for record in self._records if record.end <= self._sending]
            if again and again[-1].end == self._sending:
                return again
        return batch_of(self._records)

    def _deliver(self, batch: list[Record]) -> None:
        record = batch[0]
        if record.kind == Kind.CALL:
            self._deliver_call(record)
        elif record.kind == Kind.UPLOAD:
            self._deliver_upload(record)
        elif record.kind in (Kind.POINT, Kind.METADATA):
            version = self._version(record.version)
            if version:
                self._deliver_log(batch, version)
            else:
                self._refuse(batch, self._why_unknown(record.version))
        else:
            raise ValueError(f"records of kind {record.kind} are from a later release")

    def _deliver_log(self, batch: list[Record], version: str) -> None:
        if self._fullness.is_full(batch[0].version):
            self._deliver_to_full(batch, version)
        else:
            self._deliver_whole(batch, version)

    def _deliver_to_full(self, batch: list[Record], version: str) -> None:
        """Deliver the points, and as much of the metadata as there is room for."""
        points = [each for each in batch if each.kind == Kind.POINT]
        if points:
            self._deliver_whole(points, version)
        metadata = [each for each in batch if each.kind == Kind.METADATA]
        facts = recorded.metadata_of(b"".join(each.body for each in metadata))
        refused = self._fullness.without_room(batch[0].version, version, facts)
        fitting = []
        for record in metadata:
            keys = recorded.metadata_keys(record.body)
            if len(keys) == 1 and keys <= refused.keys():
                self._refuse([record], refused[next(iter(keys))])
            else:
                fitting.append(record)
        if fitting:
            self._deliver_whole(fitting, version)

    def _deliver_whole(self, batch: list[Record], version: str) -> None:
        points = [(*point_of(each.body), each.time) for each in batch if each.kind == Kind.POINT]
        metadata = b"".join(each.body for each in batch if each.kind == Kind.METADATA)
        try:
            self._client.run_call(recorded.log_to(version, points, metadata, self._request_id(batch)))
        except TallymarkError as error:
            if is_undecided(error):
                raise
            if renamed := self._renamed(batch[0].version, version, error):
                self._deliver_log(batch, renamed)
            elif isinstance(error, NotFound | Refused):  # the version as a whole, whatever is logged to it
                self.is_damaged = True  # it is kept, since what is deleted may come back
                self._refuse(batch, str(error))
            elif isinstance(error, ValueTooLarge) and points and metadata:
                self._deliver_to_full(batch, version)
            elif len(batch) > 1:
                half = len(batch) // 2
                self._deliver_log(batch[:half], version)
                self._deliver_log(batch[half:], version)
            elif batch[0].kind == Kind.POINT:
                self.problems.add(f"metric {points[0][0]!r}", str(error))
            else:
                keys = sorted(recorded.metadata_keys(metadata))
                self._deliver_keys(batch[0], version, keys, 0, error)

    def _deliver_keys(self, record: Record, version: str, keys: list[str], place: int, error: TallymarkError) -> None:
        """Deliver metadata that was refused in halves, until the keys that are at fault are alone.

        `place` is that of the first of these keys among all of the record.
        """
        facts = recorded.metadata_of(record.body)
        if len(keys) == 1:
            self.problems.add(f"metadata {keys[0]!r}", str(error))
            self._fullness.note(record.version, version, {keys[0]: facts[keys[0]]}, error)
            return
        half = len(keys) // 2
        for asked, begin in ((keys[:half], place), (keys[half:], place + half)):
            refused = self._fullness.without_room(record.version, version, {key: facts[key] for key in asked})
            for key, why in refused.items():
                self.problems.add(f"metadata {key!r}", why)
            part = [key for key in asked if key not in refused]
            if not part:
                continue
            request_id = f"{self._request_id([record])}.{begin}-{begin + len(part)}"
            try:
                self._client.run_call(recorded.log_to(version, (), record.body, request_id, part))
            except InvalidArgument as refusal:
                self._deliver_keys(record, version, part, begin, refusal)

    def _deliver_call(self, record: Record) -> None:
        call = recorded.unpacked(record.body)
        version = ""
        if record.version and call.method != "StartRun":
            version = self._version(record.version)
            if not version and call.method != "StartStep":
                self._refuse([record], self._why_unknown(record.version))
                return
        if call.method == "FinishRun":
            if self._before_end is not None:
                self._before_end()
            self._report(record.start)
        try:
            reply = self._client.run_call(recorded.unpacked(record.body, version))
        except TallymarkError as error:
            if is_undecided(error):
                raise
            if self._renamed(record.version, version, error):
                self._deliver_call(record)
            else:
                self._call_refused(record, call, error)
            return
        if call.method == "StartRun":
            self._keep(record.version, recorded.version_in(reply))

    def _call_refused(self, record: Record, call: Call[Any], error: TallymarkError) -> None:
        """Count a refusal. A run whose version is refused is recorded all the same, without that version."""
        if call.method == "StartRun" and call.request.HasField("config"):
            self._refused[record.version] = str(error)
            self.is_damaged = True
            self.problems.add(f"model {call.request.config.model!r}", str(error))
            call.request.ClearField("config")
            call.request.request_id += "-run"
            try:
                self._client.run_call(call)
            except TallymarkError as refusal:
                if is_undecided(refusal):
                    raise
                self.problems.add(recorded.subject_of(call), str(refusal))
            return
        if isinstance(error, ModelNotFound | VersionNotFound | ModelDeleted | VersionDeleted):
            self.is_damaged = True
        self.problems.add(recorded.subject_of(call), str(error))

    def _renamed(self, number: int, version: str, error: TallymarkError) -> str:
        """The new resource name of a version whose model is renamed; empty if the error says nothing of that."""
        name = new_name(version, error) if number and version else ""
        if name:
            self._names[number] = name
            self._journal.mark_resolved(number, name)
        return name

    def _deliver_upload(self, record: Record) -> None:
        version = self._version(record.version)
        if not version:
            self._refuse([record], self._why_unknown(record.version))
            return
        try:
            self._client.run_call(upload(record.body, version, self.claimed.files))
        except StoreUnavailable as error:
            self._note_waiting(record, error)
            while self._has_uploads_only() and self._read_more():
                pass
            if self._has_uploads_only():
                self._report(record.start)
                raise
            # The store is away, and not the registry: what is recorded later does not wait for it.
            if self._journal.append(Kind.UPLOAD, record.version, waiting(record.body), record.time):
                self.delivered -= 1
            else:
                self.is_damaged = True  # the file is kept
        except (TallymarkError, OSError, ValueError) as error:
            if isinstance(error, TallymarkError) and is_undecided(error):
                raise
            if isinstance(error, TallymarkError) and self._renamed(record.version, version, error):
                self._deliver_upload(record)
                return
            self.is_damaged = True  # the file is kept
            self.problems.add(artifact_of(record.body), str(error))

    def _has_uploads_only(self) -> bool:
        return all(each.kind == Kind.UPLOAD for each in self._records)

    def _note_waiting(self, record: Record, error: StoreUnavailable) -> None:
        """Say once of each artifact that it waits for its store."""
        if record.body not in self._waiting and not is_waiting(record.body):
            self._waiting.add(record.body)
            self.problems.add(artifact_of(record.body), f"waits in the spool, the store cannot be written: {error}")

    def _version(self, number: int) -> str:
        """The resource name of a version, which is found or created now if need be; empty when it is refused."""
        if number in self._names or number in self._refused or number not in self._declared:
            return self._names.get(number, "")
        body = self._declared[number]
        if body.startswith(b"projects/"):
            self._names[number] = body.decode()
            return self._names[number]
        call = recorded.unpacked(body)
        try:
            self._keep(number, recorded.version_in(self._client.run_call(call)))
        except TallymarkError as error:
            if is_undecided(error):
                raise
            self._refused[number] = str(error)
            self.is_damaged = True
            self.problems.add(f"model {call.request.config.model!r}", str(error))
        return self._names.get(number, "")

    def _why_unknown(self, number: int) -> str:
        return self._refused.get(number, "its version is in a damaged part of the journal")

    def _keep(self, number: int, version: ModelVersion | None) -> None:
        if number and version is not None:
            self._names[number] = version.resource_name
            self._journal.mark_resolved(number, version.resource_name)
            if self._resolved is not None:
                self._resolved(number, version)

    def _refuse(self, batch: list[Record], why: str) -> None:
        for record in batch:
            for subject in subjects_of(record):
                self.problems.add(subject, why)

    def _report(self, place: int) -> None:
        """Report what was refused since the last report."""
        header = self.claimed.header
        problems = self.problems.take_unreported() if header.run else []
        if not problems:
            return
        request_id = f"{header.created // 1000:012x}-{header.id}-problems-{place:x}"
        try:
            self._client.run_call(recorded.report_problems(header.project, header.run, problems, request_id))
        except TallymarkError as error:
            self.problems.give_back(problems)
            if is_blocked(error):
                raise

    def _request_id(self, batch: list[Record]) -> str:
        return request_id_of(batch, self.claimed.header.id)
