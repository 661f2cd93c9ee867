"""Artifacts whose files wait in the spool, because their version has no number yet or their store is unavailable."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tallymark.client.calls import recorded
from tallymark.client.calls.call import Call


def packed(fields: Mapping[str, Any], call: Call[Any]) -> bytes:
    """Return an upload as the body of a record.

    Args:
        fields: The `file` in the spool, the artifact's `name`, and the `store`.
        call: The call that links the artifact after the upload.
    """
    return _body(fields, recorded.packed(call))


def _body(fields: Mapping[str, Any], packed_call: bytes) -> bytes:
    head = json.dumps(dict(fields)).encode()
    return len(head).to_bytes(4, "big") + head + packed_call


def unpacked(body: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the fields of an upload, and its call as bytes. Raises ValueError."""
    size = int.from_bytes(body[:4], "big")
    fields: dict[str, Any] = json.loads(body[4 : 4 + size])
    return fields, body[4 + size :]


def artifact_of(body: bytes) -> str:
    """Return the artifact of an upload, as the subject of a recording problem."""
    try:
        return f"artifact {unpacked(body)[0]['name']!r}"
    except (ValueError, KeyError):
        return "artifact"


def is_waiting(body: bytes) -> bool:
    """Return whether the run has a recording problem already, because the upload waits for its store.

    Raises ValueError.
    """
    return "waits" in unpacked(body)[0]


def marked_waiting(body: bytes) -> bytes:
    """Return the upload with a mark that the run has a recording problem about it. Raises ValueError."""
    fields, call = unpacked(body)
    return _body({**fields, "waits": True}, call)


def upload(body: bytes, version: str, files: Path | None) -> Call[Any]:
    """Upload the file to the store, and return the call that links it. Raises StoreUnavailable, OSError, ValueError."""
    from tallymark.artifacts import store

    fields, packed_call = unpacked(body)
    path = Path(fields["path"]) if files is None else files / fields["file"]
    folder = store.artifact_folder_in(fields["store"], version, fields["name"])
    stored = store.put_folder(path, folder) if path.is_dir() else store.put(path, folder)
    return recorded.with_artifact_uri(recorded.unpacked(packed_call, version), stored.uri)


def move_to_spool(path: Path, files: Path, name: str) -> None:
    """Move a file or folder into the spool's folder of waiting files. Raises OSError."""
    files.mkdir(mode=0o700, exist_ok=True)
    shutil.move(path, files / name)
