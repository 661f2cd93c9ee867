"""The forms that move versions between stages. They show all consequences before."""

from __future__ import annotations

from typing import Any

from tallymark_server.domain.commands import SetStage
from tallymark_server.domain.errors import StageEmpty
from tallymark_server.domain.model import EXCLUSIVE_STAGES, ModelVersion, Stage
from tallymark_server.domain.reference import numbered
from tallymark_server.web import history
from tallymark_server.web.actions import form_context
from tallymark_server.web.actions.forms import Action, Form, chosen
from tallymark_server.web.pages.compare import metrics
from tallymark_server.web.pages.models import holder
from tallymark_server.web.request import PageRequest, Redirect

MAX_METRICS = 8
STAGES = {stage.value: stage for stage in (Stage.PRODUCTION, Stage.STAGING, Stage.ARCHIVED, Stage.NONE)}


async def show_stage(request: PageRequest, form: Form | None) -> dict[str, Any]:
    """Return the variables of the form: the stages that the version can move to, and their holders."""
    facts = await form_context.facts(request, f"Move No. {request.number} of {request.model}")
    to = form.text("to") if form else request.text("to")
    goal = to if to in STAGES else Stage.PRODUCTION.value
    holders = {stage.value: await holder(request, facts["model"], stage) for stage in EXCLUSIVE_STAGES}
    return {
        **facts,
        "stages": list(STAGES),
        "goal": goal,
        "holders": holders,
        **_beside(holders.get(goal), facts["version"]),
        "allowed": form.ticked("allow_unfinished_run") if form else False,
        "reason": form.text("reason") if form else "",
    }


async def apply_stage(request: PageRequest, form: Form) -> Redirect:
    """Move the version, if the stage still has the holder that the form has shown."""
    stage = chosen(form.text("to"), STAGES, "to")
    model = await form_context.model(request)
    held = form.integer(f"held-{stage.value}")
    moved = await request.registry.execute(
        SetStage(
            **form.attempt(request),
            model=model.name,
            reference=numbered(request.number),
            stage=stage,
            # The decision itself refuses when another version holds the stage than the form has shown.
            force=bool(held),
            expected=held if stage in EXCLUSIVE_STAGES else None,
            allow_unfinished_run=form.ticked("allow_unfinished_run"),
            reason=form.reason,
            etag=form.text("etag"),
        )
    )
    return form_context.seen(request, moved)


async def show_rollback(request: PageRequest, form: Form | None) -> dict[str, Any]:
    """Return the variables of the form: the version in production, and the one before."""
    facts = await form_context.facts(request, f"Roll back {request.model}")
    now = await holder(request, facts["model"], Stage.PRODUCTION)
    number = now.number if now else 0
    before = await history.holder_before(request.registry, request.project, facts["model"], number)
    back = await _present(request, before)
    return {
        **facts,
        "now": now,
        "version": back,
        **_beside(now, back),
        "reason": form.text("reason") if form else "",
    }


async def apply_rollback(request: PageRequest, form: Form) -> Redirect:
    """Bring the version that the form has shown back into production."""
    model = await form_context.model(request)
    number, held = form.integer("number"), form.integer("held-production")
    if not number:
        raise StageEmpty(request.project, model.name, "production before")
    before = await history.holder_before(request.registry, request.project, model, held)
    moved = await request.registry.execute(
        SetStage(
            **form.attempt(request),
            model=model.name,
            reference=numbered(number),
            stage=Stage.PRODUCTION,
            force=bool(held),
            expected=held,
            # It was in production before, so it was accepted then that its run did not succeed.
            allow_unfinished_run=before is not None and before.number == number,
            reason=form.reason or (f"rollback from {held}" if held else "rollback"),
            etag=form.text("etag"),
        )
    )
    return form_context.seen(request, moved)


def _beside(leaving: ModelVersion | None, coming: ModelVersion | None) -> dict[str, Any]:
    """Return the first metrics of both versions, none if no version leaves the stage."""
    if leaving is None or coming is None or leaving.number == coming.number:
        return {"leaving": None, "metrics": [], "more_metrics": 0}
    rows = metrics([leaving, coming])
    return {"leaving": leaving, "metrics": rows[:MAX_METRICS], "more_metrics": len(rows[MAX_METRICS:])}


async def _present(request: PageRequest, version: ModelVersion | None) -> ModelVersion | None:
    """Return the version as it is now, None if it is deleted."""
    if version is None:
        return None
    found = await request.registry.version(request.project, version.model, numbered(version.number), deleted=True)
    return None if found.delete_time else found


STAGE = Action(method="SetStage", template="stage.html", show=show_stage, apply=apply_stage)
ROLLBACK = Action(method="SetStage", template="rollback.html", show=show_rollback, apply=apply_rollback)
