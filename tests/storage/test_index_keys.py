"""Keys of facts and artifacts: the order of facts, long identities, and files from before there were such keys."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from operator import methodcaller
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storage.commands import ATTEMPT, create_model, write

from tallymark_server.domain import commands as c
from tallymark_server.domain.metadata import whole
from tallymark_server.domain.model import Artifact, ArtifactRole, ArtifactType, ModelVersion, Time, Uri
from tallymark_server.domain.query import VERSION_FIELDS, Kind, Order, Query
from tallymark_server.domain.reference import numbered
from tallymark_server.filters import parse, parse_order
from tallymark_server.storage.contract import Direction, Storage
from tallymark_server.storage.index_keys import MAX_IDENTITY, fact_key, identity_key
from tallymark_server.storage.sqlite.engine import open_sqlite
from tallymark_server.storage.sql.facts import looked_up
from tallymark_server.storage.sqlite.migrate import steps
from tallymark_server.storage.sqlite.verification import verify

LARGEST = 2**63 - 1
NUMBERS = (
    *(0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 5e-324, -5e-324, 1.7976931348623157e308, -1.7976931348623157e308),
    *(float(2**53), -float(2**53), 2**53 + 1, -(2**53) - 1, 2.0**62, 2**62 + 1, 2**62 - 1, LARGEST, -LARGEST - 1),
)
number = st.integers(-LARGEST - 1, LARGEST).map(whole) | st.floats(allow_nan=False) | st.sampled_from(NUMBERS)
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(number, number)
def test_keys_of_numbers_sort_as_the_numbers(one: float, other: float) -> None:
    """By their bytes, floats and whole numbers of 64 bits, and equal numbers have one key."""
    keys = fact_key(one).encode(), fact_key(other).encode()
    assert (keys[0] < keys[1], keys[0] == keys[1]) == (one < other, one == other)


@given(text, text, number)
def test_keys_of_texts_sort_as_the_texts_and_after_numbers(one: str, other: str, fact: float) -> None:
    """By their bytes, as the code points of the texts do; the empty text comes first among them."""
    keys = fact_key(one).encode(), fact_key(other).encode()
    assert (keys[0] < keys[1], keys[0] == keys[1]) == (one < other, one == other)
    assert fact_key(fact).encode() < fact_key("").encode() <= keys[0]


def test_flags_have_the_keys_of_numbers() -> None:
    """A flag is found as 0 or 1, as it was before facts had keys."""
    assert [fact_key(looked_up(flag)) for flag in (False, True)] == [fact_key(0.0), fact_key(1.0)]


def test_a_long_identity_is_its_digest() -> None:
    """An identity of at most 255 characters is its own key, and a longer one has a key that fits into any index."""
    for kept in ("s3://a", "sha256:0", "ü" * MAX_IDENTITY):
        assert identity_key(kept) == kept
    long = "ü" * (MAX_IDENTITY + 1)
    assert identity_key(long) == "sha256:3b929f5e476e3fac97c00ca1f14d3c95f2e36f565525c83c2ac38ab795676cdc"


LONG = "s3://bucket/" + "x" * 8000
FACTS: list[dict[str, Any]] = [
    {"score": -0.0, "note": "a"},
    {"score": 2**53 + 1, "note": ""},
    {"score": float(2**53), "note": "ü" * 300},
    {"score": LARGEST, "many": (1.0, 2.0)},
    {"score": -LARGEST - 1, "note": Uri("s3://b/a.csv")},
    {"score": True, "at": Time(5)},
    {"score": 0.1 + 0.2, "far": math.inf},
    {"score": -1.5, "far": math.nan},
    {"score": "text", "nothing": None},
    {"score": 5e-324},
    {"score": 2**53 + 1},
    {},
]
FILTERS = (
    *("metadata.score = 0", "metadata.score > 0", "metadata.score >= 9007199254740993", "metadata.score < -1"),
    *("metadata.score > 9007199254740992", "metadata.score <= 9007199254740992", "metadata.score = 1"),
    *("metadata.score = true", 'metadata.score = "text"', 'metadata.note = ""', 'metadata.note = "s3://b/a.csv"'),
    *("metadata.score = 9223372036854775807", "metadata.far:*", "metadata.nothing = null", "metadata.at:*"),
    *(f'metadata.note = "{"ü" * 300}"', "tags:eu", "metadata.score = 1e300", "metadata.score < 1e300"),
)
ORDERS = ("metadata.score", "metadata.score desc", "metadata.score, number", "metadata.note", "metadata.far desc")


def link(number_: int, role: ArtifactRole, **which: Any) -> c.LinkArtifact:
    return c.LinkArtifact(
        **ATTEMPT, model="churn", reference=numbered(number_), name="data", type=ArtifactType.DATA, role=role, **which
    )


async def fill(path: Path) -> None:
    async with open_sqlite(path, ("default",)) as storage:
        new = tuple(c.NewVersion(tags=("eu", "ü" * 60), metadata=facts) for facts in FACTS)
        answers = await write(
            storage,
            create_model(),
            c.CreateVersions(**ATTEMPT, model="churn", versions=new),
            link(1, ArtifactRole.MADE, uri=LONG),
            link(2, ArtifactRole.USED, uri=LONG),
            link(3, ArtifactRole.MADE, uri=LONG, digest="sha256:" + "0" * 64),
            link(4, ArtifactRole.MADE, uri=LONG + "y"),
        )
    assert not [answer for answer in answers if isinstance(answer, Exception)]


def before_keys(path: Path) -> list[tuple[object, ...]]:
    """Bring the file back to what it was before there were keys; return the rows that the step must give again."""
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        kept = file.execute("SELECT * FROM facts").fetchall() + file.execute("SELECT * FROM artifacts").fetchall()
        file.execute("DROP TABLE facts")
        (table,) = [sql for number_, sql in steps() if number_ == 2]
        begin = table.index("CREATE TABLE facts")
        file.executescript(table[begin : table.index(";", begin)])
        file.execute("CREATE INDEX facts_of_versions ON facts (project, model, number)")
        for number_, facts in enumerate(FACTS, 1):
            rows: list[tuple[str, str | float]] = [("tags", "eu"), ("tags", "ü" * 60)]
            rows += [(f"metadata.{key}", looked_up(value)) for key, value in facts.items()]
            file.executemany("INSERT INTO facts VALUES (1, 1, ?, ?, ?)", [(*row, number_) for row in rows])
        file.executemany("UPDATE artifacts SET identity = ? WHERE number = ?", [(LONG, 1), (LONG, 2), (LONG + "y", 4)])
        file.execute("PRAGMA user_version = 9")
        return kept


async def lists_of(storage: Storage) -> dict[str, list[list[int]]]:
    """The pages of each filter and each order."""
    model = await storage.model("default", "churn")
    assert model is not None
    found: dict[str, list[list[int]]] = {}
    by_number = Order("number", Kind.NUMBER, descending=True)
    for filter_, order in [*((each, "") for each in FILTERS), *(("", each) for each in ORDERS)]:
        after: tuple[Any, ...] | None = ()
        pages = found[filter_ + order] = []
        while after is not None:
            how = parse(filter_, VERSION_FIELDS), parse_order(order, VERSION_FIELDS, by_number)
            query = Query(limit=3, condition=how[0], order=how[1], after=after)
            page = await storage.read(methodcaller("versions", "default", model, query))
            pages.append([version.number for version in page.items])
            after = page.next
    return found


async def sources_of(storage: Storage, number_: int) -> list[tuple[str, object]]:
    """What the version came from, up to two steps away: kinds with numbers or URIs."""
    version = await storage.version("default", "churn", numbered(number_))
    (lineage,) = (await storage.read(methodcaller("lineage", "default", version, Direction.UPSTREAM, 2, 10))).items
    keys: list[tuple[str, object]] = []
    for node in lineage.nodes:
        match node.resource:
            case ModelVersion(number=found):
                keys.append(("version", found))
            case Artifact(uri=uri):
                keys.append(("artifact", uri))
    return keys


async def test_a_file_from_before_keys_finds_and_orders_the_same(tmp_path: Path) -> None:
    """Its tables become those of a new file with the same log, which proves, finds, filters and orders the same."""
    path = tmp_path / "tallymark.db"
    await fill(path)
    async with open_sqlite(path, ("default",)) as storage:
        fresh = await lists_of(storage), await sources_of(storage, 2)
    kept = before_keys(path)
    async with open_sqlite(path, ("default",)) as storage:
        assert (await lists_of(storage), await sources_of(storage, 2)) == fresh
    with closing(sqlite3.connect(path)) as file:
        assert (
            file.execute("SELECT * FROM facts").fetchall() + file.execute("SELECT * FROM artifacts").fetchall() == kept
        )
    assert verify(path).problems == []
    assert fresh[0]["metadata.score > 9007199254740992"] == [[11, 4, 2]]
    assert fresh[0]["metadata.score"][0] == [5, 8, 1]
    assert fresh[1] == [("version", 2), ("artifact", LONG), ("version", 1)]


@pytest.mark.parametrize("filter_", FILTERS)
async def test_candidates_by_keys_are_all_that_the_filter_means(
    tmp_path: Path, filter_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter finds the same among huge whole numbers, zeros and flags as when every version is looked at."""
    path = tmp_path / "tallymark.db"
    await fill(path)
    async with open_sqlite(path, ("default",)) as storage:
        by_keys = (await lists_of(storage))[filter_]
        monkeypatch.setattr("tallymark_server.storage.sql.index_candidates.MAX_CANDIDATES", -1)
        assert (await lists_of(storage))[filter_] == by_keys
    assert any(by_keys) or filter_ in ("metadata.score = 1e300", "metadata.score = 1")
