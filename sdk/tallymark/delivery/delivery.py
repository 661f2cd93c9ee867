"""Deliver the records of a journal to the registry in order, each exactly once.

Consecutive points and metadata of one version go in one request. The request id is derived from the offsets of the
records in the journal, so the same records always have the same id. A refused record does not affect the others: a
request with several records is split in halves until the refused record is alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallymark.client.calls import recorded
from tallymark.client.calls.call import Call
from tallymark.conversion.problems import RecordingProblems
from tallymark.delivery.batches import MAX_RECORDS, batch_of, request_id_of, subjects_of
from tallymark.delivery.full_metadata import FullVersions
from tallymark.delivery.journal import Kind, Record, point_of
from tallymark.delivery.outcomes import CallRunner, RenewableRequests, is_blocked, is_undecided
from tallymark.delivery.renamed_models import new_name
from tallymark.delivery.spool import ClaimedJournal
from tallymark.delivery.uploads import artifact_of, is_waiting, marked_waiting, upload
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

# An internal error of the service may be temporary; but a record that always causes one must not block the others.
MAX_INTERNAL_ERRORS = 5


class Delivery:
    """The delivery of one journal. `problems` collects the records that the registry refuses.

    `resolved` is called with each version that is found or created, and its number in the journal; `before_end` is
    called before the run is finished.
    """

    def __init__(
        self,
        claimed: ClaimedJournal,
        client: CallRunner,
        problems: RecordingProblems,
        resolved: Callable[[int, ModelVersion], object] | None = None,
        before_end: Callable[[], object] | None = None,
    ) -> None:
        self.claimed = claimed
        self.problems = problems
        self.delivered = 0
        # Whether a record could not be read, or its version was refused: the journal is then quarantined.
        self.is_damaged = False
        # Why the journal cannot be delivered for now, although the registry is reachable.
        self.blocked: Exception | None = None
        # Whether the sender was notified of new records; reset before it reads them.
        self.is_notified = False
        self._journal = claimed.journal
        self._resolved = resolved
        self._before_end = before_end
        progress = self._journal.progress()
        self._client = RenewableRequests(client, progress.attempt, self._journal.mark_attempt)
        self._sent, self._sending = progress.sent, progress.sending
        self._declared: dict[int, bytes] = {}
        self._names: dict[int, str] = dict(progress.resolved)
        self._refused: dict[int, str] = {}
        self._internal_errors = 0
        self._full_versions = FullVersions(client, claimed.header.project)
        # The uploads that wait for their store, and have a problem that says so.
        self._waiting: set[bytes] = set()
        self._read_to = 0
        self._records: list[Record] = []

    @property
    def sent(self) -> int:
        """The offset in the journal before which everything is delivered."""
        return self._sent

    @property
    def is_blocked(self) -> bool:
        """Whether the journal cannot be delivered for now, although the registry is reachable."""
        return self.blocked is not None and not self.is_notified

    def has_more(self) -> bool:
        """Return whether there is a record to deliver. Raises OSError."""
        while not self._records:
            if not self._read_more():
                if self._sent < self._read_to:
                    self._sent = self._read_to
                    self._journal.mark(self._sent, 0)
                return False
        return True

    def is_sealed(self) -> bool:
        """Return whether everything is delivered, and the journal takes no more records. Raises OSError."""
        return not self.has_more() and self._journal.seal(self._read_to)

    def is_pending(self) -> bool:
        """Return whether there may be records that are not delivered. Thread-safe."""
        return self._sent < self._journal.end

    def _read_more(self) -> bool:
        """Read more of the journal. Return whether there was more."""
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

    def deliver_batch(self) -> bool:
        """Deliver the next records in one request. Return whether there were any.

        Raises TallymarkError if the journal is blocked or the service failed, and OSError.
        """
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
            self._internal_errors += 1
            if self._internal_errors < MAX_INTERNAL_ERRORS:
                raise
            self._refuse(batch, "the service failed on it several times")
        except ValueError as error:  # the record is not lost, because the journal is quarantined
            self.is_damaged = True
            self.problems.add("journal", f"a record cannot be read: {error}")
        self._internal_errors = 0
        del self._records[: len(batch)]
        self._sent, self._sending = end, 0
        self.delivered += len(batch)
        self._journal.free_memory(end)
        return True

    def finish(self) -> None:
        """Mark everything as delivered, and report the refused records. Raises as `deliver_batch`."""
        self._journal.mark(self._sent, 0)
        self._report(self._sent)

    def _next_batch(self) -> list[Record]:
        """Return the records of the next request: those that were in flight before a crash, or a new batch."""
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
        if self._full_versions.is_full(batch[0].version):
            self._deliver_to_full(batch, version)
        else:
            self._deliver_whole(batch, version)

    def _deliver_to_full(self, batch: list[Record], version: str) -> None:
        """Deliver the points, and as much of the metadata as the version has room for."""
        points = [each for each in batch if each.kind == Kind.POINT]
        if points:
            self._deliver_whole(points, version)
        metadata = [each for each in batch if each.kind == Kind.METADATA]
        facts = recorded.metadata_of(b"".join(each.body for each in metadata))
        refused = self._full_versions.without_room(batch[0].version, version, facts)
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
            elif isinstance(error, NotFound | Refused):  # the version takes no records at all
                self.is_damaged = True  # keeps the journal, since a deleted version may be restored
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

    def _deliver_keys(self, record: Record, version: str, keys: list[str], first: int, error: TallymarkError) -> None:
        """Deliver refused metadata in halves, until each key at fault is alone.

        `first` is the index of the first of these keys among all keys of the record.
        """
        facts = recorded.metadata_of(record.body)
        if len(keys) == 1:
            self.problems.add(f"metadata {keys[0]!r}", str(error))
            self._full_versions.record_refusal(record.version, version, {keys[0]: facts[keys[0]]}, error)
            return
        half = len(keys) // 2
        for half_keys, begin in ((keys[:half], first), (keys[half:], first + half)):
            refused = self._full_versions.without_room(record.version, version, {key: facts[key] for key in half_keys})
            for key, why in refused.items():
                self.problems.add(f"metadata {key!r}", why)
            part = [key for key in half_keys if key not in refused]
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
            self._set_version(record.version, recorded.version_in(reply))

    def _call_refused(self, record: Record, call: Call[Any], error: TallymarkError) -> None:
        """Add a problem for a refused call. If the version of a run is refused, start the run without it."""
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
        """Return the new resource name of a version whose model was renamed; empty if the error reports no rename."""
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
            self._add_waiting_problem(record, error)
            while self._has_uploads_only() and self._read_more():
                pass
            if self._has_uploads_only():
                self._report(record.start)
                raise
            # Only the store is unavailable, so the upload moves to the end of the journal, behind the other records.
            if self._journal.append(Kind.UPLOAD, record.version, marked_waiting(record.body), record.time):
                self.delivered -= 1
            else:
                self.is_damaged = True  # keeps the file
        except (TallymarkError, OSError, ValueError) as error:
            if isinstance(error, TallymarkError) and is_undecided(error):
                raise
            if isinstance(error, TallymarkError) and self._renamed(record.version, version, error):
                self._deliver_upload(record)
                return
            self.is_damaged = True  # keeps the file
            self.problems.add(artifact_of(record.body), str(error))

    def _has_uploads_only(self) -> bool:
        return all(each.kind == Kind.UPLOAD for each in self._records)

    def _add_waiting_problem(self, record: Record, error: StoreUnavailable) -> None:
        """Add a problem, once for each artifact, that it waits for its store."""
        if record.body not in self._waiting and not is_waiting(record.body):
            self._waiting.add(record.body)
            self.problems.add(artifact_of(record.body), f"waits in the spool, the store cannot be written: {error}")

    def _version(self, number: int) -> str:
        """Return the resource name of a version, found or created now if necessary; empty if it is refused."""
        if number in self._names or number in self._refused or number not in self._declared:
            return self._names.get(number, "")
        body = self._declared[number]
        if body.startswith(b"projects/"):
            self._names[number] = body.decode()
            return self._names[number]
        call = recorded.unpacked(body)
        try:
            self._set_version(number, recorded.version_in(self._client.run_call(call)))
        except TallymarkError as error:
            if is_undecided(error):
                raise
            self._refused[number] = str(error)
            self.is_damaged = True
            self.problems.add(f"model {call.request.config.model!r}", str(error))
        return self._names.get(number, "")

    def _why_unknown(self, number: int) -> str:
        return self._refused.get(number, "its version is in a damaged part of the journal")

    def _set_version(self, number: int, version: ModelVersion | None) -> None:
        if number and version is not None:
            self._names[number] = version.resource_name
            self._journal.mark_resolved(number, version.resource_name)
            if self._resolved is not None:
                self._resolved(number, version)

    def _refuse(self, batch: list[Record], why: str) -> None:
        for record in batch:
            for subject in subjects_of(record):
                self.problems.add(subject, why)

    def _report(self, offset: int) -> None:
        """Report the problems since the last report. `offset` in the journal makes the request id unique."""
        header = self.claimed.header
        problems = self.problems.pop_unreported() if header.run else []
        if not problems:
            return
        request_id = f"{header.created // 1000:012x}-{header.id}-problems-{offset:x}"
        try:
            self._client.run_call(recorded.report_problems(header.project, header.run, problems, request_id))
        except TallymarkError as error:
            self.problems.restore_unreported(problems)
            if is_blocked(error):
                raise

    def _request_id(self, batch: list[Record]) -> str:
        return request_id_of(batch, self.claimed.header.id)
