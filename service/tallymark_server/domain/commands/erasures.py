"""The command that erases content."""

from __future__ import annotations

from tallymark_server.domain.commands.command import Command, Erasing, Keys
from tallymark_server.domain.model import Erasure


class Erase(Command[Erasure], frozen=True, kw_only=True):
    """Overwrite content in every event of the log."""

    # Decided alone: what is to be erased is looked for once everything before it is in the log.
    changes_much = True
    looks_behind = True

    what: Erasing
    reason: str

    def declare(self, keys: Keys) -> None:
        Command.declare(self, keys)
        keys.erasing = self.what
        if self.what.run is not None:
            keys.runs.add(self.what.run)
        if self.what.model is not None:
            keys.models.add(self.what.model)
            if self.what.reference is not None:
                keys.versions.add((self.what.model, self.what.reference))
