"""Requests about projects, as commands."""

from __future__ import annotations

from tallymark.v1 import project_pb2
from tallymark_server.domain import commands as c
from tallymark_server.domain import naming
from tallymark_server.rpc.commands.fields import attempt


def create_project(request: project_pb2.CreateProjectRequest, actor: str) -> c.CreateProject:
    """Return the command of a CreateProject request. Raises InvalidField."""
    return c.CreateProject(**attempt(request, naming.project_name(request.project_id, "project_id"), actor))
