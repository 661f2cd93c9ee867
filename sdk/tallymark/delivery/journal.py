"""The journal of a run: a file that stores every record until the registry has it.

A journal belongs to one process. It is an append-only sequence of frames, each with its length and a checksum. A
record is in the file before the call that recorded it returns, so a killed process loses none; the file is not synced
to the disk, so a power failure may lose the last seconds. A companion file of the same format (`.sent`) stores how far
the records have been delivered, and which of them were in flight: after a crash the same records are sent again, with
the same request id, and take effect once.

A damaged part is reported, and skipped up to the next frame with a correct checksum. An incomplete frame at the end of
the file was being written when the process was killed, by a call that did not return.
"""

from __future__ import annotations

import enum
import os
import struct
import threading
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

FORMAT = 1
_MAGIC = b"\xf5\xd4"
_FRAME = struct.Struct("<2sII")  # magic, length and CRC-32 of what follows
_RECORD = struct.Struct("<BIq")  # kind, version, time
_POINT = struct.Struct("<qd")
_MARK = struct.Struct("<QQ")
_ATTEMPT = struct.Struct("<Q")
MIN_RECORD, MAX_RECORD = _RECORD.size, 32 * 1024 * 1024
# Small, so that reading does not block the thread that records.
READ_CHUNK = 32 * 1024
# The limit for records in memory when the file cannot be written.
MAX_MEMORY = 64 * 1024 * 1024


class Kind(enum.IntEnum):
    """The kind of a record."""

    HEADER = 1
    VERSION = 2
    POINT = 3
    METADATA = 4
    CALL = 5
    UPLOAD = 6
    # Only in the companion file.
    SENDING = 100
    RESOLVED = 101
    ATTEMPT = 102


class Record(NamedTuple):
    """A record: `version` is the number of a version in this journal, 0 for none; `time` is in microseconds."""

    kind: int
    version: int
    time: int
    body: bytes
    start: int
    end: int


class Damage(NamedTuple):
    """A range of the file without a readable record."""

    start: int
    end: int


class Progress(NamedTuple):
    """How far a journal is delivered.

    `sent` is the offset before which everything is delivered, `sending` the end of the records in flight, `resolved`
    the resource names of versions by number, and `attempt` how often refused requests were renewed.
    """

    sent: int = 0
    sending: int = 0
    resolved: Mapping[int, str] = {}
    attempt: int = 0


