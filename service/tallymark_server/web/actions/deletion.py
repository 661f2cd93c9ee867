"""Deleting models and versions, and bringing them back."""

from __future__ import annotations

from typing import Any

from tallymark_server.domain.commands import DeleteModel, DeleteVersion, UndeleteModel, UndeleteVersion
from tallymark_server.domain.model import Stage
from tallymark_server.domain.reference import numbered
from tallymark_server.web.actions import form_context
from tallymark_server.web.actions.forms import Action, Form
from tallymark_server.web.pages.models import holder
from tallymark_server.web.request import Elsewhere, Visit


async def show(visit: Visit, form: Form | None) -> dict[str, Any]:
    """What is deleted or comes back, and what stands in the way."""
    facts = await form_context.facts(visit, "")
    what = f"No. {facts['version'].number} of {facts['model'].name}" if facts["version"] else facts["model"].name
    subject = facts["version"] or facts["model"]
    producing = await holder(visit, facts["model"], Stage.PRODUCTION)
    if producing is not None and facts["version"] and producing.number != facts["version"].number:
        producing = None
    return {
        **facts,
        "title": f"{'Undelete' if subject.delete_time else 'Delete'} {what}",
        "gone": subject.delete_time is not None,
        "producing": producing,
        "reason": form.text("reason") if form else "",
    }


async def delete_model(visit: Visit, form: Form) -> Elsewhere:
    """Delete the model."""
    command = DeleteModel(
        **form.attempt(visit),
        model=visit.model,
        force=form.ticked("force"),
        reason=form.reason,
        etag=form.text("etag"),
    )
    return form_context.seen(visit, await visit.registry.execute(command))


async def undelete_model(visit: Visit, form: Form) -> Elsewhere:
    """Bring the model back."""
    command = UndeleteModel(**form.attempt(visit), model=visit.model, reason=form.reason)
    return form_context.seen(visit, await visit.registry.execute(command))


async def delete_version(visit: Visit, form: Form) -> Elsewhere:
    """Delete the version."""
    command = DeleteVersion(
        **form.attempt(visit),
        model=visit.model,
        reference=numbered(visit.number),
        force=form.ticked("force"),
        reason=form.reason,
        etag=form.text("etag"),
    )
    return form_context.seen(visit, await visit.registry.execute(command))


async def undelete_version(visit: Visit, form: Form) -> Elsewhere:
    """Bring the version back."""
    command = UndeleteVersion(
        **form.attempt(visit), model=visit.model, reference=numbered(visit.number), reason=form.reason
    )
    return form_context.seen(visit, await visit.registry.execute(command))


MODEL = Action(template="delete.html", show=show, apply=delete_model)
MODEL_BACK = Action(template="delete.html", show=show, apply=undelete_model)
VERSION = Action(template="delete.html", show=show, apply=delete_version)
VERSION_BACK = Action(template="delete.html", show=show, apply=undelete_version)
