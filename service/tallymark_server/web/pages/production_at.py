"""The page that shows which version was in production at a time."""

from __future__ import annotations

from datetime import UTC, datetime

from tallymark_server.domain.errors import InvalidField
from tallymark_server.web import history
from tallymark_server.web.formatting import iso
from tallymark_server.web.pages.version_tabs import plain
from tallymark_server.web.request import PageRequest, PageResult, View

SHOWN = 50


async def page(request: PageRequest) -> PageResult:
    """Show the version in production at the time in the query, since when, and who promoted it."""
    model = await request.registry.model(request.project, request.model, deleted=True)
    time = _time(request)
    revision = await request.registry.revision_at(request.project, time)
    change = await history.production_change(request.registry, request.project, model, revision + 1)
    periods = await history.production_periods(request.registry, request.project, model, SHOWN)
    facts = {
        "periods": periods,
        "title": f"{model.name} in production",
        "model": model,
        "time": time,
        "stood": revision,
        "change": change,
    }
    return View(
        template="production_at.html",
        facts=facts,
        data=lambda: {
            "time": iso(time),
            "revision": str(revision),
            "production": plain(request, change.holder) if change.holder else None,
            "held": [
                {"number": each.version.number, "since": iso(each.since.time), "until": each.until and iso(each.until)}
                for each in periods
            ],
        },
        revision=revision,
    )


def _time(request: PageRequest) -> int:
    text = request.text("time")
    if not text:
        return request.now
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidField("time", text, "write it as 2026-03-01T12:00, in UTC or with an offset") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000_000)
