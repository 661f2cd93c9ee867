"""The journal of a run: a file in which every record is kept until the registry has it.

A journal belongs to one process. It is a sequence of frames, each with its length and a checksum, and is only ever
appended to. A record is in the file before the call that recorded it returns, so a killed process loses none; the file
is not synced to the disk, so a power failure may lose the last seconds. Beside it lies a second file of the same format
(`.sent`) that says how far the records have been delivered, and which of them were on their way: after a crash the same
records go again, under the same request id, and have one effect.

What is damaged is skipped up to the next frame whose checksum is right, and reported. A frame that ends with the file
was being written when the process was killed, by a call that never returned.
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
_TURN = struct.Struct("<Q")
_SMALLEST, LARGEST_RECORD = _RECORD.size, 32 * 1024 * 1024
# Small, so that a thread which reads does not hold up the one that records.
_CHUNK = 32 * 1024
# What is kept in memory of a journal whose file cannot be written.
MAX_MEMORY = 64 * 1024 * 1024


class Kind(enum.IntEnum):
    """What a record holds."""

    HEADER = 1
    VERSION = 2
    POINT = 3
    METADATA = 4
    CALL = 5
    UPLOAD = 6
    # In the companion alone.
    SENDING = 100
    RESOLVED = 101
    TURN = 102


class Record(NamedTuple):
    """A record: `version` is a number by which this journal knows a version, 0 for none; `time` is in microseconds."""

    kind: int
    version: int
    time: int
    body: bytes
    start: int
    end: int


class Damage(NamedTuple):
    """A stretch of the file that holds no readable record."""

    start: int
    end: int


class Progress(NamedTuple):
    """How far a journal has been delivered, and up to where records were on their way when that was written.

    `turn` is how often something was refused that is asked anew.
    """

    sent: int = 0
    sending: int = 0
    resolved: Mapping[int, str] = {}
    turn: int = 0


def frame(kind: int, version: int, body: bytes, at: int | None = None) -> bytes:
    """Return a record as the bytes to append."""
    payload = _RECORD.pack(kind, version, time.time_ns() // 1000 if at is None else at) + body
    return _FRAME.pack(_MAGIC, len(payload), zlib.crc32(payload)) + payload


def point_body(key: str, step: int, value: float) -> bytes:
    """Return the body of a point of a metric."""
    return _POINT.pack(step, value) + key.encode()


def point_of(body: bytes) -> tuple[str, int, float]:
    """Return key, step and value of a point."""
    step, value = _POINT.unpack_from(body)
    return body[_POINT.size :].decode(), step, value


def scan(data: bytes, offset: int = 0, *, final: bool = True) -> tuple[list[Record], list[Damage], int]:
    """Return the records in the bytes that begin at this offset of the file, what is damaged, and where to go on.

    With `final`, the bytes end where the file ends, so that damage before a later record can be told from a record that
    is still being written.
    """
    records: list[Record] = []
    damages: list[Damage] = []
    here, end = 0, len(data)
    while here < end:
        record = _record_at(data, here, offset)
        if record is None:
            following = _next_record(data, here + 1)
            if following < 0:
                if not final and end - here > LARGEST_RECORD:
                    damages.append(Damage(offset + here, offset + end - 1))
                    here = end - 1
                break
            damages.append(Damage(offset + here, offset + following))
            here = following
            continue
        records.append(record)
        here = record.end - offset
    return records, damages, offset + here


def _record_at(data: bytes, here: int, offset: int) -> Record | None:
    if len(data) - here < _FRAME.size:
        return None
    magic, length, checksum = _FRAME.unpack_from(data, here)
    begin = here + _FRAME.size
    if magic != _MAGIC or not _SMALLEST <= length <= LARGEST_RECORD or begin + length > len(data):
        return None
    payload = data[begin : begin + length]
    if zlib.crc32(payload) != checksum:
        return None
    kind, version, at = _RECORD.unpack_from(payload)
    return Record(kind, version, at, payload[_RECORD.size :], offset + here, offset + begin + length)


def _next_record(data: bytes, begin: int) -> int:
    """The place of the next whole record, -1 if there is none."""
    place = data.find(_MAGIC, begin)
    while place >= 0 and _record_at(data, place, 0) is None:
        place = data.find(_MAGIC, place + 1)
    return place


class Journal:
    """A journal that is open: its own process appends to it, and whoever has claimed it delivers it.

    `fd` and `companion` are the open files; without them all is kept in memory, for as long as the process lives. Safe
    to use from several threads, and from a signal handler that interrupts one of them.
    """

    def __init__(self, fd: int | None, companion: int | None, path: str = "") -> None:
        self.path = path
        self._fd = fd
        self._companion = companion
        self._lock = threading.RLock()
        self._size = 0 if fd is None else os.fstat(fd).st_size
        # What could not be written to the file; it goes on where the file ends.
        self._memory = bytearray()
        self._memory_start = self._size
        self.why_in_memory = ""
        self.is_sealed = False

    @property
    def end(self) -> int:
        """Where the next record goes."""
        return self._memory_start + len(self._memory) if self._in_memory else self._size

    @property
    def _in_memory(self) -> bool:
        return self._fd is None or bool(self.why_in_memory)

    def append(self, kind: int, version: int, body: bytes, at: int | None = None) -> bool:
        """Keep a record. Return whether there was room for it, and the journal not sealed; never raises."""
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
        with suppress(OSError):  # the reader skips what is half written
            os.ftruncate(self._fd, self._size)
        return False

    def read(self, offset: int) -> tuple[list[Record], list[Damage], int]:
        """Return some of the records from this offset on, what is damaged there, and where to go on; OSError."""
        limit = _CHUNK
        while True:
            data, final = self._bytes(offset, limit)
            records, damages, following = scan(data, offset, final=final)
            if records or damages or final or limit > 2 * LARGEST_RECORD:
                return records, damages, following
            limit *= 4

    def _bytes(self, offset: int, limit: int) -> tuple[bytes, bool]:
        """Bytes from this offset on, of the file or of what is in memory, and whether they end where that ends."""
        with self._lock:
            if self._in_memory and offset >= self._memory_start:
                begin = offset - self._memory_start
                data = bytes(self._memory[begin : begin + limit])
                return data, begin + len(data) >= len(self._memory)
            size = self._size
        assert self._fd is not None  # noqa: S101 - what is not in memory is in the file
        data = os.pread(self._fd, min(limit, size - offset), offset)
        return data, offset + len(data) >= size

    def next_part(self, offset: int) -> int:
        """Return where to go on after the last record of the file: where the memory begins, if it has more."""
        with self._lock:
            return max(offset, self._memory_start) if self._in_memory else offset

    def forget(self, offset: int) -> None:
        """Free what the memory holds before this offset."""
        with self._lock:
            if offset > self._memory_start and self._in_memory:
                del self._memory[: offset - self._memory_start]
                self._memory_start = offset

    def progress(self) -> Progress:
        """Return how far it has been delivered, as the companion says; OSError."""
        if self._companion is None:
            return Progress()
        size = os.fstat(self._companion).st_size
        records, _, _ = scan(os.pread(self._companion, size, 0))
        sent = sending = turn = 0
        resolved = {}
        for record in records:
            if record.kind == Kind.SENDING:
                sent, sending = _MARK.unpack_from(record.body)
            elif record.kind == Kind.RESOLVED:
                resolved[record.version] = record.body.decode()
            elif record.kind == Kind.TURN:
                (turn,) = _TURN.unpack_from(record.body)
        return Progress(sent, sending, resolved, turn)

    def pending(self) -> tuple[int, int]:
        """Return how many records are not delivered, and the time of the first of them, 0 if there is none; OSError."""
        sent, count, oldest, place = self.progress().sent, 0, 0, 0
        while True:
            records, _, following = self.read(place)
            if following == place:
                return count, oldest
            place = following
            for record in records:
                if record.start >= sent and record.kind not in (Kind.HEADER, Kind.VERSION):
                    count, oldest = count + 1, oldest or record.time

    def waiting(self, sent: int) -> tuple[int, int]:
        """Return how many records from this place on are in the file, and how many in memory only; OSError."""
        counts = [0, 0]
        with self._lock:  # nothing is forgotten meanwhile
            place = max(sent, self._memory_start) if self._fd is None else sent
            while True:
                records, _, following = self.read(place)
                following = following if records else self.next_part(following)
                if following == place:
                    return counts[0], counts[1]
                place = following
                for record in records:
                    if record.kind not in (Kind.HEADER, Kind.VERSION):
                        counts[self._in_memory and record.start >= self._memory_start] += 1

    def mark(self, sent: int, sending: int) -> None:
        """Note that everything before `sent` is delivered, and that what follows up to `sending` is on its way."""
        self._note(Kind.SENDING, 0, _MARK.pack(sent, sending))

    def mark_resolved(self, version: int, name: str) -> None:
        """Note the resource name of a version."""
        self._note(Kind.RESOLVED, version, name.encode())

    def mark_turn(self, turn: int) -> None:
        """Note how often something was refused that is asked anew."""
        self._note(Kind.TURN, 0, _TURN.pack(turn))

    def _note(self, kind: int, version: int, body: bytes) -> None:
        if self._companion is not None:
            with suppress(OSError):  # without the note, what was sent is sent again, and changes nothing
                os.write(self._companion, frame(kind, version, body))

    def seal(self, place: int | None = None) -> bool:
        """Take no more records, if none was added after that place. Return whether the journal is sealed."""
        with self._lock:
            if place is None or self.end <= place:
                self.is_sealed = True
            return self.is_sealed

    def leave(self) -> None:
        """Close the files in the child of a fork, where another thread of the parent may hold the lock."""
        for fd in (self._fd, self._companion):
            if fd is not None:
                os.close(fd)

    def close(self) -> None:
        """Close the files; another process may then claim the journal."""
        with self._lock:
            self.is_sealed = True
            for fd in (self._fd, self._companion):
                if fd is not None:
                    os.close(fd)
            self._fd = self._companion = None
