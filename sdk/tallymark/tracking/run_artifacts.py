"""Artifacts in runs: neither their bytes nor their links are lost while the store or the registry is away.

The link is recorded in the run's journal then, and sent with the run's other records. The bytes wait in the spool, and
are put into the store before that.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallymark.artifacts import store
from tallymark.artifacts.save_load import Prepared, prepared
from tallymark.delivery.renamed_models import under_new_name
from tallymark.delivery.sender import check_reachable, flush, note_outage
from tallymark.errors import ModelNotFound, StoreUnavailable, TallymarkError, Unavailable
from tallymark.tracking.context import Frame
from tallymark.tracking.recorder import recorder_of
from tallymark.tracking.resolution import Resolution
from tallymark.types.enums import ArtifactRole, ArtifactType

if TYPE_CHECKING:
    from tallymark.tracking.model_spec import ModelSpec
    from tallymark.types.artifact_info import ArtifactInfo


def save_in_run(
    frame: Frame, model: ModelSpec, name: str, value: object, form: str | None, kind: ArtifactType | str | None
) -> ArtifactInfo | None:
    """Save a value, and link it to the version that the model means in the run.

    Return the artifact, None when its link or its bytes wait in the spool. Raises InvalidArgument for a value that
    cannot be saved, whatever the registry refuses, and StoreUnavailable when the store is a folder that cannot be
    written, or when not even the spool takes the bytes.
    """
    resolution = Resolution.in_frame(model, frame)
    with prepared(name, value, form, kind) as made:
        about: dict[str, Any] = {"type": made.type, "format": made.format, **_origin_fields(frame)}
        try:
            version = resolution.ensure().version
            kept = made.put(store.place_of(version, name))
        except Unavailable as problem:
            if isinstance(problem, StoreUnavailable) and not store.may_come_back(problem):
                raise
            _spool_artifact(frame, model, name, made, about, problem)
            return None
    try:
        # What was recorded before the artifact comes before it, or the link waits with it.
        in_order = flush(frame.run.settings)
        check_reachable(frame.run.settings, frame.run)
        if in_order:
            given = {"digest": kept.digest, "size": kept.size, **about}
            try:
                return resolution.client.link_artifact(version.resource_name, name, kept.uri, **given)
            except ModelNotFound as error:
                renamed = under_new_name(version, error)
                if renamed is None:
                    raise
                resolution.keep(renamed)
                return resolution.client.link_artifact(renamed.resource_name, name, kept.uri, **given)
    except Unavailable as problem:
        # Whether it was linked or not: what is linked already is not linked again.
        note_outage(frame.run.settings, problem)
    link = {"uri": kept.uri, "digest": kept.digest, "size_bytes": kept.size, **about}
    recorder_of(frame.run).link(frame, model, name, link)
    return None


def record_use(frame: Frame | None, artifact: ArtifactInfo) -> None:
    """Record that the version in force was made from the artifact, if that is not the version's own."""
    if frame is None or frame.model is None:
        return
    try:
        version = Resolution.in_frame(frame.model, frame).known()
        if version is not None and (version.model, version.number) == (artifact.model, artifact.number):
            return
        link = {
            "uri": artifact.uri,
            "digest": artifact.digest,
            "size_bytes": artifact.size,
            "type": artifact.type,
            "format": artifact.format,
            **_origin_fields(frame),
            "role": ArtifactRole.USED,
        }
        recorder_of(frame.run).link(frame, frame.model, artifact.name, link)
    except TallymarkError as problem:
        frame.run.problems.add(f"use of {artifact!r}", str(problem))


def _origin_fields(frame: Frame) -> dict[str, Any]:
    return {"role": ArtifactRole.MADE, "run": frame.run.id, "step": frame.step}


def _spool_artifact(
    frame: Frame, model: ModelSpec, name: str, made: Prepared, about: dict[str, Any], problem: Unavailable
) -> None:
    """Let the file, or a copy of the folder, which is the user's, wait in the spool."""
    with tempfile.TemporaryDirectory(prefix="tallymark-") as temporary:
        try:
            path = made.path
            if path.is_dir():
                # Links stay links, so that they are refused.
                path = Path(shutil.copytree(made.path, Path(temporary, "folder"), symlinks=True))
            found = store.fingerprint(path)
            link = {"uri": "pending:", "digest": found.digest, "size_bytes": found.size, **about}
            recorder_of(frame.run).upload(frame, model, path, name, link, store.root())
        except OSError as error:
            raise StoreUnavailable(f"{problem}; and the file cannot be kept in the spool: {error}") from problem
