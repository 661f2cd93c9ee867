"""The forms for texts of models and versions: descriptions, tags, aliases."""

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
from tallymark_server.web.request import PageRequest, Redirect

CARD = {
    name: name.replace("_", " ").capitalize()
    for name in ModelCard.__struct_fields__
    if name not in ("tags", "metadata")
}


async def show_card(request: PageRequest, form: Form | None) -> dict[str, Any]:
    """Return the variables of the form: the model's card, as it is or as it was entered."""
    facts = await form_context.facts(request, f"Describe {request.model}")
    card = facts["model"].card
    texts = {name: form.text(name) if form else getattr(card, name) for name in CARD}
    return {**facts, "labels": CARD, "texts": texts}


async def show_description(request: PageRequest, form: Form | None) -> dict[str, Any]:
    """Return the variables of the form: the version's description, as it is or as it was entered."""
    facts = await form_context.facts(request, f"Describe No. {request.number} of {request.model}")
    text = form.text("description") if form else facts["version"].description
    return {**facts, "labels": {"description": "Description"}, "texts": {"description": text}}


async def show_tags(request: PageRequest, form: Form | None) -> dict[str, Any]:
    """Return the variables of the form: the tags, as they are or as they were entered."""
    facts = await form_context.facts(request, "Tags")
    tags = facts["version"].tags if facts["version"] else facts["model"].card.tags
    return {**facts, "tags": form.text("tags") if form else "\n".join(tags)}


async def apply_card(request: PageRequest, form: Form) -> Redirect:
    """Change the model's card."""
    changes = {name: naming.prose(form.given(name), name) for name in CARD}
    return await _update_model(request, form, changes)


async def apply_model_tags(request: PageRequest, form: Form) -> Redirect:
    """Change the model's tags."""
    return await _update_model(request, form, {"tags": naming.tags(form.lines("tags"))})


async def apply_description(request: PageRequest, form: Form) -> Redirect:
    """Change the version's description."""
    return await _update_version(request, form, {"description": naming.prose(form.given("description"), "description")})


async def apply_version_tags(request: PageRequest, form: Form) -> Redirect:
    """Change the version's tags."""
    return await _update_version(request, form, {"tags": naming.tags(form.lines("tags"))})


async def _update_model(request: PageRequest, form: Form, changes: dict[str, Any]) -> Redirect:
    command = UpdateModel(**form.attempt(request), model=request.model, changes=changes, etag=form.text("etag"))
    return form_context.seen(request, await request.registry.execute(command))


async def _update_version(request: PageRequest, form: Form, changes: dict[str, Any]) -> Redirect:
    command = UpdateVersion(
        **form.attempt(request),
        model=request.model,
        reference=numbered(request.number),
        changes=changes,
        etag=form.text("etag"),
    )
    return form_context.seen(request, await request.registry.execute(command))


async def show_aliases(request: PageRequest, form: Form | None) -> dict[str, Any]:
    """Return the variables of the form: the version's aliases, and where the entered one points now."""
    facts = await form_context.facts(request, f"Aliases of No. {request.number} of {request.model}")
    alias = form.text("alias") if form else ""
    return {
        **facts,
        "alias": alias,
        "points": await _points(request, alias),
        "reason": form.text("reason") if form else "",
    }


async def apply_aliases(request: PageRequest, form: Form) -> Redirect:
    """Delete an alias, or point one here, from another version only if the form has shown which."""
    if removed := form.text("remove"):
        dropped = await request.registry.execute(
            DeleteAlias(
                **form.attempt(request),
                model=request.model,
                reference=aliased(naming.version_name(removed, "alias")),
                expected=request.number,
                reason=form.reason,
            )
        )
        return form_context.seen(request, dropped)
    points = await _points(request, form.text("alias"))
    if points and "points" not in form:
        raise AskAgainError
    pointed = await request.registry.execute(
        SetAlias(
            **form.attempt(request),
            model=request.model,
            reference=numbered(request.number),
            alias=naming.version_name(form.text("alias"), "alias"),
            expected=form.integer("points"),
            reason=form.reason,
        )
    )
    return form_context.seen(request, pointed)


async def _points(request: PageRequest, alias: str) -> int:
    """Return the number at which the alias points, 0 if it does not exist."""
    if not alias:
        return 0
    with suppress(AliasNotFound):
        return (await request.registry.version(request.project, request.model, aliased(alias))).number
    return 0


CARD_FORM = Action(method="UpdateModel", template="describe.html", show=show_card, apply=apply_card)
DESCRIPTION = Action(
    method="UpdateModelVersion", template="describe.html", show=show_description, apply=apply_description
)
MODEL_TAGS = Action(method="UpdateModel", template="tags.html", show=show_tags, apply=apply_model_tags)
VERSION_TAGS = Action(method="UpdateModelVersion", template="tags.html", show=show_tags, apply=apply_version_tags)
ALIASES = Action(method="SetAlias", template="aliases.html", show=show_aliases, apply=apply_aliases)
