"""The format of journals: whatever happens to the file, only written records are read, in order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import given

from tallymark.delivery.journal import MAX_MEMORY, Journal, Kind, frame, point_body, point_of, scan

BODIES = st.lists(st.binary(max_size=60), min_size=1, max_size=8)


def written(bodies: list[bytes]) -> bytes:
    return b"".join(frame(Kind.METADATA, number, body, number) for number, body in enumerate(bodies))


def open_journal(path: Path) -> Journal:
    """Open a journal with its companion file, as its own process does."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
    return Journal(os.open(path, flags), os.open(path.with_suffix(".sent"), flags), str(path))


def bodies_of(journal: Journal) -> list[bytes]:
    """Return the bodies of all records, read from the beginning."""
    found: list[bytes] = []
    place = 0
    while True:
        records, _, following = journal.read(place)
        if not records:
            following = journal.next_part(following)
        if following == place:
            return found
        found += [record.body for record in records]
        place = following


@given(BODIES, st.integers(0, 400))
def test_an_incomplete_end_loses_only_the_last_record(bodies: list[bytes], cut: int) -> None:
    """However much is missing, the records before it are complete, and no damage is reported."""
    data = written(bodies)
    kept = data[: max(0, len(data) - cut)]
    records, damages, following = scan(kept)
    assert [record.body for record in records] == bodies[: len(records)]
    assert damages == []
    assert following == len(written(bodies[: len(records)]))
    assert len(records) == len(bodies) or len(kept) < len(data)


@given(BODIES, st.data())
def test_a_flipped_bit_loses_one_record(bodies: list[bytes], data: st.DataObject) -> None:
    """The records that are read are some of those written, in order, and damage in the middle is reported."""
    whole = bytearray(written(bodies))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= 1 << data.draw(st.integers(0, 7))
    records, damages, _ = scan(bytes(whole))
    numbers = [record.version for record in records]
    assert numbers == sorted(set(numbers))
    assert all(bodies[record.version] == record.body for record in records)
    assert len(records) == len(bodies) - 1
    lost = ({*range(len(bodies))} - {*numbers}).pop()
    if lost < len(bodies) - 1:
        (damage,) = damages
        assert (damage.start, damage.end) == (len(written(bodies[:lost])), len(written(bodies[: lost + 1])))


@given(BODIES, BODIES, st.binary(min_size=1, max_size=200))
def test_garbage_between_records_is_skipped(before: list[bytes], after: list[bytes], garbage: bytes) -> None:
    """The records behind it are read, with their offsets in the file."""
    head, tail = written(before), written(after)
    records, damages, following = scan(head + garbage + tail)
    assert [record.body for record in records] == before + after
    assert [(damage.start, damage.end) for damage in damages] == [(len(head), len(head) + len(garbage))]
    assert following == len(head) + len(garbage) + len(tail)


@given(st.text(max_size=255), st.integers(0, 2**63 - 1), st.floats())
def test_a_point_is_read_as_it_was_written(key: str, step: int, value: float) -> None:
    """Every key, step and value is read unchanged, also NaN."""
    assert repr(point_of(point_body(key, step, value))) == repr((key, step, value))


def test_a_long_record_is_read_whole(tmp_path: Path) -> None:
    """A record that is longer than one read is returned complete, between short ones."""
    journal = open_journal(tmp_path / "a.journal")
    bodies = [b"a", bytes(300_000), b"b"]
    for body in bodies:
        assert journal.append(Kind.METADATA, 1, body)
    assert bodies_of(journal) == bodies
    journal.close()


def test_progress_survives_the_process(tmp_path: Path) -> None:
    """It has what was delivered, what was in flight, and the names of versions; an incomplete entry is ignored."""
    path = tmp_path / "a.journal"
    journal = open_journal(path)
    journal.mark(10, 30)
    journal.mark_resolved(2, "projects/default/models/churn/versions/7")
    journal.mark_attempt(3)
    journal.mark(30, 50)
    journal.close()
    with path.with_suffix(".sent").open("ab") as companion:
        companion.write(frame(Kind.SENDING, 0, bytes(16))[:-1])
    again = open_journal(path)
    assert again.progress() == (30, 50, {2: "projects/default/models/churn/versions/7"}, 3)
    again.close()


FULL = """
import resource, sys
from pathlib import Path
from sdk.test_journal import bodies_of, open_journal
journal = open_journal(Path(sys.argv[1]))
journal.append(4, 1, b"on disk")
# The limit for file sizes cuts a write in the middle, as a full disk does.
resource.setrlimit(resource.RLIMIT_FSIZE, (journal.end + 20, resource.RLIM_INFINITY))
assert journal.append(4, 2, b"in memory")
assert journal.why_in_memory == "the disk of the spool is full", journal.why_in_memory
assert journal.append(4, 3, b"too")
assert bodies_of(journal) == [b"on disk", b"in memory", b"too"], bodies_of(journal)
"""


def test_a_full_disk_moves_the_journal_to_memory(tmp_path: Path) -> None:
    """Records that do not fit are kept in memory, in order; the file ends with a complete record."""
    path = tmp_path / "a.journal"
    subprocess.run([sys.executable, "-c", FULL, path], check=True, env={**os.environ, "PYTHONPATH": "tests"})
    again = open_journal(path)
    assert bodies_of(again) == [b"on disk"]
    again.close()


def test_memory_is_bounded(tmp_path: Path) -> None:
    """Beyond the limit, records are refused; delivery frees memory."""
    journal = Journal(None, None)
    assert journal.append(Kind.METADATA, 1, bytes(MAX_MEMORY // 2))
    assert not journal.append(Kind.METADATA, 2, bytes(MAX_MEMORY // 2))
    journal.free_memory(journal.end)
    assert journal.append(Kind.METADATA, 3, bytes(MAX_MEMORY // 2))


def test_a_sealed_journal_refuses_records(tmp_path: Path) -> None:
    """It is sealed only if nothing was added after the delivered offset, so that no record is lost."""
    journal = open_journal(tmp_path / "a.journal")
    assert journal.append(Kind.METADATA, 1, b"a")
    assert not journal.seal(0)
    assert journal.append(Kind.METADATA, 1, b"b")
    assert journal.seal(journal.end)
    assert not journal.append(Kind.METADATA, 1, b"c")
    assert bodies_of(journal) == [b"a", b"b"]
    journal.close()
