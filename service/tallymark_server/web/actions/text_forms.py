"""What people write about models and versions: descriptions, tags, aliases."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from tallymark_server.domain import naming
from tallymark_server.domain.commands import DeleteAlias, SetAlias, UpdateModel, UpdateVersion
from tallymark_server.domain.errors import AliasNotFound
from tallymark_server.domain.model import ModelCard
from tallymark_server.domain.reference import aliased, numbered
from tallymark_server.web.actions import form_context
from tallymark_server.web.actions.forms import Action, AskAgainError, Form
from tallymark_server.web.request import Elsewhere, Visit

CARD = {
    name: name.replace("_", " ").capitalize()
    for name in ModelCard.__struct_fields__
    if name not in ("tags", "metadata")
}


async def show_card(visit: Visit, form: Form | None) -> dict[str, Any]:
    """The model's card as it is, or as it was entered."""
    facts = await form_context.facts(visit, f"Describe {visit.model}")
    card = facts["model"].card
    texts = {name: form.text(name) if form else getattr(card, name) for name in CARD}
    return {**facts, "labels": CARD, "texts": texts}


async def show_description(visit: Visit, form: Form | None) -> dict[str, Any]:
    """The version's description as it is, or as it was entered."""
    facts = await form_context.facts(visit, f"Describe No. {visit.number} of {visit.model}")
    text = form.text("description") if form else facts["version"].description
    return {**facts, "labels": {"description": "Description"}, "texts": {"description": text}}


async def show_tags(visit: Visit, form: Form | None) -> dict[str, Any]:
    """The tags as they are, or as they were entered."""
    facts = await form_context.facts(visit, "Tags")
    tags = facts["version"].tags if facts["version"] else facts["model"].card.tags
    return {**facts, "tags": form.text("tags") if form else "\n".join(tags)}


async def apply_card(visit: Visit, form: Form) -> Elsewhere:
    """Change the model's card."""
    changes = {name: naming.prose(form.given(name), name) for name in CARD}
    return await _update_model(visit, form, changes)


async def apply_model_tags(visit: Visit, form: Form) -> Elsewhere:
    """Change the model's tags."""
    return await _update_model(visit, form, {"tags": naming.tags(form.lines("tags"))})


async def apply_description(visit: Visit, form: Form) -> Elsewhere:
    """Change the version's description."""
    return await _update_version(visit, form, {"description": naming.prose(form.given("description"), "description")})


async def apply_version_tags(visit: Visit, form: Form) -> Elsewhere:
    """Change the version's tags."""
    return await _update_version(visit, form, {"tags": naming.tags(form.lines("tags"))})


async def _update_model(visit: Visit, form: Form, changes: dict[str, Any]) -> Elsewhere:
    command = UpdateModel(**form.attempt(visit), model=visit.model, changes=changes, etag=form.text("etag"))
    return form_context.seen(visit, await visit.registry.execute(command))


async def _update_version(visit: Visit, form: Form, changes: dict[str, Any]) -> Elsewhere:
    command = UpdateVersion(
        **form.attempt(visit),
        model=visit.model,
        reference=numbered(visit.number),
        changes=changes,
        etag=form.text("etag"),
    )
    return form_context.seen(visit, await visit.registry.execute(command))


async def show_aliases(visit: Visit, form: Form | None) -> dict[str, Any]:
    """The version's aliases, and where the one that was entered points now."""
    facts = await form_context.facts(visit, f"Aliases of No. {visit.number} of {visit.model}")
    alias = form.text("alias") if form else ""
    return {
        **facts,
        "alias": alias,
        "points": await _points(visit, alias),
        "reason": form.text("reason") if form else "",
    }


async def apply_aliases(visit: Visit, form: Form) -> Elsewhere:
    """Take an alias away, or point one here: from another version only when the form has shown from which."""
    if removed := form.text("remove"):
        dropped = await visit.registry.execute(
            DeleteAlias(
                **form.attempt(visit),
                model=visit.model,
                reference=aliased(naming.version_name(removed, "alias")),
                expected=visit.number,
                reason=form.reason,
            )
        )
        return form_context.seen(visit, dropped)
    points = await _points(visit, form.text("alias"))
    if points and "points" not in form:
        raise AskAgainError
    pointed = await visit.registry.execute(
        SetAlias(
            **form.attempt(visit),
            model=visit.model,
            reference=numbered(visit.number),
            alias=naming.version_name(form.text("alias"), "alias"),
            expected=form.whole("points"),
            reason=form.reason,
        )
    )
    return form_context.seen(visit, pointed)


async def _points(visit: Visit, alias: str) -> int:
    """The number at which the alias points, 0 if it does not exist."""
    if not alias:
        return 0
    with suppress(AliasNotFound):
        return (await visit.registry.version(visit.project, visit.model, aliased(alias))).number
    return 0


CARD_FORM = Action(template="describe.html", show=show_card, apply=apply_card)
DESCRIPTION = Action(template="describe.html", show=show_description, apply=apply_description)
MODEL_TAGS = Action(template="tags.html", show=show_tags, apply=apply_model_tags)
VERSION_TAGS = Action(template="tags.html", show=show_tags, apply=apply_version_tags)
ALIASES = Action(template="aliases.html", show=show_aliases, apply=apply_aliases)
