"""What a format is, and how it finds the library that it needs."""

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
    """A kind of file. `takes` says whether a value becomes one when no format is named.

    `classes` says whether values of a class do, as far as the class alone decides it. `needs` are the modules without
    which it neither writes nor reads, `packages` what is installed for them.
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
        """Return how the file's name ends: a file keeps its own ending, if it is a usual one."""
        return ending(value.suffix) if isinstance(value, Path) else self.suffix

    def check_installed(self) -> None:
        """Raise InvalidArgument if a library that the format needs is not installed."""
        for module in self.needs:
            if not is_installed(module):
                raise InvalidArgument(f"the format {self.name} needs {module}: pip install {self.packages}")


def is_installed(module: str) -> bool:
    """Return whether a module can be imported, without importing it."""
    import sys

    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def library(name: str, package: str = "") -> Any:
    """Return the module; InvalidArgument with what to install if it is missing."""
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
