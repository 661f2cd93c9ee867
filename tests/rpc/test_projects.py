"""Projects over gRPC: created while the server runs, listed in pages, and used at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_calls import DEADLINE, Calls, refusal_of, refused

from tallymark.testing import Server
from tallymark.v1 import event_log_pb2, event_pb2, model_pb2, model_registry_pb2, project_pb2
from tallymark_server.page_tokens import make_token


def create(calls: Calls, name: str, request_id: str = "", actor: str = "ana") -> project_pb2.Project:
    request = project_pb2.CreateProjectRequest(project_id=name, request_id=request_id)
    return calls.models.CreateProject(request, timeout=DEADLINE, metadata=(("tallymark-actor", actor),))


def get(calls: Calls, name: str) -> project_pb2.Project:
    return calls.models.GetProject(project_pb2.GetProjectRequest(name=f"projects/{name}"), timeout=DEADLINE)


def listed(calls: Calls, page_size: int = 0) -> list[str]:
    """Return the names of all projects, over all pages."""
    names: list[str] = []
    token = ""
    while True:
        request = project_pb2.ListProjectsRequest(page_size=page_size, page_token=token)
        page = calls.models.ListProjects(request, timeout=DEADLINE)
        assert len(page.projects) <= (page_size or 50)
        names += [project.name for project in page.projects]
        token = page.next_page_token
        if not token:
            return names


def events(calls: Calls, name: str) -> list[event_pb2.Event]:
    request = event_log_pb2.ListEventsRequest(parent=f"projects/{name}")
    return list(calls.log.ListEvents(request, timeout=DEADLINE).events)


def test_a_created_project_is_used_at_once(calls: Calls) -> None:
    """A created project has its creator and time, its log begins with its creation, and models are created in it."""
    project = create(calls, "lab")
    assert (project.name, project.creator) == ("projects/lab", "ana")
    assert project == get(calls, "lab")
    (event,) = events(calls, "lab")
    assert (event.revision, event.kind, event.actor) == (1, event_pb2.EVENT_KIND_PROJECT_CREATED, "ana")
    assert event.project == project
    assert event.time == project.create_time
    model = calls.models.CreateModel(
        model_registry_pb2.CreateModelRequest(parent="projects/lab", model_id="churn"), timeout=DEADLINE
    )
    assert (model.name, model.create_revision) == ("projects/lab/models/churn", 2)
    assert calls.events() == []


def test_a_project_of_the_operator_has_no_creation(tmp_path: Path) -> None:
    """`serve --project` creates a project like any other, but without an event of its creation."""
    with (
        Server(tmp_path / "tallymark.db", ["--project", "lab"]) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        calls = Calls(channel)
        project = get(calls, "lab")
        assert (project.name, project.creator, project.HasField("create_time")) == ("projects/lab", "", False)
        assert project.log_id
        assert events(calls, "lab") == []
        assert listed(calls) == ["projects/default", "projects/lab"]
        with refused("PROJECT_EXISTS", grpc.StatusCode.ALREADY_EXISTS):
            create(calls, "lab")


def test_what_cannot_be_a_project_is_refused(calls: Calls) -> None:
    """An invalid name is refused with its field, and a taken name and a missing project with their reasons."""
    for name in ("", "Lab", "1lab", "a/b", "a b", "é", "x" * 64):
        with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT) as refusal:
            create(calls, name)
        assert refusal.metadata["field"] == "project_id"
    with refused("PROJECT_EXISTS", grpc.StatusCode.ALREADY_EXISTS) as refusal:
        create(calls, "default")
    assert refusal.metadata == {"project": "default"}
    with refused("PROJECT_NOT_FOUND", grpc.StatusCode.NOT_FOUND) as refusal:
        get(calls, "lab")
    assert "tallymark project create" in refusal.message


def test_a_repeated_request_creates_one_project(calls: Calls, server: Server) -> None:
    """The same request id returns the same project, even after a restart; with another name it creates another one."""
    first = create(calls, "lab", "one")
    assert create(calls, "lab", "one") == first
    server.restart()
    assert create(calls, "lab", "one") == first
    with refused("PROJECT_EXISTS"):
        create(calls, "lab", "two")
    assert create(calls, "den", "one").name == "projects/den"
    assert len(events(calls, "lab")) == 1


def test_of_many_who_create_the_same_project_one_does(calls: Calls) -> None:
    """Of many concurrent requests one creates the project, and the others are refused because it exists."""

    def attempt(number: int) -> str:
        try:
            return create(calls, "lab", actor=f"caller-{number}").creator
        except grpc.RpcError as error:
            return refusal_of(error).reason

    with ThreadPoolExecutor(16) as pool:
        answers = sorted(pool.map(attempt, range(64)))
    assert answers[:-1] == ["PROJECT_EXISTS"] * 63
    assert get(calls, "lab").creator == answers[-1]
    assert len(events(calls, "lab")) == 1


def test_all_projects_are_listed_in_pages(calls: Calls) -> None:
    """Pages of any size have each project once, by name in code point order; a token of another list is refused."""
    for number in range(7):
        create(calls, f"lab-{number}")
    expected = ["projects/default", *(f"projects/lab-{number}" for number in range(7))]
    assert listed(calls) == listed(calls, 3) == listed(calls, 1) == expected
    models = calls.models.ListModels(model_registry_pb2.ListModelsRequest(parent="projects/default", page_size=1))
    assert models.next_page_token == ""
    # The last is a token of this list, with half a character in it.
    for token in ("x", "WyJhIiwgbnVsbCwgImIiXQ", make_token("projects", None, ("\ud800",))):
        with refused("INVALID_PAGE_TOKEN", grpc.StatusCode.INVALID_ARGUMENT):
            calls.models.ListProjects(project_pb2.ListProjectsRequest(page_token=token), timeout=DEADLINE)


def test_a_project_is_watched_from_its_creation(calls: Calls) -> None:
    """A watch fails before the project exists; afterwards it returns the creation and then every change."""
    request = event_log_pb2.WatchRequest(parent="projects/lab", after_revision=0)
    with refused("PROJECT_NOT_FOUND"):
        next(calls.log.Watch(request, timeout=DEADLINE))
    create(calls, "lab")
    watch = calls.log.Watch(request, timeout=DEADLINE)
    told = (event for response in watch for event in response.events)
    assert next(told).project.name == "projects/lab"
    calls.models.CreateModel(model_registry_pb2.CreateModelRequest(parent="projects/lab", model_id="churn"))
    assert next(told).model == model_pb2.Model.FromString(events(calls, "lab")[1].model.SerializeToString())
    only = calls.log.Watch(
        event_log_pb2.WatchRequest(
            parent="projects/lab", after_revision=0, kinds=[event_pb2.EVENT_KIND_PROJECT_CREATED]
        ),
        timeout=DEADLINE,
    )
    assert next(event for response in only for event in response.events).revision == 1
    watch.cancel()
    only.cancel()


def test_a_watch_of_one_model_does_not_tell_the_creation_of_its_project(calls: Calls) -> None:
    """A watch of a model does not receive the creation of its project."""
    create(calls, "lab")
    calls.models.CreateModel(model_registry_pb2.CreateModelRequest(parent="projects/lab", model_id="churn"))
    request = event_log_pb2.WatchRequest(parent="projects/lab", after_revision=0, model="projects/lab/models/churn")
    watch = calls.log.Watch(request, timeout=DEADLINE)
    assert next(event for response in watch for event in response.events).revision == 2
    watch.cancel()


@pytest.mark.parametrize("name", ["lab", "default"])
def test_a_service_proves_and_exports_a_created_project(calls: Calls, name: str) -> None:
    """Verify and Export accept a created project as any other."""
    create(calls, "lab")
    proof = calls.log.Verify(event_log_pb2.VerifyRequest(parent=f"projects/{name}"), timeout=DEADLINE)
    assert (proof.problem_count, proof.events) == (0, 1 if name == "lab" else 0)
    pieces = calls.log.Export(event_log_pb2.ExportRequest(parent=f"projects/{name}"), timeout=DEADLINE)
    assert b"".join(piece.lines for piece in pieces).count(b"project_created") == proof.events
