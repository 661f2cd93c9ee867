"""Calls about artifacts and lineage."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tallymark.client import messages as m
from tallymark.client.calls.call import PAGE_SIZE, Call, ListOptions, Page, as_of, new_request_id, page
from tallymark.errors import InvalidArgument, InvalidField
from tallymark.types.artifact_info import ArtifactInfo
from tallymark.types.references import artifact_name, run_name, version_name
from tallymark.types.resources import Lineage
from tallymark.v1 import (
    artifact_pb2,
    lineage_pb2,
)
from tallymark.v1.model_registry_pb2_grpc import ModelRegistryStub

_DIRECTIONS = {
    "both": lineage_pb2.LINEAGE_DIRECTION_UNSPECIFIED,
    "upstream": lineage_pb2.LINEAGE_DIRECTION_UPSTREAM,
    "downstream": lineage_pb2.LINEAGE_DIRECTION_DOWNSTREAM,
}


def link_artifact(project: str, reference: str, name: str, given: Mapping[str, Any]) -> Call[ArtifactInfo]:
    """LinkArtifact, with the fields of the artifact; its run is given by id."""
    run = given.get("run") or ""
    fields = {
        **given,
        "type": m.artifact_type_to(given["type"]),
        "role": m.artifact_role_to(given["role"]),
        "run": run_name(project, run) if run else "",
    }
    request = artifact_pb2.LinkArtifactRequest(
        parent=version_name(project, reference),
        artifact_id=name,
        artifact=artifact_pb2.Artifact(**fields),
        request_id=new_request_id(),
    )
    return Call(ModelRegistryStub, "LinkArtifact", request, m.artifact_of, writes=True)


def unlink_artifact(project: str, reference: str, name: str, reason: str) -> Call[ArtifactInfo]:
    """UnlinkArtifact."""
    request = artifact_pb2.UnlinkArtifactRequest(
        name=artifact_name(project, reference, name), reason=reason, request_id=new_request_id()
    )
    return Call(ModelRegistryStub, "UnlinkArtifact", request, m.artifact_of, writes=True)


def get_artifact(project: str, reference: str, name: str, at: int | datetime | None = None) -> Call[ArtifactInfo]:
    """GetArtifact."""
    request = artifact_pb2.GetArtifactRequest(name=artifact_name(project, reference, name), **as_of(at))
    return Call(ModelRegistryStub, "GetArtifact", request, m.artifact_of)


def list_artifacts(project: str, reference: str, token: str, options: ListOptions) -> Call[Page[ArtifactInfo]]:
    """ListArtifacts, one page."""
    request = artifact_pb2.ListArtifactsRequest(
        parent=version_name(project, reference),
        page_size=PAGE_SIZE,
        page_token=token,
        filter=options.where,
        **as_of(options.at),
    )
    return Call(ModelRegistryStub, "ListArtifacts", request, lambda reply: page(reply, reply.artifacts, m.artifact_of))


def lineage(
    project: str, reference: str, run: str | None, direction: str, depth: int, at: int | datetime | None
) -> Call[Lineage]:
    """QueryLineage."""
    if direction not in _DIRECTIONS:
        raise InvalidField(f"direction is {direction!r}; name one of {', '.join(_DIRECTIONS)}")
    if bool(reference) == bool(run):
        raise InvalidArgument("lineage starts at a version or at a run: name one of them")
    request = lineage_pb2.QueryLineageRequest(
        name=run_name(project, run) if run else version_name(project, reference),
        direction=_DIRECTIONS[direction],
        depth=depth,
        **as_of(at),
    )
    return Call(ModelRegistryStub, "QueryLineage", request, m.lineage_of)
