"""The page of the projects, with the form that creates one."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import NamedTuple

from google.protobuf.json_format import MessageToDict

from tallymark_server.access.door import may
from tallymark_server.domain import naming
from tallymark_server.domain.commands import CreateProject
from tallymark_server.domain.errors import ProjectNotFound, RegistryError
from tallymark_server.domain.model import Project
from tallymark_server.domain.roles import ALL_PROJECTS
from tallymark_server.rpc import messages
from tallymark_server.rpc.services import method_needs
from tallymark_server.web import history
from tallymark_server.web.actions.forms import sent
from tallymark_server.web.addresses import Addresses
from tallymark_server.web.errors import http_status
from tallymark_server.web.request import Menu, PageRequest, PageResult, Redirect, View

# The page of the projects has the others.
IN_MENU = 20
ON_START_PAGE = 8
CREATE = method_needs("CreateProject")


class Row(NamedTuple):
    """A project, the number of changes in its log, and the time of the last one, None before the first."""

    project: Project
    changes: int
    changed: int | None


async def menu(request: PageRequest) -> Menu:
    """Return the projects for the header, with the current one if it exists."""
    found, token = await request.registry.projects(IN_MENU, "", request.caller.readable)
    names = [project.name for project in found]
    if token and request.project not in names and request.caller.role_in(request.project) is not None:
        with suppress(ProjectNotFound):
            names.append((await request.registry.project(request.project)).name)
    return Menu(tuple(names), bool(token))


async def rows(request: PageRequest, size: int, token: str) -> tuple[list[Row], str]:
    """Return a page of projects, and the token of the next one."""
    found, following = await request.registry.projects(size, token, request.caller.readable)
    return [await _row(request, project) for project in found], following


async def page(request: PageRequest) -> PageResult:
    """Show the projects by name."""
    return await _page(request, None)


async def create(request: PageRequest) -> PageResult:
    """Create the project and redirect to it, or show the form again if it is refused."""
    form = await sent(request.http)
    try:
        name = naming.project_name(form.text("name"), "name")
        may(request.caller, CREATE, name)
        attempt = form.attempt(request)
        attempt["project"] = name
        await request.registry.execute(CreateProject(**attempt))
    except RegistryError as error:
        return await _page(request, error, form.text("name"))
    return Redirect(Addresses(name).models())


def plain(row: Row) -> dict[str, object]:
    """Return the row as JSON."""
    found: dict[str, object] = MessageToDict(messages.of_project(row.project))
    return {**found, "revision": str(row.changes)}


async def _page(request: PageRequest, problem: RegistryError | None, name: str = "") -> PageResult:
    found, token = await rows(request, request.page_size, request.text("page"))
    facts = {
        "title": "Projects",
        "rows": found,
        "next": request.here(page=token) if token else "",
        "problem": problem,
        "name": name,
        "may_create": request.caller.may(CREATE.role, ALL_PROJECTS),
        "request_id": f"web-{secrets.token_urlsafe(12)}",
        "live": False,
    }
    return View(
        template="projects.html",
        facts=facts,
        data=lambda: {"projects": [plain(row) for row in found], "nextPageToken": token},
        problem=problem,
        status=200 if problem is None else http_status(problem),
    )


async def _row(request: PageRequest, project: Project) -> Row:
    changes = await history.head(request.registry, project.name)
    last = (await request.registry.events(project.name, max(0, changes - 1), 1)).items
    return Row(project, changes, last[0].time if last else None)
