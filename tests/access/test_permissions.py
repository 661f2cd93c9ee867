"""What the contract declares about each method: who may call it, and where."""

from __future__ import annotations

import re

import pytest
from access.known_callers import caller
from cached_folders import ROOT
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import MethodDescriptor

from tallymark.v1 import role_pb2
from tallymark_server.domain.roles import Role
from tallymark_server.rpc.permissions import Permission, UndeclaredError, permission_of
from tallymark_server.rpc.services import SERVICES, method_needs

METHODS = [method for service in SERVICES for method in service.methods]


def declared(
    role: role_pb2.Role.ValueType = role_pb2.ROLE_UNSPECIFIED, in_project: str = "", fields: tuple[str, ...] = ("name",)
) -> MethodDescriptor:
    """Return a method of a service of its own with these options, whose request has these fields."""
    file = descriptor_pb2.FileDescriptorProto(name="made.proto", package="made", syntax="proto3")
    request = file.message_type.add(name="Request")
    for number, field in enumerate(fields, 1):
        text, many = descriptor_pb2.FieldDescriptorProto.TYPE_STRING, field.endswith("*")
        label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED if many else 1
        request.field.add(name=field.removesuffix("*"), number=number, type=text, label=label)
    method = file.service.add(name="Service").method.add(
        name="Method", input_type=".made.Request", output_type=".made.Request"
    )
    method.options.Extensions[role_pb2.needs] = role
    if in_project:
        method.options.Extensions[role_pb2.in_project] = in_project
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found: MethodDescriptor = pool.FindServiceByName("made.Service").methods_by_name["Method"]
    return found


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_declares_who_may_call_it(method: MethodDescriptor) -> None:
    """Each method of the contract has a role, and a project that its request names."""
    assert permission_of(method).needs.what == method.name


def test_what_only_reads_needs_to_read_and_nothing_else_does() -> None:
    """Methods without side effects need a reader, and every change needs more."""
    for method in METHODS:
        free = bool(method.GetOptions().idempotency_level)
        assert (permission_of(method).needs.role == Role.READER) == free, method.full_name


@pytest.mark.parametrize(
    ("role", "names"),
    [
        (Role.ADMIN, {"Purge", "Rename", "Erase", "CreateProject", "CreateToken", "AddGrant", "CreateServiceAccount"}),
        (Role.PROMOTER, {"SetStage", "SetAlias", "DeleteAlias", "DeleteModel", "Undelete"}),
        (Role.WRITER, {"CreateModel", "Update", "Log", "Link", "Unlink", "Start", "Finish", "Heartbeat", "Ensure"}),
    ],
)
def test_what_cannot_be_undone_needs_more(role: Role, names: set[str]) -> None:
    """Admins purge, rename and erase; promoters decide what serves; writers record."""
    found = [method for method in METHODS if method.name.startswith(tuple(names))]
    assert {name for name in names if not any(method.name.startswith(name) for method in found)} == set()
    assert {permission_of(method).needs.role for method in found} == {role}


@pytest.mark.parametrize(
    ("method", "missing"),
    [
        (declared(), "needs"),
        (declared(role_pb2.ROLE_READER, fields=("model",)), "in_project"),
        (declared(role_pb2.ROLE_READER, "project"), "takes its project from project"),
        (declared(role_pb2.ROLE_READER, "name.project"), "takes its project from name.project"),
        (declared(role_pb2.ROLE_READER, "names", fields=("names*",)), "takes its project from names"),
    ],
    ids=["no role", "no field", "unknown field", "no message", "several"],
)
def test_a_method_that_does_not_declare_it_cannot_be_served(method: MethodDescriptor, missing: str) -> None:
    """Without a role, or a project that can be found in the request, the method is refused when the server starts."""
    with pytest.raises(UndeclaredError, match=re.escape(missing)):
        Permission(method)


def test_the_project_is_the_parent_or_else_the_name() -> None:
    """Without an option the project is taken from `parent`, in a request without one from `name`."""
    assert Permission(declared(role_pb2.ROLE_READER, fields=("name", "parent"))).field == "parent"
    assert Permission(declared(role_pb2.ROLE_READER, fields=("name", "text"))).field == "name"
    assert Permission(declared(role_pb2.ROLE_READER, "text", fields=("name", "text"))).field == "text"


def test_a_role_may_do_what_those_before_it_may() -> None:
    """The higher of the role in the project and that in all projects holds; no grant is no role."""
    for everywhere in (None, *Role):
        for here in (None, *Role):
            grants = {project: role for project, role in (("*", everywhere), ("lab", here)) if role is not None}
            someone = caller("someone", grants)
            due = max((role for role in (everywhere, here) if role is not None), default=None)
            assert someone.role_in("lab") == due
            assert someone.role_in("other") == someone.role_in("*") == everywhere
            assert [someone.may(role, "lab") for role in Role] == [due is not None and role <= due for role in Role]
            assert someone.readable == (None if everywhere else frozenset({"lab"} if here else ()))


def test_the_guide_lists_what_each_role_may_do() -> None:
    """The table in service/README.md has every role, and that in protos/README.md every method with its role."""
    guide = (ROOT / "service/README.md").read_text()
    for role in Role:
        assert f"| `{role.label}` |" in guide
    listed = dict(re.findall(r"^\| `([A-Z]\w+)` \| `(\w+)` \|", (ROOT / "protos/README.md").read_text(), re.MULTILINE))
    assert listed == {method.name: method_needs(method.name).role.label for method in METHODS}
