"""The store of artifacts: write files atomically, and verify their SHA-256 when they are read."""

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
from tallymark.artifacts.trusted_stores import check_trusted, open_for_reading, uri_of
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
# The minimum size in bytes for a progress bar.
MIN_PROGRESS_SIZE = 16 * CHUNK
ALGORITHM = "sha256"
# The maximum size in bytes of a file that was linked without a size.
MAX_UNKNOWN_SIZE = 1024 * CHUNK
# Broken algorithms, such as md5, are not accepted.
_ALGORITHMS = {"sha256", "sha384", "sha512", "sha3_256", "sha3_384", "sha3_512", "blake2b", "blake2s"}
# The errors of a network folder while its server is unavailable. Other errors of folders, such as a full disk, are not
# temporary.
_OUTAGE_ERRNOS = {
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


class StoredFile(NamedTuple):
    """The URI of a file in the store, its digest, and its size in bytes."""

    uri: str
    digest: str
    size: int


def check_ready() -> None:
    """Raise InvalidSetting if a library of the store is not installed."""
    try:
        import tqdm  # noqa: F401 - only checks that it is installed
        from fsspec import get_filesystem_class
    except ImportError:
        raise InvalidSetting(_EXTRAS) from None
    found = root()
    try:
        get_filesystem_class(found.partition("://")[0].rpartition("::")[2])
    except (ImportError, ValueError) as error:
        raise InvalidSetting(_no_driver(found, error)) from None


def artifact_folder(version: ModelVersion, name: str) -> str:
    """Return the folder in the store for an artifact of the version."""
    return artifact_folder_in(root(), version.resource_name, name)


def artifact_folder_in(root: str, version: str, name: str) -> str:
    """Return the folder in the store `root` for an artifact of the version with this resource name."""
    _, project, _, model, _, number = version.split("/")
    return "/".join([root, *(segment(part) for part in (project, model, number, name))])


def fingerprint(path: Path) -> StoredFile:
    """Return the digest and size of a file or folder without saving it; the URI is empty. Raises InvalidArgument."""
    if not path.is_dir():
        return StoredFile("", f"{ALGORITHM}:{_digest_of(path)}", path.stat().st_size)
    manifest = _manifest_of(path)
    with _manifest_file(manifest) as written:
        return StoredFile("", f"{ALGORITHM}:{_digest_of(written)}", manifest.size)


def put(path: Path, folder: str) -> StoredFile:
    """Save a file in a folder of the store, named by its digest. Raises InvalidArgument, StoreUnavailable."""
    digest = _digest_of(path)
    return _put(path, f"{folder}/{digest[:16]}{ending(path.suffix)}", digest)


def put_folder(path: Path, folder: str) -> StoredFile:
    """Save the files of a folder in the store, and a manifest of them. Raises InvalidArgument, StoreUnavailable."""
    manifest = _manifest_of(path)
    for member in manifest.files:
        _put(path / member.path, f"{folder}/files/{member.sha256}", member.sha256)
    with _manifest_file(manifest) as written:
        return put(written, folder)._replace(size=manifest.size)


def _manifest_of(path: Path) -> Manifest:
    from tallymark.artifacts.formats.folders import Manifest, Member, walk

    found = list(walk(path))
    files = [Member(name, each.stat().st_size, _digest_of(each)) for name, each in found if not each.is_dir()]
    return Manifest(tuple(files), tuple(name for name, each in found if each.is_dir()))


@contextmanager
def _manifest_file(manifest: Manifest) -> Iterator[Path]:
    """Yield the manifest as a temporary file."""
    from tallymark.artifacts.formats.folders import write_manifest

    with tempfile.TemporaryDirectory(prefix="tallymark-") as temporary:
        path = Path(temporary, "manifest.folder")
        write_manifest(manifest, path)
        yield path


def get(artifact: ArtifactInfo, target: Path, *, force: bool = False) -> None:
    """Download an artifact to a file, which appears when it is complete and verified.

    Raises:
        AlreadyExists: The file exists, and `force` is False.
        DigestMismatch: The bytes are not those that were linked.
        StoreNotTrusted: The artifact is outside the stores that the settings trust.
        StoreUnavailable: The store cannot be read.
    """
    _check_free(target, force=force)
    with _temporary_file(target) as temporary:
        _get(artifact.uri, artifact.digest, artifact.size, temporary, _label(artifact))
        _move_into_place(temporary, target, force=force)


def get_folder(artifact: ArtifactInfo, target: Path, *, force: bool = False) -> None:
    """Download a folder, which appears when all files are complete and verified. Raises as `get` does."""
    from tallymark.artifacts.formats.folders import MAX_MANIFEST, read_manifest

    _check_free(target, force=force)
    temporary = Path(tempfile.mkdtemp(prefix=".tallymark-", dir=target.parent))
    try:
        _get(artifact.uri, artifact.digest, MAX_MANIFEST, temporary / "manifest", _label(artifact))
        manifest = read_manifest(temporary / "manifest")
        if manifest.size > (artifact.size or MAX_UNKNOWN_SIZE):
            raise DigestMismatch(
                f"the folder at {artifact.uri} has {manifest.size:,} bytes, and {_label(artifact)} was linked with"
                f" {artifact.size:,}: do not use it, or save the folder again"
            )
        content = temporary / "content"
        content.mkdir()
        for name in manifest.empty:
            (content / name).mkdir(parents=True)
        for member in manifest.files:
            path = content / member.path
            path.parent.mkdir(parents=True, exist_ok=True)
            uri = f"{artifact.uri.rpartition('/')[0]}/files/{member.sha256}"
            _get(uri, f"{ALGORITHM}:{member.sha256}", member.size, path, f"{member.path} of {_label(artifact)}")
        if force and target.is_dir():
            target.rename(temporary / "replaced")
        _check_free(target, force=False)
        content.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_free(target: Path, *, force: bool) -> None:
    if target.is_symlink() or (target.exists() and not force):
        raise AlreadyExists(f"{target} exists already; name another folder, or replace it with force (--force)")


@contextmanager
def _temporary_file(target: Path) -> Iterator[Path]:
    """Yield a temporary file in the folder of the target."""
    handle, name = tempfile.mkstemp(prefix=".tallymark-", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        with suppress(OSError):
            Path(name).unlink()


def _move_into_place(temporary: Path, target: Path, *, force: bool) -> None:
    """Move the file to its target; without `force`, fail if the target was created meanwhile."""
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


def _put(path: Path, uri: str, digest: str) -> StoredFile:
    size = path.stat().st_size
    # A transaction covers a whole fsspec file system, so each call needs an instance of its own.
    with _store(uri, skip_instance_cache=True) as (files, stored):
        if not (files.exists(stored) and files.size(stored) == size):
            _create_root(files, uri)
            files.makedirs(files._parent(stored), exist_ok=True)  # noqa: SLF001 - as fsspec's own commands do
            digester = hashlib.new(ALGORITHM)
            # With a transaction, an incomplete file never has the final name.
            with files.transaction, path.open("rb") as source, files.open(stored, "wb") as target:
                _copy(source.read, _write_to_both(target.write, digester.update), size, f"saving {path.name}")
                if digester.hexdigest() != digest:
                    raise InvalidArgument(f"{path} was changed while it was saved; save it again when it is complete")
    return StoredFile(uri, f"{ALGORITHM}:{digest}", size)


def _create_root(files: Any, uri: str) -> None:
    """Create a local store's folder if it does not exist, readable only for its owner."""
    if "file" in files.protocol and uri.startswith(f"{root()}/"):
        folder = Path(files._strip_protocol(root()))  # noqa: SLF001 - as fsspec's own commands do
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)


def _get(uri: str, digest: str, size: int, target: Path, what: str) -> None:
    """Download a file of at most `size` bytes, 0 if unknown, and verify its digest."""
    check_trusted(uri, current())
    limit = size or MAX_UNKNOWN_SIZE
    algorithm, _, expected = digest.partition(":")
    digester = hashlib.new(algorithm) if algorithm in _ALGORITHMS else None
    update = digester.update if digester is not None else _ignore
    with _store(uri) as (files, stored), target.open("wb") as written, open_for_reading(files, stored) as source:
        fetched = _copy(source.read, _write_to_both(written.write, update), size, f"loading {what}", limit)
    if fetched > limit or digester is None or digester.hexdigest() != expected:
        found = f"{algorithm}:{digester.hexdigest()}" if digester is not None else "nothing that could be compared"
        if fetched > limit:
            larger = "it was" if size else f"{limit:,} bytes, and was linked without a size"
            found = f"nothing that could be compared, for it is larger than {larger}"
        raise DigestMismatch(
            f"{uri} has the digest {found}, and {what} was linked with {digest or 'none'}; it was changed since, or"
            " linked without one: do not use it, or link what is there as a new artifact"
        )


def _label(artifact: ArtifactInfo) -> str:
    return f"{artifact.name}@{artifact.ordinal} of {artifact.model} No.{artifact.number}"


def _ignore(_: bytes) -> None:
    """Ignore the bytes."""


def _write_to_both(first: Callable[[bytes], object], second: Callable[[bytes], object]) -> Callable[[bytes], None]:
    def write(chunk: bytes) -> None:
        first(chunk)
        second(chunk)

    return write


def _copy(
    read: Callable[[int], bytes], write: Callable[[bytes], object], size: int, what: str, limit: int | None = None
) -> int:
    """Copy up to the end, or until the limit is exceeded. Return the number of bytes read."""
    from tqdm import tqdm

    has_bar, done = size >= MIN_PROGRESS_SIZE and sys.stderr.isatty(), 0
    with tqdm(total=size or None, unit="B", unit_scale=True, desc=what, disable=not has_bar, leave=False) as bar:
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
    """Return the URI of the store in the settings."""
    return uri_of(current().store)


def is_temporary(error: StoreUnavailable) -> bool:
    """Return whether the error may go away by itself, unlike that of a local folder that cannot be written."""
    return not root().startswith("file:") or getattr(error.__cause__, "errno", None) in _OUTAGE_ERRNOS


def _no_driver(uri: str, error: Exception) -> str:
    return f"{uri} cannot be reached: {error}; install its fsspec driver, such as s3fs"


@contextmanager
def _store(uri: str, **options: bool) -> Iterator[tuple[Any, str]]:
    """Yield the file system of a URI, and the path on it. Raises InvalidSetting, StoreUnavailable."""
    try:
        import tqdm  # noqa: F401 - only checks that it is installed
        from fsspec.core import url_to_fs
    except ImportError:
        raise InvalidSetting(_EXTRAS) from None
    try:
        files, path = url_to_fs(uri, **options)
    except (ImportError, ValueError) as error:
        raise InvalidSetting(_no_driver(uri, error)) from None
    except Exception as error:
        raise StoreUnavailable(f"{uri} cannot be read or written: {error!r}") from error
    try:
        yield files, path
    except TallymarkError:
        raise
    except Exception as error:
        # Drivers raise the errors of their libraries, not only OSError.
        raise StoreUnavailable(f"{uri} cannot be read or written: {error}") from error
