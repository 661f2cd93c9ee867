"""The methods about projects."""

from __future__ import annotations

from tallymark.v1 import project_pb2
from tallymark_server.registry import Registry
from tallymark_server.rpc import commands, messages, names
from tallymark_server.rpc.callers import Context, actor_of


class Projects:
    """The methods of ModelRegistry about projects."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def CreateProject(self, request: project_pb2.CreateProjectRequest, context: Context) -> project_pb2.Project:
        command = commands.create_project(request, actor_of(context))
        return messages.of_project(await self._registry.execute(command))

    async def GetProject(self, request: project_pb2.GetProjectRequest, context: Context) -> project_pb2.Project:
        return messages.of_project(await self._registry.project(names.project(request.name, "name")))

    async def ListProjects(
        self, request: project_pb2.ListProjectsRequest, context: Context
    ) -> project_pb2.ListProjectsResponse:
        projects, token = await self._registry.projects(request.page_size, request.page_token, context.caller.readable)
        return project_pb2.ListProjectsResponse(
            projects=[messages.of_project(project) for project in projects], next_page_token=token
        )
