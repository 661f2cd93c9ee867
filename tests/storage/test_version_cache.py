"""What was read is kept within a bound of memory, however large it is."""

from __future__ import annotations

from tallymark_server.domain.model import ModelVersion
from tallymark_server.domain.reference import numbered
from tallymark_server.storage.sqlite.version_cache import MAX_WEIGHT, Key, VersionCache


def asked(number: int) -> Key:
    return ("default", "churn", numbered(number), False)


def version(number: int) -> ModelVersion:
    return ModelVersion(
        model_id=1, number=number, creator="ana", create_time=1, update_time=1, create_revision=1, mod_revision=1
    )


def test_small_versions_are_kept_by_the_thousand() -> None:
    """The cache holds thousands of versions without metadata, each by the reference that was read."""
    known = VersionCache()
    for number in range(5000):
        known.keep(asked(number), version(number), 250)
    assert all(known.get(asked(number)) == version(number) for number in range(5000))
    assert known.get(asked(5000)) is None


def test_large_versions_are_forgotten_before_they_weigh_too_much() -> None:
    """Versions of a hundred thousand characters are kept by the dozen, and what does not fit at all never."""
    known = VersionCache()
    for number in range(1000):
        known.keep(asked(number), version(number), 100_000)
        assert known.weight <= MAX_WEIGHT
        assert known.get(asked(number)) is not None
    known.keep(asked(1000), version(1000), 10_000_000)
    assert known.get(asked(1000)) is None
    known.clear()
    assert (known.weight, known.get(asked(999))) == (0, None)
