"""The tables: their columns in order, and their keys. A test compares them with those of each engine.

Every key begins with the project. `deleted` is 0 for what exists, 1 for what is deleted, 2 for what is purged.
"""

from __future__ import annotations

from dataclasses import dataclass

from tallymark_server.storage.log.chain import Row

_VERSION = ("project", "model", "number")


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """A table. The first `key` of its columns are its key."""

    name: str
    columns: tuple[str, ...]
    key: int


MODELS = Table("models", ("project", "id", "name", "last_number", "deleted", "revision"), key=2)
RENAMES = Table("renames", ("project", "old_name", "model"), key=2)
VERSIONS = Table("versions", (*_VERSION, "name", "stage", "automatic_run", "deleted", "revision"), key=3)
ALIASES = Table("aliases", ("project", "model", "alias", "number"), key=3)
RUNS = Table("runs", ("project", "id", "start_revision", "revision", "awaited"), key=2)
RUN_VERSIONS = Table("run_versions", ("project", "run", "model", "number", "role", "revision"), key=4)
RUN_STEPS = Table("run_steps", ("project", "run", "id", "start_revision", "revision"), key=3)
ARTIFACTS = Table(
    "artifacts",
    (*_VERSION, "artifact", "ordinal", "identity", "role", "unlinked", "start_revision", "revision"),
    key=5,
)
POINTS = Table("points", (*_VERSION, "metric", "step", "value", "time", "revision"), key=5)
PAST_POINTS = Table("past_points", (*_VERSION, "metric", "step", "end_revision", "value", "time", "revision"), key=6)
FACTS = Table("facts", ("project", "model", "key", "value", "number"), key=5)

PROJECTION = (
    MODELS,
    RENAMES,
    VERSIONS,
    ALIASES,
    RUNS,
    RUN_VERSIONS,
    RUN_STEPS,
    ARTIFACTS,
    POINTS,
    PAST_POINTS,
    FACTS,
)

PROJECTS = Table("projects", ("id", "name", "log_id", "revision", "time", "last_model_id", "hash"), key=1)
EVENTS = Table("events", ("project", *Row._fields, "hash", "salt", "digest", "erased"), key=2)
RECEIPTS = Table("receipts", ("project", "request_id", "fingerprint", "first_revision", "last_revision"), key=2)
ERASURES = Table("erasures", ("project", "revision", "erased_at", "previous_digest"), key=3)
ANSWERS = Table(
    "answers",
    ("project", "ordinal", "request_id", "fingerprint", "time", "revision", "images", "refusal"),
    key=2,
)

# The new rows of the events that have content to erase: a temporary table of the transaction that erases it.
REWRITTEN = Table("rewritten", ("revision", "actor", "reason", "previous_name", "image", "salt", "digest"), key=1)
