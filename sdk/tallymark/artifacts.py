"""Artifacts: what a version made or was made from, saved to a store, linked to the version, and verified when loaded.

The store is a folder, or whatever fsspec reaches: `s3://bucket/models` once s3fs is installed, `gs://` with gcsfs, …
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tallymark import arguments
from tallymark.errors import InvalidArgument, StoreUnavailable, TallymarkError
from tallymark.values import ArtifactRole, ArtifactType

if TYPE_CHECKING:
    from tallymark.client import Client
    from tallymark.context import Frame
    from tallymark.formats import Format
    from tallymark.resources import ArtifactInfo, ModelVersion
    from tallymark.store import Kept


class Artifact:
    """Marks what a step returns as an artifact: `def train(...) -> Annotated[Estimator, Artifact("classifier")]`.

    It is saved under that name, and linked to the version in force, when the step returns. `format` says how (by
    default what the value is decides), `type` what it is. If it cannot be saved, the step fails; with `optional`, the
    step goes on, and the run says what is missing.
    """

    def __init__(
        self,
        name: str,
        *,
        format: str | None = None,  # noqa: A002 - the contract's word
        type: ArtifactType | str | None = None,  # noqa: A002 - the contract's word
        optional: bool = False,
    ) -> None:
        self.name = arguments.text(name, "Artifact(name=...)")
        self.format = format
        self.type = None if type is None else ArtifactType(type)
        self.optional = optional

    def __repr__(self) -> str:
        return f"Artifact({self.name!r})"


def save(
    client: Client,
    version: ModelVersion,
    name: str,
    value: object,
    *,
    format: str | None = None,  # noqa: A002 - the contract's word
    type: ArtifactType | str | None = None,  # noqa: A002 - the contract's word
    run: str | None = None,
    step: str = "",
) -> ArtifactInfo:
    """Save a value to the store, and link it to the version that made it.

    Raises:
        InvalidArgument: the value is in no format, or cannot be written in the one that was chosen.
        InvalidSetting, StoreUnavailable: the store cannot be reached.

    """
    from tallymark import formats, store

    arguments.text(name, "save(name=...)")
    chosen = formats.format_for(value, format)
    folder = store.place_of(version, name)
    if chosen.name == formats.FOLDER and isinstance(value, Path) and value.is_dir():
        kept = store.put_folder(value, folder)
    else:
        kept = _put(value, chosen, folder)
    return client.link_artifact(
        version.resource_name,
        name,
        kept.uri,
        type=type or chosen.type,
        digest=kept.digest,
        size=kept.size,
        format=chosen.name,
        run=run,
        step=step,
    )


def _put(value: object, chosen: Format, folder: str) -> Kept:
    from tallymark import store

    with tempfile.TemporaryDirectory(prefix="tallymark-") as temporary:
        path = Path(temporary, f"artifact{chosen.suffix_of(value)}")
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
            raise InvalidArgument(
                f"{arguments.described(value)} cannot be written as {chosen.name}: {error}"
            ) from error
        return store.put(path, folder)


def load(artifact: ArtifactInfo, *, format: str | None = None, trusted: Sequence[str] = ()) -> Any:  # noqa: A002 - as above
    """Return the value that was saved, after its bytes were verified.

    Args:
        artifact: what was linked.
        format: how to read it, if the link does not say; `joblib`, a pickle, must be named here.
        trusted: types that a file in the format skops may hold, beside those of scikit-learn, LightGBM and XGBoost
            (`tallymark/trusted_types.py`) and of the setting `trusted_types`: qualified names, or `my_package.*`.

    Raises:
        DigestMismatch: the bytes are not those that were linked.
        InvalidArgument: the file is not of its format, or holds types that are not trusted.
        StoreUnavailable: the store cannot be reached.

    """
    from tallymark import formats

    chosen = formats.format_named(format or artifact.format, artifact, asked=format is not None)
    if chosen.name in (formats.FILE, formats.FOLDER):
        return download(artifact, Path(tempfile.mkdtemp(prefix="tallymark-")))
    chosen.check_installed()
    with tempfile.TemporaryDirectory(prefix="tallymark-") as folder:
        path = download(artifact, Path(folder))
        try:
            return chosen.read(path, (trusted,) if isinstance(trusted, str) else trusted)
        except TallymarkError:
            raise
        except Exception as error:
            raise InvalidArgument(f"{artifact!r} cannot be read as {chosen.name}: {error}") from error


def download(artifact: ArtifactInfo, folder: Path, *, force: bool = False) -> Path:
    """Fetch the artifact's file or folder into the folder, under the artifact's name, and verify it.

    Raises:
        AlreadyExists: something of that name is there, and `force` does not say to replace it.
        DigestMismatch: the bytes are not those that were linked.
        StoreUnavailable: the store cannot be reached.

    """
    from tallymark import formats, store

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
    return stem.encode()[:200].decode(errors="ignore") + suffix


def tell_use(frame: Frame | None, artifact: ArtifactInfo) -> None:
    """Link the artifact, as used, to the version in force, if that is another than the artifact's own."""
    if frame is None or frame.model is None:
        return
    from tallymark import recording

    try:
        client, version = recording.version_in(frame, frame.model)
        if (version.model, version.number) == (artifact.model, artifact.number):
            return
        client.link_artifact(
            version.resource_name,
            artifact.name,
            artifact.uri,
            type=artifact.type,
            digest=artifact.digest,
            size=artifact.size,
            format=artifact.format,
            role=ArtifactRole.USED,
            run=frame.run.id,
            step=frame.step,
        )
    except TallymarkError as problem:
        frame.run.problems.add(f"use of {artifact!r}", str(problem))
