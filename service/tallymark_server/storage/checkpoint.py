"""A checkpoint: the revision and the hash of each log at some time, in a small file that is kept elsewhere.

A log that was rewritten, and is consistent in itself, has another hash at the checkpoint's revision.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

from tallymark_server.storage.atomic_files import placed
from tallymark_server.storage.log.chain import FORMAT

OF_0_1 = (
    "a checkpoint of Tallymark 0.1 proves nothing about a log of 0.2: the hashes of its files were made anew when 0.2"
    " opened them first; verify without it, and write a new one"
)
_OF_0_1 = re.compile(r"[0-9a-f]{64}")
_HASH = re.compile(rf"{FORMAT}:[0-9a-f]{{64}}")


class NotACheckpointError(Exception):
    """Raised for a file that `write` has not written; the message says what is wrong."""


class Mark(NamedTuple):
    """The end of a project's log at some time. `hash` is that of its last event, as text; empty if there was none."""

    log_id: str
    revision: int
    hash: str


def shown(last_hash: bytes) -> str:
    """Return a hash as a checkpoint writes it: after the format of the log, in hexadecimal; empty for none."""
    return f"{FORMAT}:{last_hash.hex()}" if last_hash else ""


def wrong_hash(text: str, revision: int) -> str | None:
    """Return what is wrong with the hash of a checkpoint at the revision, None if nothing is."""
    if _OF_0_1.fullmatch(text):
        return OF_0_1
    if not (_HASH.fullmatch(text) if revision else not text):
        return (
            f"it has {FORMAT}, a colon and 64 hexadecimal digits in lower case, as Verify gave it; before the first"
            " event it is empty"
        )
    return None


def write(path: Path, marks: dict[str, Mark]) -> None:
    """Write the marks of the projects to a new file. Raises CannotPlaceError."""
    told = {"checkpoint": FORMAT, "projects": {project: mark._asdict() for project, mark in marks.items()}}
    with placed(path) as partial:
        partial.write_text(json.dumps(told, indent=2) + "\n")


def read(path: Path) -> dict[str, Mark]:
    """Return the marks of the projects. Raises NotACheckpointError."""
    try:
        told = json.loads(path.read_text())
        form, projects = told["checkpoint"], told["projects"]
        marks = {project: Mark(**mark) for project, mark in projects.items()}
        sound = all([type(part) for part in mark] == [str, int, str] for mark in marks.values())
    except OSError as error:
        raise NotACheckpointError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NotACheckpointError(f"{path} is no checkpoint of Tallymark") from None
    if form == 1 and sound and marks:
        raise NotACheckpointError(f"{path}: {OF_0_1}")
    if form != FORMAT or not sound:
        raise NotACheckpointError(f"{path} is no checkpoint that this Tallymark knows")
    return marks
