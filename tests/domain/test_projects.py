"""How projects begin."""

from __future__ import annotations

from domain.fixtures import given
from domain.events import model_created, project_created
from domain.commands import create_model, create_project, ensure, finish_run, start_run

from tallymark_server.domain.errors import ProjectExists, ProjectNotFound
from tallymark_server.domain.model import RunState


def test_a_project_begins_with_its_first_event() -> None:
    """Its log begins with its creation, and goes on with what happens in it."""
    project = given(exists=False).when(create_project()).then(project_created())
    assert project.history.revision == 1
    project.when(create_model()).then(model_created())


def test_a_project_is_created_once() -> None:
    """A project that is there is refused, also one that the operator created, whose log has no event yet."""
    given(project_created()).when(create_project()).refused(ProjectExists, project="default")
    given().when(create_project()).refused(ProjectExists, project="default")


def test_nothing_happens_in_a_project_that_is_missing() -> None:
    """Whatever else is requested of it is refused, and begins no project."""
    for command in (create_model(), ensure(), start_run(), finish_run(RunState.FAILED)):
        given(exists=False).when(command).refused(ProjectNotFound, project="default")
