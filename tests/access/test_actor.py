"""Who did it: the log names the caller that was authenticated, and nobody else by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from access.known_callers import FixedTokens, caller, serving
from web.http_client import FORM, ask, call

from tallymark_server.app import Running
from tallymark_server.domain.errors import InvalidField
from tallymark_server.domain.naming import caller_name, on_behalf
from tallymark_server.domain.roles import Role

pytestmark = pytest.mark.timeout(600)

GRANTS = {"default": Role.ADMIN}
CALLERS = {"ann": caller("ann", GRANTS), "ci": caller("ci", GRANTS, speaks_for=True)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("actor"), FixedTokens(CALLERS)) as running:
        yield running


def recorded(server: Running, model: str, token: str, actor: str | None) -> str:
    """Create a model with that header, and return the actor of the event and creator of the model."""
    headers = {"authorization": f"Bearer {token}", **({} if actor is None else {"tallymark_actor": actor})}
    made = call(
        server.dashboard, "ModelRegistry/CreateModel", {"parent": "projects/default", "modelId": model}, **headers
    )
    assert made.status == 200, made.text
    asked = {"parent": "projects/default", "newestFirst": True, "pageSize": 1}
    [event] = call(server.dashboard, "EventLog/ListEvents", asked, **headers).json["events"]
    assert event["actor"] == made.json["creator"]
    return str(event["actor"])


def test_the_actor_is_the_caller(server: Running) -> None:
    """What a caller says about itself is not heard."""
    assert recorded(server, "a", "ann", None) == "ann"
    assert recorded(server, "b", "ann", "bob") == "ann"
    assert recorded(server, "c", "ann", "%00") == "ann", "not even read"


def test_a_caller_that_may_speak_for_others_is_recorded_with_them(server: Running) -> None:
    """Both names are recorded; its own name alone stays alone."""
    assert recorded(server, "d", "ci", "bob") == "ci for bob"
    assert recorded(server, "e", "ci", None) == recorded(server, "f", "ci", "ci") == "ci"


def test_a_form_is_recorded_under_the_name_of_the_viewer(server: Running) -> None:
    """The name that a browser has saved before is not heard."""
    recorded(server, "form", "ann", None)
    headers = {"authorization": "Bearer ann", "cookie": "tallymark_actor=bob", "content_type": FORM}
    assert ask(server.dashboard, "/models/form/tags", "POST", "tags=new&request_id=x", **headers).status == 303
    asked = {"parent": "projects/default", "newestFirst": True, "pageSize": 1}
    [event] = call(server.dashboard, "EventLog/ListEvents", asked, authorization="Bearer ann").json["events"]
    assert (event["kind"], event["actor"]) == ("EVENT_KIND_MODEL_UPDATED", "ann")


def test_no_name_of_a_caller_can_be_taken_for_two() -> None:
    """The first ` for ` of an actor always follows the name of its caller."""
    assert caller_name("ann@example.com", "name") == "ann@example.com"
    for bad in ("ci for ann", "", " ann", "ann\n", "a" * 101):
        with pytest.raises(InvalidField):
            caller_name(bad, "name")
    assert on_behalf("ci", "ann for bob", "actor").split(" for ", 1) == ["ci", "ann for bob"]
    with pytest.raises(InvalidField):
        on_behalf("ci", "a" * 250, "actor")