def frame(kind: int, version: int, body: bytes, at: int | None = None) -> bytes:
    """Return a record as bytes. `at` is its time in microseconds, by default now."""
    payload = _RECORD.pack(kind, version, time.time_ns() // 1000 if at is None else at) + body
    return _FRAME.pack(_MAGIC, len(payload), zlib.crc32(payload)) + payload


def point_body(key: str, step: int, value: float) -> bytes:
    """Return the body of a metric point."""
    return _POINT.pack(step, value) + key.encode()


def point_of(body: bytes) -> tuple[str, int, float]:
    """Return the key, step and value of a metric point."""
    step, value = _POINT.unpack_from(body)
    return body[_POINT.size :].decode(), step, value


def scan(data: bytes, offset: int = 0, *, final: bool = True) -> tuple[list[Record], list[Damage], int]:
    """Read the records in `data`.

    Args:
        data: A part of the file.
        offset: Where `data` begins in the file.
        final: Whether `data` ends where the file ends; only there can a record be incomplete.

    Returns:
        The records, the damaged ranges, and the offset at which to continue.
    """
    records: list[Record] = []
    damages: list[Damage] = []
    position, end = 0, len(data)
    while position < end:
        record = _record_at(data, position, offset)
        if record is None:
            next_offset = _next_record(data, position + 1)
            if next_offset < 0:
                if not final and end - position > MAX_RECORD:
                    damages.append(Damage(offset + position, offset + end - 1))
                    position = end - 1
                break
            damages.append(Damage(offset + position, offset + next_offset))
            position = next_offset
            continue
        records.append(record)
        position = record.end - offset
    return records, damages, offset + position


def _record_at(data: bytes, position: int, offset: int) -> Record | None:
    if len(data) - position < _FRAME.size:
        return None
    magic, length, checksum = _FRAME.unpack_from(data, position)
    begin = position + _FRAME.size
    if magic != _MAGIC or not MIN_RECORD <= length <= MAX_RECORD or begin + length > len(data):
        return None
    payload = data[begin : begin + length]
    if zlib.crc32(payload) != checksum:
        return None
    kind, version, at = _RECORD.unpack_from(payload)
    return Record(kind, version, at, payload[_RECORD.size :], offset + position, offset + begin + length)


def _next_record(data: bytes, begin: int) -> int:
    """Return the position of the next complete record, -1 if there is none."""
    position = data.find(_MAGIC, begin)
    while position >= 0 and _record_at(data, position, 0) is None:
        position = data.find(_MAGIC, position + 1)
    return position


class Journal:
    """An open journal: the process that created it appends to it, and the process that holds its lock delivers it.

    Thread-safe, also in a signal handler that interrupts one of the threads.

    Args:
        fd: The open file; None to store all records in memory, until the process ends.
        companion: The open companion file, None if there is none.
        path: Where the file is, for messages.
    """

    def __init__(self, fd: int | None, companion: int | None, path: str = "") -> None:
        self.path = path
        self._fd = fd
        self._companion = companion
        self._lock = threading.RLock()
        self._size = 0 if fd is None else os.fstat(fd).st_size
        # The records that could not be written to the file; their offsets continue those of the file.
        self._memory = bytearray()
        self._memory_start = self._size
        self.why_in_memory = ""
        self.is_sealed = False

    @property
    def end(self) -> int:
        """The offset of the next record."""
        return self._memory_start + len(self._memory) if self._in_memory else self._size

    @property
    def _in_memory(self) -> bool:
        return self._fd is None or bool(self.why_in_memory)

    def append(self, kind: int, version: int, body: bytes, at: int | None = None) -> bool:
        """Append a record. Return False if the journal is sealed or memory is full. Never raises."""
        data = frame(kind, version, body, at)
        with self._lock:
            if self.is_sealed:
                return False
            if not self._in_memory and self._write(data):
                return True
            if len(self._memory) + len(data) > MAX_MEMORY:
                return False
            self._memory += data
            return True

    def _write(self, data: bytes) -> bool:
        assert self._fd is not None  # noqa: S101 - checked before
        try:
            if os.write(self._fd, data) == len(data):
                self._size += len(data)
                return True
            self.why_in_memory = "the disk of the spool is full"
        except OSError as error:
            self.why_in_memory = error.strerror or str(error)
        self._memory_start = self._size
        with suppress(OSError):  # the reader skips an incomplete record
            os.ftruncate(self._fd, self._size)
        return False

    def read(self, offset: int) -> tuple[list[Record], list[Damage], int]:
        """Return some records from this offset on, damaged ranges, and the next offset. Raises OSError."""
        limit = READ_CHUNK
        while True:
            data, final = self._bytes(offset, limit)
            records, damages, next_offset = scan(data, offset, final=final)
            if records or damages or final or limit > 2 * MAX_RECORD:
                return records, damages, next_offset
            limit *= 4

    def _bytes(self, offset: int, limit: int) -> tuple[bytes, bool]:
        """Return bytes of the file or of memory from this offset on, and whether they reach its end."""
        with self._lock:
            if self._in_memory and offset >= self._memory_start:
                begin = offset - self._memory_start
                data = bytes(self._memory[begin : begin + limit])
                return data, begin + len(data) >= len(self._memory)
            size = self._size
        assert self._fd is not None  # noqa: S101 - records that are not in memory are in the file
        data = os.pread(self._fd, min(limit, size - offset), offset)
        return data, offset + len(data) >= size

    def next_part(self, offset: int) -> int:
        """Return the offset to continue with after the last record of the file, which may be that of the memory."""
        with self._lock:
            return max(offset, self._memory_start) if self._in_memory else offset

    def free_memory(self, offset: int) -> None:
        """Drop the records in memory before this offset."""
        with self._lock:
            if offset > self._memory_start and self._in_memory:
                del self._memory[: offset - self._memory_start]
                self._memory_start = offset

    def progress(self) -> Progress:
        """Return how far the journal is delivered, according to its companion file. Raises OSError."""
        if self._companion is None:
            return Progress()
        size = os.fstat(self._companion).st_size
        records, _, _ = scan(os.pread(self._companion, size, 0))
        sent = sending = attempt = 0
        resolved = {}
        for record in records:
            if record.kind == Kind.SENDING:
                sent, sending = _MARK.unpack_from(record.body)
            elif record.kind == Kind.RESOLVED:
                resolved[record.version] = record.body.decode()
            elif record.kind == Kind.ATTEMPT:
                (attempt,) = _ATTEMPT.unpack_from(record.body)
        return Progress(sent, sending, resolved, attempt)

    def pending(self) -> tuple[int, int]:
        """Return how many records are not delivered, and the time of the oldest, 0 if none. Raises OSError."""
        sent, count, oldest, offset = self.progress().sent, 0, 0, 0
        while True:
            records, _, next_offset = self.read(offset)
            if next_offset == offset:
                return count, oldest
            offset = next_offset
            for record in records:
                if record.start >= sent and record.kind not in (Kind.HEADER, Kind.VERSION):
                    count, oldest = count + 1, oldest or record.time

    def waiting(self, sent: int) -> tuple[int, int]:
        """Return how many records from this offset on are in the file, and how many only in memory. Raises OSError."""
        counts = [0, 0]
        with self._lock:  # so that no memory is freed meanwhile
            offset = max(sent, self._memory_start) if self._fd is None else sent
            while True:
                records, _, next_offset = self.read(offset)
                next_offset = next_offset if records else self.next_part(next_offset)
                if next_offset == offset:
                    return counts[0], counts[1]
                offset = next_offset
                for record in records:
                    if record.kind not in (Kind.HEADER, Kind.VERSION):
                        counts[self._in_memory and record.start >= self._memory_start] += 1

    def mark(self, sent: int, sending: int) -> None:
        """Store that everything before `sent` is delivered, and that the records up to `sending` are in flight."""
        self._note(Kind.SENDING, 0, _MARK.pack(sent, sending))

    def mark_resolved(self, version: int, name: str) -> None:
        """Store the resource name of a version."""
        self._note(Kind.RESOLVED, version, name.encode())

    def mark_attempt(self, attempt: int) -> None:
        """Store how often refused requests were renewed."""
        self._note(Kind.ATTEMPT, 0, _ATTEMPT.pack(attempt))

    def _note(self, kind: int, version: int, body: bytes) -> None:
        if self._companion is not None:
            with suppress(OSError):  # if this is lost, records are sent again under the same id, without effect
                os.write(self._companion, frame(kind, version, body))

    def seal(self, offset: int | None = None) -> bool:
        """Refuse further records, unless one was added after this offset. Return whether the journal is sealed."""
        with self._lock:
            if offset is None or self.end <= offset:
                self.is_sealed = True
            return self.is_sealed

    def close_in_child(self) -> None:
        """Close the files in the child of a fork, without the lock, which another thread may have held."""
        for fd in (self._fd, self._companion):
            if fd is not None:
                os.close(fd)

    def close(self) -> None:
        """Close the files, so that another process can claim the journal."""
        with self._lock:
            self.is_sealed = True
            for fd in (self._fd, self._companion):
                if fd is not None:
                    os.close(fd)
            self._fd = self._companion = None
