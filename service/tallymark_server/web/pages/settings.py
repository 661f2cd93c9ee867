"""The page of settings: the color theme, and the viewer's name in the log."""

from __future__ import annotations

from urllib.parse import quote

from tallymark_server.domain import naming
from tallymark_server.web.actions.forms import chosen, sent
from tallymark_server.web.pages import projects
from tallymark_server.web.request import (
    ACTOR_COOKIE,
    ANONYMOUS,
    THEME_COOKIE,
    THEMES,
    PageRequest,
    PageResult,
    Redirect,
    View,
)


async def page(request: PageRequest) -> PageResult:
    """Show the settings of this browser."""
    names = (await projects.menu(request)).projects
    return View(
        template="settings.html",
        facts={"title": "Settings", "themes": THEMES, "live": False},
        data=lambda: {"theme": request.theme, "actor": request.actor, "projects": list(names)},
    )


async def keep(request: PageRequest) -> PageResult:
    """Save the settings in cookies. Raises InvalidField."""
    form = await sent(request.http)
    theme = chosen(form.text("theme"), {each: each for each in THEMES}, "theme")
    actor = naming.plain_label(form.text("actor") or ANONYMOUS, "actor")
    cookies = {THEME_COOKIE: theme, ACTOR_COOKIE: quote(actor)}
    return Redirect(request.to.page("settings"), cookies=cookies)
