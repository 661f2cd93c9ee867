"""Calls about projects."""

from __future__ import annotations

from tallymark.client import messages as m
from tallymark.client.calls.call import PAGE_SIZE, Call, Page, new_request_id, page
from tallymark.types.references import project_name
from tallymark.types.resources import Project
from tallymark.v1 import project_pb2
from tallymark.v1.model_registry_pb2_grpc import ModelRegistryStub


def create_project(name: str) -> Call[Project]:
    """CreateProject."""
    request = project_pb2.CreateProjectRequest(project_id=name, request_id=new_request_id())
    return Call(ModelRegistryStub, "CreateProject", request, m.project_of, writes=True)


def get_project(name: str) -> Call[Project]:
    """GetProject."""
    request = project_pb2.GetProjectRequest(name=project_name(name))
    return Call(ModelRegistryStub, "GetProject", request, m.project_of)


def list_projects(token: str) -> Call[Page[Project]]:
    """ListProjects, one page."""
    request = project_pb2.ListProjectsRequest(page_size=PAGE_SIZE, page_token=token)
    return Call(ModelRegistryStub, "ListProjects", request, lambda reply: page(reply, reply.projects, m.project_of))
