"""How large a request may be, checked on its bytes before it is decoded.

A message of four megabytes can have two million entries, which take half a second and hundreds of megabytes to decode.
So the bytes are scanned with the descriptors of the contract, only up to the first bound that is exceeded. Every field
has a bound, also fields that are added later. The handlers check the values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from tallymark_server.domain.errors import InvalidField, MalformedRequest, RegistryError, ValueTooLarge
from tallymark_server.domain.metadata import MAX_METADATA
from tallymark_server.domain.naming import MAX_TAGS, MAX_TEXT

# In bytes. Requests that change something may be large; the response to a batch is larger than its request, and must
# not exceed 4 MiB, the default limit of clients.
MAX_READ, MAX_CHANGE, MAX_BATCH = 256 * 1024, 2 * 1024 * 1024, 1536 * 1024
# Of one text, in bytes of UTF-8; of a text that is cut to the length of its field.
MAX_CUT = 1024 * 1024
MAX_ENTRIES = 1000
# A fact has at least three bytes of JSON.
MAX_FACTS = MAX_METADATA // 3
# How deep lists and maps of metadata are nested; a map in a map is nested in three messages.
MAX_DEPTH, PROTOBUF_DEPTH = 16, 100
# All fields and entries of one request together.
MAX_VALUES = 200_000

_CUT = {"FinishRunRequest.error", "FinishStepRequest.error", "Run.command"}
_CUT |= {"RecordingProblem.subject", "RecordingProblem.problem"}
_TAGS = {"Model.tags", "ModelVersion.tags"}
_FEWER = "send less in one request, or use several requests"
# The first bytes of a fact that is a number or a flag, by its length.
_SCALARS = {9: b"\x09", 2: b"\x18"}
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5


class Part(NamedTuple):
    """A field: its name in a refusal, and the most entries and bytes of text that it may have.

    `text` is 0 if it is no text, `shape` None if it is no message. To a caller, all facts are one field.
    """

    name: str
    entries: int
    text: int
    shape: Shape | None
    packed: bool
    is_fact: bool


Shape = dict[int, Part]


class Bounds:
    """The bounds of the requests of one method."""

    def __init__(self, method: MethodDescriptor) -> None:
        request = method.input_type
        self._name = request.name
        self._shape = _shape_of(request, {})
        self.limit = MAX_READ
        if "request_id" in request.fields_by_name:
            self.limit = MAX_BATCH if "model_versions" in request.fields_by_name else MAX_CHANGE
        # A request that is shorter than this, and has no zero byte, exceeds no bound.
        self._least = min((_smallest(part) for part in _parts(self._shape, set())), default=0)

    def check(self, data: bytes) -> None:
        """Check the request. Raises InvalidField, ValueTooLarge or MalformedRequest if it exceeds a bound."""
        if len(data) < self._least and b"\0" not in data:
            return
        if len(data) > self.limit:
            raise ValueTooLarge("request", self.limit, "bytes", len(data), _FEWER)
        try:
            _Reading(data).message(0, len(data), self._shape, 0)
        except _OutsideError as found:
            raise found.refusal() from None
        except IndexError:
            raise MalformedRequest(self._name) from None


class _OutsideError(Exception):
    """A field exceeds a bound; `path` are the names of the fields that lead to it."""

    def __init__(self, limit: int, unit: str, size: int = 0) -> None:
        super().__init__(unit)
        self.path: list[str] = []
        self._limit, self._unit, self._size = limit, unit, size

    def refusal(self) -> RegistryError:
        """Return the error for the caller."""
        field = ".".join(name for name in reversed(self.path) if name) or "request"
        match self._unit:
            case "null":
                return InvalidField(field, "a text with U+0000", "no text has that character; leave it out")
            case "depth":
                return InvalidField(field, "nested", f"lists and maps lie in each other at most {self._limit} deep")
            case "values":
                return ValueTooLarge("request", self._limit, self._unit, self._size, _FEWER)
            case "bytes":
                return ValueTooLarge(field, self._limit, self._unit, self._size)
            case _:
                return ValueTooLarge(field, self._limit, self._unit, self._size, _FEWER)


class _Reading:
    """A reader of the wire format. Raises IndexError where the bytes end too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._values = 0

    def message(self, at: int, end: int, shape: Shape, depth: int) -> None:
        """Read a message. Raises _OutsideError."""
        counts: dict[int, int] = {}
        data = self._data
        while at < end:
            # Most tags have one byte.
            tag, at = (data[at], at + 1) if data[at] < 128 else self._varint(at)
            self._values += 1
            if self._values > MAX_VALUES:
                raise _OutsideError(MAX_VALUES, "values", self._values)
            kind, part = tag & 7, shape.get(tag >> 3)
            start = at
            if kind == _DELIMITED:
                length, start = self._varint(at)
                at = start + length
            elif kind == _VARINT:
                _, at = self._varint(at)
            else:
                at += {_FIXED64: 8, _FIXED32: 4}[kind] if kind in (_FIXED64, _FIXED32) else end
            if at > end:
                raise IndexError
            if part is not None:
                try:
                    if part.entries:
                        more = at - start if part.packed and kind == _DELIMITED else 1
                        counts[tag >> 3] = count = counts.get(tag >> 3, 0) + more
                        if count > part.entries:
                            raise _OutsideError(part.entries, "entries", count)
                    if kind == _DELIMITED:
                        self._inside(start, at, part, depth)
                except _OutsideError as found:
                    found.path.append(part.name)
                    raise

    def _inside(self, start: int, end: int, part: Part, depth: int) -> None:
        if part.text:
            if end - start > part.text:
                raise _OutsideError(part.text, "bytes", end - start)
            if self._data.find(b"\0", start, end) >= 0:
                raise _OutsideError(0, "null")
        elif part.shape is not None:
            # A number or a flag, as most facts are, needs no check.
            if part.is_fact and _SCALARS.get(end - start) == self._data[start : start + 1]:
                return
            if part.is_fact and depth > MAX_DEPTH:
                raise _OutsideError(MAX_DEPTH, "depth")
            self.message(start, end, part.shape, depth + part.is_fact)

    def _varint(self, at: int) -> tuple[int, int]:
        byte = self._data[at]
        if byte < 128:
            return byte, at + 1
        number, shift = byte & 127, 7
        while byte > 127:
            at += 1
            byte = self._data[at]
            number |= (byte & 127) << shift
            shift += 7
            if shift > 70:
                raise IndexError
        return number, at + 1


