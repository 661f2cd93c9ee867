"""`Artifact`, and functions that save, load and download artifacts.

An artifact is saved to a store, linked to a version that produced or used it, and verified when it is loaded. The store
is a folder, or a URI for fsspec: `s3://bucket/models` if s3fs is installed, `gs://` with gcsfs, …
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from tallymark import arguments
from tallymark.artifacts.file_names import shortened
from tallymark.errors import InvalidArgument, InvalidName, StoreUnavailable, TallymarkError
from tallymark.types.enums import ArtifactType

if TYPE_CHECKING:
    from tallymark.artifacts.formats import Format
    from tallymark.artifacts.store import StoredFile
    from tallymark.client.blocking import Client
    from tallymark.types.artifact_info import ArtifactInfo
    from tallymark.types.resources import ModelVersion

MAX_NAME = 255


class Artifact:
    """Mark the result of a step as an artifact: `def train(...) -> Annotated[Estimator, Artifact("classifier")]`.

    When the step returns, its result is saved, and linked to the version in force. If the value cannot be saved, the
    step fails; a class that no format supports is refused before the step's function is called.

    Args:
        name: The artifact's name.
        format: The name of a format; by default the value decides it.
        type: `data`, `model` or `deployment`; by default that of the format.
        optional: If the value cannot be saved, report this as a problem of the run instead of failing the step.

    Raises:
        InvalidArgument, InvalidName: The name or the type is not valid.
    """

    def __init__(
        self,
        name: str,
        *,
        format: str | None = None,  # noqa: A002 - the contract's word
        type: ArtifactType | str | None = None,  # noqa: A002 - the contract's word
        optional: bool = False,
    ) -> None:
        self.name = checked_name(name, "Artifact(name=...)")
        self.format = format
        self.type = None if type is None else type_of(type)
        self.optional = optional

    def __repr__(self) -> str:
        return f"Artifact({self.name!r})"


class Prepared(NamedTuple):
    """A value as a file or folder for the store, with its format and type."""

    path: Path
    format: str
    type: ArtifactType | str

    def put(self, folder: str) -> StoredFile:
        """Upload it to a folder of the store. Raises InvalidArgument, InvalidSetting, StoreUnavailable."""
        from tallymark.artifacts import store

        return store.put_folder(self.path, folder) if self.path.is_dir() else store.put(self.path, folder)


def save(
    client: Client,
    version: ModelVersion,
    name: str,
    value: object,
    *,
    format: str | None = None,  # noqa: A002 - the contract's word
    type: ArtifactType | str | None = None,  # noqa: A002 - the contract's word
) -> ArtifactInfo:
    """Save a value to the store, and link it to the version as an artifact that it produced.

    Args:
        client: The client of the registry.
        version: The version.
        name: The artifact's name.
        value: The value.
        format: The name of a format; by default the value decides it.
        type: `data`, `model` or `deployment`; by default that of the format.

    Returns:
        The artifact.

    Raises:
        InvalidArgument: No format supports the value, or it cannot be written in the format.
        InvalidSetting: The store's libraries are not installed.
        StoreUnavailable: The store cannot be written.
    """
    from tallymark.artifacts import store

    with prepared(name, value, format, type) as file:
        stored = file.put(store.artifact_folder(version, name))
    fields: dict[str, Any] = {"type": file.type, "digest": stored.digest, "size": stored.size, "format": file.format}
    return client.link_artifact(version.resource_name, name, stored.uri, **fields)


@contextmanager
def prepared(
    name: str,
    value: object,
    format: str | None,  # noqa: A002 - the contract's word
    type: ArtifactType | str | None,  # noqa: A002 - the contract's word
) -> Iterator[Prepared]:
    """Yield the value as a temporary file, or as the folder at its path. Raises InvalidArgument, StoreUnavailable."""
    from tallymark.artifacts import formats

    checked_name(name, "save(name=...)")
    try:
        chosen = formats.format_for(value, format)
    except RecursionError:
        raise InvalidArgument(f"{arguments.described(value)} is nested too deeply, or has itself in it") from None
    what = chosen.type if type is None else type_of(type)
    if chosen.name == formats.FOLDER and isinstance(value, Path) and value.is_dir():
        yield Prepared(value, chosen.name, what)
        return
    with tempfile.TemporaryDirectory(prefix="tallymark-") as temporary:
        path = Path(temporary, f"artifact{chosen.suffix_of(value)}")
        _write(value, chosen, path)
        yield Prepared(path, chosen.name, what)


def checked_name(name: object, what: str) -> str:
    """Return the name of an artifact after checking it. Raises InvalidArgument, InvalidName."""
    found = arguments.text(name, what)
    if not 1 <= len(found) <= MAX_NAME or found.strip() != found or any(ch in "/@=:" or ord(ch) < 32 for ch in found):
        raise InvalidName(
            f"{what} is {found!r}; a name has 1 to {MAX_NAME} characters, none of / @ = : and no control character, and"
            " no space at either end"
        )
    return found


def type_of(value: ArtifactType | str) -> ArtifactType:
    """Return the type of an artifact as an enum. Raises InvalidArgument."""
    try:
        return ArtifactType(value)
    except ValueError:
        raise InvalidArgument(f"type is {value!r}; name one of {', '.join(ArtifactType)}") from None


def _write(value: object, chosen: Format, path: Path) -> None:
    chosen.check_installed()
    try:
        chosen.write(value, path)
    except TallymarkError:
        raise
    except OSError as error:
        if isinstance(value, Path):
            raise InvalidArgument(f"{value} cannot be read: {error}") from error
        raise StoreUnavailable(f"{path} cannot be written: {error}") from error
    except Exception as error:
        raise InvalidArgument(f"{arguments.described(value)} cannot be written as {chosen.name}: {error}") from error


def load(artifact: ArtifactInfo, *, format: str | None = None, trusted: Sequence[str] = ()) -> Any:  # noqa: A002 - as above
    """Load the value of an artifact, and verify its digest.

    Args:
        artifact: The artifact.
        format: The format, if not that of the link; `joblib`, a pickle, must be named here.
        trusted: Types that a file in the format skops may contain, in addition to those of scikit-learn, LightGBM and
            XGBoost (`tallymark.artifacts.formats.trusted_types`) and of the setting `trusted_types`: qualified names,
            or `my_package.*`.

    Returns:
        The value. A file or folder is returned as the path of a copy in a temporary folder, which is removed when this
        process ends; `download` creates a copy that stays.

    Raises:
        DigestMismatch: The bytes are not those that were linked.
        InvalidArgument: The file is not in its format, or contains types that are not trusted.
        StoreNotTrusted: The artifact is outside the stores that the settings trust.
        StoreUnavailable: The store cannot be read.
    """
    from tallymark.artifacts import formats

    chosen = formats.format_named(format or artifact.format, artifact, is_explicit=format is not None)
    if chosen.name in (formats.FILE, formats.FOLDER):
        return download(artifact, _folder_until_exit())
    chosen.check_installed()
    with tempfile.TemporaryDirectory(prefix="tallymark-") as folder:
        path = download(artifact, Path(folder))
        try:
            return chosen.read(path, (trusted,) if isinstance(trusted, str) else trusted)
        except TallymarkError:
            raise
        except Exception as error:
            raise InvalidArgument(f"{artifact!r} cannot be read as {chosen.name}: {error}") from error


def _folder_until_exit() -> Path:
    """Return a new temporary folder, which is removed when this process ends."""
    folder, process = tempfile.mkdtemp(prefix="tallymark-"), os.getpid()

    def remove() -> None:
        # The child of a fork inherits this handler, but the folder belongs to its parent.
        if os.getpid() == process:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return Path(folder)


def download(artifact: ArtifactInfo, folder: Path, *, force: bool = False) -> Path:
    """Download the file or folder of an artifact, and verify its digest.

    Args:
        artifact: The artifact.
        folder: The target folder, created if it does not exist.
        force: Replace an existing file or folder.

    Returns:
        The path of the downloaded file or folder.

    Raises:
        AlreadyExists: The file or folder exists, and `force` is False.
        DigestMismatch: The bytes are not those that were linked.
        StoreNotTrusted: The artifact is outside the stores that the settings trust.
        StoreUnavailable: The store cannot be read.
    """
    from tallymark.artifacts import formats, store

    folder.mkdir(parents=True, exist_ok=True)
    target = folder / file_name(artifact)
    if artifact.format == formats.FOLDER:
        store.get_folder(artifact, target, force=force)
    else:
        store.get(artifact, target, force=force)
    return target


def file_name(artifact: ArtifactInfo) -> str:
    """Return the name of the artifact's file: its own name as a valid file name, with the suffix of its format."""
    stem = "".join(ch if ch.isalnum() or ch in " ._-+=@," else "_" for ch in artifact.name).rstrip(". ")
    if not stem or stem[0] in ".-~":
        stem = f"_{stem.lstrip('.-~')}"
    suffix = PurePosixPath(artifact.uri.rpartition("/")[2]).suffix
    if artifact.format == "folder" or not (suffix[1:].isascii() and suffix[1:].isalnum() and len(suffix) <= 16):
        suffix = ""
    stem = stem.removesuffix(suffix) if suffix else stem
    return shortened(stem) + suffix
