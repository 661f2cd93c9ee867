"""Where artifacts lie: files written whole or not at all, and verified by their SHA-256 when they are read."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tallymark.artifacts.file_names import ending, segment
from tallymark.artifacts.trusted_stores import check_trusted, opened, uri_of
from tallymark.errors import (
    AlreadyExists,
    DigestMismatch,
    InvalidArgument,
    InvalidSetting,
    StoreUnavailable,
    TallymarkError,
)
from tallymark.settings import current

if TYPE_CHECKING:
    from tallymark.artifacts.formats.folders import Manifest
    from tallymark.types.artifact_info import ArtifactInfo
    from tallymark.types.resources import ModelVersion

CHUNK = 1024 * 1024
# Shorter transfers are over before a progress bar is read.
LONG = 16 * CHUNK
ALGORITHM = "sha256"
# Of a file that was linked without its size, in bytes.
MAX_UNKNOWN = 1024 * CHUNK
# What has been broken, such as md5, verifies nothing.
_ALGORITHMS = {"sha256", "sha384", "sha512", "sha3_256", "sha3_384", "sha3_512", "blake2b", "blake2s"}
# What a folder on another machine answers while that machine is away. Anything else that a folder answers, such as that
# it is full or cannot be written, is not mended by waiting.
_AWAY = {
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENOTCONN,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.ECONNREFUSED,
    errno.ECONNRESET,
}
_EXTRAS = "artifacts need fsspec and tqdm: pip install 'tallymark[artifacts]'"


class Kept(NamedTuple):
    """Where a file lies in the store, its digest, and its size in bytes."""

    uri: str
    digest: str
    size: int


def check_ready() -> None:
    """Raise InvalidSetting if nothing could be saved: a library of the store is not installed."""
    try:
        import tqdm  # noqa: F401 - whether it is there
        from fsspec import get_filesystem_class
    except ImportError:
        raise InvalidSetting(_EXTRAS) from None
    found = root()
    try:
        get_filesystem_class(found.partition("://")[0].rpartition("::")[2])
    except (ImportError, ValueError) as error:
        raise InvalidSetting(_no_driver(found, error)) from None


def place_of(version: ModelVersion, name: str) -> str:
    """Return the folder in the store for an artifact of the version."""
    return place_in(root(), version.resource_name, name)


def place_in(root: str, version: str, name: str) -> str:
    """Return the folder in a store for an artifact of the version of that resource name."""
    _, project, _, model, _, number = version.split("/")
    return "/".join([root, *(segment(part) for part in (project, model, number, name))])


def fingerprint(path: Path) -> Kept:
    """Return digest and size of a file or folder as it would be kept, nowhere yet. Raises InvalidArgument."""
    if not path.is_dir():
        return Kept("", f"{ALGORITHM}:{_digest_of(path)}", path.stat().st_size)
    manifest = _manifest_of(path)
    with _written(manifest) as written:
        return Kept("", f"{ALGORITHM}:{_digest_of(written)}", manifest.size)


def put(path: Path, folder: str) -> Kept:
    """Put a file into a folder of the store, under the beginning of its digest; StoreUnavailable."""
    digest = _digest_of(path)
    return _put(path, f"{folder}/{digest[:16]}{ending(path.suffix)}", digest)


def put_folder(path: Path, folder: str) -> Kept:
    """Put the files of a folder into the store, and a manifest of them; InvalidArgument, StoreUnavailable."""
    manifest = _manifest_of(path)
    for member in manifest.files:
        _put(path / member.path, f"{folder}/files/{member.sha256}", member.sha256)
    with _written(manifest) as written:
        return put(written, folder)._replace(size=manifest.size)


def _manifest_of(path: Path) -> Manifest:
    from tallymark.artifacts.formats.folders import Manifest, Member, walk

    found = list(walk(path))
    files = [Member(name, each.stat().st_size, _digest_of(each)) for name, each in found if not each.is_dir()]
    return Manifest(tuple(files), tuple(name for name, each in found if each.is_dir()))


@contextmanager
def _written(manifest: Manifest) -> Iterator[Path]:
    """Give the manifest as a file, which is gone afterwards."""
    from tallymark.artifacts.formats.folders import write_manifest

    with tempfile.TemporaryDirectory(prefix="tallymark-") as temporary:
        path = Path(temporary, "manifest.folder")
        write_manifest(manifest, path)
        yield path


def get(artifact: ArtifactInfo, target: Path, *, force: bool = False) -> None:
    """Fetch an artifact to a file, which appears when it is whole and verified.

    Raises:
        AlreadyExists: there is a file, and `force` does not say to replace it.
        DigestMismatch: the bytes are not those that were linked.
        StoreNotTrusted: they lie outside of the stores that the settings trust.
        StoreUnavailable: they cannot be read.

    """
    _check_free(target, force=force)
    with _beside(target) as temporary:
        _get(artifact.uri, artifact.digest, artifact.size, temporary, _said(artifact))
        _place(temporary, target, force=force)


def get_folder(artifact: ArtifactInfo, target: Path, *, force: bool = False) -> None:
    """Fetch a folder, which appears when every file of it is there and verified. Raises as `get`."""
    from tallymark.artifacts.formats.folders import MAX_MANIFEST, read_manifest

    _check_free(target, force=force)
    temporary = Path(tempfile.mkdtemp(prefix=".tallymark-", dir=target.parent))
    try:
        _get(artifact.uri, artifact.digest, MAX_MANIFEST, temporary / "manifest", _said(artifact))
        manifest = read_manifest(temporary / "manifest")
        if manifest.size > (artifact.size or MAX_UNKNOWN):
            raise DigestMismatch(
                f"the folder at {artifact.uri} has {manifest.size:,} bytes, and {_said(artifact)} was linked with"
                f" {artifact.size:,}: do not use it, or save the folder again"
            )
        content = temporary / "content"
        content.mkdir()
        for name in manifest.empty:
            (content / name).mkdir(parents=True)
        for member in manifest.files:
            place = content / member.path
            place.parent.mkdir(parents=True, exist_ok=True)
            uri = f"{artifact.uri.rpartition('/')[0]}/files/{member.sha256}"
            _get(uri, f"{ALGORITHM}:{member.sha256}", member.size, place, f"{member.path} of {_said(artifact)}")
        if force and target.is_dir():
            target.rename(temporary / "replaced")
        _check_free(target, force=False)
        content.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_free(target: Path, *, force: bool) -> None:
    if target.is_symlink() or (target.exists() and not force):
        raise AlreadyExists(f"{target} is there already; name another folder, or replace it with force (--force)")


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Give a file in the folder of the target, which is gone afterwards."""
    handle, name = tempfile.mkstemp(prefix=".tallymark-", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        with suppress(OSError):
            Path(name).unlink()


def _place(temporary: Path, target: Path, *, force: bool) -> None:
    """Give the file its name, without taking that of another which has come meanwhile."""
    umask = os.umask(0)
    os.umask(umask)
    temporary.chmod(0o666 & ~umask)
    if force:
        temporary.replace(target)
        return
    try:
        os.link(temporary, target, follow_symlinks=False)
    except FileExistsError:
        _check_free(target, force=False)
        raise
    except (OSError, NotImplementedError):  # a file system without hard links
        _check_free(target, force=False)
        temporary.rename(target)


def _put(path: Path, uri: str, digest: str) -> Kept:
    size = path.stat().st_size
    # A transaction is of a file system as a whole, so each thread that saves has one of its own.
    with _store(uri, skip_instance_cache=True) as (files, place):
        if not (files.exists(place) and files.size(place) == size):
            _make_root(files, uri)
            files.makedirs(files._parent(place), exist_ok=True)  # noqa: SLF001 - as fsspec's own commands do
            checked = hashlib.new(ALGORITHM)
            # A file that is half written never has the name of a whole one.
            with files.transaction, path.open("rb") as source, files.open(place, "wb") as target:
                _copy(source.read, _both(target.write, checked.update), size, f"saving {path.name}")
                if checked.hexdigest() != digest:
                    raise InvalidArgument(f"{path} was changed while it was saved; save it once it is whole")
    return Kept(uri, f"{ALGORITHM}:{digest}", size)


def _make_root(files: Any, uri: str) -> None:
    """Make the folder of the store, if it is on this machine and missing: for its owner alone."""
    if "file" in files.protocol and uri.startswith(f"{root()}/"):
        folder = Path(files._strip_protocol(root()))  # noqa: SLF001 - as fsspec's own commands do
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)


