"""Artifacts whose files wait in the spool: their version had no number yet, or their store could not be reached."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tallymark.client.calls import recorded
from tallymark.client.calls.call import Call


def packed(told: Mapping[str, Any], call: Call[Any]) -> bytes:
    """Return what is to be uploaded and linked as bytes: `told` says which file, under which name, in which store."""
    return _joined(told, recorded.packed(call))


def _joined(told: Mapping[str, Any], packed_call: bytes) -> bytes:
    about = json.dumps(dict(told)).encode()
    return len(about).to_bytes(4, "big") + about + packed_call


def unpacked(body: bytes) -> tuple[dict[str, Any], bytes]:
    """Return what `packed` was given, the call still as bytes; ValueError."""
    size = int.from_bytes(body[:4], "big")
    about: dict[str, Any] = json.loads(body[4 : 4 + size])
    return about, body[4 + size :]


def artifact_of(body: bytes) -> str:
    """Return what is to be uploaded, for a problem."""
    try:
        return f"artifact {unpacked(body)[0]['name']!r}"
    except (ValueError, KeyError):
        return "artifact"


def is_waiting(body: bytes) -> bool:
    """Return whether the run was told already that this waits for its store; ValueError."""
    return "waits" in unpacked(body)[0]


def waiting(body: bytes) -> bytes:
    """Return what is to be uploaded, with the note that the run was told that it waits for its store; ValueError."""
    about, call = unpacked(body)
    return _joined({**about, "waits": True}, call)


def upload(body: bytes, version: str, files: Path | None) -> Call[Any]:
    """Put the file into the store, and return the call that links it. Raises StoreUnavailable, OSError, ValueError."""
    from tallymark.artifacts import store

    about, packed_call = unpacked(body)
    path = Path(about["path"]) if files is None else files / about["file"]
    folder = store.place_in(about["store"], version, about["name"])
    kept = store.put_folder(path, folder) if path.is_dir() else store.put(path, folder)
    return recorded.placed(recorded.unpacked(packed_call, version), kept.uri)


def keep(path: Path, files: Path, name: str) -> None:
    """Move a file or folder into the folder of files that wait. Raises OSError."""
    files.mkdir(mode=0o700, exist_ok=True)
    shutil.move(path, files / name)
