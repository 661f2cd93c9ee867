"""The lines of an export: JSON objects, one a line, the same bytes for the same log.

{"project": NAME, "log_id": ..., "revision": N, "format": 2}      begins a project; its N events follow
{"revision": ..., "kind": ..., ..., "image": {...}, "salt": ..., "hash": ...}
                                                                  an event, with every column of the log, and with
                                                                  "erased" if content of it was erased: a list of the
                                                                  erasing event and the digest before, for each time
{"request_id": ..., "fingerprint": ..., ...}                      what a request has done, after its last event
{"end": LINES, "sha256": ...}                                     ends the export; the digest of all lines before

In format 1, of Tallymark 0.1, events have no salt, and their hashes cover the contents themselves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tallymark_server.storage.log.chain import FORMAT, Row
from tallymark_server.storage.log.seals import ErasureMark, Seal

# No event is as large; a file that is no export may be one endless line.
MAX_LINE = 1 << 26

COLUMNS = Row._fields
_PROJECT = {"project": str, "log_id": str, "revision": int, "format": int}
_EVENT = (
    dict.fromkeys((*COLUMNS, "hash"), str)
    | dict.fromkeys(("revision", "time", "model", "number", "previous_number"), int)
    | {"erased": list}
)
RECEIPT = {"request_id": str, "fingerprint": str, "first_revision": int, "last_revision": int}
_END = {"end": int, "sha256": str}
_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class LineError(Exception):
    """Raised for a wrong line; the message says what is wrong."""


def project_line(name: str, log_id: str, revision: int) -> bytes:
    """Return the line that begins a project."""
    return _line({"project": name, "log_id": log_id, "revision": revision, "format": FORMAT})


def event_line(row: Row, seal: Seal) -> bytes:
    """Return the line of an event's row."""
    *columns, image = row
    told = _encoder.encode(dict(zip(COLUMNS, columns, strict=False)))
    # An image is written as an object, for readers; as text, if the object would not give the same text again.
    shown = image if _encoder.encode(json.loads(image)) == image else _encoder.encode(image)
    marks = [(at, digest.hex()) for at, digest in seal.marks]
    erased = f'"erased":{_encoder.encode(marks)},' if marks else ""
    proof = f'{erased}"salt":"{seal.salt.hex()}","hash":"{seal.hash.hex()}"'
    return f'{told[:-1]},"image":{shown},{proof}}}\n'.encode()


def receipt_line(request_id: str, fingerprint: bytes, first: int, last: int) -> bytes:
    """Return the line of what a request has done."""
    return _line(dict(zip(RECEIPT, (request_id, fingerprint.hex(), first, last), strict=True)))


def end_line(lines: int, digest: str) -> bytes:
    """Return the last line."""
    return _line({"end": lines, "sha256": digest})


def parsed(line: bytes) -> dict[str, Any]:
    """Return the contents of the line, with the types of its columns. Raises LineError."""
    if not line.endswith(b"\n"):
        raise LineError("it is cut off")
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError):
        raise LineError("it is no JSON") from None
    if not isinstance(raw, dict):
        raise LineError("it is no line of an export of Tallymark")
    if "kind" in raw:
        return _event(raw)
    for form in (_PROJECT, RECEIPT, _END):
        if next(iter(form)) in raw:
            _check(raw, form)
            return raw
    raise LineError("it is no line of an export of Tallymark")


def _event(raw: dict[str, Any]) -> dict[str, Any]:
    raw.setdefault("erased", [])
    if isinstance(raw.get("image"), dict):
        raw["image"] = _encoder.encode(raw["image"])
    stage = raw.get("previous_stage")
    form = _EVENT | {"salt": str} if "salt" in raw else _EVENT
    _check(raw | {"previous_stage": "" if stage is None else stage}, form)
    raw["erased"] = tuple(_mark(mark) for mark in raw["erased"])
    raw["hash"] = _bytes(raw["hash"])
    raw["salt"] = _bytes(raw["salt"]) if "salt" in raw else None
    return raw


def _mark(raw: Any) -> ErasureMark:
    match raw:
        case [int(at), str(digest)] if 0 < at < 1 << 63:
            return ErasureMark(at, _bytes(digest))
        case _:
            raise LineError("its 'erased' is not of the right type")


def _check(raw: dict[str, Any], form: Mapping[str, type]) -> None:
    for name, kind in form.items():
        if name not in raw:
            raise LineError(f"it lacks {name!r}")
        if type(raw[name]) is not kind:
            raise LineError(f"its {name!r} is not of the right type")
        if kind is int and not -(1 << 63) <= raw[name] < 1 << 63:
            raise LineError(f"its {name!r} is out of range")
    if unknown := raw.keys() - form.keys():
        raise LineError(f"it has {min(unknown)!r}, which is unknown here")
    if "fingerprint" in form:
        raw["fingerprint"] = _bytes(raw["fingerprint"])


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise LineError("its hash, salt or fingerprint is not hexadecimal") from None


def _line(raw: dict[str, Any]) -> bytes:
    return _encoder.encode(raw).encode() + b"\n"