def _get(uri: str, digest: str, size: int, target: Path, what: str) -> None:
    """Fetch a file of at most `size` bytes, 0 if that is not known, and verify it."""
    check_trusted(uri, current())
    limit = size or MAX_UNKNOWN
    algorithm, _, expected = digest.partition(":")
    checked = hashlib.new(algorithm) if algorithm in _ALGORITHMS else None
    update = checked.update if checked is not None else _ignore
    with _store(uri) as (files, place), target.open("wb") as written, opened(files, place) as source:
        fetched = _copy(source.read, _both(written.write, update), size, f"loading {what}", limit)
    if fetched > limit or checked is None or checked.hexdigest() != expected:
        found = f"{algorithm}:{checked.hexdigest()}" if checked is not None else "nothing that could be compared"
        if fetched > limit:
            larger = "it was" if size else f"{limit:,} bytes, and was linked without a size"
            found = f"nothing that could be compared, for it is larger than {larger}"
        raise DigestMismatch(
            f"{uri} has the digest {found}, and {what} was linked with {digest or 'none'}; it was changed since, or"
            " linked without one: do not use it, or link what is there as a new artifact"
        )


def _said(artifact: ArtifactInfo) -> str:
    return f"{artifact.name}@{artifact.ordinal} of {artifact.model} No.{artifact.number}"


