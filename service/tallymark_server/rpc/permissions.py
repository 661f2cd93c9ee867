"""What each method of the contract needs of its caller: a role, and in which project.

Both are options of the method, which `role.proto` describes. A method without them cannot be served.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import cache
from operator import attrgetter
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from tallymark.v1 import role_pb2
from tallymark_server.access.callers import Caller
from tallymark_server.access.door import Needs, may
from tallymark_server.access.oversight import Traits
from tallymark_server.domain import naming
from tallymark_server.domain.errors import PermissionDenied
from tallymark_server.domain.model import Stage
from tallymark_server.domain.roles import ALL_PROJECTS, Role
from tallymark_server.rpc import names
from tallymark_server.rpc.bounds import is_repeated
from tallymark_server.rpc.callers import Call

# For `in_project`: a reader needs no role, others need it in one project; the handler decides what they see and change.
ANY_PROJECT = "-"
# The field with the bare name of a project that is about to be created.
_NEW_PROJECT = "project_id"


# How many versions a request creates at most, by method.
_CREATED_VERSIONS: dict[str, Callable[[Any], int]] = {
    "CreateModelVersion": lambda _: 1,
    "BatchCreateModelVersions": lambda request: len(request.model_versions),
    "EnsureModelVersion": lambda request: _may_create(request.config.version),
    "StartRun": lambda request: request.HasField("config") and _may_create(request.config.version),
}
# Changes that store nothing.
_STORELESS = ("HeartbeatRun",)


class UndeclaredError(Exception):
    """A method of the contract does not declare who may call it. The message says what is missing."""


class Permission:
    """What a method needs of its caller: `needs` in the project that `field` of the request names."""

    def __init__(self, method: MethodDescriptor) -> None:
        """Read the options of the method. Raises UndeclaredError."""
        options = method.GetOptions()
        role = options.Extensions[role_pb2.needs]
        if role == role_pb2.ROLE_UNSPECIFIED:
            raise UndeclaredError(f"{method.full_name} needs the option (tallymark.v1.needs)")
        self.field = options.Extensions[role_pb2.in_project] or _usual_field(method)
        self.needs = Needs(method.name, Role(role), hides=self.field != _NEW_PROJECT)
        self._role = self.needs.role
        self._text_of = None if self.field in (ANY_PROJECT, ALL_PROJECTS) else _getter(method, self.field)

    def check(self, caller: Caller, request: Any) -> None:
        """Return if the caller may send this request.

        Raises ProjectNotFound, PermissionDenied, or InvalidField if the request names no project.
        """
        everywhere = caller.grants.get(ALL_PROJECTS)
        if everywhere is not None and everywhere >= self._role:
            return
        if self.field != ANY_PROJECT:
            may(caller, self.needs, self.project_of(request))
        elif self.needs.role != Role.READER and max(caller.grants.values(), default=0) < self.needs.role:
            raise PermissionDenied(caller.name, self.needs.what, self.needs.role.label, ALL_PROJECTS)

    def project_of(self, request: Any) -> str:
        """Return the project that the request is about, or ALL_PROJECTS. Raises InvalidField."""
        text = ALL_PROJECTS if self._text_of is None else self._text_of(request)
        if text == ALL_PROJECTS:
            return ALL_PROJECTS
        return naming.project_name(text, self.field) if self.field == _NEW_PROJECT else names.owner(text, self.field)


@cache
def permission_of(method: MethodDescriptor) -> Permission:
    """Return what the method needs of its caller. Raises UndeclaredError."""
    return Permission(method)


def traits_of(method: MethodDescriptor, over: str) -> Traits:
    """Return what oversight needs to know of the method, when it is called over `grpc` or `http`."""
    permission = permission_of(method)
    # Only what writers do fills a project; the others must be able to make room.
    stores = permission.needs.role == Role.WRITER and method.name not in _STORELESS
    fields = method.input_type.fields_by_name
    paths = [path for path in ("name", "parent", permission.field) if path.partition(".")[0] in fields]
    resource = _getter(method, paths[0]) if paths else lambda _: ""
    return Traits(
        name=method.name,
        over=over,
        is_stream=method.server_streaming,
        resource=resource,
        project=permission.project_of if stores else None,
        versions=_CREATED_VERSIONS.get(method.name, lambda _: 0),
    )


def attended(call: Call, method: MethodDescriptor, request: Any) -> AbstractAsyncContextManager[None]:
    """Return a context for the answer of a stream, which ends it soon after its caller may no longer read it."""
    if call.door.is_open:
        return nullcontext()
    check = permission_of(method).check
    return call.door.attended(call.credentials, lambda caller: check(caller, request))


def _may_create(version: str) -> bool:
    """Return whether a request for this version may create it: none, or a name."""
    return not (version.isdecimal() or version.startswith("@") or version in ("latest", *Stage))


def _usual_field(method: MethodDescriptor) -> str:
    """Return `parent`, or `name` for a request without a parent. Raises UndeclaredError if it has neither."""
    for field in ("parent", "name"):
        if field in method.input_type.fields_by_name:
            return field
    raise UndeclaredError(
        f"{method.full_name} needs the option (tallymark.v1.in_project), since {method.input_type.name} has neither"
        " parent nor name"
    )


def _getter(method: MethodDescriptor, path: str) -> Callable[[Any], str]:
    """Return a function from a request to the text of that field. Raises UndeclaredError if there is none."""
    at: Descriptor | None = method.input_type
    field: FieldDescriptor | None = None
    for part in path.split("."):
        field = at.fields_by_name.get(part) if at is not None else None
        at = field.message_type if field is not None and not is_repeated(field) else None
    if field is None or is_repeated(field) or field.type != field.TYPE_STRING:
        raise UndeclaredError(f"{method.full_name} takes its project from {path}, which is no text of its request")
    return attrgetter(path)
