"""Write the page about the contract from the comments in protos/."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    MethodOptions,
)

from tallymark.v1.role_pb2 import Role, needs

PROTOS = Path(__file__).resolve().parents[1] / "protos"
PACKAGE = ".tallymark.v1."
INTRODUCTION = """# The contract

Every method, message and enumeration of `tallymark.v1`, as the comments of
[the contract](https://github.com/tallymark/tallymark/blob/main/protos/tallymark/v1) describe them. How to call it:
[the guide to the API](api.md).
"""

# The field numbers of descriptor.proto that make up the path of a comment in SourceCodeInfo.
MESSAGES, ENUMS, SERVICES, FIELDS, METHODS, VALUES = 4, 5, 6, 2, 2, 2


class Source:
    """A file of the contract and the comments of its declarations."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self.file = file
        self._comments = {tuple(each.path): each.leading_comments for each in file.source_code_info.location}

    def comment(self, *path: int) -> str:
        """Return the comment of the declaration at that path, without the space that begins each line."""
        return "\n".join(line.removeprefix(" ") for line in self._comments.get(path, "").splitlines()).strip()


def compiled() -> list[Source]:
    """Compile the contract, and return its files with their comments."""
    buf = Path(sys.executable).with_name("buf")
    command = [str(buf), "build", "--as-file-descriptor-set", "--output", "-"]
    image = FileDescriptorSet.FromString(subprocess.run(command, cwd=PROTOS, check=True, stdout=subprocess.PIPE).stdout)
    return [Source(file) for file in image.file if file.package == PACKAGE.strip(".")]


def anchor(name: str) -> str:
    """Return the anchor of a message or an enumeration."""
    return f"contract-{name.removeprefix(PACKAGE).lower()}"


def linked(type_name: str) -> str:
    """Return the name of a type, with a link to its description if this contract describes it."""
    short = type_name.removeprefix(PACKAGE)
    return f"[{short}](#{anchor(short)})" if type_name.startswith(PACKAGE) else f"`{type_name.removeprefix('.')}`"


def scalar(field: FieldDescriptorProto) -> str:
    """Return the type of a field that is not repeated."""
    if field.type_name:
        return linked(field.type_name)
    return f"`{FieldDescriptorProto.Type.Name(field.type).removeprefix('TYPE_').lower()}`"


def type_of(message: DescriptorProto, field: FieldDescriptorProto) -> str:
    """Return the type of a field, as it is declared."""
    entries = {entry.name: entry for entry in message.nested_type if entry.options.map_entry}
    if entry := entries.get(field.type_name.rpartition(".")[2]):
        key, value = entry.field
        return f"map from {scalar(key)} to {scalar(value)}"
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {scalar(field)}"
    return f"optional {scalar(field)}" if field.proto3_optional else scalar(field)


def item(head: str, comment: str) -> str:
    """Return an entry of a list, with its further lines indented."""
    return f"- {head}: {comment}".replace("\n", "\n  ").replace("\n  \n", "\n\n")


def method(source: Source, service: int, number: int, described: MethodDescriptorProto) -> Iterator[str]:
    """Yield the description of a method."""
    yield f"### {described.name}"
    streamed = "a stream of " if described.server_streaming else ""
    yield (
        f"Takes {linked(described.input_type)}, returns {streamed}{linked(described.output_type)}."
        + (" Only reads." if described.options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS else "")
        + f" Needs the role `{Role.Name(described.options.Extensions[needs]).removeprefix('ROLE_').lower()}`."
    )
    yield source.comment(SERVICES, service, METHODS, number)


def message(source: Source, number: int, described: DescriptorProto) -> Iterator[str]:
    """Yield the description of a message and its fields."""
    yield f"({anchor(described.name)})=\n### {described.name}"
    yield source.comment(MESSAGES, number)
    yield "\n".join(
        item(f"`{field.name}`, {type_of(described, field)}", source.comment(MESSAGES, number, FIELDS, place))
        for place, field in enumerate(described.field)
    )


def enumeration(source: Source, number: int, described: EnumDescriptorProto) -> Iterator[str]:
    """Yield the description of an enumeration and its values."""
    yield f"({anchor(described.name)})=\n### {described.name}"
    yield source.comment(ENUMS, number)
    yield "\n".join(
        item(f"`{value.name}` = {value.number}", source.comment(ENUMS, number, VALUES, place))
        for place, value in enumerate(described.value)
    )


def sections(sources: list[Source]) -> Iterator[str]:
    """Yield the sections of the page: the services with their methods, the messages, the enumerations."""
    yield INTRODUCTION
    for source in sources:
        for number, service in enumerate(source.file.service):
            yield f"## {service.name}"
            yield source.comment(SERVICES, number)
            for place, described in enumerate(service.method):
                yield from method(source, number, place, described)
    yield "## Messages"
    for source in sources:
        for number, record in enumerate(source.file.message_type):
            yield from message(source, number, record)
    yield "## Enumerations"
    for source in sources:
        for number, words in enumerate(source.file.enum_type):
            yield from enumeration(source, number, words)


def page() -> str:
    """Return the page."""
    return joined(sections(compiled()))


def joined(parts: Iterable[str]) -> str:
    """Join paragraphs into a text."""
    return "\n\n".join(part for part in parts if part) + "\n"
