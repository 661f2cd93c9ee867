"""Artifacts: what a version made or was made from, saved to a store, linked to the version, and verified when loaded.

The store is a folder, or whatever fsspec reaches: `s3://bucket/models` once s3fs is installed, `gs://` with gcsfs, …
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

from tallymark import arguments
from tallymark.errors import InvalidArgument, TallymarkError
from tallymark.values import ArtifactRole, ArtifactType
from tallymark.warning import warn

if TYPE_CHECKING:
    from tallymark.client import Client
    from tallymark.context import Frame
    from tallymark.resources import ArtifactInfo, ModelVersion


class Artifact:
    """Marks what a step returns as an artifact: `def train(...) -> Annotated[Estimator, Artifact("classifier")]`.

    It is saved under that name, and linked to the version in force, when the step returns. `format` says how (by
    default what the value is decides), `type` what it is.
    """

    def __init__(
        self,
        name: str,
        *,
        format: str | None = None,  # noqa: A002 - the contract's word
        type: ArtifactType | str | None = None,  # noqa: A002 - the contract's word
    ) -> None:
        self.name = arguments.text(name, "Artifact(name=...)")
        self.format = format
        self.type = None if type is None else ArtifactType(type)

    def __repr__(self) -> str:
        return f"Artifact({self.name!r})"


class Output(NamedTuple):
    """An artifact that a function returns: the whole result, or the item of that place in a tuple."""

    artifact: Artifact
    place: int | None


def outputs_of(function: Callable[..., Any]) -> tuple[Output, ...]:
    """What the function's annotation says that it returns as artifacts."""
    try:
        returned = get_type_hints(function, include_extras=True).get("return")
    except (NameError, TypeError, AttributeError):
        # An annotation that cannot be evaluated, such as of a name that is imported for the type checker alone.
        written = str(getattr(function, "__annotations__", {}).get("return", ""))
        if "Artifact(" in written:
            warn(f"{written} cannot be evaluated, so its artifacts are not saved")
        return ()
    if get_origin(returned) is tuple:
        places: list[tuple[int | None, Any]] = list(enumerate(get_args(returned)))
    else:
        places = [(None, returned)]
    return tuple(
        Output(mark, place)
        for place, hint in places
        if get_origin(hint) is Annotated
        for mark in get_args(hint)[1:]
        if isinstance(mark, Artifact)
    )


def keep_outputs(outputs: tuple[Output, ...], result: Any, frame: Frame) -> None:
    """Save what a function has returned. What cannot be saved is told, and the result is not lost for it."""
    from tallymark import recording

    for artifact, place in outputs:
        try:
            if frame.model is None:
                raise InvalidArgument("no model is in force; give one to @step(model=...) or @pipeline(model=...)")
            client, version = recording.version_in(frame, frame.model)
            value = result if place is None else result[place]
            linking = {"run": frame.run.id, "step": frame.step}
            save(client, version, artifact.name, value, format=artifact.format, type=artifact.type, **linking)
        except (TallymarkError, OSError, ImportError, IndexError, TypeError) as problem:
            message = f"artifact {artifact.name!r} of {frame.run!r} could not be saved: {problem}"
            warn(message)


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
    """Save a value to the store, and link it to the version that made it; InvalidArgument, StoreUnavailable."""
    from tallymark import formats, store

    arguments.text(name, "save(name=...)")
    chosen = formats.format_for(value, format)
    with tempfile.TemporaryDirectory(prefix="tallymark-") as folder:
        path = Path(folder, f"artifact{chosen.suffix_of(value)}")
        chosen.write(value, path)
        kept = store.put(path, store.place_of(version, name))
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


def load(artifact: ArtifactInfo, *, format: str | None = None, trusted: Sequence[str] = ()) -> Any:  # noqa: A002 - as above
    """The value that was saved, after its bytes were verified; DigestMismatch, InvalidArgument, StoreUnavailable.

    `trusted` names the classes, beyond those of the libraries, that a file in the format skops may contain.
    """
    from tallymark import formats

    chosen = formats.format_named(format or artifact.format, artifact, asked=format is not None)
    if chosen.name == "file":
        return download(artifact, Path(tempfile.mkdtemp(prefix="tallymark-")))
    with tempfile.TemporaryDirectory(prefix="tallymark-") as folder:
        path = download(artifact, Path(folder))
        return chosen.read(path, trusted)


def download(artifact: ArtifactInfo, folder: Path) -> Path:
    """The artifact's file in the folder, after its bytes were verified; DigestMismatch, StoreUnavailable."""
    from tallymark import store

    target = folder / (artifact.uri.rsplit("/", 1)[-1] or artifact.name)
    store.get(artifact, target)
    return target


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
        message = f"that {frame.run!r} uses {artifact!r} could not be recorded: {problem}"
        warn(message)
