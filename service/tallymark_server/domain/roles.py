"""The roles of callers."""

from __future__ import annotations

from enum import IntEnum

# In place of a project: every project.
ALL_PROJECTS = "*"


class Role(IntEnum):
    """What a caller may do in a project, by the numbers of the contract: each may do what those before it may."""

    READER = 1
    WRITER = 2
    PROMOTER = 3
    ADMIN = 4

    @property
    def label(self) -> str:
        """The name of the role as people write it: `reader`."""
        return self.name.lower()
