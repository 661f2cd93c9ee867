"""What a viewer can set: the colours, and by which name the log knows them."""

from __future__ import annotations

from tallymark_server.web.visits import THEMES, Answer, View, Visit


async def page(visit: Visit) -> Answer:
    """The settings of this browser."""
    return View(
        template="settings.html",
        facts={"title": "Settings", "themes": THEMES, "live": False},
        data=lambda: {"theme": visit.theme, "actor": visit.actor, "projects": list(visit.around.projects)},
    )
