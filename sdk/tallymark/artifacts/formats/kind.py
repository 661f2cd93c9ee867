"""The class `Format`, and the imports of the libraries that formats need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from tallymark.artifacts.file_names import ending
from tallymark.errors import InvalidArgument
from tallymark.types.enums import ArtifactType

Read = Callable[[Path, Sequence[str]], Any]
TakesClass = Callable[[type], bool]


class Format(NamedTuple):
    """A file format.

    `takes` returns whether the format is used for a value by default, and `classes` whether for all values of a class.
    `holds` describes the values, for users. `needs` are the modules that it imports, `packages` what to install for
    them.
    """

    name: str
    suffix: str
    type: ArtifactType
    holds: str
    takes: Callable[[Any], bool]
    write: Callable[[Any, Path], object]
    read: Read
    classes: TakesClass = lambda _: False
    needs: tuple[str, ...] = ()
    packages: str = ""

    def suffix_of(self, value: object) -> str:
        """Return the suffix of the file; a `Path` keeps its own suffix, unless that is unusual."""
        return ending(value.suffix) if isinstance(value, Path) else self.suffix

    def check_installed(self) -> None:
        """Raise InvalidArgument if a library that the format needs is not installed."""
        for module in self.needs:
            if not is_installed(module):
                raise InvalidArgument(f"the format {self.name} needs {module}: pip install {self.packages}")


def is_installed(module: str) -> bool:
    """Return whether a module can be imported, without importing it."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def library(name: str, package: str = "") -> Any:
    """Import a module. Raises InvalidArgument with what to install if it is missing."""
    try:
        return import_module(name)
    except ImportError as error:
        wanted = package or name.split(".", 1)[0]
        raise InvalidArgument(f"this format needs {wanted} ({error}): pip install {wanted}") from None


def class_is_of(*libraries: str) -> TakesClass:
    """Return a function that says whether a class, or one that it inherits from, is of one of the libraries."""

    def takes(kind: type) -> bool:
        return any(base.__module__.split(".")[0] in libraries for base in kind.__mro__)

    return takes


def is_of(*libraries: str) -> Callable[[Any], bool]:
    """Return a function that says whether a value is of one of the libraries."""
    takes = class_is_of(*libraries)
    return lambda value: takes(type(value))


def class_is(library_name: str, *names: str) -> TakesClass:
    """Return a function that says whether a class is, or inherits from, one of these classes of a library."""

    def takes(kind: type) -> bool:
        return any(base.__module__.split(".")[0] == library_name and base.__name__ in names for base in kind.__mro__)

    return takes
