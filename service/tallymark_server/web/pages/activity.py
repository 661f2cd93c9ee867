"""The activity of a project, newest first."""

from __future__ import annotations

from contextlib import suppress

from google.protobuf.json_format import MessageToDict

from tallymark_server.domain.errors import ModelNotFound
from tallymark_server.domain.events import Kind
from tallymark_server.registry import Scope
from tallymark_server.rpc import messages
from tallymark_server.web import history
from tallymark_server.web.request import PageRequest, PageResult, View

KINDS = {kind.value for kind in Kind}


async def page(request: PageRequest) -> PageResult:
    """Show the activity, of one model, actor or kind of event if the query names one."""
    head = await history.head(request.registry, request.project)
    before = request.integer("before")
    model, actor, kind = request.text("model"), request.text("actor"), request.text("kind")
    past = history.Past([], 0)
    with suppress(ModelNotFound):
        within = Scope(
            model_id=(await request.registry.model(request.project, model, deleted=True)).id if model else None,
            kinds=frozenset({Kind(kind)} if kind in KINDS else ()),
            before=min(before or head + 1, head + 1),
        )
        past = await history.past(request.registry, request.project, within, actor, limit=request.page_size)
    facts = {
        "title": "Activity",
        "past": past,
        "older": request.here(before=past.before) if past.before else "",
        "newest": request.here(before=""),
        "first": not before,
        "kinds": [kind.value for kind in Kind],
        "searched": {"model": model, "actor": actor, "kind": kind if kind in KINDS else ""},
    }
    return View(
        template="activity.html",
        facts=facts,
        data=lambda: {
            "events": [MessageToDict(messages.event(request.project, event)) for event in past.events],
            "before": str(past.before),
            "revision": str(head),
        },
        revision=head,
    )
