"""Save and use artifacts in runs, also while the store or the registry is unavailable.

The link is then recorded in the run's journal, and sent with the other records of the run. The bytes wait in the spool,
and are uploaded to the store before the link is sent.
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

    Return the artifact; None while its link or its bytes wait in the spool. Raises as `Model.save` does.
    """
    resolution = Resolution.in_frame(model, frame)
    with prepared(name, value, form, kind) as file:
        fields: dict[str, Any] = {"type": file.type, "format": file.format, **_origin_fields(frame)}
        try:
            version = resolution.ensure().version
            stored = file.put(store.artifact_folder(version, name))
        except Unavailable as problem:
            if isinstance(problem, StoreUnavailable) and not store.is_temporary(problem):
                raise
            _spool_artifact(frame, model, name, file, fields, problem)
            return None
    try:
        # While earlier records wait in the journal, the link is added to them, to keep the order.
        in_order = flush(frame.run.settings)
        check_reachable(frame.run.settings, frame.run)
        if in_order:
            link = {"digest": stored.digest, "size": stored.size, **fields}
            try:
                return resolution.client.link_artifact(version.resource_name, name, stored.uri, **link)
            except ModelNotFound as error:
                renamed = under_new_name(version, error)
                if renamed is None:
                    raise
                resolution.keep(renamed)
                return resolution.client.link_artifact(renamed.resource_name, name, stored.uri, **link)
    except Unavailable as problem:
        # The link may exist already; linking the same file again has no effect.
        note_outage(frame.run.settings, problem)
    link = {"uri": stored.uri, "digest": stored.digest, "size_bytes": stored.size, **fields}
    recorder_of(frame.run).link(frame, model, name, link)
    return None


def record_use(frame: Frame | None, artifact: ArtifactInfo) -> None:
    """Record that the version in force used the artifact, unless it is the version's own."""
    if frame is None or frame.model is None:
        return
    try:
        version = Resolution.in_frame(frame.model, frame).cached()
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
    frame: Frame, model: ModelSpec, name: str, file: Prepared, fields: dict[str, Any], problem: Unavailable
) -> None:
    """Move the file, or a copy of the user's folder, to the spool, and record its upload."""
    with tempfile.TemporaryDirectory(prefix="tallymark-") as temporary:
        try:
            path = file.path
            if path.is_dir():
                # Symbolic links are copied as links, so that `fingerprint` refuses them.
                path = Path(shutil.copytree(file.path, Path(temporary, "folder"), symlinks=True))
            found = store.fingerprint(path)
            link = {"uri": "pending:", "digest": found.digest, "size_bytes": found.size, **fields}
            recorder_of(frame.run).upload(frame, model, path, name, link, store.root())
        except OSError as error:
            raise StoreUnavailable(f"{problem}; and the file cannot be kept in the spool: {error}") from problem
