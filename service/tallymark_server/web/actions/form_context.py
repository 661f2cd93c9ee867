"""What a form is about."""

from __future__ import annotations

from typing import Any

from tallymark_server.domain.model import Model, ModelVersion
from tallymark_server.domain.reference import numbered
from tallymark_server.web.request import Elsewhere, Visit


async def model(visit: Visit) -> Model:
    """The model in the path; ModelNotFound."""
    return await visit.registry.model(visit.project, visit.model, deleted=True)


async def version(visit: Visit) -> ModelVersion:
    """The version in the path; VersionNotFound."""
    return await visit.registry.version(visit.project, visit.model, numbered(visit.number), deleted=True)


async def facts(visit: Visit, title: str) -> dict[str, Any]:
    """The model, the version if there is one in the path, and the page to which the form belongs."""
    of = await model(visit)
    found: dict[str, Any] = {"title": title, "model": of, "version": None, "back": visit.to.model(of.name)}
    if "number" in visit.request.path_params:
        found["version"] = await version(visit)
        found["back"] = visit.to.version(of.name, found["version"].number)
    return found


def seen(visit: Visit, after: Model | ModelVersion) -> Elsewhere:
    """The page on which the change is seen."""
    if isinstance(after, Model):
        return Elsewhere(visit.to.model(after.name, done=after.mod_revision))
    return Elsewhere(visit.to.version(after.model, after.number, done=after.mod_revision))
