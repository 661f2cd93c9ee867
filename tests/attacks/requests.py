"""Requests with one field that is as large, as long or as deep as possible, for every field of every method.

They are generated from the descriptors of the contract, so that new methods and fields are attacked too. Each request
is encoded for gRPC and as JSON for HTTP. Its other fields are valid.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

from tallymark.v1 import event_log_pb2, model_registry_pb2, run_registry_pb2

# The limit of a message in gRPC and of a body in HTTP, in bytes.
MAX_SIZE = 4 * 1024 * 1024
MAX_DEPTH = 5_000
PROJECT = "projects/default"
MODEL, VERSION, RUN = f"{PROJECT}/models/churn", f"{PROJECT}/models/churn/versions/1", f"{PROJECT}/runs/r1"
METHODS = [
    method
    for module in (model_registry_pb2, run_registry_pb2, event_log_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]

# A valid request of each method as JSON, for a registry with the model `churn`, one version of it and the run `r1`.
VALID_REQUESTS: dict[str, dict[str, Any]] = {
    "CreateProject": {"projectId": "another"},
    "GetProject": {"name": PROJECT},
    "ListProjects": {},
    "CreateModel": {"parent": PROJECT, "modelId": "another"},
    "GetModel": {"name": MODEL},
    "ListModels": {"parent": PROJECT},
    "UpdateModel": {"model": {"name": MODEL}, "updateMask": "description"},
    "RenameModel": {"name": f"{PROJECT}/models/none", "newModelId": "other"},
    "DeleteModel": {"name": f"{PROJECT}/models/none"},
    "UndeleteModel": {"name": f"{PROJECT}/models/none"},
    "PurgeModel": {"name": f"{PROJECT}/models/none"},
    "CreateModelVersion": {"parent": MODEL},
    "BatchCreateModelVersions": {"parent": MODEL, "modelVersions": [{}]},
    "EnsureModelVersion": {"parent": PROJECT, "config": {"model": "churn", "version": "1"}},
    "GetModelVersion": {"name": VERSION},
    "ListModelVersions": {"parent": MODEL},
    "UpdateModelVersion": {"modelVersion": {"name": VERSION}, "updateMask": "description"},
    "DeleteModelVersion": {"name": f"{MODEL}/versions/99"},
    "UndeleteModelVersion": {"name": f"{MODEL}/versions/99"},
    "PurgeModelVersion": {"name": f"{MODEL}/versions/99"},
    "SetStage": {"name": VERSION, "stage": "STAGE_STAGING"},
    "SetAlias": {"name": VERSION, "alias": "champion"},
    "DeleteAlias": {"parent": MODEL, "alias": "champion"},
    "LogMetadata": {"name": VERSION},
    "ListMetricPoints": {"parent": VERSION},
    "LinkArtifact": {"parent": VERSION, "artifactId": "data", "artifact": {"uri": "s3://data"}},
    "UnlinkArtifact": {"name": f"{VERSION}/artifacts/data"},
    "GetArtifact": {"name": f"{VERSION}/artifacts/data"},
    "ListArtifacts": {"parent": VERSION},
    "QueryLineage": {"name": VERSION},
    "StartRun": {"parent": PROJECT, "runId": "r1"},
    "FinishRun": {"name": RUN, "state": "RUN_STATE_SUCCEEDED"},
    "HeartbeatRun": {"name": RUN},
    "ReportRecordingProblems": {"name": RUN, "problems": [{"subject": "a", "problem": "b", "count": 1}]},
    "GetRun": {"name": RUN},
    "ListRuns": {"parent": PROJECT},
    "StartStep": {"parent": RUN, "stepId": "s1"},
    "FinishStep": {"name": f"{RUN}/steps/s1", "state": "RUN_STATE_SUCCEEDED"},
    "ListSteps": {"parent": RUN},
    "ListEvents": {"parent": PROJECT},
    "Watch": {"parent": PROJECT},
    "Verify": {"parent": PROJECT},
    "Export": {"parent": PROJECT},
    "Erase": {"name": f"{MODEL}/versions/99", "paths": ["reasons"], "reason": "a leaked key"},
}

Path = tuple[FieldDescriptor, ...]


class Attack(NamedTuple):
    """A hostile request: its method, the path of the attacked field, the kind of attack, and both encodings."""

    method: MethodDescriptor
    path: Path
    kind: str
    data: Callable[[], bytes]
    json: Callable[[], bytes]

    @property
    def field(self) -> str:
        """The path of the field, such as `config.new_version.tags`."""
        return ".".join(field.name for field in self.path)

    @property
    def url(self) -> str:
        """The path of the method, for gRPC and HTTP."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"


def attacks(method: MethodDescriptor, size: int = MAX_SIZE) -> Iterator[Attack]:
    """Yield every attack on the method, with requests of at most about so many bytes."""
    valid = GetMessageClass(method.input_type)()
    ParseDict(VALID_REQUESTS[method.name], valid)
    base = valid.SerializeToString()
    room = max(0, size - len(base) - 200)
    for path in paths(method.input_type):
        for kind, wire, text in _attacks_on_field(path[-1], room):
            yield Attack(method, path, kind, partial(_wire, base, path, wire), partial(_json, method, path, text))


