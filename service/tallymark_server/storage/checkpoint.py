"""A checkpoint: where each log stood once, in a small file that is kept elsewhere.

A log that was rewritten, and is consistent in itself, has another hash at the revision that the checkpoint tells.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from tallymark_server.storage.placing import placed

FORMAT = 1


class NotACheckpointError(Exception):
    """The file is not one that `write` has written; the message says what is wrong."""


class Mark(NamedTuple):
    """Where a project's log stood. `hash` is that of its last event then, in hexadecimal; empty if there was none."""

    log_id: str
    revision: int
    hash: str


def write(path: Path, marks: dict[str, Mark]) -> None:
    """Write the marks of the projects to a new file; CannotPlaceError."""
    told = {"checkpoint": FORMAT, "projects": {project: mark._asdict() for project, mark in marks.items()}}
    with placed(path) as partial:
        partial.write_text(json.dumps(told, indent=2) + "\n")


def read(path: Path) -> dict[str, Mark]:
    """The marks of the projects; NotACheckpointError."""
    try:
        told = json.loads(path.read_text())
        form, projects = told["checkpoint"], told["projects"]
        marks = {project: Mark(**mark) for project, mark in projects.items()}
        sound = all([type(part) for part in mark] == [str, int, str] for mark in marks.values())
    except OSError as error:
        raise NotACheckpointError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NotACheckpointError(f"{path} is no checkpoint of Tallymark") from None
    if form != FORMAT or not sound:
        raise NotACheckpointError(f"{path} is no checkpoint that this Tallymark knows")
    return marks