def _ignore(_: bytes) -> None:
    """Do nothing with the bytes."""


def _both(first: Callable[[bytes], object], second: Callable[[bytes], object]) -> Callable[[bytes], None]:
    def write(chunk: bytes) -> None:
        first(chunk)
        second(chunk)

    return write


def _copy(
    read: Callable[[int], bytes], write: Callable[[bytes], object], size: int, what: str, limit: int | None = None
) -> int:
    """Copy until the end, or until more has come than the limit; return how much has come."""
    from tqdm import tqdm

    shown, done = size >= LONG and sys.stderr.isatty(), 0
    with tqdm(total=size or None, unit="B", unit_scale=True, desc=what, disable=not shown, leave=False) as bar:
        while chunk := read(CHUNK):
            done += len(chunk)
            if limit is not None and done > limit:
                break
            write(chunk)
            bar.update(len(chunk))
    return done


def _digest_of(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, ALGORITHM).hexdigest()


def root() -> str:
    """Return the uri of the store in force."""
    return uri_of(current().store)


def may_come_back(error: StoreUnavailable) -> bool:
    """Return whether the store in force is one that is away for a while, and not a folder that cannot be written."""
    return not root().startswith("file:") or getattr(error.__cause__, "errno", None) in _AWAY


def _no_driver(uri: str, error: Exception) -> str:
    return f"{uri} cannot be reached: {error}; install its fsspec driver, such as s3fs"


@contextmanager
def _store(uri: str, **options: bool) -> Iterator[tuple[Any, str]]:
    """Give the file system of a uri, and the path on it."""
    try:
        import tqdm  # noqa: F401 - whether it is there
        from fsspec.core import url_to_fs
    except ImportError:
        raise InvalidSetting(_EXTRAS) from None
    try:
        files, place = url_to_fs(uri, **options)
    except (ImportError, ValueError) as error:
        raise InvalidSetting(_no_driver(uri, error)) from None
    except Exception as error:
        raise StoreUnavailable(f"{uri} cannot be read or written: {error!r}") from error
    try:
        yield files, place
    except TallymarkError:
        raise
    except Exception as error:
        # Drivers raise what their libraries raise, not only OSError.
        raise StoreUnavailable(f"{uri} cannot be read or written: {error}") from error
