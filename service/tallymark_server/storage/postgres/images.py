"""Checks, whenever the image of an event is read, that it is as it was recorded: a disk may return something else.

A statement returns the image as JSON with its proof, as `dialect` writes it. The row has the image instead, or, if the
event does not agree with its digest and its hash, a text that is no image, which `codec` refuses as DataDamaged.
"""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

from tallymark_server.storage.codec import DAMAGED
from tallymark_server.storage.log.chain import chained, digest_of, digest_of_content

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
# How many parts the proof by the digest alone has, with the image.
_OF_CONTENT = 8


class ImageLoader(Loader):
    """Loads a column of JSON: None if there is no event."""

    format = Format.BINARY

    def load(self, data: Buffer) -> str | None:
        """Return the image of the column."""
        return _image(_decode(data))


def _image(found: Any) -> str | None:
    if isinstance(found, dict):
        return _without(_image(found["image"]), found["without"])
    if len(found) == _OF_CONTENT:
        return _by_digest(*found)
    return _by_chain(*found)


def _by_digest(salt: str | None, digest: str, revision: int, *content: str) -> str | None:
    if salt is None:
        return None
    sound = digest_of_content(bytes.fromhex(salt), *content).hex() == digest
    return content[-1] if sound else f"{DAMAGED}{revision}"


def _by_chain(
    salt: str | None, digest: str, found_hash: str, erased: int, log_id: str, last_hash: str | None, *row: Any
) -> str | None:
    if salt is None:
        return None
    found = bytes.fromhex(digest)
    follows = chained(bytes.fromhex(last_hash or ""), log_id, row, found).hex() == found_hash
    # The chain covers the content before it was erased, which is elsewhere.
    if digest_of(bytes.fromhex(salt), row) == found and (erased or follows):
        image: str = row[-1]
        return image
    return f"{DAMAGED}{row[0]}"


def _without(image: str | None, fields: list[str]) -> str | None:
    if image is None or image.startswith(DAMAGED):
        return image
    return _encode({name: value for name, value in _decode(image).items() if name not in fields}).decode()
