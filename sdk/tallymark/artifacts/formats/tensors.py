"""The format safetensors: tensors of torch and arrays of numpy, in any mappings and lists.

A flat mapping, such as a `state_dict()`, keeps its keys, so that other tools can read it. Everything else, such as the
nesting of a checkpoint and the numbers in it, is JSON in the file's header.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tallymark.artifacts.formats.arrays import is_array
from tallymark.artifacts.formats.kind import class_is, library
from tallymark.artifacts.formats.plain import is_plain, plain
from tallymark.errors import InvalidArgument

_log = logging.getLogger("tallymark")
_is_module = class_is("torch", "Module")
_is_tensor_class = class_is("torch", "Tensor")


def are_tensors(value: Any) -> bool:
    """Return whether the value is a module of torch, contains tensors of torch, or is a mapping of arrays."""
    if _is_module(type(value)) or _is_tensor(value):
        return True
    if isinstance(value, Mapping) and value and all(isinstance(key, str) and is_array(value[key]) for key in value):
        return any(item.ndim for item in value.values())
    leaves = list(_leaves(value))
    return any(map(_is_tensor, leaves)) and all(_is_tensor(leaf) or is_plain(leaf) for leaf in leaves)


def write_tensors(value: Any, path: Path) -> None:
    """Write tensors and their structure. Tensors that share memory are written once."""
    if _is_module(type(value)):
        name = type(value).__name__
        _log.info("the state_dict() of the module %s is saved; load it into a module that the same code creates", name)
        value = value.state_dict()
    packing = _Packing()
    structure = packing.pack(value, "")
    header = {"format": "pt" if packing.torch else "np", "tallymark": json.dumps(structure)}
    writer = library("safetensors.torch" if packing.torch else "safetensors.numpy")
    writer.save_file(packing.tensors, path, metadata=header)


def read_tensors(path: Path, _: Sequence[str]) -> Any:
    """Read the value that was saved; for a file of another tool, its mapping of tensors."""
    with library("safetensors").safe_open(path, framework="np") as opened:
        header = opened.metadata() or {}
    torch = header.get("format") == "pt"
    tensors: dict[str, Any] = library("safetensors.torch" if torch else "safetensors.numpy").load_file(path)
    return _unpacked(json.loads(header["tallymark"]), tensors) if "tallymark" in header else tensors


class _Packing:
    """The tensors to write, by name, and the memory of tensors of torch."""

    def __init__(self) -> None:
        self.tensors: dict[str, Any] = {}
        self.torch = False
        self._name_by_memory: dict[Any, str] = {}

    def pack(self, value: Any, where: str) -> dict[str, Any]:
        """Return the value as JSON with names instead of tensors. Raises InvalidArgument."""
        if _is_tensor(value):
            return {"tensor": self._named(value.detach(), where)}
        if is_array(value) and not self.torch:
            self.tensors[where] = library("numpy").ascontiguousarray(value).reshape(value.shape)
            return {"tensor": where}
        inner = f"{where}." if where else ""
        if isinstance(value, Mapping):
            if not all(isinstance(key, str) or type(key) is int for key in value):
                raise InvalidArgument(f"the mapping {where or 'of tensors'} has keys that are neither text nor numbers")
            return {"items": [[key, self.pack(item, f"{inner}{key}")] for key, item in value.items()]}
        if isinstance(value, list | tuple):
            items = [self.pack(item, f"{inner}{index}") for index, item in enumerate(value)]
            return {"tuple" if isinstance(value, tuple) else "list": items}
        return {"value": plain(value, where or "the value")}

    def _named(self, tensor: Any, where: str) -> str:
        self.torch = True
        memory = (tensor.device, tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        if tensor.numel() and memory in self._name_by_memory:
            return self._name_by_memory[memory]
        name = where or "tensor"
        while name in self.tensors:
            name += "'"
        self._name_by_memory[memory] = name
        # safetensors refuses views of shared memory, so each tensor gets memory of its own.
        self.tensors[name] = tensor.clone().contiguous()
        return name


def _unpacked(structure: Mapping[str, Any], tensors: Mapping[str, Any]) -> Any:
    match structure:
        case {"tensor": str(name)}:
            return tensors[name]
        case {"items": list(items)}:
            return {key: _unpacked(item, tensors) for key, item in items}
        case {"list": list(items)}:
            return [_unpacked(item, tensors) for item in items]
        case {"tuple": list(items)}:
            return tuple(_unpacked(item, tensors) for item in items)
        case {"value": value}:
            return value
    raise InvalidArgument("the header of the file says nothing of what it holds")


def _is_tensor(value: Any) -> bool:
    return _is_tensor_class(type(value))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
