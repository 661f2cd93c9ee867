"""The rule for creating projects. The first event of a project's log creates it."""

from __future__ import annotations

from tallymark_server.domain.commands import CreateProject
from tallymark_server.domain.errors import ProjectExists
from tallymark_server.domain.event_recorder import EventRecorder
from tallymark_server.domain.events import Kind
from tallymark_server.domain.model import Project
from tallymark_server.domain.state import State


def create_project(state: State, command: CreateProject, recorder: EventRecorder) -> Project:
    """Create a project. Raises ProjectExists, also when the operator has created it."""
    if not state.is_new:
        raise ProjectExists(command.project)
    project = Project(
        name=state.project,
        log_id=state.log_id,
        creator=recorder.actor,
        create_time=recorder.time,
        mod_revision=recorder.revision,
    )
    recorder.record(Kind.PROJECT_CREATED, project)
    return project
