"""The commands about projects."""

from __future__ import annotations

from tallymark_server.domain.commands.command import Command
from tallymark_server.domain.model import Project


class CreateProject(Command[Project], frozen=True, kw_only=True):
    """Create the project of the command, with a log of its own."""

    # Decided alone: commands before it must find no project, and those after it must find one.
    reload_after = True
    reload_before = True
