"""Artifacts: what a version made or was made from, saved to a store, linked to the version, and verified when loaded.

The store is a folder, or whatever fsspec reaches: `s3://bucket/models` once s3fs is installed, `gs://` with gcsfs, …
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
    from tallymark.artifacts.store import Kept
    from tallymark.client.blocking import Client
    from tallymark.types.artifact_info import ArtifactInfo
    from tallymark.types.resources import ModelVersion

MAX_NAME = 255


class Artifact:
    """Marks what a step returns as an artifact: `def train(...) -> Annotated[Estimator, Artifact("classifier")]`.

    It is saved under that name, and linked to the version in force, when the step returns. `format` says how (by
    default what the value is decides), `type` what it is. A class whose values are in no format is refused before the
    step's function runs. If the value cannot be saved, the step fails; with `optional`, the step goes on, and the run
    says what is missing.
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
    """A value as the file or folder that is put into the store, in which format, and what it is."""

    path: Path
    format: str
    type: ArtifactType | str

    def put(self, folder: str) -> Kept:
        """Put it into a folder of the store. Raises InvalidArgument, InvalidSetting, StoreUnavailable."""
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
    """Save a value to the store, and link it to the version that made it.

    Raises:
        InvalidArgument: The value is in no format, or cannot be written in the one that was chosen.
        InvalidSetting, StoreUnavailable: The store cannot be reached.
    """
    from tallymark.artifacts import store

    with prepared(name, value, format, type) as made:
        kept = made.put(store.place_of(version, name))
    about: dict[str, Any] = {"type": made.type, "digest": kept.digest, "size": kept.size, "format": made.format}
    return client.link_artifact(version.resource_name, name, kept.uri, **about)


@contextmanager
def prepared(
    name: str,
    value: object,
    format: str | None,  # noqa: A002 - the contract's word
    type: ArtifactType | str | None,  # noqa: A002 - the contract's word
) -> Iterator[Prepared]:
    """Give the value as a file, which is gone afterwards, or as the folder that it names. Raises InvalidArgument."""
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
    """Return the name of an artifact, if it is one. Raises InvalidArgument, InvalidName."""
    found = arguments.text(name, what)
    if not 1 <= len(found) <= MAX_NAME or found.strip() != found or any(ch in "/@=:" or ord(ch) < 32 for ch in found):
        raise InvalidName(
            f"{what} is {found!r}; a name has 1 to {MAX_NAME} characters, none of / @ = : and no control character, and"
            " no space at either end"
        )
    return found


def type_of(value: ArtifactType | str) -> ArtifactType:
    """Return what an artifact is. Raises InvalidArgument."""
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
    """Return the value that was saved, after its bytes were verified.

    A file or folder comes back as the path of a copy in a temporary folder, which is removed when this process ends;
    `download` fetches one that stays.

    Args:
        artifact: what was linked.
        format: how to read it, if the link does not say; `joblib`, a pickle, must be named here.
        trusted: types that a file in the format skops may hold, beside those of scikit-learn, LightGBM and XGBoost
            (`tallymark.artifacts.formats.trusted_types`) and of the setting `trusted_types`: qualified names, or
            `my_package.*`.

    Raises:
        DigestMismatch: the bytes are not those that were linked.
        InvalidArgument: the file is not of its format, or holds types that are not trusted.
        StoreUnavailable: the store cannot be reached.

    """
    from tallymark.artifacts import formats

    chosen = formats.format_named(format or artifact.format, artifact, asked=format is not None)
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
        # A child that was made by fork ends before its parent, whose folder it is.
        if os.getpid() == process:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return Path(folder)


def download(artifact: ArtifactInfo, folder: Path, *, force: bool = False) -> Path:
    """Fetch the artifact's file or folder into the folder, under the artifact's name, and verify it.

    Raises:
        AlreadyExists: something of that name is there, and `force` does not say to replace it.
        DigestMismatch: the bytes are not those that were linked.
        StoreUnavailable: the store cannot be reached.

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
    """Return what the artifact's file is called: its name, as far as a file may be called so, with its ending."""
    stem = "".join(ch if ch.isalnum() or ch in " ._-+=@," else "_" for ch in artifact.name).rstrip(". ")
    if not stem or stem[0] in ".-~":
        stem = f"_{stem.lstrip('.-~')}"
    suffix = PurePosixPath(artifact.uri.rpartition("/")[2]).suffix
    if artifact.format == "folder" or not (suffix[1:].isascii() and suffix[1:].isalnum() and len(suffix) <= 16):
        suffix = ""
    stem = stem.removesuffix(suffix) if suffix else stem
    return shortened(stem) + suffix
