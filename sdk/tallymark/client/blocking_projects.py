"""The methods of the blocking client about projects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TypeVar

from tallymark.client import calls
from tallymark.client.argument_checks import checked
from tallymark.client.calls import Call, Page
from tallymark.types.resources import Project

T = TypeVar("T")


@checked
class Projects(ABC):
    """The methods of a client for projects. Each project has models, runs and a log of its own."""

    @abstractmethod
    def run_call(self, call: Call[T]) -> T:
        """Return the answer to a call made by `tallymark.client.calls`."""

    @abstractmethod
    def _pages(self, page_of: Callable[[str], Call[Page[T]]]) -> Iterator[T]: ...

    def create_project(self, name: str) -> Project:
        """Create a project, without any model; ProjectExists.

        A name has 1 to 63 of the characters a-z 0-9 - and begins with a letter. Use the project with
        `Client(project=name)`, `tallymark.configure(project=name)` or TALLYMARK_PROJECT.
        """
        return self.run_call(calls.create_project(name))

    def get_project(self, name: str) -> Project:
        """Return the project of that name; ProjectNotFound."""
        return self.run_call(calls.get_project(name))

    def list_projects(self) -> Iterator[Project]:
        """Return all projects of the service, by name."""
        return self._pages(calls.list_projects)