def paths(message: Descriptor, before: Path = ()) -> Iterator[Path]:
    """Yield the paths of all fields with text or with many entries."""
    for field in message.fields:
        path = (*before, field)
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            if field.is_repeated or _is_value(field):
                yield path
            if not _is_value(field) and field.message_type not in {each.containing_type for each in path}:
                yield from paths(_message_of(field), path)
            elif _is_value(field):
                yield from ((*path, fact) for fact in _message_of(field).fields if fact.name in ("text", "uri", "list"))
        elif field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES) or field.is_repeated:
            yield path


def _message_of(field: FieldDescriptor) -> Descriptor:
    """Return the type of a field whose values are messages."""
    assert field.message_type is not None
    return field.message_type


def _is_mask(field: FieldDescriptor) -> bool:
    return field.containing_type is not None and field.containing_type.name == "FieldMask"


def _is_value(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.name == "MetadataValue"


def _attacks_on_field(
    field: FieldDescriptor, room: int
) -> Iterator[tuple[str, Callable[[], bytes], Callable[[], bytes]]]:
    """Yield the attacks on a field: the kind, the encoded field, and its value in JSON."""
    if field.type == FieldDescriptor.TYPE_STRING:
        for kind, unit in (("long text", "x"), ("combining marks", "\u0301"), ("null character", "\0")):
            # A single null character is refused already.
            text = partial(str.__mul__, unit, 1 if unit == "\0" else room // len(unit.encode()))
            yield (
                kind,
                partial(_text, field.number, text),
                partial(_json_text, field, text),
            )
    if field.is_repeated:
        yield "many entries", partial(_entries, field, room), partial(_json_entries, field, room)
    if _is_value(field):
        yield "deep nesting", partial(_nested, field.number, room), partial(_json_nested, room)
    elif field.name == "list":
        yield "many facts", partial(_facts, field.number, room), partial(_json_facts, room)


def _text(number: int, text: Callable[[], str]) -> bytes:
    return _delimited(number, text().encode())


def _json_text(field: FieldDescriptor, text: Callable[[], str]) -> bytes:
    value = json.dumps(text(), ensure_ascii=False).encode()
    return b"[%s]" % value if field.is_repeated and not _is_mask(field) else value


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _entries(field: FieldDescriptor, room: int) -> bytes:
    if field.type == FieldDescriptor.TYPE_ENUM:
        return _delimited(field.number, b"\1" * room)
    if _is_map(field):
        return _map_entries(field.number, room)
    return _delimited(field.number, b"") * (room // 2)


@lru_cache(maxsize=16)
def _map_entries(number: int, room: int) -> bytes:
    # Different keys, since equal ones are merged.
    return b"".join(_delimited(number, _delimited(1, b"%x" % key) + _delimited(2, b"")) for key in range(room // 11))


def _json_entries(field: FieldDescriptor, room: int) -> bytes:
    if _is_map(field):
        value = b"{}" if _message_of(field).fields_by_name["value"].message_type else b"1"
        return b"{%s}" % b",".join(b'"%x":%s' % (number, value) for number in range(room // 11))
    if _is_mask(field):
        return b'"%s"' % b",".join([b"a"] * (room // 2))
    entry = b'""'
    if field.message_type is not None:
        entry = b"{}"
    elif field.type == FieldDescriptor.TYPE_ENUM:
        entry = b"1"
    return b"[%s]" % b",".join([entry] * (room // (len(entry) + 1)))


def _facts(number: int, room: int) -> bytes:
    return _delimited(number, _delimited(1, b"\x18\1") * (room // 4))


def _json_facts(room: int) -> bytes:
    return b'{"values":[%s]}' % b",".join([b'{"flag":true}'] * (room // 14))


def _nested(number: int, room: int) -> bytes:
    value = b"\x18\1"
    for _ in range(min(MAX_DEPTH, room // 12)):
        value = _delimited(6, _delimited(1, value))
    return _delimited(number, value)


def _json_nested(room: int) -> bytes:
    depth = min(MAX_DEPTH, room // 22)
    return b'{"list":{"values":[' * depth + b'{"flag":true}' + b"]}}" * depth


def _wire(base: bytes, path: Path, wire: Callable[[], bytes]) -> bytes:
    inner = wire()
    for outer, field in zip(reversed(path[:-1]), reversed(path), strict=False):
        if _is_map(outer) and field.name == "value":
            inner = _delimited(1, b"k") + inner
        inner = _delimited(outer.number, inner)
    return base + inner


def _json(method: MethodDescriptor, path: Path, text: Callable[[], bytes]) -> bytes:
    request = json.loads(json.dumps(VALID_REQUESTS[method.name]))
    placeholder = "@@"
    _put(request, path, placeholder)
    return json.dumps(request).encode().replace(b'"%s"' % placeholder.encode(), text())


def _put(message: dict[str, Any], path: Path, placeholder: str) -> None:
    """Set the field at the path to a placeholder for the attack."""
    field, *rest = path
    name = field.json_name
    if not rest or _message_of(field).name == "FieldMask":
        message[name] = placeholder
        return
    inner: dict[str, Any] = {}
    if _is_map(field):
        after = rest[1:]
        if rest[0].name == "key":
            inner = {
                placeholder: 1 if _message_of(field).fields_by_name["value"].message_type is None else {"number": 1}
            }
        elif after:
            inner["k"] = {}
            _put(inner["k"], tuple(after), placeholder)
        else:
            inner["k"] = placeholder
        message[name] = inner
    elif field.is_repeated:
        _put(inner, tuple(rest), placeholder)
        message[name] = [inner]
    else:
        _put(message.setdefault(name, inner), tuple(rest), placeholder)


def _delimited(number: int, data: bytes) -> bytes:
    """Return an encoded field with its length."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])
