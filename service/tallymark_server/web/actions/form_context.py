"""The model or version of a form."""

from __future__ import annotations

from typing import Any

from tallymark_server.domain.model import Model, ModelVersion
from tallymark_server.domain.reference import numbered
from tallymark_server.web.request import PageRequest, Redirect


async def model(request: PageRequest) -> Model:
    """Return the model in the path. Raises ModelNotFound."""
    return await request.registry.model(request.project, request.model, deleted=True)


async def version(request: PageRequest) -> ModelVersion:
    """Return the version in the path. Raises VersionNotFound."""
    return await request.registry.version(request.project, request.model, numbered(request.number), deleted=True)


async def facts(request: PageRequest, title: str) -> dict[str, Any]:
    """Return the common variables of a form: the model, the version if the path has one, and the page behind."""
    of = await model(request)
    found: dict[str, Any] = {"title": title, "model": of, "version": None, "back": request.to.model(of.name)}
    if "number" in request.http.path_params:
        found["version"] = await version(request)
        found["back"] = request.to.version(of.name, found["version"].number)
    return found


def seen(request: PageRequest, after: Model | ModelVersion) -> Redirect:
    """Redirect to the page that shows the change."""
    if isinstance(after, Model):
        return Redirect(request.to.model(after.name, done=after.mod_revision))
    return Redirect(request.to.version(after.model, after.number, done=after.mod_revision))
