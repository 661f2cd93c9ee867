"""The rules for linking artifacts to versions, and unlinking them."""

from __future__ import annotations

from msgspec.structs import replace

from tallymark_server.domain.capacity import check_links
from tallymark_server.domain.commands import LinkArtifact, UnlinkArtifact
from tallymark_server.domain.errors import ArtifactNotFound, RunNotFound
from tallymark_server.domain.event_recorder import EventRecorder
from tallymark_server.domain.events import Kind
from tallymark_server.domain.model import Artifact
from tallymark_server.domain.state import State


def link_artifact(state: State, command: LinkArtifact, recorder: EventRecorder) -> Artifact:
    """Return the new link, or the existing one if it is the same."""
    version = state.version(command.model, command.reference)
    if command.run is not None and state.runs[command.run] is None:
        raise RunNotFound(state.project, command.run)
    known = state.links(version, command.name)
    for link in reversed(known):
        if not link.unlinked and _says(link) == (command.uri, command.digest, command.role):
            return link
    of_version = state.linked[version.model, version.number]
    check_links(version, command.name, of_name=len(known), of_version=of_version)
    artifact = Artifact(
        model_id=version.model_id,
        model=version.model,
        number=version.number,
        name=command.name,
        ordinal=len(known) + 1,
        type=command.type,
        uri=command.uri,
        digest=command.digest,
        size=command.size,
        format=command.format,
        role=command.role,
        run=command.run,
        step=command.step,
        creator=recorder.actor,
        create_time=recorder.time,
        create_revision=recorder.revision,
        mod_revision=recorder.revision,
    )
    recorder.record(Kind.ARTIFACT_LINKED, artifact)
    return artifact


def unlink_artifact(state: State, command: UnlinkArtifact, recorder: EventRecorder) -> Artifact:
    """Unlink the artifact. Return the link as it was."""
    version = state.version(command.model, command.reference)
    for link in reversed(state.links(version, command.name)):
        if not link.unlinked and command.ordinal in (None, link.ordinal):
            image = replace(link, unlinked=True, mod_revision=recorder.revision)
            recorder.record(Kind.ARTIFACT_UNLINKED, image, reason=command.reason)
            return image
    shown = command.name if command.ordinal is None else f"{command.name}@{command.ordinal}"
    raise ArtifactNotFound(state.project, version.model, version.number, shown)


def _says(link: Artifact) -> tuple[object, ...]:
    return link.uri, link.digest, link.role
