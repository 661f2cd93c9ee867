"""The command that erases content."""

from __future__ import annotations

from tallymark_server.domain.commands.command import Command, Erasing, Keys
from tallymark_server.domain.model import Erasure


class Erase(Command[Erasure], frozen=True, kw_only=True):
    """Erase content from every event of the log."""

    # Decided alone: the search for the content must see every event before this command.
    reload_after = True
    reload_before = True

    what: Erasing
    reason: str

    def add_required_keys(self, keys: Keys) -> None:
        Command.add_required_keys(self, keys)
        keys.erasing = self.what
        if self.what.run is not None:
            keys.runs.add(self.what.run)
        if self.what.model is not None:
            keys.models.add(self.what.model)
            if self.what.reference is not None:
                keys.versions.add((self.what.model, self.what.reference))
