"""Where artifacts lie: files written whole or not at all, and verified by their SHA-256 when they are read."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from tallymark.errors import DigestMismatch, InvalidSetting, StoreUnavailable
from tallymark.settings import current

if TYPE_CHECKING:
    from tallymark.resources import ArtifactInfo, ModelVersion

CHUNK = 1024 * 1024
# Shorter transfers are over before a progress bar is read.
LONG = 16 * CHUNK
ALGORITHM = "sha256"


class Kept(NamedTuple):
    """Where a file lies in the store, its digest, and its size in bytes."""

    uri: str
    digest: str
    size: int


def place_of(version: ModelVersion, name: str) -> str:
    """The folder in the store for an artifact of the version."""
    parts = (version.project, version.model, str(version.number), name)
    return "/".join([_root(), *(_segment(part) for part in parts)])


def put(path: Path, folder: str) -> Kept:
    """Put a file into a folder of the store, under the beginning of its digest; StoreUnavailable."""
    digest, size = _digest_of(path), path.stat().st_size
    uri = f"{folder}/{digest[:16]}{path.suffix}"
    with _store(uri) as (files, place):
        if not (files.exists(place) and files.size(place) == size):
            files.makedirs(files._parent(place), exist_ok=True)  # noqa: SLF001 - as fsspec's own commands do
            # A file that is half written never has the name of a whole one.
            with files.transaction, path.open("rb") as source, files.open(place, "wb") as target:
                _copy(source.read, target.write, size, f"saving {path.suffix}")
    return Kept(uri, f"{ALGORITHM}:{digest}", size)


def get(artifact: ArtifactInfo, target: Path) -> None:
    """Fetch an artifact to a file, and verify it; DigestMismatch, StoreUnavailable."""
    algorithm, _, expected = artifact.digest.partition(":")
    checked = hashlib.new(algorithm) if algorithm in hashlib.algorithms_available else None
    with _store(artifact.uri) as (files, place), target.open("wb") as written, files.open(place, "rb") as source:

        def write(chunk: bytes) -> None:
            written.write(chunk)
            if checked is not None:
                checked.update(chunk)

        _copy(source.read, write, artifact.size or files.size(place) or 0, f"loading {artifact.name}")
    if checked is None or checked.hexdigest() != expected:
        found = f"{algorithm}:{checked.hexdigest()}" if checked is not None else "nothing that could be compared"
        target.unlink()
        raise DigestMismatch(
            f"{artifact.uri} has the digest {found}, and {artifact.name}@{artifact.ordinal} of {artifact.model} No."
            f"{artifact.number} was linked with {artifact.digest or 'none'}; it was changed since, or linked without"
            " one: do not use it, or link what is there as a new artifact"
        )


def _copy(read: Callable[[int], bytes], write: Callable[[bytes], object], size: int, what: str) -> None:
    from tqdm import tqdm

    shown = size >= LONG and sys.stderr.isatty()
    with tqdm(total=size or None, unit="B", unit_scale=True, desc=what, disable=not shown, leave=False) as bar:
        while chunk := read(CHUNK):
            write(chunk)
            bar.update(len(chunk))


def _digest_of(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, ALGORITHM).hexdigest()


def _root() -> str:
    root = current().store
    return root.rstrip("/") if "://" in root else Path(root).absolute().as_uri()


def _segment(name: str) -> str:
    """A name as one segment of a path, whatever is in it."""
    return quote(name, safe=" ") if name.strip(".") else name.replace(".", "%2E")


@contextmanager
def _store(uri: str) -> Iterator[tuple[Any, str]]:
    """The file system of a uri, and the path on it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise StoreUnavailable("artifacts need fsspec and tqdm: pip install 'tallymark[artifacts]'") from None
    try:
        files, place = url_to_fs(uri)
    except (ImportError, ValueError) as error:
        raise InvalidSetting(f"{uri} cannot be reached: {error}; install its fsspec driver, such as s3fs") from None
    try:
        yield files, place
    except OSError as error:
        raise StoreUnavailable(f"{uri} cannot be read or written: {error}") from error
