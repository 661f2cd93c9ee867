"""The forms that delete and undelete models and versions."""

from __future__ import annotations

from typing import Any

from tallymark_server.domain.commands import DeleteModel, DeleteVersion, UndeleteModel, UndeleteVersion
from tallymark_server.domain.model import Stage
from tallymark_server.domain.reference import numbered
from tallymark_server.web.actions import form_context
from tallymark_server.web.actions.forms import Action, Form
from tallymark_server.web.pages.models import holder
from tallymark_server.web.request import PageRequest, Redirect


async def show(request: PageRequest, form: Form | None) -> dict[str, Any]:
    """Return the variables of the form: what is deleted or undeleted, and what prevents it."""
    facts = await form_context.facts(request, "")
    what = f"No. {facts['version'].number} of {facts['model'].name}" if facts["version"] else facts["model"].name
    subject = facts["version"] or facts["model"]
    producing = await holder(request, facts["model"], Stage.PRODUCTION)
    if producing is not None and facts["version"] and producing.number != facts["version"].number:
        producing = None
    return {
        **facts,
        "title": f"{'Undelete' if subject.delete_time else 'Delete'} {what}",
        "gone": subject.delete_time is not None,
        "producing": producing,
        "reason": form.text("reason") if form else "",
    }


async def delete_model(request: PageRequest, form: Form) -> Redirect:
    """Delete the model."""
    command = DeleteModel(
        **form.attempt(request),
        model=request.model,
        force=form.ticked("force"),
        reason=form.reason,
        etag=form.text("etag"),
    )
    return form_context.seen(request, await request.registry.execute(command))


async def undelete_model(request: PageRequest, form: Form) -> Redirect:
    """Undelete the model."""
    command = UndeleteModel(**form.attempt(request), model=request.model, reason=form.reason)
    return form_context.seen(request, await request.registry.execute(command))


async def delete_version(request: PageRequest, form: Form) -> Redirect:
    """Delete the version."""
    command = DeleteVersion(
        **form.attempt(request),
        model=request.model,
        reference=numbered(request.number),
        force=form.ticked("force"),
        reason=form.reason,
        etag=form.text("etag"),
    )
    return form_context.seen(request, await request.registry.execute(command))


async def undelete_version(request: PageRequest, form: Form) -> Redirect:
    """Undelete the version."""
    command = UndeleteVersion(
        **form.attempt(request), model=request.model, reference=numbered(request.number), reason=form.reason
    )
    return form_context.seen(request, await request.registry.execute(command))


MODEL = Action(method="DeleteModel", template="delete.html", show=show, apply=delete_model)
MODEL_BACK = Action(method="UndeleteModel", template="delete.html", show=show, apply=undelete_model)
VERSION = Action(method="DeleteModelVersion", template="delete.html", show=show, apply=delete_version)
VERSION_BACK = Action(method="UndeleteModelVersion", template="delete.html", show=show, apply=undelete_version)
