"""Projects in the SDK: create, get, list, and use them."""

from __future__ import annotations

from typing import Any

import pytest

from tallymark import Client, Project, errors
from tallymark.testing import Server


def test_a_project_is_created_and_found(client: Any) -> None:
    """Both clients create, get and list projects; a duplicate name and a missing project are errors."""
    created = client.create_project("lab")
    assert isinstance(created, Project)
    assert (created.name, created.resource_name, repr(created)) == ("lab", "projects/lab", "Project(lab)")
    assert client.get_project("lab") == client.get_project("projects/lab") == created
    assert [project.name for project in client.list_projects()] == ["default", "lab"]
    default = client.get_project("default")
    assert (default.creator, default.create_time) == ("", None)
    with pytest.raises(errors.ProjectExists) as exists:
        client.create_project("lab")
    assert (exists.value.code, exists.value.metadata) == ("ALREADY_EXISTS", {"project": "lab"})
    with pytest.raises(errors.ProjectNotFound, match="tallymark project create"):
        client.get_project("den")
    with pytest.raises(errors.InvalidField, match="project_id"):
        client.create_project("No Name")


def test_a_created_project_can_be_used(client: Any, server: Server) -> None:
    """Its first event is its creation, and versions are numbered from 1."""
    created = client.create_project("lab")
    with Client(server.address, project="lab") as lab:
        lab.create_model("churn")
        assert lab.create_version("churn").number == 1
        first, *rest = lab.list_events()
        assert (first.kind, first.resource) == ("project_created", created)
        assert first.resource.resource_name == "projects/lab"
        assert [event.kind for event in rest] == ["model_created", "version_created"]
        assert lab.newest_revision() == 3
    assert client.newest_revision() == 0