def _shape_of(message: Descriptor, known: dict[str, Shape]) -> Shape:
    if message.full_name not in known:
        shape = known[message.full_name] = {}
        for field in message.fields:
            shape[field.number] = _part_of(field, known)
    return known[message.full_name]


def is_repeated(field: FieldDescriptor) -> bool:
    # The oldest protobuf that is allowed has only `label`, which newer ones deprecate.
    if hasattr(field, "is_repeated"):
        return bool(field.is_repeated)
    return bool(getattr(field, "label") == FieldDescriptor.LABEL_REPEATED)  # noqa: B009 - the types know only the newer


def _part_of(field: FieldDescriptor, known: dict[str, Shape]) -> Part:
    owner, inner = field.containing_type, field.message_type
    assert owner is not None, "only an extension has no owner, and the contract has none"  # noqa: S101
    name = f"{owner.name}.{field.name}"
    entries = 0
    if is_repeated(field):
        is_map = inner is not None and inner.GetOptions().map_entry
        entries = MAX_FACTS if is_map or owner.name == "MetadataList" else MAX_ENTRIES
        entries = MAX_TAGS if name in _TAGS else entries
    text = 0
    if field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
        text = MAX_CUT if name in _CUT else MAX_TEXT
    # The parts of a fact have the name of the field that has the facts.
    inside_facts = owner.name.startswith("Metadata") or owner.GetOptions().map_entry
    return Part(
        name="" if inside_facts else field.name,
        entries=entries,
        text=text,
        shape=None if inner is None else _shape_of(inner, known),
        packed=field.type == FieldDescriptor.TYPE_ENUM,
        is_fact=inner is not None and inner.name == "MetadataValue",
    )


def _parts(shape: Shape, seen: set[int]) -> Iterator[Part]:
    """Yield every field of the message, and of the messages in it."""
    if id(shape) not in seen:
        seen.add(id(shape))
        for part in shape.values():
            yield part
            yield from _parts(part.shape or {}, seen)


def _smallest(part: Part) -> int:
    """Return the smallest size in bytes at which a field may exceed one of its bounds."""
    if part.is_fact:
        # The least size of what protobuf refuses as nested too deeply; the handler refuses what is less deep.
        return 2 * PROTOBUF_DEPTH
    entries = (part.entries + 1) * (1 if part.packed else 2) if part.entries else MAX_VALUES
    return min(entries, part.text + 1 if part.text else MAX_VALUES)
