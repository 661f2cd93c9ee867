"""What happened in the project, the newest first."""

from __future__ import annotations

from google.protobuf.json_format import MessageToDict

from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import Model
from tallymark_server.rpc import messages
from tallymark_server.web import history
from tallymark_server.web.visits import Answer, View, Visit

KINDS = {kind.value for kind in Kind}


async def page(visit: Visit) -> Answer:
    """The activity, of one model, actor or kind of event if the viewer asks for it."""
    head = await history.head(visit.registry, visit.project)
    before = visit.whole("before")
    model, actor, kind = visit.text("model"), visit.text("actor"), visit.text("kind")

    def wanted(event: Event) -> bool:
        return (
            (not model or model_of(event) == model)
            and (not actor or event.actor == actor)
            and (kind not in KINDS or event.kind == kind)
        )

    past = await history.past(
        visit.registry, visit.project, min(before or head + 1, head + 1), wanted, limit=visit.page_size
    )
    facts = {
        "title": "Activity",
        "past": past,
        "older": visit.here(before=past.before) if past.before else "",
        "newest": visit.here(before=""),
        "first": not before,
        "kinds": [kind.value for kind in Kind],
        "asked": {"model": model, "actor": actor, "kind": kind if kind in KINDS else ""},
    }
    return View(
        template="activity.html",
        facts=facts,
        data=lambda: {
            "events": [MessageToDict(messages.event(visit.project, event)) for event in past.events],
            "before": str(past.before),
            "revision": str(head),
        },
        revision=head,
    )


def model_of(event: Event) -> str:
    """The name of the model that the event is about; empty if it is about none."""
    return event.image.name if isinstance(event.image, Model) else event.image.model or ""
